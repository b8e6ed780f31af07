"""A world from a seed: catalogue, subscribers, and a script written while the oracle plays it, so that it can aim at the edges."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from tests.engine.base.world import KEYS
from tests.oracle.catalogue import read_catalogue
from tests.oracle.clock import instant_of, zone_info
from tests.oracle.numbers import DAY_US, HOUR_US, SECOND_US
from tests.oracle.oracle import Oracle
from tests.worlds.catalogues import COUNTRIES, Plain, Shape, random_catalogue, random_shape
from tests.worlds.commands import Command
from tests.worlds.people import FOREIGN_ZONES, Row, random_rows, subscriber

CONTACTS_MAX = 256


@dataclass
class World:
    """Everything is a function of the seed."""

    seed: int
    shape: Shape
    catalogue: Plain
    rows: list[Row]
    script: list[Command] = field(default_factory=list)
    expected: list[Any] = field(default_factory=list)
    """What the oracle answered to each command."""


def hash_of(key: str) -> int:
    """The keyed hash by which every part of the system knows the subscriber."""
    return KEYS.hash_one(key)


def clock_changes(zone: str, first: datetime, days: int) -> list[int]:
    """The instants, to the minute, at which the zone's offset changes."""
    found, local = [], zone_info(zone)
    for number in range(days):
        before, after = first + timedelta(days=number), first + timedelta(days=number + 1)
        if before.astimezone(local).utcoffset() == after.astimezone(local).utcoffset():
            continue
        offset = before.astimezone(local).utcoffset()
        while after - before > timedelta(minutes=1):
            middle = before + (after - before) // 2
            middle -= timedelta(seconds=middle.second, microseconds=middle.microsecond)
            middle = max(middle, before + timedelta(minutes=1))
            before, after = (middle, after) if middle.astimezone(local).utcoffset() == offset else (before, middle)
        found.append(instant_of(after))
    return found


CHANGES = {
    zone: clock_changes(zone, datetime(2026, 1, 2, tzinfo=UTC), 780)
    for zones in (*COUNTRIES, FOREIGN_ZONES)
    for zone in zones
}
"""By zone: when its offset changes."""


def random_start(rng: Random) -> int:
    """A little before a change of offset somewhere, or any instant of two years."""
    if rng.random() < 0.7:
        return (
            rng.choice(sorted(change for found in CHANGES.values() for change in found))
            - rng.choice([HOUR_US, 5 * HOUR_US, DAY_US, 2 * DAY_US])
            - rng.randrange(DAY_US)
        )
    return instant_of(datetime(2026, 1, 2, tzinfo=UTC)) + rng.randrange(720 * DAY_US // SECOND_US) * SECOND_US


def bare_world(seed: int) -> World:
    """The world before its script is written. Every third one changes."""
    rng = Random(f"world {seed}")
    shape = replace(random_shape(rng, random_start(rng)), changing=seed % 3 == 1)
    catalogue = random_catalogue(rng, shape)
    return World(seed, shape, catalogue, random_rows(rng, catalogue, shape.start_us))


def oracle_of(world: World) -> Oracle:
    """The oracle at the beginning of the world."""
    people = [subscriber(row, hash_of(row.key)) for row in world.rows]
    return Oracle(read_catalogue(world.catalogue), people, CONTACTS_MAX)
