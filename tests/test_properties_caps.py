"""The caps invariant: at each grant, what counts and what is held stay within every limit, whatever came before in whatever order."""

import atexit
from functools import cache
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.oracle.caps import caps_of, count_total, subject_of, units
from tests.oracle.catalogue import Catalogue, Plain, read_catalogue
from tests.oracle.decide import Answer, Request
from tests.oracle.ledger import SETS, Contact, Ledger, Outcome
from tests.oracle.numbers import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from tests.oracle.retention import retention_of
from tests.oracle.small import CHICAGO, NOON, WRITTEN, campaign, cap, catalogue, offer, product
from tests.worlds.catalogues import Shape
from tests.worlds.commands import Decide, Record
from tests.worlds.engine_driver import EngineDriver
from tests.worlds.people import Row
from tests.worlds.world import World, hash_of

EVENTS = ("decided", "handed_off", "seen", "accepted")
POLICIES: tuple[list[Plain], ...] = (
    [cap(f"offer_{e}", counts=e, limit=2, window={"rolling": "2h"}) for e in EVENTS],
    [cap(f"all_{e}", scope="all", counts=e, limit=3, window={"calendar": "day"}) for e in EVENTS],
    [cap(f"stock_{e}", per="total", counts=e, limit=4, window="lifetime") for e in EVENTS],
    [
        cap("category", scope="category", counts="seen", limit=3, window={"rolling": "20m"}),
        cap("campaign", scope="campaign", counts="accepted", limit=1, window={"calendar": "week"}),
        cap("channel", scope="channel", target="sms", counts="handed_off", limit=2, window={"rolling": "1d"}),
        cap("day", scope="category", per="total", counts="seen", limit=5, window={"calendar": "day"}),
    ],
)
KEYS = ("ann", "bob", "eve")
JUMPS = (
    0,
    1,
    SECOND_US,
    3 * MINUTE_US,
    15 * MINUTE_US,
    15 * MINUTE_US - 1,
    HOUR_US,
    2 * HOUR_US + 10 * MINUTE_US,
    DAY_US,
)


def plain_catalogue(policy: int) -> Plain:
    return catalogue(
        policy={"caps": POLICIES[policy]},
        products=[product("a"), product("b", category="tv"), product("c")],
        offers=[offer("a", value=3.0), offer("b"), offer("c", value=2.0)],
        campaigns=[campaign("k", ["a", "b"]), campaign("m", ["c"])],
        **WRITTEN,
    )


@cache
def built(policy: int) -> EngineDriver:
    """One engine for each policy, restarted for each example."""
    rows = [Row(key, CHICAGO, "en", NOON) for key in KEYS]
    world = World(0, Shape("caps", 0, 3, 3, 2, NOON), plain_catalogue(policy), rows)
    folder = mkdtemp(prefix="caps-")
    atexit.register(rmtree, folder, ignore_errors=True)
    return EngineDriver(world, Path(folder))


class Witness:
    """Plays steps on the engine and keeps its own book of what was granted and what was reported."""

    def __init__(self, policy: int) -> None:
        self.driver = built(policy)
        self.driver.restart(NOON)
        self.catalogue: Catalogue = read_catalogue(plain_catalogue(policy))
        self.book = Ledger(256)
        self.book.retention = retention_of(self.catalogue)
        self.now_us = NOON
        self.count = 0
        self.outcomes: list[tuple[Outcome, int]] = []

    def decide(self, who: int, push: bool, offers_max: int) -> None:
        self.count += 1
        subscriber, channel = hash_of(KEYS[who % 3]), "sms" if push else "desk"
        request = Request(f"request {self.count}", subscriber, "open", channel, self.now_us, 1 + offers_max % 3)
        self.book.advance(self.now_us)
        answer = self.driver.play(Decide((request,)))[0]
        if answer.chosen:
            self.enter(request, answer)

    def enter(self, request: Request, answer: Answer) -> None:
        """Write the grant into the book and check every cap that binds what was granted."""
        contacts = [self.contact(request, answer, rank) for rank in range(1, len(answer.chosen) + 1)]
        assert self.book.hold(contacts) == answer.decision
        for contact in contacts:
            subject = subject_of(contact)
            for limit in caps_of(self.catalogue, subject):
                if limit.total:
                    count = count_total(limit, subject, self.book.everything(), self.now_us, CHICAGO)
                else:
                    mine = self.book.contacts(contact.subscriber)
                    count = len(units(limit, subject, mine, self.now_us, (CHICAGO,)))
                assert count <= limit.limit, (limit, count)

    def contact(self, request: Request, answer: Answer, rank: int) -> Contact:
        campaign_id, offer_id = answer.chosen[rank - 1]
        push = request.channel == "sms"
        return Contact(
            subscriber=request.subscriber,
            decision=0,
            rank=rank,
            campaign=campaign_id,
            offer=offer_id,
            category=self.catalogue.offers[offer_id].category,
            channel=request.channel,
            push=push,
            counts=True,
            granted_us=self.now_us,
            expires_us=answer.expires_us,
            deadline_us=answer.deadline_us,
        )

    def report(self, which: int, kind: int, earlier_us: int) -> None:
        held = [contact for contacts in self.book.of_decision.values() for contact in contacts]
        if not held:
            return
        self.count += 1
        contact = held[-1 - which % min(len(held), 6)]
        name = sorted(SETS)[kind % len(SETS)]
        event_us = max(contact.granted_us, self.now_us - earlier_us)
        outcome = Outcome(f"outcome {self.count}", contact.decision, contact.rank, name, event_us)
        self.outcomes.append((outcome, contact.subscriber))
        self.record(outcome, contact.subscriber)

    def repeat(self, which: int) -> None:
        if self.outcomes:
            self.record(*self.outcomes[which % len(self.outcomes)])

    def record(self, outcome: Outcome, subscriber: int) -> None:
        result = self.driver.play(Record(outcome, subscriber, self.now_us))
        assert result == self.book.record(outcome, self.now_us)


STEPS = st.one_of(
    st.tuples(st.just("decide"), st.integers(0, 2), st.booleans(), st.integers(0, 2)),
    st.tuples(st.just("report"), st.integers(0, 5), st.integers(0, 7), st.sampled_from((0, 1, HOUR_US))),
    st.tuples(st.just("repeat"), st.integers(0, 20)),
    st.tuples(st.just("pass"), st.sampled_from(JUMPS)),
)


def play(witness: Witness, step: tuple[Any, ...]) -> None:
    match step:
        case ("pass", jump_us):
            witness.now_us += jump_us
        case ("decide", who, push, offers_max):
            witness.decide(who, push, offers_max)
        case ("report", which, kind, earlier_us):
            witness.report(which, kind, earlier_us)
        case ("repeat", which):
            witness.repeat(which)


@given(policy=st.integers(0, len(POLICIES) - 1), steps=st.lists(STEPS, min_size=8, max_size=60))
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_grant_exceeds_a_cap_whatever_the_interleaving(policy: int, steps: list[tuple[Any, ...]]) -> None:
    witness = Witness(policy)
    for step in steps:
        play(witness, step)


def test_the_witness_sees_caps_fill() -> None:
    """Each policy stops a customer who is asked again and again: the property above is not empty."""
    for policy in range(len(POLICIES)):
        witness = Witness(policy)
        for _ in range(20):
            witness.decide(0, False, 0)
        assert 1 <= sum(len(contacts) for contacts in witness.book.of_decision.values()) < 20
