"""Random subscribers, as rows of a base, and as the oracle knows them."""

from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any

from tests.oracle.cel import Timestamp
from tests.oracle.numbers import DAY_US, HOUR_US, MINUTE_US
from tests.oracle.subscribers import Pair, Subscriber
from tests.worlds.catalogues import Plain
from tests.worlds.conditions import PLANS

FOREIGN_ZONES = ("Asia/Tokyo", "Europe/London", "America/Sao_Paulo")


@dataclass
class Row:
    """One subscriber of the base; a row's labels were all set at its `as_of_us`, a whole minute."""

    key: str
    zone: str | None
    language: str | None
    as_of_us: int
    labels: list[str] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)
    granted: list[Pair] = field(default_factory=list)
    refused: list[Pair] = field(default_factory=list)


def random_row(rng: Random, key: str, catalogue: Plain, start_us: int) -> Row:
    """A subscriber with each value missing now and then."""
    pairs = [(p["id"], c["id"]) for p in catalogue["contact_policy"]["purposes"] for c in catalogue["channels"]]
    as_of_us = (start_us - rng.choice([0, 90 * 1_000_000, 2 * HOUR_US, DAY_US, 8 * DAY_US])) // MINUTE_US * MINUTE_US
    return Row(
        key=key,
        zone=random_zone(rng, catalogue["country"]["zones"]),
        language=rng.choice(["en", "es"]),
        as_of_us=as_of_us,
        labels=[label["id"] for label in catalogue["labels"] if rng.random() < 0.6],
        attributes={name: value for name, value in random_values(rng, start_us).items() if rng.random() < 0.8},
        granted=[pair for pair in pairs if rng.random() < 0.7],
        refused=[pair for pair in pairs if rng.random() < 0.1],
    )


def random_rows(rng: Random, catalogue: Plain, start_us: int) -> list[Row]:
    """Six subscribers. Every plan occurs, because a live change may name only texts that the base has."""
    rows = [random_row(rng, f"customer {number}", catalogue, start_us) for number in range(6)]
    for row, plan in zip(rows, PLANS, strict=False):
        row.attributes["plan"] = plan
    return rows


def random_zone(rng: Random, zones: list[str]) -> str | None:
    drawn = rng.random()
    if drawn < 0.2:
        return None
    return rng.choice(FOREIGN_ZONES) if drawn < 0.3 else rng.choice(zones)


def random_values(rng: Random, start_us: int) -> dict[str, Any]:
    return {name: random_value(rng, name, start_us) for name in ("tenure", "charges", "usage", "plan", "vip", "joined")}


def random_value(rng: Random, attribute: str, start_us: int) -> Any:
    choices: dict[str, list[Any]] = {
        "tenure": [0, 0, 0, 1, 11, 12, 13, 24, 1200],
        "charges": [Decimal("0"), Decimal("79.54"), Decimal("79.55"), Decimal("10000")],
        "usage": [0.0, -1.5, 0.1, 900.25, 1e12],
        "plan": list(PLANS),
        "vip": [True, False],
        "joined": [Timestamp((start_us // DAY_US - days) * DAY_US * 1000) for days in (0, 29, 30, 31, 4000)],
    }
    return rng.choice(choices[attribute])


def subscriber(row: Row, hash_: int) -> Subscriber:
    """The oracle's record of a row."""
    return Subscriber(
        hash=hash_,
        zone=row.zone,
        labels=dict.fromkeys(row.labels, row.as_of_us),
        attributes=dict(row.attributes),
        granted=set(row.granted),
        refused=set(row.refused),
        language=row.language,
    )
