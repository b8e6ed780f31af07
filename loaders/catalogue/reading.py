"""What reading a catalogue carries along: the problems so far, the references to look up, and texts that know where they stand."""

from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from loaders.catalogue.document import Node, Scalar
from loaders.catalogue.problems import Place, Problems

Json: TypeAlias = dict[str, Any]


class _Wrong:
    def __repr__(self) -> str:
        return "WRONG"


WRONG: Final = _Wrong()
"""Stands for a value that could not be read; its problem is noted already."""


class Word(str):
    """A text with the scalar that it came from."""

    __slots__ = ("node",)
    node: Scalar

    @property
    def place(self) -> Place:
        """Where it starts."""
        return self.node.place


@dataclass(slots=True)
class Reading:
    """State of one load."""

    problems: Problems
    references: list[tuple[str, str, Word]] = field(default_factory=list)
    """(kind of thing, what names it, the id)"""
    incomplete: bool = False
    """A file could not be read, so that what seems to be missing may be there."""


@dataclass(slots=True)
class Entry:
    """A mapping read by its record: what could be read, by field, defaults filled in; fields with a mistake are in `wrong`."""

    place: Place
    values: dict[str, Any]
    nodes: dict[str, Node]
    """The node of each given value."""
    wrong: set[str] = field(default_factory=set)

    def get(self, name: str) -> Any:
        """Return the field's value, or None when it is absent or wrong."""
        return self.values.get(name)

    def at(self, name: str) -> Place:
        """Return where the field's value stands, or the entry's place when it was not given."""
        return self.nodes[name].place if name in self.nodes else self.place

    @property
    def id(self) -> str:
        """Its id, also one that is not allowed, so that what refers to it is not blamed; empty when there is none."""
        node = self.nodes.get("id")
        return node.text if isinstance(node, Scalar) else ""
