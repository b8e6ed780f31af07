"""Parsing and type-checking by Google's CEL: the only module that imports `cel_expr_python`, and only when a condition is compiled.

Dotted names are fields of messages made up for the purpose, so that the checker itself judges `has(subscriber.x)`. The serialized
`cel.expr.CheckedExpr` is decoded into engine.cel.syntax; field numbers are those of the public checked.proto and syntax.proto.
"""

import difflib
import re
from functools import lru_cache
from typing import Any

from engine.cel.errors import CelError, error_at
from engine.cel.schema import LABELS_NAME, ZONE_NAME, Schema, SlotType
from engine.cel.shapes import SHAPES_MAX, Fit, Words, learned, spelled
from engine.cel.syntax import Call, Constant, Foreign, Has, ListOf, Name, Node
from engine.cel.wire import by_id, bytes_of, double, fields, integer, message, text

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_REPORT = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.*)")
_FOREIGN = re.compile("[\x00\ud800-\udfff]")
_PACKAGE = "touchpoint_names"
_MESSAGE = re.compile(rf"{_PACKAGE}\.M\d+")

_CEL_TYPES = {
    SlotType.BOOL: "bool",
    SlotType.INT: "int",
    SlotType.DECIMAL: "double",
    SlotType.DOUBLE: "double",
    SlotType.STRING: "string",
    SlotType.TIMESTAMP: "timestamp",
    SlotType.DURATION: "duration",
}
_PRIMITIVES = {1: "bool", 2: "int", 3: "uint", 4: "double", 5: "string", 6: "bytes"}
_WELL_KNOWN = {1: "any", 2: "timestamp", 3: "duration"}

Tree = dict[str, Any]
"""Names by their parts: a leaf is a type's name, an inner node the tree below it."""


def _declared(schema: Schema) -> dict[str, str]:
    names = {slot.name: _CEL_TYPES[slot.type] for slot in schema.slots}
    if schema.zone:
        names[ZONE_NAME] = "string"
    if schema.labels or schema.zone:
        names[LABELS_NAME] = "list"
    return names


def _name_tree(names: dict[str, str]) -> Tree:
    tree: Tree = {}
    for name in sorted(names):
        if not _NAME.fullmatch(name):
            raise CelError(
                f"name {name!r}: expected letters, digits and _ in parts joined by dots; rename it", 1, 1, name
            )
        *path, leaf = name.split(".")
        below = tree
        for part in path:
            below = below.setdefault(part, {})
            if isinstance(below, str):
                raise CelError(f"name {name!r}: {part!r} is a value already; rename one of the two", 1, 1, name)
        below[leaf] = names[name]
    return tree


def _add_message(file: Any, path: str, tree: Tree, messages: dict[str, str]) -> str:
    """Add a message for `tree` and those below it to the FileDescriptorProto `file`; return its full name, a key of `messages`."""
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

    kinds = {
        "bool": Field.TYPE_BOOL,
        "int": Field.TYPE_INT64,
        "double": Field.TYPE_DOUBLE,
        "string": Field.TYPE_STRING,
        "list": Field.TYPE_STRING,
    }
    known = {"timestamp": ".google.protobuf.Timestamp", "duration": ".google.protobuf.Duration"}
    name = f"{_PACKAGE}.M{len(messages)}"
    messages[name] = path
    made = file.message_type.add(name=name.removeprefix(f"{_PACKAGE}."))
    made.options.deprecated_legacy_json_field_conflicts = True
    for number, (field, kind) in enumerate(tree.items(), 1):
        label = Field.LABEL_REPEATED if kind == "list" else Field.LABEL_OPTIONAL
        added = made.field.add(name=field, number=number, label=label, json_name=f"f{number}")
        if isinstance(kind, dict):
            added.type, added.type_name = (
                Field.TYPE_MESSAGE,
                "." + _add_message(file, f"{path}.{field}", kind, messages),
            )
        elif kind in known:
            added.type, added.type_name = Field.TYPE_MESSAGE, known[kind]
        else:
            added.type = kinds[kind]
    return name


