"""The scripts of worlds that change: catalogues lose and gain things, bases are swapped, what is said live may lie in the past."""

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any

from tests.oracle.decide import Request
from tests.oracle.numbers import DAY_US, HOUR_US, MINUTE_US
from tests.worlds.catalogues import Plain, triggers_of
from tests.worlds.commands import (
    Command,
    Decide,
    Edit,
    Forget,
    NewBase,
    SetAttribute,
    SetConsent,
    SetLabel,
    SetPlace,
    TrustClock,
)
from tests.worlds.conditions import APPS, PLANS
from tests.worlds.edits import edited_deeply
from tests.worlds.people import Row, random_row, random_value
from tests.worlds.world import World, hash_of
from tests.worlds.writer import STRANGER, Writer

KEYS = tuple(f"customer {number}" for number in range(8))
"""Those whom some base has."""
VALUES: dict[str, list[Any]] = {
    "used_mb": [0.0, 899.9, 900.0, 1e6],
    "app": [*APPS, "other"],
    "count": [0, 1, 3, 10],
    "amount": [0.0, 19.99, 20.0, 500.0],
}


class ChangingWriter(Writer):
    """Draws more changes of everything."""

    weights = (42, 8, 24, 8, 5, 5, 6, 10)

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.rows = copy.deepcopy(world.rows)
        self.keys = list(KEYS)
        self.said: list[int] = [world.shape.start_us // MINUTE_US * MINUTE_US]
        """Whole minutes at which something was said live: a base may be as of one of them."""
        self.consents: list[SetConsent] = []
        self.noticing: list[Callable[[], Command]] = []
        """What comes next, last first."""

    def next_command(self) -> Command:
        return self.noticing.pop()() if self.noticing else super().next_command()

    def notice(self, command: Command, answer: Any) -> None:
        """After a change mostly ask again, and whether what is held may go out; now and then say something else of the same thing."""
        super().notice(command, answer)
        if isinstance(command, SetLabel | SetAttribute | SetConsent) and self.rng.random() < 0.5:
            self.noticing.append(partial(self.otherwise, command))
        if isinstance(command, SetConsent):
            self.consents.append(command)
        if isinstance(command, Forget):
            asked = [request for request in self.requests[-20:] if request.subscriber == hash_of(command.key)]
            self.noticing += [partial(self.again, request) for request in asked[-2:]]
        if isinstance(command, NewBase):
            self.noticing += [partial(self.ask, said.key, said.channel) for said in self.consents[-5:]]
        if isinstance(command, Edit | NewBase | SetConsent | SetPlace) and self.rng.random() < 0.7:
            now_us = self.oracle.ledger.now_us
            waiting = [held for held in self.held[-30:] if now_us < held[0].deadline_us]
            self.noticing += [partial(self.check_of, held) for held in waiting[-3:]]
            self.noticing += [partial(self.anew, request) for request in self.requests[-2:]]

    def request(self) -> Request:
        """A trigger has a time, mostly, and mostly that time lies behind."""
        time_us = self.rng.choice([None, 0, 0, 1, -1, MINUTE_US, HOUR_US, DAY_US])
        request = super().request()
        return request if time_us is None else replace(request, trigger_us=request.now_us - time_us)

    def fields(self, trigger: str) -> tuple[tuple[str, Any], ...]:
        drawn = [(name, self.rng.choice(VALUES[name])) for name in triggers_of(self.world.shape)[trigger]]
        return tuple(pair for pair in drawn if self.rng.random() < 0.85)

    def said_at(self) -> int:
        """Now, or earlier."""
        drawn = self.rng.random()
        if drawn < 0.4:
            return self.clock_us
        past_us = self.clock_us - (self.rng.randrange(3 * DAY_US) if drawn < 0.7 else 0)
        self.said.append(past_us // MINUTE_US * MINUTE_US)
        return self.said[-1]

    def attribute(self) -> Command | None:
        key, names = self.known_key(), sorted(attribute["id"] for attribute in self.catalogue["attributes"])
        if key is None or not names:
            return None
        name = self.rng.choice(names)
        value = random_value(self.rng, name, self.world.shape.start_us) if self.rng.random() < 0.7 else None
        return SetAttribute(key, name, value, self.said_at())

    def consent(self) -> Command | None:
        """Of those whom the base has not, too; and now and then of where someone lives and what they speak."""
        free = [key for key in (*self.keys, STRANGER) if hash_of(key) not in self.oracle.erased]
        if self.rng.random() < 0.3:
            return self.place()
        if not free:
            return None
        channel, purpose = self.rng.choice(self.channels()), self.rng.choice(["marketing", "service"])
        said = self.rng.choice(["granted", "granted", "refused", "withdrawn"])
        return SetConsent(self.rng.choice(free), purpose, channel, said, self.said_at())

    def otherwise(self, earlier: SetLabel | SetAttribute | SetConsent) -> Command:
        """The same thing said otherwise, then asked about."""
        self.noticing.append(partial(self.ask, earlier.key))
        at_us = self.said_at()
        match earlier:
            case SetLabel():
                return replace(earlier, present=not earlier.present, at_us=at_us)
            case SetAttribute():
                value = random_value(self.rng, earlier.attribute, self.world.shape.start_us)
                return replace(earlier, value=value, at_us=at_us)
            case SetConsent():
                return replace(earlier, said=self.rng.choice(["granted", "refused", "withdrawn"]), at_us=at_us)

    def ask(self, key: str, channel: str | None = None) -> Decide:
        """A request of this subscriber, on this channel if a few draws find it."""
        drawn = [self.request() for _ in range(1 if channel is None else 6)]
        request = next((request for request in drawn if request.channel == channel), drawn[0])
        return Decide((replace(request, subscriber=hash_of(key), now_us=self.clock_us),))

    def place(self) -> Command | None:
        """A zone of the country, because a later base may have nobody elsewhere."""
        key = self.known_key()
        zone = self.rng.choice([None, *self.catalogue["country"]["zones"]])
        language = self.rng.choice([None, "en", "es"])
        if key is None or (zone is None and language is None):
            return None
        return SetPlace(key, zone, language, self.said_at())

    def rare(self) -> Command | None:
        drawn = self.rng.random()
        if drawn < 0.06:
            asked = [key for key in self.keys[1:] if hash_of(key) in {request.subscriber for request in self.requests}]
            return Forget(self.rng.choice([*(asked or self.keys[3:]), STRANGER]), self.clock_us)
        if drawn < 0.12:
            return TrustClock(not self.oracle.clock_trusted)
        if drawn < 0.7:
            return Edit(self.edit(), self.clock_us)
        return self.base()

    def edit(self) -> Plain:
        self.catalogue = edited_deeply(self.rng, self.world.shape, self.world.catalogue, self.catalogue)
        return self.catalogue

    def base(self) -> NewBase:
        """People come, go and change; some rows are as of an instant at which something was said."""
        self.rows = new_rows(self.rng, self.world.catalogue, self.rows, self.clock_us)
        for row in self.rows:
            if self.rng.random() < 0.5:
                row.as_of_us = self.rng.choice(self.said[-6:])
        as_of_us = self.rng.choice([self.clock_us, *self.said[-3:]])
        catalogue = self.edit() if self.rng.random() < 0.3 else None
        return NewBase(tuple(copy.deepcopy(self.rows)), as_of_us, catalogue, self.clock_us)


def new_rows(rng: Random, catalogue: Plain, rows: list[Row], now_us: int) -> list[Row]:
    """The rows of another base: some as they were, some anew. Every plan occurs, as in the first base."""
    before = {row.key: row for row in rows}
    keys = sorted(rng.sample(KEYS, rng.randint(len(PLANS), len(KEYS))))
    found = []
    for key in keys:
        row = before.get(key)
        if row is None or rng.random() < 0.5:
            row = random_row(rng, key, catalogue, now_us)
            row.language = rng.choice(["en", "es", "fr", None])
        found.append(row)
    for row, plan in zip(rng.sample(found, len(PLANS)), PLANS, strict=True):
        row.attributes["plan"] = plan
    return found
