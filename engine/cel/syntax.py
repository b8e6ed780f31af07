"""The typed syntax tree of a condition: what the checker understood, in our own terms, with source offsets in code points."""

from dataclasses import dataclass

Literal = bool | int | float | str | None
"""None is CEL's null and what else has no type here (bytes, unsigned): lowering refuses them by the node's type."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node of type `type` (bool, int, double, string, timestamp, duration, list, or another name that lowering refuses) at `offset`."""

    offset: int
    type: str


@dataclass(frozen=True, slots=True)
class Constant(Node):
    """A literal."""

    value: Literal


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A declared name such as `subscriber.tenure_months`."""

    name: str


@dataclass(frozen=True, slots=True)
class Has(Node):
    """`has(name)`."""

    name: str


@dataclass(frozen=True, slots=True)
class Call(Node):
    """An operator or function by its CEL name (`_&&_`, `size`); a method's target is the first argument."""

    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class ListOf(Node):
    """A list written out."""

    elements: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Foreign(Node):
    """What the subset does not have: `what` names it."""

    what: str