def _environment(kinds: dict[str, str]) -> tuple[Any, dict[str, str]]:
    """Return the checker's environment for names and their types, and the dotted names that its messages stand for."""
    from cel_expr_python import cel  # type: ignore[import-untyped]
    from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, timestamp_pb2

    types = {
        "bool": cel.Type.BOOL,
        "int": cel.Type.INT,
        "double": cel.Type.DOUBLE,
        "string": cel.Type.STRING,
        "timestamp": cel.Type.TIMESTAMP,
        "duration": cel.Type.DURATION,
    }
    file = descriptor_pb2.FileDescriptorProto(name=f"{_PACKAGE}.proto", package=_PACKAGE, syntax="proto2")
    file.dependency.extend([timestamp_pb2.DESCRIPTOR.name, duration_pb2.DESCRIPTOR.name])
    variables = {}
    messages: dict[str, str] = {}
    for name, kind in _name_tree(kinds).items():
        if isinstance(kind, dict):
            variables[name] = cel.Type(_add_message(file, name, kind, messages))
        else:
            variables[name] = types[kind]
    pool = descriptor_pool.DescriptorPool()
    for serialized in (
        timestamp_pb2.DESCRIPTOR.serialized_pb,
        duration_pb2.DESCRIPTOR.serialized_pb,
        file.SerializeToString(),
    ):
        pool.AddSerializedFile(serialized)
    return cel.NewEnv(pool, variables=variables), messages


def nearest(name: str, names: list[str]) -> str:
    """Return ` (nearest: x)`, or "" when nothing in `names` resembles `name`."""
    close = difflib.get_close_matches(name, names, 1)
    return f" (nearest: {close[0]})" if close else ""


def _complaint(report: str, source: str, names: list[str], messages: dict[str, str]) -> CelError:
    """Return the first complaint of the compiler's report."""
    found = _REPORT.search(report)
    if not found:
        return CelError(f"{report.splitlines()[0]}; write a shorter or simpler condition", 1, 1, source)
    line, column, said = max(int(found[1]), 1), max(int(found[2]), 1), found[3].removesuffix(" [INVALID_ARGUMENT]")
    said = _MESSAGE.sub(lambda name: messages[name[0]], said).replace(" (in container '')", "")
    unknown = re.search(r"undefined field '(\w+)' not found in struct '([\w.]+)'|undeclared reference to '(\w+)'", said)
    if unknown:
        name = unknown[3] or f"{unknown[2]}.{unknown[1]}"
        said = f"{said}{nearest(name, names)}; use a declared name"
    elif "no matching overload" in said:
        said = (
            f"{said}; CEL converts nothing by itself: make the types equal, for example with double(...) or 1.0 for 1"
        )
    elif said.startswith("Syntax error"):
        said = f"{said.split(' expecting ')[0]}; correct the expression here"
    return CelError(said, line, column, source)


