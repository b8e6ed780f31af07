"""Binding: a rulebook's conditions against one base's label bits, dictionaries and zones, as the arrays that the kernel reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engine.breathing import array_of, breathe
from engine.cel.conditions import Condition, ConditionSet, Term
from engine.cel.interner import Interner, Pool, known_texts, number_of
from engine.cel.texts import TextFunction
from engine.dtypes import operation as op
from engine.dtypes.condition import (
    CELL,
    CONSTANT,
    FALSE,
    FIXED,
    INSTRUCTION,
    LABELS_ALL,
    LABELS_NONE,
    MASK,
    PROGRAM,
    RANGE_TEXT,
    STACK_MAX,
    TERM,
    ZONE_SLOT,
    ConditionTables,
)
from engine.jit import frozen
from engine.limits import BATCH_ITEMS_MAX
from engine.zones import bind_zones

DYNAMIC_ROWS: Final = 2 * BATCH_ITEMS_MAX
"""Rows reserved for each dynamic slot in each of its text tables (4 bytes a row)."""


@dataclass(frozen=True, slots=True)
class Bound:
    """Bound conditions: `tables` for the kernel, `interner` for the strings of trigger fields, `texts` by number (grows with the interner)."""

    tables: ConditionTables
    interner: Interner
    texts: list[str]


@dataclass(slots=True)
class _Parts:
    """What binding has gathered so far."""

    label_bits: npt.NDArray[Any]
    pool: Pool
    bases: dict[TextFunction, int]
    zones: dict[str, int]
    start: list[int] = field(default_factory=lambda: [0])
    terms: list[tuple[int, ...]] = field(default_factory=list)
    masks: list[tuple[int, int]] = field(default_factory=list)
    code: list[tuple[int, int, int, int]] = field(default_factory=list)
    constants: dict[tuple[int, int], int] = field(default_factory=dict)

    def constant(self, value: int, nanos: int) -> int:
        return self.constants.setdefault((value, nanos), len(self.constants))


def bind(
    conditions: ConditionSet,
    label_bits: npt.NDArray[Any],
    dictionaries: Mapping[int, Sequence[str]],
    zones: Sequence[str],
    *,
    dynamic_rows: int = DYNAMIC_ROWS,
    strict_zones: bool = True,
) -> Bound:
    """Return the conditions bound to a base; each thread that evaluates needs its own `tables.stack` (see `for_thread`).

    `label_bits`: for each label of the schema its bit in the base's label words, -1 when the base does not have it (it is then absent for
    everybody). `dictionaries`: the strings of each static string slot by code, for the slots that conditions use; a missing one raises
    ValueError. `zones`: the names behind View.zone, in order; the zones that conditions name are added after them.
    """
    assert len(label_bits) == len(conditions.schema.labels)
    texts = _bind_texts(conditions, {**dictionaries, ZONE_SLOT: zones}, dynamic_rows)
    named = dict.fromkeys(zone for condition in conditions.conditions for zone in condition.zones)
    parts = _Parts(label_bits, texts.pool, texts.bases, {name: len(zones) + i for i, name in enumerate(named)})
    for condition in conditions.conditions:
        _add(parts, condition)
        breathe()
    tables = ConditionTables(
        start=frozen(array_of(parts.start, np.int64)),
        terms=frozen(array_of(parts.terms, TERM)),
        masks=frozen(array_of(parts.masks, MASK)),
        code=frozen(array_of(parts.code, INSTRUCTION)),
        constants=frozen(array_of(list(parts.constants), CONSTANT)),
        numbers=frozen(texts.numbers),
        stack=np.zeros(STACK_MAX, CELL),
        zones=bind_zones([*zones, *named], strict=strict_zones),
    )
    return Bound(tables, texts.interner, texts.pool.texts)


@dataclass(frozen=True, slots=True)
class _Texts:
    """The text tables: where each function's lies in `numbers`."""

    pool: Pool
    numbers: npt.NDArray[np.int32]
    bases: dict[TextFunction, int]
    interner: Interner


