"""What a condition's program is built from: its instructions, and the constants, strings, zones and names that they refer to by number."""

from functools import lru_cache
from typing import NoReturn

from engine.cel.errors import error_at
from engine.cel.frontend import nearest
from engine.cel.schema import LABELS_NAME, ZONE_NAME, Schema
from engine.cel.syntax import Constant, Has, Name, Node
from engine.cel.texts import TextFunction
from engine.dtypes import operation as op
from engine.dtypes.condition import NAMES_MAX, STACK_MAX, ZONE_SLOT

Pair = tuple[int, int]

INSTRUCTIONS_MAX = 20_000


class Vocabulary:
    """A schema with its names by number."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.slot_index = {slot.name: index for index, slot in enumerate(schema.slots)}
        self.label_index = {label: index for index, label in enumerate(schema.labels)}


@lru_cache(maxsize=64)
def vocabulary_of(schema: Schema) -> Vocabulary:
    """Return the one vocabulary of a schema."""
    return Vocabulary(schema)


class Program:
    """Collects the program and the lists of one condition."""

    def __init__(self, source: str, vocabulary: Vocabulary, known: frozenset[str] | None, *, strict: bool) -> None:
        self.source = source
        self.schema = vocabulary.schema
        self.known = known
        self.strict = strict
        """Refuse constants that are always an error, instead of making that error."""
        self.slot_index = vocabulary.slot_index
        self.label_index = vocabulary.label_index
        self.code: list[tuple[int, int, int, int]] = []
        self.constants: dict[Pair, int] = {}
        self.functions: dict[TextFunction, int] = {}
        self.texts: dict[str, int] = {}
        self.zones: dict[str, int] = {}
        self.names: dict[str, int] = {}
        self.slots: set[int] = set()
        self.depth = 0

    def refuse(self, node: Node, message: str) -> NoReturn:
        """Raise CelError at the node."""
        raise error_at(message, node.offset, self.source)

    def slot(self, node: Name | Has) -> int:
        """Return the slot that a name stands for (ZONE_SLOT for the zone), and note its use."""
        if node.name == LABELS_NAME:
            self.refuse(
                node, f'{LABELS_NAME}: only "label" in {LABELS_NAME} can be asked; write one such test for each label'
            )
        if node.name == ZONE_NAME and node.name not in self.slot_index:
            return ZONE_SLOT
        index = self.slot_index[node.name]
        if self.known is not None and node.name not in self.known:
            self.refuse(
                node, f"{node.name} is not available here; use one of: {', '.join(sorted(self.known)) or 'nothing'}"
            )
        self.slots.add(index)
        return index

    def name_bit(self, name: str) -> int:
        """Return the bit that stands for a name in the set of an unknown value."""
        return min(self.names.setdefault(name, len(self.names)), NAMES_MAX - 1)

    def label(self, node: Constant) -> int:
        """Return the index of a label; refuses one that the schema does not have."""
        assert isinstance(node.value, str)
        if node.value not in self.label_index:
            near = nearest(node.value, list(self.schema.labels))
            self.refuse(node, f"label {node.value!r} is not declared{near}; declare it or correct the name")
        return self.label_index[node.value]

    def add(self, operation: int, pops: int, a: int = 0, b: int = 0, name: int = 0) -> None:
        """Append one instruction that takes `pops` cells and leaves one."""
        self.code.append((operation, a, b, name))
        self.depth += 1 - pops
        if self.depth > STACK_MAX or len(self.code) > INSTRUCTIONS_MAX:
            raise error_at(
                f"more than {STACK_MAX} values at once, or {INSTRUCTIONS_MAX:,} steps; split the condition",
                0,
                self.source,
            )

    def push(self, value: int, nanos: int = 0) -> None:
        """Append a constant."""
        self.add(op.PUSH, 0, self.constants.setdefault((value, nanos), len(self.constants)))

    def fail(self, node: Node, failure: op.Failure) -> None:
        """Append a constant error; refuses it when strict."""
        if self.strict:
            self.refuse(node, f"always an error: {op.FAILURES[failure]}; correct the value")
        self.add(op.FAIL, 0, int(failure))

    def function(self, function: TextFunction) -> int:
        """Return the number of a text function within the condition."""
        return self.functions.setdefault(function, len(self.functions))