class _Decoder:
    """Turns one CheckedExpr into nodes."""

    def __init__(self, checked: bytes, names: frozenset[str]) -> None:
        parts = message(checked)
        self.types = by_id(checked, 3)
        self.offsets = by_id(bytes_of(parts.get(5)), 4)
        self.names = names
        self.root = bytes_of(parts.get(4))

    def type_of(self, identity: int) -> str:
        kind = message(bytes_of(self.types.get(identity, b"")))
        if 3 in kind:
            return _PRIMITIVES.get(integer(kind[3]), "unknown")
        if 5 in kind:
            return _WELL_KNOWN.get(integer(kind[5]), "unknown")
        if 9 in kind:
            return "message"
        return {1: "dyn", 2: "null", 4: "wrapper", 6: "list", 7: "map", 11: "type"}.get(next(iter(kind), 1), "unknown")

    def node(self, data: bytes) -> Node:
        expression = message(data)
        identity = integer(expression.get(2))
        at = (integer(self.offsets.get(identity, 0)), self.type_of(identity))
        if 3 in expression:
            return _constant(bytes_of(expression[3]), *at)
        if 4 in expression:
            return self.named(text(message(bytes_of(expression[4])).get(1)), *at)
        if 5 in expression:
            return self.select(bytes_of(expression[5]), *at)
        if 6 in expression:
            return self.call(bytes_of(expression[6]), *at)
        if 7 in expression:
            return ListOf(
                *at,
                tuple(self.node(bytes_of(value)) for number, value in fields(bytes_of(expression[7])) if number == 1),
            )
        return Foreign(*at, "a macro (all, exists, map, ...)" if 9 in expression else "a map or message written out")

    def named(self, name: str, offset: int, kind: str) -> Node:
        name = name.removeprefix(".")
        if name in self.names:
            return Name(offset, kind, name)
        return Foreign(offset, kind, f"{name!r} by itself")

    def select(self, data: bytes, offset: int, kind: str) -> Node:
        parts = message(data)
        path = self.path(bytes_of(parts.get(1)))
        name = f"{path}.{text(parts.get(2))}"
        if path is None or name not in self.names:
            return Foreign(offset, kind, f"a selection of field {text(parts.get(2))!r}")
        first = self.first_offset(bytes_of(parts.get(1)))
        return Has(offset, kind, name, first) if parts.get(3) else Name(first, kind, name)

    def path(self, data: bytes) -> str | None:
        """Return the dotted name that an operand spells, or None."""
        expression = message(data)
        if 4 in expression:
            return text(message(bytes_of(expression[4])).get(1)).removeprefix(".")
        if 5 not in expression:
            return None
        parts = message(bytes_of(expression[5]))
        below = self.path(bytes_of(parts.get(1)))
        return None if below is None else f"{below}.{text(parts.get(2))}"

    def first_offset(self, data: bytes) -> int:
        expression = message(data)
        if 5 in expression:
            return self.first_offset(bytes_of(message(bytes_of(expression[5])).get(1)))
        return integer(self.offsets.get(integer(expression.get(2)), 0))

    def call(self, data: bytes, offset: int, kind: str) -> Node:
        parts = message(data)
        arguments = [self.node(bytes_of(value)) for number, value in fields(data) if number in (1, 3)]
        return Call(offset, kind, text(parts.get(2)), tuple(arguments))


def _constant(data: bytes, offset: int, kind: str) -> Node:
    parts = message(data)
    number, value = next(iter(parts.items()), (1, 0))
    if number == 2:
        return Constant(offset, kind, bool(value))
    if number == 3:
        return Constant(offset, kind, integer(value))
    if number == 5:
        return Constant(offset, kind, double(value))
    if number == 6:
        return Constant(offset, kind, text(value))
    return Foreign(offset, kind, f"a literal of type {kind}")


@lru_cache(maxsize=64)
def frontend_of(schema: Schema) -> "Frontend":
    """Return the one front end of a schema; raises CelError when names of the schema clash."""
    return Frontend(schema)


class Frontend:
    """Parses and checks conditions against one schema."""

    def __init__(self, schema: Schema) -> None:
        self._kinds = _declared(schema)
        self._names = frozenset(self._kinds)
        self._environment, self._messages = _environment(self._kinds)
        self._words = Words(self._kinds)
        self._fits: dict[str, Fit | None] = {}

    def parse(self, source: str) -> Node:
        """Return the typed tree of `source`; raises CelError with the compiler's first complaint."""
        plain = spelled(source, self._words)
        fit = self._fits.get(plain.shape) if plain is not None else None
        if plain is not None and fit is not None:
            return fit(plain.tokens)
        tree = self._checked(source)
        if plain is not None and len(self._fits) < SHAPES_MAX and plain.shape not in self._fits:
            self._fits[plain.shape] = learned(tree, plain.tokens)
        return tree

    def _checked(self, source: str) -> Node:
        foreign = _FOREIGN.search(source)
        if foreign:
            raise error_at(f"character {foreign[0]!a} is no Unicode text; remove it", foreign.start(), source)
        try:
            serialized = self._environment.compile(source).serialize()
        except RuntimeError as error:
            raise _complaint(str(error), source, sorted(self._kinds), self._messages) from None
        decoder = _Decoder(bytes_of(message(serialized).get(2)), self._names)
        return decoder.node(decoder.root)
