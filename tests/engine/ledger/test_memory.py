"""The ledger in memory against its model, under any interleaving, and at its bounds."""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.ledger.answers import RingAnswers
from engine.ledger.memory import MemoryLedger
from engine.ledger.port import LedgerFullError, Retention
from engine.limits import CONTACTS_PER_SUBSCRIBER_MAX, NEVER_US
from tests.engine.ledger.checked import (
    CAMPAIGNS,
    CATEGORIES,
    CHANNELS,
    HOUR_US,
    OFFERS,
    RETENTION,
    CheckedLedger,
    Item,
    new_outcomes,
)
from tests.engine.ledger.model import DAY_US, EVENTS, SECOND_US, SKEW_US, Check, Seat

SUBSCRIBERS = [1, 65, 129, 2, 63, 127, (1 << 64) - 1]
"""Several of them share a home slot in a table of 64; one run goes over its end."""

seats = st.builds(
    Seat,
    st.tuples(st.integers(1, OFFERS), st.integers(1, CAMPAIGNS), st.integers(1, CATEGORIES)),
    st.integers(1, CHANNELS),
    st.booleans(),
    st.sampled_from([True, True, True, False]),
)
checks = st.builds(
    Check,
    st.just(0),
    st.integers(1, OFFERS),
    st.sampled_from(EVENTS),
    st.sampled_from([None, None, 99, 101, 104]),
    st.integers(1, 12),
)
items = st.builds(
    Item,
    st.sampled_from(SUBSCRIBERS),
    st.lists(seats, min_size=0, max_size=12),
    st.sampled_from([1, 900 * SECOND_US, HOUR_US, 5 * HOUR_US]),
    st.lists(checks, max_size=2),
)
steps = st.sampled_from([-HOUR_US, 0, 1, SECOND_US, 600 * SECOND_US, HOUR_US, HOUR_US, DAY_US, 45 * DAY_US])
skews = st.sampled_from([-SKEW_US - 1, -SKEW_US, -SECOND_US, 0, 1, SKEW_US, SKEW_US + 1])


