"""Writes a world's script: each next call is drawn while the oracle plays, so that instants fall on the edges of what it holds."""

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any

from tests.oracle.catalogue import read_catalogue
from tests.oracle.decide import Answer, Request
from tests.oracle.ledger import SETS, SKEW_US, Outcome
from tests.oracle.numbers import DAY_US, HOUR_US, SECOND_US
from tests.worlds.catalogues import Plain, triggers_of
from tests.worlds.commands import (
    CheckHandOff,
    Command,
    Decide,
    Edit,
    Explain,
    Forget,
    Record,
    SetAttribute,
    SetConsent,
    SetLabel,
    TrustClock,
)
from tests.worlds.conditions import APPS
from tests.worlds.people import random_value
from tests.worlds.play import play
from tests.worlds.world import CHANGES, World, hash_of, oracle_of

STRANGER = "nobody knows me"

OFFERS_MAX = [*[1, 2, 3, 6, 12] * 8, 0]
"""What requests ask for; 0: nothing is known of what was offered before, as when a shared ledger does not answer."""


class Writer:
    """Draws commands; keeps what earlier ones gave to aim at."""

    weights = (42, 8, 24, 6, 4, 3, 3, 2)
    """How often each kind of command is drawn."""

    def write(self, decisions: int) -> None:
        """Write a script of at least so many decisions, and the oracle's answers, into the world."""
        while self.decisions < decisions:
            command = self.next_command()
            self.world.script.append(command)
            self.world.expected.append(play(self.oracle, command))
            self.notice(command, self.world.expected[-1])

    def __init__(self, world: World) -> None:
        self.rng = Random(f"script {world.seed}")
        self.world = world
        self.oracle = oracle_of(world)
        self.catalogue: Plain = copy.deepcopy(world.catalogue)
        self.clock_us = world.shape.start_us
        self.decisions = 0
        self.requests: list[Request] = []
        self.held: list[tuple[Answer, int]] = []
        self.outcomes: list[Record] = []
        self.edges: dict[int, Callable[[], Command | None]] = {}
        """Instants at which something changes, each with the call that would notice."""
        zones = world.catalogue["country"]["zones"]
        for edge in (*catalogue_edges(world.catalogue), *(change for zone in zones for change in CHANGES[zone])):
            self.edges[edge] = self.batch
        self.keys = [row.key for row in world.rows]

    def next_command(self) -> Command:
        if self.world.shape.profile == "full" and self.rng.random() < 0.8:
            return self.filling_request()
        kinds: list[Callable[[], Command | None]] = [
            self.batch,
            self.explain,
            self.outcome,
            self.check,
            self.label,
            self.attribute,
            self.consent,
            self.rare,
        ]
        if not self.oracle.clock_trusted and self.rng.random() < 0.2:
            return TrustClock(True)
        noticing = self.advance()
        command = (noticing or self.rng.choices(kinds, self.weights)[0])()
        return command if command is not None else self.batch()

    def notice(self, command: Command, answer: Any) -> None:
        """Remember edges and decisions."""
        if not isinstance(command, Decide | Explain):
            return
        requests = command.requests if isinstance(command, Decide) else (command.request,)
        answers = answer if isinstance(command, Decide) else [answer]
        self.decisions += len(requests)
        for request, given in zip(requests, answers, strict=True):
            self.edges |= dict.fromkeys((v.until_us for v in given.verdicts if v.until_us), partial(self.anew, request))
            if given.decision and not given.replayed and not given.conflict:
                self.requests.append(request)
                self.held.append((given, request.subscriber))
                self.notice_hold(request, given)

    def notice_hold(self, request: Request, given: Answer) -> None:
        """The instants at which a hold, what is remembered of it, and what is kept of it come to an end."""
        held = (given, request.subscriber)
        self.edges[given.not_before_us] = self.edges[given.deadline_us] = partial(self.check_of, held)
        asked_again, told = partial(self.anew, request), partial(self.outcome_of, held)
        self.edges[given.expires_us] = asked_again if self.rng.random() < 0.5 else told
        self.edges[given.expires_us + DAY_US] = partial(self.outcome_of, held)
        self.edges[given.now_us + DAY_US] = partial(self.again, request)

    def advance(self) -> Callable[[], Command | None] | None:
        """Let time pass: not at all, a little, to an edge of something, or a lot. Return the call that would notice an edge."""
        drawn = self.rng.random()
        if drawn < 0.45:
            return None
        if drawn < 0.72:
            self.clock_us += self.rng.randrange(120 * SECOND_US)
        elif drawn < 0.92:
            coming = sorted(edge for edge in self.edges if self.clock_us <= edge < self.clock_us + 10 * DAY_US)[:3]
            if coming:
                edge = self.rng.choice(coming)
                self.clock_us = max(self.clock_us, edge + self.rng.choice([-1, 0, 0, 1]))
                return self.edges[edge]
        elif drawn < 0.96:
            self.clock_us = self.quiet_edge() + self.rng.choice([-1, 0, 1])
        elif drawn < 0.99:
            self.clock_us += self.rng.randrange(HOUR_US)
        else:
            self.clock_us += self.rng.randrange(2 * DAY_US)
        return None

    def quiet_edge(self) -> int:
        """When quiet hours next end or start for someone, within two days."""
        quiet, class_ = self.oracle.quiet, self.rng.choice(["message", "message", "screen"])
        zone = self.rng.choice([row.zone for row in self.world.rows])
        zones = (zone,) if zone is not None else tuple(self.oracle.catalogue.zones)
        if quiet.is_quiet(class_, self.clock_us, zones):
            return quiet.quiet_end(class_, self.clock_us, zones) or self.clock_us + 1
        found = quiet.next_start(class_, self.clock_us, self.clock_us + 2 * DAY_US, zones)
        return found or self.clock_us + 1

    def now(self) -> int:
        """The raw clock: now and then a little, or much, behind."""
        drawn = self.rng.random()
        if drawn > 0.06:
            return self.clock_us
        return self.clock_us - (self.rng.randrange(2 * SECOND_US) if drawn > 0.02 else self.rng.randrange(12 * HOUR_US))

    def door(self) -> tuple[str, str]:
        """A trigger and a channel, mostly of some campaign."""
        if self.catalogue["campaigns"] and self.rng.random() < 0.9:
            campaign = self.rng.choice(self.catalogue["campaigns"])
            return self.rng.choice(campaign["triggers"]), self.rng.choice(campaign["channels"])
        return self.rng.choice(sorted(triggers_of(self.world.shape))), self.rng.choice(self.channels())

    def channels(self) -> list[str]:
        return sorted(channel["id"] for channel in self.catalogue["channels"])

    def answerable(self, request: Request) -> bool:
        """Whether the request may still be asked: its channel is there."""
        return request.channel in self.channels()

    def request(self) -> Request:
        trigger, channel = self.door()
        key = (
            STRANGER if self.rng.random() < 0.05 else self.rng.choice(self.keys[: self.rng.randint(1, len(self.keys))])
        )
        return Request(
            id=f"request {len(self.world.script)}.{self.rng.randrange(10**6)}",
            subscriber=hash_of(key),
            trigger=trigger,
            channel=channel,
            now_us=self.now(),
            offers_max=self.rng.choice(OFFERS_MAX),
            fields=self.fields(trigger),
            dry_run=self.rng.random() < 0.06,
        )

    def fields(self, trigger: str) -> tuple[tuple[str, Any], ...]:
        if trigger != "data_usage":
            return ()
        drawn = [
            ("used_mb", self.rng.choice([0.0, 899.9, 900.0, 1e6])),
            ("app", self.rng.choice([*APPS, "other"])),
            ("count", self.rng.choice([0, 1, 3, 10])),
        ]
        return tuple(pair for pair in drawn if self.rng.random() < 0.85)

    def anew(self, request: Request) -> Decide:
        """The same request under another id, now."""
        if not self.answerable(request):
            return self.batch()
        id_ = f"request {len(self.world.script)}.again"
        return Decide((replace(request, id=id_, now_us=self.clock_us, dry_run=False),))

    def again(self, request: Request) -> Decide:
        """The same request, now."""
        if not self.answerable(request):
            return self.batch()
        return Decide((replace(request, now_us=self.clock_us),))

    def repeated(self) -> Request:
        """An earlier request again, sometimes with another body."""
        earlier = self.rng.choice(self.requests[-5:])
        if not self.answerable(earlier):
            return self.request()
        again = replace(earlier, now_us=self.now())
        return again if self.rng.random() < 0.7 else replace(again, offers_max=earlier.offers_max % 12 + 1)

    def batch(self) -> Decide:
        count = 1 if self.rng.random() < 0.6 else self.rng.randint(2, 8)
        requests: list[Request] = []
        for _ in range(count):
            again = bool(self.requests) and self.rng.random() < 0.05
            requests.append(self.repeated() if again else self.request())
            self.clock_us += self.rng.choice([0, 0, 1, SECOND_US])
        return Decide(tuple(requests))

    def filling_request(self) -> Decide:
        """As many offers as may be for one subscriber, again and again, until its ledger is full."""
        self.clock_us += SECOND_US
        request = replace(
            self.request(),
            subscriber=hash_of(self.keys[0]),
            channel="desk",
            offers_max=12,
            now_us=self.clock_us,
            dry_run=False,
        )
        return Decide((request,)) if self.answerable(request) else self.batch()

    def explain(self) -> Explain:
        return Explain(replace(self.request(), dry_run=True))

    def outcome(self) -> Command | None:
        if not self.held:
            return None
        if self.outcomes and self.rng.random() < 0.1:
            return self.repeated_outcome()
        recent = 1 if self.rng.random() < 0.6 else 8
        return self.outcome_of(self.rng.choice(self.held[-recent:]))

    def outcome_of(self, held: tuple[Answer, int]) -> Record:
        """Some outcome of one of the answer's offers; now and then of a rank or a decision that is not there."""
        answer, subscriber = held
        rank = self.rng.randint(1, len(answer.chosen)) if self.rng.random() < 0.97 else 13
        decision = answer.decision if self.rng.random() < 0.97 else 10**6
        kind = self.rng.choice(sorted(SETS))
        outcome = Outcome(f"outcome {len(self.world.script)}", decision, rank, kind, self.event_time(answer))
        self.outcomes.append(Record(outcome, subscriber, self.clock_us))
        return self.outcomes[-1]

    def event_time(self, answer: Answer) -> int:
        """Now, or at the edges of what is accepted and of what is clamped."""
        drawn = self.rng.random()
        if drawn < 0.7:
            return self.clock_us
        grant, now = answer.now_us, self.oracle.ledger.now_us
        edges = [
            grant - SKEW_US,
            grant - SKEW_US - 1,
            grant,
            grant - 1,
            now + SKEW_US,
            now + SKEW_US + 1,
            (grant + now) // 2,
        ]
        return self.rng.choice(edges)

    def repeated_outcome(self) -> Record:
        """The same outcome again, or another one under its id."""
        earlier = self.rng.choice(self.outcomes[-4:])
        if self.rng.random() < 0.5:
            return replace(earlier, now_us=self.clock_us)
        other = self.rng.choice(sorted(set(SETS) - {earlier.outcome.kind}))
        return Record(replace(earlier.outcome, kind=other), earlier.subscriber, self.clock_us)

    def check(self) -> Command | None:
        if not self.held:
            return None
        now_us = self.oracle.ledger.now_us
        waiting = [(a, s) for a, s in self.held[-30:] if now_us <= a.deadline_us < a.expires_us]
        return self.check_of(self.rng.choice(waiting or self.held))

    def check_of(self, held: tuple[Answer, int]) -> CheckHandOff:
        answer, subscriber = held
        return CheckHandOff(answer.decision, self.rng.randint(1, len(answer.chosen)), subscriber, self.now())

    def known_key(self) -> str | None:
        gone = self.oracle.erased
        known = [key for key in self.keys if hash_of(key) in self.oracle.subscribers and hash_of(key) not in gone]
        return self.rng.choice(known) if known else None

    def label(self) -> Command | None:
        key, labels = self.known_key(), self.catalogue["labels"]
        if key is None or not labels:
            return None
        return SetLabel(key, self.rng.choice(labels)["id"], self.rng.random() < 0.7, self.said_at())

    def said_at(self) -> int:
        """When a live change is said to have come about."""
        return self.clock_us

    def attribute(self) -> Command | None:
        key, name = self.known_key(), self.rng.choice(["tenure", "charges", "usage", "plan", "vip", "joined"])
        if key is None:
            return None
        value = random_value(self.rng, name, self.world.shape.start_us) if self.rng.random() < 0.8 else None
        return SetAttribute(key, name, value, self.said_at())

    def consent(self) -> Command | None:
        key = self.known_key()
        if key is None:
            return None
        channel, purpose = self.rng.choice(self.channels()), self.rng.choice(["marketing", "service"])
        return SetConsent(key, purpose, channel, "granted" if self.rng.random() < 0.6 else "refused", self.clock_us)

    def rare(self) -> Command | None:
        """What happens seldom: erasure, an edited catalogue, a clock that jumped."""
        drawn = self.rng.random()
        if drawn < 0.2:
            return Forget(
                self.rng.choice([*self.keys[3:], STRANGER]) if self.rng.random() < 0.9 else self.keys[0], self.clock_us
            )
        if drawn < 0.5:
            return TrustClock(not self.oracle.clock_trusted)
        self.catalogue = edited(self.rng, self.catalogue)
        return Edit(self.catalogue, self.clock_us)


def edited(rng: Random, catalogue: Plain) -> Plain:
    """The catalogue with some limits, a campaign's state and an offer's value changed."""
    catalogue = copy.deepcopy(catalogue)
    for cap in catalogue["contact_policy"]["caps"]:
        if rng.random() < 0.5:
            cap["limit"] = max(0, cap["limit"] + rng.choice([-2, -1, 1]))
    if catalogue["campaigns"] and rng.random() < 0.3:
        rng.choice(catalogue["campaigns"])["state"] = rng.choice(["live", "paused"])
    if catalogue["offers"] and rng.random() < 0.3:
        rng.choice(catalogue["offers"])["value"] = 2.25
    return catalogue


def catalogue_edges(plain: Plain) -> set[int]:
    """When campaigns and offers start and end."""
    catalogue = read_catalogue(plain)
    ends = [(campaign.from_us, campaign.until_us) for campaign in catalogue.campaigns.values()]
    ends += [(offer.from_us, offer.until_us) for offer in catalogue.offers.values()]
    return {end for span in ends for end in span if end is not None}
