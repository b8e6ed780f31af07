"""The typed syntax tree of a condition: what the checker understood, in our own terms, with source offsets in code points."""

import msgspec

Literal = bool | int | float | str | None
"""None is CEL's null and what else has no type here (bytes, unsigned): lowering refuses them by the node's type."""


class Node(msgspec.Struct, frozen=True):
    """A node of type `type` (bool, int, double, string, timestamp, duration, list, or another name that lowering refuses) at `offset`."""

    offset: int
    type: str


class Constant(Node, frozen=True):
    """A literal."""

    value: Literal


class Name(Node, frozen=True):
    """A declared name such as `subscriber.tenure_months`."""

    name: str


class Has(Node, frozen=True):
    """`has(name)`; the name itself stands at `start`."""

    name: str
    start: int


class Call(Node, frozen=True):
    """An operator or function by its CEL name (`_&&_`, `size`); a method's target is the first argument."""

    function: str
    arguments: tuple[Node, ...]


class ListOf(Node, frozen=True):
    """A list written out."""

    elements: tuple[Node, ...]


class Foreign(Node, frozen=True):
    """What the subset does not have: `what` names it."""

    what: str