class LedgerMachine(RuleBasedStateMachine):
    """Any interleaving of operations on few subscribers and a pool that may be tiny."""

    @initialize(contacts_max=st.sampled_from([4, 16, 40, 100, 2000]), now_us=st.sampled_from([0, 2 * DAY_US - 1]))
    def start(self, contacts_max: int, now_us: int) -> None:
        self.pair = CheckedLedger(contacts_max, outcomes_max=400)
        self.decisions: list[tuple[int, int]] = []
        self.pair.advance(now_us)

    @rule(batch=st.lists(items, max_size=4, unique_by=lambda item: item.subscriber))
    def reserve(self, batch: list[Item]) -> None:
        held = self.pair.reserve(batch)
        self.decisions += [(item.subscriber, number) for item, number in zip(batch, held, strict=False) if number]

    @rule(step=steps)
    def advance(self, step: int) -> None:
        self.pair.advance(self.pair.ledger.now_us + step)

    @precondition(lambda self: self.decisions)
    @rule(data=st.data(), count=st.integers(1, 3))
    def record(self, data: st.DataObject, count: int) -> None:
        rows = []
        for _ in range(count):
            subscriber, decision = data.draw(st.sampled_from(self.decisions[-8:]))
            contacts = [c for c in self.pair.model.contacts.get(subscriber, []) if c.decision == decision]
            base = data.draw(st.sampled_from([self.pair.ledger.now_us, *(c.granted_us for c in contacts[:1])]))
            where = (subscriber, decision, data.draw(st.integers(1, max(2, len(contacts)))))
            outcome = (data.draw(st.integers(1, 30)), data.draw(st.integers(1, 2)))
            rows.append((outcome, where, data.draw(st.integers(0, 9)), base + data.draw(skews)))
        self.pair.record(rows)

    @rule(subscriber=st.sampled_from(SUBSCRIBERS))
    def forget(self, subscriber: int) -> None:
        self.pair.forget(subscriber)

    @rule(name=st.sampled_from(sorted(RETENTION)))
    def shorten_retention(self, name: str) -> None:
        self.pair.set_retention({**self.pair.model.retention, name: self.pair.model.retention[name] // 2})

    @invariant()
    def agree(self) -> None:
        if hasattr(self, "pair"):
            self.pair.check(SUBSCRIBERS)


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(max_examples=80, stateful_step_count=25, deadline=None)

PULL = Seat((1, 1, 1), 1, push=False, counts=True)
PUSH = Seat((1, 1, 1), 1, push=True, counts=True)


def hold(pair: CheckedLedger, seat: Seat = PULL, subscriber: int = 1, hold_us: int = HOUR_US) -> int:
    return pair.reserve([Item(subscriber, [seat], hold_us, [])])[0]


def test_read_of_an_unknown_subscriber() -> None:
    contacts = CheckedLedger(2000).ledger.read(np.array([7, 8], np.uint64)).result().contacts
    assert contacts.count[:2].tolist() == [0, 0]
    assert contacts.room[:2].tolist() == [CONTACTS_PER_SUBSCRIBER_MAX] * 2


def test_an_untouched_ledger_costs_no_memory_for_a_subscriber() -> None:
    pair = CheckedLedger(2000)
    before = pair.ledger.statistics()
    pair.ledger.read(np.arange(1, 4000, dtype=np.uint64))
    assert pair.ledger.statistics() == before


def test_a_hold_expires_at_its_expiry_and_not_before() -> None:
    pair = CheckedLedger(2000)
    decision = hold(pair, PUSH)
    pair.advance(HOUR_US - 1)
    assert pair.ledger.statistics()["live_contacts"] == 1
    pair.advance(HOUR_US)
    assert pair.ledger.statistics()["live_contacts"] == 0
    record = pair.ledger.find(1, decision, 1)
    assert record is not None
    assert (record["handed_off_us"], record["seen_us"]) == (HOUR_US, HOUR_US)
    pair.check([1])


def test_a_cleared_ledger_holds_nothing_and_is_used_again() -> None:
    pair, everybody = CheckedLedger(40), list(range(1, 6))
    stock = [Check(0, 1, "decided", None, 4)]
    for number in range(3):
        pair.reserve([Item(s, [PULL, PUSH], HOUR_US * (1 + s), stock) for s in everybody])
        pair.check(everybody)
        pair.advance(pair.ledger.now_us + 3 * HOUR_US)
        pair.check(everybody)
        pair.clear()
        pair.check(everybody)
        assert pair.ledger.statistics()["contacts"] == pair.ledger.statistics()["live_contacts"] == 0
        assert hold(pair, subscriber=7) == pair.model.decision_next - 1 == 3 * (number + 1)
        pair.clear()


def test_a_stock_of_one_is_granted_once_in_a_batch() -> None:
    pair = CheckedLedger(2000)
    stock = [Check(0, 1, "accepted", None, 1)]
    assert pair.reserve([Item(s, [PULL], HOUR_US, stock) for s in (1, 2, 3)]) == [1]
    pair.advance(HOUR_US)
    assert pair.reserve([Item(s, [PULL], HOUR_US, stock) for s in (2, 3)]) == [2]
    pair.check([1, 2, 3])


def test_an_item_without_offers_passes_without_a_number() -> None:
    pair = CheckedLedger(2000)
    assert pair.reserve([Item(1, [PULL], HOUR_US, []), Item(2, [], HOUR_US, []), Item(3, [PULL], HOUR_US, [])]) == [
        1,
        0,
        2,
    ]


def test_late_and_second_outcomes() -> None:
    pair = CheckedLedger(2000)
    expired, closed = hold(pair), hold(pair, subscriber=2)
    accepted, refused, failed = 4, 6, 8
    assert pair.record([((1, 1), (2, closed, 1), failed, 0)]) == ["RECORDED"]
    pair.advance(HOUR_US)
    rows = [
        ((2, 1), (1, expired, 1), accepted, HOUR_US),
        ((3, 1), (1, expired, 1), refused, HOUR_US),
        ((4, 1), (2, closed, 1), accepted, HOUR_US),
        ((4, 1), (2, closed, 1), accepted, HOUR_US),
        ((4, 2), (2, closed, 1), accepted, HOUR_US),
    ]
    assert pair.record(rows) == ["RECORDED_LATE", "RECORDED_LATE", "RECORDED", "DUPLICATE", "CONFLICT"]
    pair.check([1, 2])


@pytest.mark.parametrize(
    ("offset_us", "result", "at_us"),
    [
        (-SKEW_US - 1, "INVALID", None),
        (-SKEW_US, "RECORDED", DAY_US),
        (0, "RECORDED", DAY_US),
        (60 * SECOND_US, "RECORDED", DAY_US + 60 * SECOND_US),
        (60 * SECOND_US + SKEW_US, "RECORDED", DAY_US + 60 * SECOND_US),
        (60 * SECOND_US + SKEW_US + 1, "INVALID", None),
    ],
)
def test_event_times_are_clamped_between_grant_and_now(offset_us: int, result: str, at_us: int | None) -> None:
    pair = CheckedLedger(2000)
    pair.advance(DAY_US)
    decision = hold(pair)
    pair.advance(DAY_US + 60 * SECOND_US)
    assert pair.record([((1, 1), (1, decision, 1), 2, DAY_US + offset_us)]) == [result]
    record = pair.ledger.find(1, decision, 1)
    assert record is not None
    assert record["seen_us"] == (NEVER_US if at_us is None else at_us)


def test_an_outcome_id_is_remembered_for_a_day() -> None:
    retention = {**RETENTION, "late": 3 * DAY_US}
    pair = CheckedLedger(2000, retention=retention)
    decision = hold(pair)
    row = ((1, 1), (1, decision, 1), 2, 0)
    assert pair.record([row]) == ["RECORDED"]
    pair.advance(DAY_US - 1)
    assert pair.record([row]) == ["DUPLICATE"]
    pair.advance(DAY_US)
    assert pair.record([row]) == ["RECORDED_LATE"]


def test_outcomes_that_may_not_fit_are_refused_whole() -> None:
    pair = CheckedLedger(2000, outcomes_max=2)
    decision = hold(pair)
    rows = [((number, 1), (1, decision, 1), 2, 0) for number in (1, 2, 3)]
    before = pair.ledger.statistics()
    with pytest.raises(LedgerFullError, match="room for 3 more outcome ids"):
        pair.ledger.record(new_outcomes(rows))
    assert pair.ledger.statistics() == before
    assert pair.record(rows[:2]) == ["RECORDED"] * 2


def test_a_subscriber_holds_at_most_its_bound() -> None:
    pair = CheckedLedger(2000)
    twelve = [PULL] * 12
    for _ in range(CONTACTS_PER_SUBSCRIBER_MAX // 12):
        pair.reserve([Item(1, twelve, HOUR_US, [])])
    assert pair.room(1) == CONTACTS_PER_SUBSCRIBER_MAX % 12 == 4
    assert pair.reserve([Item(1, twelve[:5], HOUR_US, [])]) == []
    assert len(pair.reserve([Item(1, twelve[:4], HOUR_US, [])])) == 1
    assert pair.room(1) == 0
    pair.check([1])
    pair.advance(2 * HOUR_US)
    assert pair.room(1) == CONTACTS_PER_SUBSCRIBER_MAX


def test_a_full_pool_refuses_and_changes_nothing() -> None:
    pair = CheckedLedger(8)
    hold(pair, subscriber=1)
    hold(pair, subscriber=2)
    before = pair.ledger.statistics()
    assert pair.reserve([Item(3, [PULL], HOUR_US, [])]) == []
    assert pair.reserve([Item(1, [PULL] * 4, HOUR_US, [])]) == []
    assert pair.ledger.statistics() == before
    assert len(pair.reserve([Item(1, [PULL] * 3, HOUR_US, [])])) == 1
    pair.check([1, 2, 3])


def test_what_matters_no_more_makes_room_for_the_batch_that_comes() -> None:
    pair = CheckedLedger(16)
    hold(pair, subscriber=1)
    pair.reserve([Item(65, [PULL] * 7, 1, [])])
    pair.advance(pair.ledger.now_us + 2 * DAY_US)
    nothing = [Item(subscriber, [], 1, []) for subscriber in range(2, 10)]
    assert len(pair.reserve([*nothing, Item(129, [PULL] * 8, HOUR_US, [])])) == 9, (
        "nine items sweep the whole table, and 65 in the place of 1"
    )
    pair.check([1, 65, 129])


def test_the_sweep_frees_what_matters_no_more() -> None:
    pair = CheckedLedger(2000)
    subscribers = list(range(1, 401))
    for subscriber in subscribers:
        hold(pair, subscriber=subscriber)
    pair.check(subscribers)
    for _ in range(200):
        pair.advance(10 * DAY_US)
    assert pair.ledger.statistics()["subscribers"] == 0
    assert pair.ledger.statistics()["contacts"] == 0
    assert all(len(pair.reserve([Item(s, [PULL], HOUR_US, [])])) == 1 for s in subscribers)
    pair.check(subscribers)


def test_names_met_later_get_totals() -> None:
    pair = CheckedLedger(2000)
    hold(pair)
    for number in range(3, 300):
        pair.ledger.names.code("offer", f"offer-{number}")
    assert len(pair.reserve([Item(2, [Seat((299, 1, 1), 1, push=False, counts=True)], HOUR_US, [])])) == 1
    totals = pair.ledger.read(np.zeros(0, np.uint64)).result().totals
    assert totals.lifetime[0, pair.ledger.names.total_slot("offer", 299)] == 1
    pair.check_totals()


@pytest.mark.parametrize("contacts_max", [3, 1 << 32])
def test_sizes_out_of_range_are_refused(contacts_max: int) -> None:
    with pytest.raises(ValueError, match="expected contacts_max from 4 to 4294967295"):
        MemoryLedger(contacts_max, RingAnswers(256), outcomes_max=1)


def test_two_ledgers_that_did_the_same_are_equal_bit_for_bit() -> None:
    pairs = [CheckedLedger(400) for _ in range(2)]
    for pair in pairs:
        for subscriber in range(1, 60):
            hold(pair, PUSH if subscriber % 2 else PULL, subscriber, HOUR_US * (1 + subscriber % 3))
            pair.advance(subscriber * HOUR_US // 7)
    for one, two in zip(pairs[0].ledger._store, pairs[1].ledger._store, strict=True):
        assert one.tobytes() == two.tobytes()


@pytest.mark.parametrize(
    ("name", "kind", "push", "from_us"),
    [
        ("decided", None, False, 0),
        ("counted", None, True, 1),
        ("counted", 1, False, 0),
        ("refused", 6, False, 0),
        ("not_now", 7, False, 0),
        ("accepted", 4, False, 0),
        ("late", None, False, 1),
    ],
)
def test_a_contact_matters_as_long_as_its_event_and_no_longer(
    name: str, kind: int | None, push: bool, from_us: int
) -> None:
    pair = CheckedLedger(2000, retention={**dict.fromkeys(RETENTION, 0), name: HOUR_US})
    decision = hold(pair, PUSH if push else PULL, hold_us=1)
    if kind is not None:
        pair.record([((1, 1), (1, decision, 1), kind, 0)])
    pair.advance(from_us + HOUR_US - 1)
    assert pair.ledger.find(1, decision, 1) is not None
    pair.advance(from_us + HOUR_US)
    assert pair.ledger.find(1, decision, 1) is None
    assert pair.record([((2, 1), (1, decision, 1), 2, pair.ledger.now_us)]) == ["UNKNOWN_DECISION"]
    pair.check([1])


def test_a_policy_keeps_for_ever_what_it_says() -> None:
    pair = CheckedLedger(2000)
    forever = (1 << 63) - 1
    pair.ledger.set_policy(Retention(0, 0, 0, 0, forever, 0), 0, np.zeros(1, np.int64))
    decision = hold(pair)
    pair.record([((1, 1), (1, decision, 1), 4, 0)])
    pair.ledger.advance(100_000 * DAY_US)
    assert pair.ledger.find(1, decision, 1) is not None


def test_a_hold_that_would_be_over_at_once_is_a_mistake_and_holds_nothing() -> None:
    pair = CheckedLedger(100)
    pair.advance(HOUR_US)
    with pytest.raises(AssertionError, match="a hold ends after it was granted"):
        hold(pair, hold_us=0)
    assert hold(pair, hold_us=1) == 1


def test_large_batches_of_ever_new_subscribers_find_room_for_ever() -> None:
    """A contact matters for 1.5 hours, which is 6 batches of 200 in blocks of 4: 4,800 of 8,000. What the sweep has not come to yet must fit into the rest."""
    pair = CheckedLedger(8_000)
    for step in range(60):
        pair.advance((1 + step) * HOUR_US // 4)
        items = [Item(1 + step * 200 + number, [PULL], HOUR_US, []) for number in range(200)]
        assert len(pair.reserve(items)) == 200, step
