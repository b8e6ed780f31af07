"""Types of nodes that hold others: lists, mappings by id, and records with a table of fields."""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from loaders.catalogue.document import Mapping, Node, Scalar, Sequence
from loaders.catalogue.problems import shown
from loaders.catalogue.reading import WRONG, Entry, Json, Reading
from loaders.catalogue.scalars import Type

WHOLE_FILE: Final = "file"
"""What messages call a file's outermost mapping."""


def _under(what: str, name: str) -> str:
    return name if what == WHOLE_FILE else f"{what}.{name}"


def _found(node: Node) -> str:
    if isinstance(node, Sequence):
        return "a list"
    if isinstance(node, Mapping):
        return "a mapping"
    return shown(node.text) if node.text else "nothing"


@dataclass(frozen=True)
class ListOf(Type):
    """A list of `low` to `high` items; `unique` refuses one that is there already."""

    item: Type
    low: int = 1
    high: int = 65_535
    unique: bool = True

    def read(self, node: Node, what: str, reading: Reading) -> Any:
        """Return a list of what could be read, or WRONG."""
        if not isinstance(node, Sequence):
            reading.problems.add(
                node.place, f"{what}: expected a list", _found(node), "write [a, b] or lines with - before each"
            )
            return WRONG
        if not self.low <= len(node.items) <= self.high:
            expected = f"{what}: expected {self.low:,} to {self.high:,} items"
            reading.problems.add(node.place, expected, f"{len(node.items):,}", "add or take out some")
            return WRONG
        values: list[Any] = []
        seen: set[Hashable] = set()
        for child in node.items:
            value = self.item.read(child, what, reading)
            if value is WRONG:
                continue
            if self.unique and value in seen:
                assert isinstance(child, Scalar)
                reading.problems.add(
                    child.place, f"{what}: expected each once", f"{shown(child.text)} again", "take it out"
                )
            elif self.unique:
                seen.add(value)
            values.append(value)
        return values

    def schema(self) -> Json:
        """Return the JSON Schema that says the same."""
        shape: Json = {"type": "array", "items": self.item.schema(), "minItems": self.low, "maxItems": self.high}
        return {**shape, "uniqueItems": True} if self.unique else shape


@dataclass(frozen=True)
class MapOf(Type):
    """A mapping from keys of one type to values of one type."""

    key: Type
    value: Type
    low: int = 1
    high: int = 256

    def read(self, node: Node, what: str, reading: Reading) -> Any:
        """Return a dict of what could be read, or WRONG."""
        if not isinstance(node, Mapping):
            reading.problems.add(
                node.place, f"{what}: expected a mapping", _found(node), "write names, each with a colon and its value"
            )
            return WRONG
        if not self.low <= len(node.items) <= self.high:
            expected = f"{what}: expected {self.low:,} to {self.high:,} names"
            reading.problems.add(node.place, expected, f"{len(node.items):,}", "add or take out some")
            return WRONG
        read = [
            (self.key.read(key, what, reading), self.value.read(value, f"{what}.{key.text[:64]}", reading))
            for key, value in node.items
        ]
        return {key: value for key, value in read if key is not WRONG and value is not WRONG}

    def schema(self) -> Json:
        """Return the JSON Schema that says the same."""
        return {
            "type": "object",
            "propertyNames": self.key.schema(),
            "additionalProperties": self.value.schema(),
            "minProperties": self.low,
            "maxProperties": self.high,
        }


@dataclass(frozen=True)
class Field:
    """A field of a record; `only` = (another field, words): it has a meaning only when the other has one of these."""

    name: str
    type: Type
    description: str
    required: bool = False
    """With `only`: required when it has a meaning."""
    default: Any = None
    """None: nothing is filled in."""
    only: tuple[str, tuple[str, ...]] | None = None


@dataclass(frozen=True)
class Record(Type):
    """A mapping with a table of fields; `one_of` names fields of which exactly one is given."""

    name: str
    description: str
    fields: tuple[Field, ...]
    one_of: tuple[str, ...] = ()

    @cached_property
    def _table(self) -> dict[str, Field]:
        return {field.name: field for field in self.fields}

    def read(self, node: Node, what: str, reading: Reading) -> Any:
        """Return an Entry, also when some fields are wrong, or WRONG when it is no mapping."""
        if not isinstance(node, Mapping):
            names = ", ".join(field.name for field in self.fields[:3])
            reading.problems.add(
                node.place, f"{what}: expected a mapping", _found(node), f"write {names} and so on, each with a colon"
            )
            return WRONG
        entry = Entry(node.place, {}, {})
        table = self._table
        for key, value in node.items:
            if key.text in table:
                self._keep(entry, table[key.text], value, what, reading)
            else:
                advice = reading.problems.nearest(key.text, table, "take it out")
                reading.problems.add(key.place, f"{what}: expected one of its fields", shown(key.text), advice)
        for field in self.fields:
            if field.only is not None or field.name not in entry.nodes:
                self._complete(entry, field, what, reading)
        self._check_one_of(entry, what, reading)
        return entry

    @staticmethod
    def _keep(entry: Entry, field: Field, node: Node, what: str, reading: Reading) -> None:
        before = reading.problems.count
        value = field.type.read(node, _under(what, field.name), reading)
        entry.nodes[field.name] = node
        if value is not WRONG:
            entry.values[field.name] = value
        if reading.problems.count > before:
            entry.wrong.add(field.name)

    @staticmethod
    def _complete(entry: Entry, field: Field, what: str, reading: Reading) -> None:
        given = field.name in entry.nodes
        if field.only is not None and field.only[0] not in entry.wrong:
            other, words = field.only
            if entry.values.get(other) not in words:
                if given:
                    expected = f"{what}.{field.name}: expected only with {other} {' or '.join(words)}"
                    was = f"{other} {entry.values[other]}" if other in entry.values else f"no {other}"
                    reading.problems.add(entry.at(field.name), expected, was, "take it out")
                    entry.wrong.add(field.name)
                return
        if not given and field.required and (field.only is None or field.only[0] not in entry.wrong):
            reading.problems.add(
                entry.place, f"{what}: expected {field.name}", "without it", f"add {field.name}: {field.description}"
            )
            entry.wrong.add(field.name)
        elif not given and field.default is not None:
            entry.values[field.name] = field.default

    def _check_one_of(self, entry: Entry, what: str, reading: Reading) -> None:
        given = [name for name in self.one_of if name in entry.nodes]
        if self.one_of and len(given) != 1:
            was = " and ".join(given) or "none of them"
            reading.problems.add(
                entry.place, f"{what}: expected one of {' and '.join(self.one_of)}", was, "write exactly one"
            )
            entry.wrong.update(self.one_of)

    def schema(self) -> Json:
        """Return a reference to the record's definition."""
        return {"$ref": f"#/$defs/{self.name}"}


@dataclass(frozen=True)
class Either(Type):
    """A single value or a record."""

    scalar: Type
    record: Record

    def read(self, node: Node, what: str, reading: Reading) -> Any:
        """Return what the one that fits the node returns."""
        return (self.scalar if isinstance(node, Scalar) else self.record).read(node, what, reading)

    def schema(self) -> Json:
        """Return the JSON Schema that says the same."""
        return {"oneOf": [self.scalar.schema(), self.record.schema()]}