def _bind_texts(conditions: ConditionSet, dictionaries: Mapping[int, Sequence[str]], dynamic_rows: int) -> _Texts:
    """Tabulate every text function over its slot's dictionary, and reserve rows for those of dynamic slots."""
    found: dict[TextFunction, None] = {}
    literals: set[str] = set()
    for condition in conditions.conditions:
        found |= dict.fromkeys(condition.functions)
        literals.update(condition.texts)
        breathe()
    functions = list(found)
    dynamic = {index for index, slot in enumerate(conditions.schema.slots) if slot.dynamic}
    for function in functions:
        if function.slot not in dynamic and function.slot not in dictionaries:
            name = conditions.schema.slots[function.slot].name
            raise ValueError(
                f"{name}: conditions ask for its text, but the base has no dictionary for it; rebuild the base with this attribute as string"
            )
    pool = Pool(literals | known_texts(functions, dictionaries))
    sizes = [dynamic_rows if function.slot in dynamic else len(dictionaries[function.slot]) for function in functions]
    bases = dict(zip(functions, np.cumsum([0, *sizes]).tolist(), strict=False))
    numbers = np.zeros(sum(sizes), np.int32)
    interner = Interner(pool, numbers, dynamic_rows)
    for function, base in bases.items():
        if function.slot in dynamic:
            interner.add(function.slot, function, base)
        else:
            for at, text in enumerate(dictionaries[function.slot], base):
                numbers[at] = number_of(function, text, pool)
                breathe()
    return _Texts(pool, numbers, bases, interner)


def for_thread(tables: ConditionTables) -> ConditionTables:
    """Return the same tables with a stack of their own."""
    return tables._replace(stack=np.zeros(STACK_MAX, CELL))


def _add(parts: _Parts, condition: Condition) -> None:
    first = len(parts.code)
    for instruction in condition.code:
        parts.code.append(_relocated(parts, condition, instruction))
    for term in condition.terms:
        parts.terms.append(_bound_term(parts, condition, term, first))
    parts.start.append(len(parts.terms))


def _relocated(
    parts: _Parts, condition: Condition, instruction: tuple[int, int, int, int]
) -> tuple[int, int, int, int]:
    operation, a, b, name = instruction
    if operation == op.PUSH:
        pair = (parts.pool.numbers[condition.texts[a]], 0) if b else condition.constants[a]
        return operation, parts.constant(*pair), 0, 0
    if operation == op.LOAD_DECIMAL:
        return operation, a, parts.constant(*condition.constants[b]), name
    if operation == op.LOAD_TEXT:
        return operation, a, parts.bases[condition.functions[b]], name
    if operation == op.LOAD_LABEL:
        bit = int(parts.label_bits[a])
        if bit < 0:
            return op.PUSH, parts.constant(0, 0), 0, 0
        parts.masks.append((bit // 64, 1 << bit % 64))
        return operation, len(parts.masks) - 1, 0, name
    if operation == op.INSTANT_PART and b >= 0:
        return operation, a, parts.zones[condition.zones[b]], name
    return instruction


def _bound_term(parts: _Parts, condition: Condition, term: Term, first: int) -> tuple[int, ...]:
    """Return a row of TERM: kind, slot, base, count, low, high, negated."""
    if term.kind in (LABELS_ALL, LABELS_NONE):
        return _label_term(parts, term)
    if term.kind == PROGRAM:
        return PROGRAM, 0, first + term.first, term.count, 0, 0, 0
    if term.kind == RANGE_TEXT:
        number = parts.pool.numbers[condition.texts[term.text]] if term.text >= 0 else -1
        low, high = (number, number) if term.text >= 0 else (term.low, term.high)
        return RANGE_TEXT, term.slot, parts.bases[condition.functions[term.function]], 0, low, high, int(term.negated)
    return term.kind, term.slot, 0, 0, term.low, term.high, int(term.negated)


def _label_term(parts: _Parts, term: Term) -> tuple[int, ...]:
    bits = [int(parts.label_bits[label]) for label in term.labels]
    if term.kind == LABELS_ALL and min(bits) < 0:
        return FIXED, 0, 0, 0, FALSE, 0, 0
    words: dict[int, int] = {}
    for bit in bits:
        if bit >= 0:
            words[bit // 64] = words.get(bit // 64, 0) | 1 << bit % 64
    base = len(parts.masks)
    parts.masks.extend(sorted(words.items()))
    return term.kind, 0, base, len(words), 0, 0, 0
