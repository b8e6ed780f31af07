"""Small worlds for lint: conditions over a few labels and values whose every state can be listed, and the oracle's word on each state."""

from collections.abc import Iterator
from decimal import Decimal
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

from engine.rulebook import Rulebook
from loaders.catalogue.load import compile_catalogue
from tests.oracle import small
from tests.oracle.condition import Facts, truth
from tests.worlds.files import write_catalogue

NOW_US = 1_796_083_200_000_000
LABELS = ("gold", "heavy", "roamer")
TENURES = (None, 0, 5, 6, 11, 12, 13, 23, 24)
CHARGES = (None, Decimal("0"), Decimal("9.99"), Decimal("10"), Decimal("100"))
USAGES = (None, -1.5, 0.0, 0.5, 1.0, float("nan"), float("inf"))
PLANS = (None, "basic", "family", "family_plus", "x")
VIPS = (None, True, False)

PLAIN: dict[str, Any] = {
    "labels": [{"id": name, "family": "basic", "kind": "dynamic", "max_age": "1d"} for name in LABELS],
    "attributes": [
        {"id": "charges", "type": "decimal", "scale": 2, "min": 0, "max": 100},
        {"id": "plan", "type": "string"},
        {"id": "tenure", "type": "int", "min": 0, "max": 24},
        {"id": "usage", "type": "double"},
        {"id": "vip", "type": "bool"},
    ],
}


def rulebook(folder: Path, **changes: Any) -> Rulebook:
    """The compiled catalogue of tests.oracle.small with these changes."""
    write_catalogue(folder, small.WRITTEN | small.catalogue(**(PLAIN | changes)))
    return compile_catalogue(folder, now_us=NOW_US)


def rulebook_of(folder: Path, conditions: list[str]) -> Rulebook:
    """A campaign for each condition, k000, k001 and so on."""
    campaigns = [small.campaign(f"k{n:03}", ["a"], condition=text) for n, text in enumerate(conditions)]
    return rulebook(folder, campaigns=campaigns)


def random_simple(rng: Random) -> str:
    """A conjunction of one to five terms that lint judges exactly."""
    return " && ".join(random_term(rng) for _ in range(rng.randint(1, 5)))


def random_term(rng: Random) -> str:
    sign = rng.choice(("<", "<=", "==", "!=", ">=", ">"))
    term = rng.choice(
        (
            f'"{rng.choice(LABELS)}" in subscriber.labels',
            f'"{rng.choice(LABELS)}" in subscriber.labels',
            f"subscriber.tenure {sign} {rng.choice((-1, 0, 6, 12, 23, 24, 30))}",
            f"subscriber.charges {sign} {rng.choice(('0.0', '9.99', '10.0', '100.0', '7.123'))}",
            f"subscriber.usage {sign} {rng.choice(('0.0', '0.5', '-2.0'))}",
            f'subscriber.plan {rng.choice(("==", "!="))} "{rng.choice(("basic", "family", "y"))}"',
            f'subscriber.plan in ["basic", "{rng.choice(("family", "x"))}"]',
            f'subscriber.plan.startsWith("{rng.choice(("fam", "b"))}")',
            "subscriber.vip",
            f"subscriber.vip {rng.choice(('==', '!='))} {rng.choice(('true', 'false'))}",
            f"has(subscriber.{rng.choice(('tenure', 'plan', 'vip', 'usage'))})",
            rng.choice(("true", "false", "true")),
            "subscriber.tenure * 2 > 20",
        )
    )
    return f"!({term})" if rng.random() < 0.3 else term


def states(conditions: str) -> Iterator[Facts]:
    """Every combination of the values that conditions ask for; what they do not name is missing."""
    parts: dict[str, tuple[Any, ...]] = {
        **dict.fromkeys(LABELS, ("true", "false", "unknown")),
        **{"tenure": TENURES, "charges": CHARGES, "usage": USAGES, "plan": PLANS, "vip": VIPS},
    }
    used = [name for name in parts if name in conditions]
    for values in product(*(parts[name] for name in used)):
        state = dict(zip(used, values, strict=True))
        labels = {name: state.get(name, "false") for name in LABELS}
        attributes = {name: value for name, value in state.items() if name not in LABELS and value is not None}
        yield Facts(labels, attributes, None, NOW_US, None, {})


def matches(condition: str, facts: Facts) -> bool:
    """The oracle's word."""
    return truth(condition, facts) == "true"
