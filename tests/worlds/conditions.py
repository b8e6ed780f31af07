"""Random conditions: drawn as trees, written as CEL."""

from decimal import Decimal
from random import Random
from typing import Any

from tests.oracle.clock import utc
from tests.oracle.numbers import DAY_US

Tree = list[Any]
"""[kind, part, ...]: "label", "attribute", "field", "value", "instant", "now", "hour", "duration", "has", "and", "or", "not", "if", "in", or an operator"""

COMPARISONS = ("<", "<=", "==", "!=", ">=", ">")
PLANS = ("basic", "family", "unlimited", "prepaid")
APPS = ("video", "maps", "chat")


def random_condition(rng: Random, labels: list[str], fields: dict[str, str], now_us: int) -> str:
    """A conjunction of one to four terms over the labels, the attributes and the trigger fields, in CEL."""
    terms = [random_term(rng, labels, fields, now_us, depth=2) for _ in range(rng.randint(1, 4))]
    return " && ".join(cel_text(term) for term in terms)


def random_term(rng: Random, labels: list[str], fields: dict[str, str], now_us: int, depth: int) -> Tree:
    if depth and rng.random() < 0.3:
        parts = [random_term(rng, labels, fields, now_us, depth - 1) for _ in range(rng.randint(2, 3))]
        return rng.choice([["or", *parts], ["and", *parts], ["not", parts[0]], ["if", parts[0], parts[-1], parts[1]]])
    if labels and rng.random() < 0.5:
        label: Tree = ["label", rng.choice(labels)]
        return label if rng.random() < 0.6 else ["not", label]
    return random_comparison(rng, fields, now_us)


def random_comparison(rng: Random, fields: dict[str, str], now_us: int) -> Tree:
    comparison = rng.choice(COMPARISONS)
    terms: list[Tree] = [
        [comparison, ["attribute", "tenure"], ["value", rng.choice([0, 1, 12, 24, 1200])]],
        [comparison, ["+", ["attribute", "tenure"], ["value", 3]], ["value", 15]],
        [comparison, ["/", ["value", 24], ["attribute", "tenure"]], ["value", rng.choice([1, 2])]],
        [comparison, ["/", ["attribute", "tenure"], ["attribute", "tenure"]], ["value", 1]],
        [comparison, ["attribute", "charges"], ["value", Decimal(rng.choice(["0", "79.55", "79.5"]))]],
        [comparison, ["attribute", "usage"], ["value", rng.choice([0.0, -1.5, 0.1, 900.25])]],
        [comparison, ["attribute", "joined"], ["instant", now_us // DAY_US * DAY_US - 30 * DAY_US]],
        [comparison, ["now"], ["instant", now_us // DAY_US * DAY_US + rng.randrange(3) * DAY_US]],
        [comparison, ["hour"], ["value", rng.choice([8, 12, 21])]],
        ["attribute", "vip"],
        ["in", ["attribute", "plan"], rng.sample(PLANS, 2)],
        [rng.choice(["==", "!="]), ["attribute", "plan"], ["value", rng.choice(PLANS)]],
        ["has", "attribute", rng.choice(["tenure", "plan", "vip"])],
    ]
    if "used_mb" in fields:
        terms += [
            [comparison, ["field", "used_mb"], ["value", 900.0]],
            [comparison, ["/", ["value", 100], ["field", "count"]], ["value", 10]],
            ["in", ["field", "app"], rng.sample(APPS, 2)],
            ["and", ["has", "field", "count"], [comparison, ["field", "count"], ["value", 3]]],
        ]
    return rng.choice(terms + 3 * trigger_terms(rng, comparison, fields, now_us))


def trigger_terms(rng: Random, comparison: str, fields: dict[str, str], now_us: int) -> list[Tree]:
    """Of triggers that share a field, and of the trigger's time."""
    terms: list[Tree] = []
    if "amount" in fields:
        terms += [
            [comparison, ["field", "amount"], ["value", 20.0]],
            ["has", "field", rng.choice(["amount", "count"])],
            [comparison, ["field", "count"], ["value", 3]],
        ]
    if "time" in fields:
        terms += [
            [comparison, ["field", "time"], ["now"]],
            [comparison, ["field", "time"], ["instant", now_us // DAY_US * DAY_US + rng.randrange(3) * DAY_US]],
            [comparison, ["-", ["now"], ["field", "time"]], ["duration", rng.choice([0, 60, 3600])]],
        ]
    return terms


def cel_text(tree: Tree) -> str:
    """The condition as an author writes it."""
    kind, *parts = tree
    if kind in ("and", "or"):
        return "(" + (" && " if kind == "and" else " || ").join(cel_text(part) for part in parts) + ")"
    if kind == "not":
        return f"!({cel_text(parts[0])})"
    if kind == "if":
        return f"({cel_text(parts[0])} ? {cel_text(parts[1])} : {cel_text(parts[2])})"
    if kind == "in":
        return f"{cel_text(parts[0])} in [{', '.join(literal(value) for value in parts[1])}]"
    if kind in COMPARISONS or kind in ("/", "+", "-"):
        return f"({cel_text(parts[0])} {kind} {cel_text(parts[1])})"
    return cel_leaf(kind, parts)


def cel_leaf(kind: str, parts: list[Any]) -> str:
    if kind == "has":
        return f"has({'subscriber' if parts[0] == 'attribute' else 'trigger'}.{parts[1]})"
    if kind == "instant":
        return f'timestamp("{utc(parts[0]).strftime("%Y-%m-%dT%H:%M:%SZ")}")'
    if kind == "duration":
        return f'duration("{parts[0]}s")'
    if kind == "value":
        return literal(parts[0])
    name = parts[0] if parts else ""
    return {
        "label": f'"{name}" in subscriber.labels',
        "attribute": f"subscriber.{name}",
        "field": f"trigger.{name}",
        "hour": "now.getHours(subscriber.zone)",
        "now": "now",
    }[kind]


def literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    return repr(float(value)) if isinstance(value, float | Decimal) else str(value)
