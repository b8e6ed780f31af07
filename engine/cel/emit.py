"""Programs: the part of a condition that is no simple term, as a postfix program of typed operations."""

from collections.abc import Sequence

from engine.cel.literals import (
    ConversionError,
    double_bits,
    parse_bool,
    parse_double,
    parse_duration,
    parse_int,
    parse_timestamp,
)
from engine.cel.operations import COMPARISONS, INSTANT_PARTS, OPERATIONS, SPAN_PARTS, value_kind
from engine.cel.program import Program
from engine.cel.schema import LABELS_NAME, ZONE_NAME, SlotType
from engine.cel.syntax import Call, Constant, Foreign, Has, ListOf, Name, Node
from engine.cel.text_tree import text_tree, uses_value
from engine.cel.texts import TEXT_FUNCTIONS, TextFunction, TextValue, evaluate_text
from engine.dtypes import operation as op
from engine.dtypes.condition import ZONE_SLOT
from engine.zones import offsets

_LOADS = {
    SlotType.BOOL: op.LOAD,
    SlotType.INT: op.LOAD,
    SlotType.DOUBLE: op.LOAD,
    SlotType.DECIMAL: op.LOAD_DECIMAL,
    SlotType.TIMESTAMP: op.LOAD_INSTANT,
    SlotType.DURATION: op.LOAD_SPAN,
}


