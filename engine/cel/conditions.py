"""Compiled conditions as rulebooks store them, and the steps that make them: `compile_condition`, or a `Compiler` for many, and `assemble`."""

from collections.abc import Sequence

import msgspec

from engine.cel.schema import Schema
from engine.cel.texts import TextFunction


class Term(msgspec.Struct, frozen=True, omit_defaults=True):
    """One conjunct; the meaning of `kind`, `low`, `high` and `negated` is that of engine.dtypes.condition.TERM."""

    kind: int
    source: str
    """The text of the conjunct, for explanations; of a labels term, of all its conjuncts."""
    slot: int = 0
    low: int = 0
    high: int = 0
    negated: bool = False
    labels: tuple[int, ...] = ()
    """Indexes into Schema.labels."""
    function: int = -1
    """Index into Condition.functions, of a text range."""
    text: int = -1
    """Index into Condition.texts: the text's number is then both ends of the range."""
    first: int = 0
    count: int = 0
    """The program: Condition.code[first : first + count]."""


class Condition(msgspec.Struct, frozen=True):
    """A condition against a schema, independent of any base: labels, strings and zones are still by name."""

    source: str
    terms: tuple[Term, ...]
    code: tuple[tuple[int, int, int, int], ...] = ()
    """op, a, b, name; as engine.dtypes.condition.INSTRUCTION, with indexes into the lists below."""
    constants: tuple[tuple[int, int], ...] = ()
    functions: tuple[TextFunction, ...] = ()
    texts: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    """What can be missing, by name bit; those from NAMES_MAX - 1 on share one."""
    slots: tuple[int, ...] = ()
    """Slots that the condition refers to, sorted."""
    type: str = "bool"


class ConditionSet(msgspec.Struct, frozen=True):
    """The conditions of a rulebook, in its order."""

    schema: Schema
    conditions: tuple[Condition, ...]


def compile_condition(source: str, schema: Schema, known: frozenset[str] | None = None) -> Condition:
    """Return the condition `source` lowered against `schema`; raises CelError where it is wrong, not a bool, or outside the subset.

    `known`: names of slots that may be used (all when None). Constants that are always an error (a timestamp that does not exist) are refused.
    """
    from engine.cel.lower import lower_condition

    return lower_condition(source, schema, known)


class Compiler:
    """Compiles conditions against one schema, each text with the same known names once."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._compiled: dict[tuple[str, frozenset[str]], Condition] = {}

    def compile(self, source: str, known: frozenset[str]) -> Condition:
        """Return what compile_condition returns; raises CelError likewise."""
        key = (source, known)
        if key not in self._compiled:
            self._compiled[key] = compile_condition(source, self.schema, known)
        return self._compiled[key]


def assemble(conditions: Sequence[Condition], schema: Schema) -> ConditionSet:
    """Return the conditions as one set; condition number i of the kernel is conditions[i]."""
    return ConditionSet(schema, tuple(conditions))
