"""Conditions as trees, evaluated with CEL's absorption: false (in `and`) and true (in `or`) win over unknown, unknown over error.

["label", id]  ["attribute", id]  ["field", id]  ["value", literal]  ["instant", us]  ["hour"]  ["now"]
["and", a, b, ...]  ["or", a, b, ...]  ["not", a]  ["if", a, b, c]  ["in", a, [literal, ...]]
["<" | "<=" | "==" | "!=" | ">=" | ">", a, b]  ["/" | "+", a, b]  ["has", "attribute" | "field", id]
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from tests.oracle.clock import wall_clock

Tree = list[Any]

UNKNOWN: Final = "unknown"
ERROR: Final = "error"

COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    ">": operator.gt,
}
INT64: Final = range(-(2**63), 2**63)


@dataclass(frozen=True)
class Facts:
    """What a condition may ask about. Missing attributes and fields are absent."""

    labels: dict[str, str]
    """true, false or unknown"""
    attributes: dict[str, Any]
    zone: str | None
    now_us: int
    trigger_us: int | None
    fields: dict[str, Any]


@dataclass(frozen=True)
class Literal:
    """A value, told apart from UNKNOWN and ERROR."""

    value: Any


Result = Literal | str
"""A Literal, or UNKNOWN, or ERROR."""


def truth(tree: Tree, facts: Facts) -> str:
    """`true`, `false`, `unknown` or `error`."""
    result = evaluate(tree, facts)
    if isinstance(result, Literal):
        return "true" if result.value else "false"
    return result


def evaluate(tree: Tree, facts: Facts) -> Result:
    kind, *parts = tree
    if kind in ("and", "or"):
        return absorbed([evaluate(part, facts) for part in parts], wins=kind == "or")
    if kind == "not":
        return strict([evaluate(parts[0], facts)], operator.not_)
    if kind == "if":
        return chosen(evaluate(parts[0], facts), parts[1:], facts)
    if kind == "in":
        return strict([evaluate(parts[0], facts)], lambda value: value in parts[1])
    if kind in COMPARISONS:
        return strict([evaluate(part, facts) for part in parts], COMPARISONS[kind])
    if kind in ("/", "+"):
        return strict([evaluate(part, facts) for part in parts], divided if kind == "/" else added)
    return leaf(kind, parts, facts)


def leaf(kind: str, parts: list[Any], facts: Facts) -> Result:
    if kind in ("value", "instant"):
        return Literal(parts[0])
    if kind == "label":
        return {"true": Literal(True), "false": Literal(False)}.get(facts.labels[parts[0]], UNKNOWN)
    if kind == "now":
        return Literal(facts.now_us)
    if kind == "hour":
        return UNKNOWN if facts.zone is None else Literal(wall_clock(facts.now_us, facts.zone).hour)
    if kind == "has":
        return Literal(parts[1] in (facts.attributes if parts[0] == "attribute" else facts.fields))
    values = facts.attributes if kind == "attribute" else facts.fields
    return Literal(values[parts[0]]) if parts[0] in values else UNKNOWN


def absorbed(results: list[Result], wins: bool) -> Result:
    """`wins` beats unknown, unknown beats error, error beats the other truth value."""
    for first in (Literal(wins), UNKNOWN, ERROR):
        if first in results:
            return first
    return Literal(not wins)


def strict(results: list[Result], function: Callable[..., Any]) -> Result:
    """Unknown when an operand is unknown, else an error when one is, else the function of all."""
    for first in (UNKNOWN, ERROR):
        if first in results:
            return first
    value = function(*(result.value for result in results if isinstance(result, Literal)))
    return ERROR if value is None else Literal(value)


def chosen(test: Result, branches: list[Tree], facts: Facts) -> Result:
    """Only the chosen branch is evaluated."""
    if isinstance(test, Literal):
        return evaluate(branches[0 if test.value else 1], facts)
    return test


def divided(a: int, b: int) -> int | None:
    """Whole-number division toward zero; None (an error) by zero or beyond 64 bits."""
    if b == 0:
        return None
    quotient = abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)
    return quotient if quotient in INT64 else None


def added(a: int, b: int) -> int | None:
    """None (an error) beyond 64 bits."""
    return a + b if a + b in INT64 else None
