"""A ledger and its model, side by side: every operation is done to both, and everything that can be seen is compared after each."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.dtypes.contact import COUNTS, LATE, LIVE, PUSH, TOTAL_DAYS
from engine.dtypes.ledger import (
    BLOCK_SIZES,
    CLOSED,
    CONTACTS,
    FREE,
    HOLDS,
    LIFETIME,
    LIVE_CONTACTS,
    POOL_TOP,
    SUBSCRIBERS,
)
from engine.ledger.answers import RingAnswers
from engine.ledger.memory import MemoryLedger
from engine.ledger.port import Grants, OutcomeResult, Outcomes, Retention
from engine.limits import CONTACTS_PER_SUBSCRIBER_MAX, NEVER_US, OFFERS_PER_ANSWER_MAX
from tests.engine.ledger.model import DAY_US, EVENTS, Check, Contact, Model, Seat

HOUR_US = DAY_US // 24
OFFERS, CAMPAIGNS, CATEGORIES, CHANNELS = 3, 2, 2, 2
FIRST_DAY = 100
DAY_STARTS_US = [DAY_US, 2 * DAY_US, 3 * DAY_US - HOUR_US, 4 * DAY_US - HOUR_US, 5 * DAY_US, 6 * DAY_US]
"""With a day of 23 hours and one of 25."""
RETENTION = {
    "counted": 2 * HOUR_US,
    "decided": HOUR_US,
    "refused": 3 * HOUR_US,
    "not_now": HOUR_US,
    "accepted": 4 * HOUR_US,
    "late": HOUR_US // 2,
}


Row = tuple[tuple[int, int], tuple[int, int, int], int, int]
"""(outcome id, body), (subscriber, decision, rank), kind, event_us"""


@dataclass(frozen=True)
class Item:
    """What to hold for one subscriber."""

    subscriber: int
    seats: list[Seat]
    hold_us: int
    checks: list[Check]


def digest(number: int) -> tuple[int, int]:
    """A digest of few different homes, so that the index has runs."""
    return number, number % 3


def new_grants(ledger: MemoryLedger, items: list[Item]) -> Grants:
    n, k = len(items), OFFERS_PER_ANSWER_MAX
    names: dict[str, Any] = {name: np.zeros((n, k), np.uint16) for name in ("offer", "campaign", "category", "channel")}
    flags = np.zeros((n, k), np.uint8)
    for i, item in enumerate(items):
        for seat, s in enumerate(item.seats):
            for name, code in zip(names, (*s.entities, s.channel), strict=True):
                names[name][i, seat] = code
            flags[i, seat] = PUSH * s.push | COUNTS * s.counts
    checks = [check for item in items for check in item.checks]
    rows = ("offer", "campaign", "category")
    return Grants(
        subscriber=np.array([item.subscriber for item in items], np.uint64),
        count=np.array([len(item.seats) for item in items], np.int32),
        **names,
        flags=flags,
        expires_us=np.array([ledger.now_us + item.hold_us for item in items], np.int64),
        total_start=np.cumsum([0] + [len(item.checks) for item in items], dtype=np.int64),
        total_slot=np.array([ledger.names.total_slot(rows[c.row], c.code) for c in checks], np.int64),  # type: ignore[arg-type]
        total_event=np.array([EVENTS.index(c.event) for c in checks], np.int64),
        total_since_day=np.array([LIFETIME if c.since_day is None else c.since_day for c in checks], np.int64),
        total_limit=np.array([c.limit for c in checks], np.int64),
    )


def new_outcomes(outcomes: list[Row]) -> Outcomes:
    return Outcomes(
        outcome=np.array([digest(row[0][0]) for row in outcomes], np.uint64).reshape(-1, 2),
        body=np.array([row[0][1] for row in outcomes], np.uint64),
        subscriber=np.array([row[1][0] for row in outcomes], np.uint64),
        decision=np.array([row[1][1] for row in outcomes], np.uint64),
        rank=np.array([row[1][2] for row in outcomes], np.uint8),
        kind=np.array([row[2] for row in outcomes], np.uint8),
        event_us=np.array([row[3] for row in outcomes], np.int64),
    )


class CheckedLedger:
    """The pair; `ledger` and `model` are never touched except through it."""

    def __init__(self, contacts_max: int, outcomes_max: int = 64, retention: dict[str, int] = RETENTION) -> None:
        self.ledger = MemoryLedger(contacts_max, RingAnswers(4096), outcomes_max=outcomes_max)
        self.model = Model(retention, FIRST_DAY, DAY_STARTS_US)
        for kind, count in (
            ("offer", OFFERS),
            ("campaign", CAMPAIGNS),
            ("category", CATEGORIES),
            ("channel", CHANNELS),
        ):
            for number in range(count):
                self.ledger.names.code(kind, f"{kind}-{number}")  # type: ignore[arg-type]
        self.set_retention(retention)

    def set_retention(self, retention: dict[str, int]) -> None:
        self.model.retention = retention
        policy = Retention(
            *(retention[name] for name in ("counted", "decided", "refused", "not_now", "accepted", "late"))
        )
        self.ledger.set_policy(policy, FIRST_DAY, np.array(DAY_STARTS_US))

    def advance(self, now_us: int) -> None:
        before = self.ledger.now_us
        self.model.advance(now_us)
        assert self.ledger.advance(now_us) == self.model.now_us >= before

    def reserve(self, items: list[Item]) -> list[int]:
        """Return the decisions."""
        granted = self.ledger.reserve(new_grants(self.ledger, items)).result()
        fitting = granted.items
        assert 0 <= fitting <= len(items)
        for i, item in enumerate(items[:fitting]):
            assert not item.seats or all(self.model.passes(check) for check in item.checks)
            decision = (
                self.model.grant(item.subscriber, item.seats, self.model.now_us + item.hold_us) if item.seats else 0
            )
            assert granted.decision[i] == decision
        assert not granted.decision[fitting : len(items)].any()
        if fitting < len(items) and all(self.model.passes(check) for check in items[fitting].checks):
            assert self.room(items[fitting].subscriber) < len(items[fitting].seats)
        return [int(number) for number in granted.decision[:fitting]]

    def room(self, subscriber: int) -> int:
        return int(self.ledger.read(np.array([subscriber], np.uint64)).result().contacts.room[0])

    def record(self, outcomes: list[Row]) -> list[str]:
        """Rows as Model.record takes them."""
        expected = [self.model.record(*row) for row in outcomes]
        assert [OutcomeResult(r).name for r in self.ledger.record(new_outcomes(outcomes)).result()] == expected
        return expected

    def forget(self, subscriber: int) -> None:
        self.model.forget(subscriber)
        self.ledger.forget(subscriber)
        assert self.ledger.find(subscriber, 1, 1) is None

    def clear(self) -> None:
        self.model.contacts.clear()
        self.model.history.clear()
        self.ledger.clear()

    def check(self, subscribers: list[int]) -> None:
        """Compare all that can be seen of these subscribers, who are all there are, and walk the structures."""
        self.check_contacts(subscribers)
        self.check_totals()
        self.check_pool()
        self.check_holds()

    def check_contacts(self, subscribers: list[int]) -> None:
        reading = self.ledger.read(np.array(subscribers, np.uint64)).result().contacts
        for i, subscriber in enumerate(subscribers):
            start, count = int(reading.start[i]), int(reading.count[i])
            records = reading.records[start : start + count]
            kept = self.model.contacts.get(subscriber, [])
            known = {(c.decision, c.rank): c for c in kept}
            present = [known[int(r["decision"]), int(r["rank"])] for r in records]
            assert [c for c in kept if c in present] == present, "grant order"
            assert all(c in present for c in self.model.read(subscriber)), "nothing that matters is lost"
            for record, contact in zip(records, present, strict=True):
                self.check_record(record, contact)
            assert 0 <= int(reading.room[i]) + count <= CONTACTS_PER_SUBSCRIBER_MAX
            for contact in kept[-6:]:
                found = self.ledger.find(subscriber, contact.decision, contact.rank)
                assert (found is not None) == self.model.matters(contact)

    def check_record(self, record: Any, contact: Contact) -> None:
        assert (record["granted_us"], record["expires_us"]) == (contact.granted_us, contact.expires_us)
        for event in ("handed_off", "seen", "accepted", "refused", "not_now"):
            assert record[f"{event}_us"] == contact.at.get(event, NEVER_US), event
        assert (record["offer"], record["campaign"], record["category"]) == contact.entities
        assert record["channel"] == contact.channel
        flags = LIVE * contact.live | PUSH * contact.push | COUNTS * contact.counts
        assert record["flags"] == flags | LATE * contact.late | CLOSED * contact.closed

    def check_totals(self) -> None:
        totals = self.ledger.read(np.zeros(0, np.uint64)).result().totals
        today = self.model.day(self.model.now_us)
        bucket_of = {day: bucket for bucket, day in enumerate(totals.day.tolist()) if day > today - TOTAL_DAYS}
        days = Counter((h.event, row, h.entities[row], h.day) for h in self.model.history for row in range(3))
        ever = Counter((h.event, row, h.entities[row]) for h in self.model.history for row in range(3))
        assert all(key[3] in bucket_of for key in days if key[3] > today - TOTAL_DAYS)
        for row, (kind, codes) in enumerate((("offer", OFFERS), ("campaign", CAMPAIGNS), ("category", CATEGORIES))):
            for code in range(1, codes + 1):
                slot = self.ledger.names.total_slot(kind, code)  # type: ignore[arg-type]
                for e, event in enumerate(EVENTS):
                    assert totals.lifetime[e, slot] == ever[event, row, code]
                    assert totals.live[e, slot] == self.model.live_count(row, code, event)
                    by_day = totals.daily[e, slot].tolist()
                    expected = {day: days[event, row, code, day] for day in bucket_of}
                    assert {day: by_day[bucket] for day, bucket in bucket_of.items()} == expected

    def check_pool(self) -> None:
        """Blocks in use and free ones tile the used prefix of the pool; counts agree."""
        store = self.ledger._store
        used = store.table[store.table["size"] > 0]
        blocks = [(int(entry["start"]), int(entry["size"])) for entry in used]
        for order, size in enumerate(BLOCK_SIZES):
            following = int(store.state[FREE + order])
            while following:
                blocks.append((following - 1, size))
                assert not np.any(store.pool["granted_us"][following - 1 : following - 1 + size])
                following = int(store.pool[following - 1]["decision"])
        place = 0
        for start, size in sorted(blocks):
            assert start == place
            place += size
        assert place == store.state[POOL_TOP] <= len(store.pool)
        assert len(used) == store.state[SUBSCRIBERS]
        assert used["count"].sum() == store.state[CONTACTS]
        assert np.all(used["count"] <= used["size"])
        live = sum(c.live for cs in self.model.contacts.values() for c in cs)
        assert live == store.state[LIVE_CONTACTS]

    def check_holds(self) -> None:
        """The queue is a heap and has exactly one entry for each decision whose expiry is to come, and zeros behind."""
        store = self.ledger._store
        count = int(store.state[HOLDS])
        keys = [(int(h["expires_us"]), int(h["decision"]), int(h["subscriber"])) for h in store.holds[:count]]
        assert all(keys[(i - 1) // 2] < keys[i] for i in range(1, count))
        open_holds = {
            (c.expires_us, c.decision, subscriber)
            for subscriber, contacts in self.model.contacts.items()
            for c in contacts
            if c.expires_us > self.model.now_us
        }
        assert sorted(keys) == sorted(open_holds)
        assert not np.any(store.holds["subscriber"][count:])