class Emitter(Program):
    """A program with its operations."""

    def emit(self, node: Node) -> None:
        """Append the program of a node, which leaves its value."""
        match node:
            case Constant():
                self.constant(node)
            case Has():
                self.add(op.LOAD_KNOWN, 0, self.slot(node))
            case Name():
                self.named(node)
            case Call():
                self.call(node)
            case Foreign():
                self.refuse(
                    node,
                    f"{node.what} is outside the subset of CEL that conditions use; write it with comparisons and logic",
                )
            case _:
                self.refuse(
                    node,
                    "a list by itself is outside the subset of CEL that conditions use; only `value in [...]` is in it",
                )

    def constant(self, node: Constant) -> None:
        value = node.value
        if isinstance(value, str):
            self.add(op.PUSH, 0, self.texts.setdefault(value, len(self.texts)), 1)
        elif isinstance(value, float):
            self.push(double_bits(value))
        else:
            assert value is not None
            self.push(int(value))

    def named(self, node: Name) -> None:
        index = self.slot(node)
        kind = SlotType.STRING if index == ZONE_SLOT else self.schema.slots[index].type
        bit = self.name_bit(node.name)
        if kind == SlotType.STRING:
            self.add(op.LOAD_TEXT, 0, index, self.function(TextFunction(index, TextValue())), bit)
        elif kind == SlotType.DECIMAL:
            divisor = (10 ** self.schema.slots[index].scale, 0)
            self.add(op.LOAD_DECIMAL, 0, index, self.constants.setdefault(divisor, len(self.constants)), bit)
        else:
            self.add(_LOADS[kind], 0, index, 0, bit)

    def call(self, node: Call) -> None:
        if self.text_call(node) or self.conversion(node) or self.part(node):
            return
        arguments = node.arguments
        if node.function in COMPARISONS:
            self.comparison(node)
        elif node.function == "@in":
            self.membership(node)
        else:
            kinds = tuple(argument.type for argument in arguments)
            operation = OPERATIONS.get((node.function, kinds)) or OPERATIONS.get((node.function, ()))
            if operation is None:
                self.refuse(node, _outside(node))
            for argument in _ordered(node, arguments):
                self.emit(argument)
            self.add(operation, len(arguments))

    def comparison(self, node: Call) -> None:
        """Append a comparison; `>` and `>=` exchange their sides."""
        name, exchanged, negated = COMPARISONS[node.function]
        kind = value_kind(node.arguments[0].type)
        if kind is None or node.arguments[1].type != node.arguments[0].type:
            first = next((a for a in node.arguments if value_kind(a.type) is None), node)
            self.refuse(
                first,
                f"a comparison of {first.type} is outside the subset of CEL that conditions use; compare values of one type",
            )
        if node.arguments[0].type == "string" and name != "EQUAL" and any(self.has_dynamic(a) for a in node.arguments):
            self.refuse(
                node,
                "the order of two strings of which one is a trigger field is not known; compare it with a literal, or use ==",
            )
        for argument in reversed(node.arguments) if exchanged else node.arguments:
            self.emit(argument)
        self.add(getattr(op, f"{name}_{kind}"), 2)
        if negated:
            self.add(op.NOT, 1)

    def has_dynamic(self, node: Node) -> bool:
        """Return whether a value may come from a string slot whose strings are not known when tables are bound."""
        if isinstance(node, Name):
            index = self.slot(node)
            return index != ZONE_SLOT and self.schema.slots[index].dynamic
        return isinstance(node, Call) and any(self.has_dynamic(argument) for argument in node.arguments)

    def membership(self, node: Call) -> None:
        value, among = node.arguments
        if isinstance(among, Name) and among.name == LABELS_NAME:
            if not isinstance(value, Constant):
                self.refuse(
                    value, f"expected a label's id in quotes before `in {LABELS_NAME}`; write one test for each label"
                )
            self.add(op.LOAD_LABEL, 0, self.label(value), 0, self.name_bit(f'"{value.value}" in {LABELS_NAME}'))
            return
        if not isinstance(among, ListOf):
            self.refuse(
                among,
                f"expected a list written out, [a, b], or {LABELS_NAME} after `in`, but it was {among.type}; write the list",
            )
        kind = value_kind(value.type)
        for element in among.elements:
            if element.type != value.type:
                self.refuse(
                    element, f"expected a {value.type} in the list, but it was {element.type}; make the types equal"
                )
        if kind is None:
            self.refuse(
                value,
                f"`in` with a value of type {value.type} is outside the subset of CEL that conditions use; compare fields",
            )
        for part in (value, *among.elements):
            self.emit(part)
        self.add(getattr(op, f"IN_{kind}"), len(among.elements) + 1, len(among.elements))

    def conversion(self, node: Call) -> bool:
        """Append int(), double(), timestamp(), duration(), bool() or string() of a literal text or of a value of the type already."""
        if (node.function not in _PARSERS and node.function != "string") or len(node.arguments) != 1:
            return False
        argument = node.arguments[0]
        if argument.type == node.type:
            self.emit(argument)
            return True
        if argument.type != "string" or node.function == "string":
            return False
        tree = text_tree(argument, set())
        if tree is None or uses_value(tree):
            self.refuse(
                node,
                f"{node.function}() of a string that is not a literal is outside the subset; use a typed attribute or field",
            )
        text = evaluate_text(tree, "")
        assert isinstance(text, str)
        try:
            self.push(*_PARSERS[node.function](text))
        except ConversionError as error:
            self.fail(argument, error.failure)
        return True

    def part(self, node: Call) -> bool:
        """Append a part of a timestamp, in an explicit zone, or of a duration."""
        if not node.arguments or node.function not in INSTANT_PARTS:
            return False
        target = node.arguments[0]
        if target.type == "duration" and node.function in SPAN_PARTS and len(node.arguments) == 1:
            self.emit(target)
            self.add(op.SPAN_PART, 1, SPAN_PARTS[node.function])
            return True
        if target.type != "timestamp":
            return False
        if len(node.arguments) == 1:
            self.refuse(
                node, f'{node.function}() without a zone; write {node.function}({ZONE_NAME}), or {node.function}("UTC")'
            )
        self.emit(target)
        self.zoned(node.arguments[1], INSTANT_PARTS[node.function])
        return True

    def zoned(self, zone: Node, part: int) -> None:
        if isinstance(zone, Name) and zone.name == ZONE_NAME:
            if ZONE_NAME in self.slot_index:
                self.refuse(zone, f"{ZONE_NAME} is declared as a plain string here")
            self.add(op.INSTANT_PART, 1, part, -1, self.name_bit(ZONE_NAME))
            return
        if not isinstance(zone, Constant):
            self.refuse(
                zone,
                f'expected {ZONE_NAME} or a zone in quotes such as "America/Chicago" or "+02:00"; write one of these',
            )
        assert isinstance(zone.value, str)
        try:
            offsets(zone.value)
        except ValueError as error:
            if self.strict:
                self.refuse(zone, str(error))
        self.add(op.INSTANT_PART, 1, part, self.zones.setdefault(zone.value, len(self.zones)))

    def text_call(self, node: Call) -> bool:
        """Append a test or function of strings that one slot decides, or that is constant; False when it is neither."""
        if node.function not in TEXT_FUNCTIONS or any(
            a.type != "string" and not isinstance(a, ListOf) for a in node.arguments
        ):
            return False
        slots: set[Name] = set()
        tree = text_tree(node, slots)
        indexes = {self.slot(name) for name in slots}
        if tree is not None and not indexes:
            value = evaluate_text(tree, "")
            self.constant(Constant(node.offset, node.type, value))
        elif tree is not None and len(indexes) == 1:
            index = indexes.pop()
            self.add(
                op.LOAD_TEXT, 0, index, self.function(TextFunction(index, tree)), self.name_bit(next(iter(slots)).name)
            )
        elif node.function in COMPARISONS or node.function == "@in":
            return False
        else:
            self.refuse(
                node,
                f"{_shown(node.function)} of more than one string value is outside the subset; compare each with a literal",
            )
        return True


def _ordered(node: Call, arguments: Sequence[Node]) -> Sequence[Node]:
    """Return operands as operations take them: a timestamp before the duration that is added to it."""
    if node.function == "_+_" and [a.type for a in arguments] == ["duration", "timestamp"]:
        return arguments[::-1]
    return arguments


def _shown(function: str) -> str:
    return function.strip("_@") if function.startswith(("_", "@")) else f"{function}()"


def _outside(node: Call) -> str:
    kinds = ", ".join(argument.type for argument in node.arguments)
    return f"{_shown(node.function)} of ({kinds}) is outside the subset of CEL that conditions use; write it with comparisons, logic and arithmetic"


_PARSERS = {
    "int": lambda text: (parse_int(text), 0),
    "double": lambda text: (double_bits(parse_double(text)), 0),
    "bool": lambda text: (int(parse_bool(text)), 0),
    "duration": lambda text: (parse_duration(text), 0),
    "timestamp": parse_timestamp,
}
