"""The ledger in plain Python, from engine/README.md: lists of contacts that are never dropped, and a list of everything that ever happened."""

from collections.abc import Iterator
from dataclasses import dataclass, field

DAY_US = 86_400_000_000
SKEW_US = 300_000_000
SECOND_US = 1_000_000
KEPT_DAYS = 40
HELD_FOR = ("handed_off", "seen", "accepted")
EVENTS = ("decided", *HELD_FOR)

SETS = {
    1: ("handed_off",),
    2: ("handed_off", "seen"),
    3: ("handed_off", "seen"),
    4: ("handed_off", "seen", "accepted"),
    5: ("handed_off", "seen", "accepted"),
    6: ("handed_off", "seen", "refused"),
    7: ("handed_off", "seen", "not_now"),
    8: (),
}
"""By kind: handed off, seen, clicked, accepted, fulfilled, refused, not now, failed."""
CLOSES = {4, 5, 6, 7, 8}


@dataclass
class Contact:
    """One offer held or shown."""

    decision: int
    rank: int
    granted_us: int
    expires_us: int
    entities: tuple[int, int, int]
    """offer, campaign, category"""
    channel: int
    push: bool
    counts: bool
    live: bool = True
    closed: bool = False
    late: bool = False
    at: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Happened:
    """One event of a contact that counts."""

    event: str
    entities: tuple[int, int, int]
    day: int
    kept: bool


@dataclass(frozen=True)
class Check:
    """At most `limit` of an event of an entity (row 0 offer, 1 campaign, 2 category), ever or since a day."""

    row: int
    code: int
    event: str
    since_day: int | None
    limit: int


@dataclass(frozen=True)
class Seat:
    """One offer to hold."""

    entities: tuple[int, int, int]
    channel: int
    push: bool
    counts: bool


class Model:
    """Every operation of the ledger, without bounds."""

    def __init__(self, retention: dict[str, int], first_day: int, day_starts_us: list[int]) -> None:
        self.now_us = 0
        self.retention = retention
        self.first_day, self.day_starts_us = first_day, day_starts_us
        self.decision_next = 1
        self.contacts: dict[int, list[Contact]] = {}
        self.history: list[Happened] = []
        self.outcomes: dict[int, tuple[int, int, int]] = {}
        """outcome id -> body, subscriber, when"""

    def day(self, at_us: int) -> int:
        starts = self.day_starts_us
        if at_us < starts[0]:
            return self.first_day + (at_us - starts[0]) // DAY_US
        if at_us >= starts[-1]:
            return self.first_day + len(starts) - 1 + (at_us - starts[-1]) // DAY_US
        return self.first_day + max(i for i, start in enumerate(starts) if start <= at_us)

    def advance(self, now_us: int) -> None:
        self.now_us = max(self.now_us, now_us)
        due = [c for cs in self.contacts.values() for c in cs if c.live and c.expires_us <= self.now_us]
        for contact in sorted(due, key=lambda c: (c.expires_us, c.decision, c.rank)):
            if contact.push:
                self.happen(contact, "handed_off", contact.expires_us)
                self.happen(contact, "seen", contact.expires_us)
            contact.live = False

    def happen(self, contact: Contact, event: str, at_us: int) -> None:
        if event in contact.at:
            return
        contact.at[event] = at_us
        self.count(contact, event, at_us)

    def count(self, contact: Contact, event: str, at_us: int) -> None:
        if contact.counts and event in EVENTS:
            day = self.day(at_us)
            kept = day > self.day(self.now_us) - KEPT_DAYS
            self.history.append(Happened(event, contact.entities, day, kept))

    def live_count(self, row: int, code: int, event: str) -> int:
        return sum(
            c.live and c.counts and c.entities[row] == code and event in HELD_FOR and event not in c.at
            for cs in self.contacts.values()
            for c in cs
        )

    def passes(self, check: Check) -> bool:
        happened = [h for h in self.history if h.event == check.event and h.entities[check.row] == check.code]
        if check.since_day is not None:
            happened = [h for h in happened if h.kept and h.day >= check.since_day]
        return self.live_count(check.row, check.code, check.event) + len(happened) < check.limit

    def grant(self, subscriber: int, seats: list[Seat], expires_us: int) -> int:
        decision = self.decision_next
        self.decision_next += 1
        for rank, seat in enumerate(seats, 1):
            contact = Contact(
                decision, rank, self.now_us, expires_us, seat.entities, seat.channel, seat.push, seat.counts
            )
            self.contacts.setdefault(subscriber, []).append(contact)
            self.count(contact, "decided", self.now_us)
        return decision

    def reasons_to_keep(self, c: Contact) -> Iterator[bool]:
        now, keep = self.now_us, self.retention
        yield c.live
        yield now < c.expires_us + keep["late"]
        for event in ("refused", "not_now", "accepted"):
            yield event in c.at and now < c.at[event] + keep[event]
        if c.counts:
            yield now < c.granted_us + keep["decided"]
            for event in HELD_FOR:
                yield event in c.at and now < c.at[event] + keep["counted"]

    def matters(self, contact: Contact) -> bool:
        return any(self.reasons_to_keep(contact))

    def read(self, subscriber: int) -> list[Contact]:
        return [c for c in self.contacts.get(subscriber, []) if self.matters(c)]

    def find(self, subscriber: int, decision: int, rank: int) -> Contact | None:
        return next((c for c in self.read(subscriber) if (c.decision, c.rank) == (decision, rank)), None)

    def record(self, outcome: tuple[int, int], where: tuple[int, int, int], kind: int, event_us: int) -> str:
        """`outcome` is (id, body), `where` is (subscriber, decision, rank)."""
        self.outcomes = {k: v for k, v in self.outcomes.items() if self.now_us < v[2] + DAY_US}
        number, body = outcome
        if number in self.outcomes:
            return "DUPLICATE" if self.outcomes[number][0] == body else "CONFLICT"
        contact = self.find(*where)
        if contact is None:
            return "UNKNOWN_DECISION"
        if kind not in SETS or event_us > self.now_us + SKEW_US or event_us < contact.granted_us - SKEW_US:
            return "INVALID"
        self.outcomes[number] = (body, where[0], self.now_us)
        late = not contact.live and not contact.closed
        at_us = min(max(event_us, contact.granted_us), self.now_us)
        for event in SETS[kind]:
            self.happen(contact, event, at_us)
        if kind in CLOSES and contact.live:
            contact.live, contact.closed = False, True
        contact.late = contact.late or late
        return "RECORDED_LATE" if late else "RECORDED"

    def forget(self, subscriber: int) -> None:
        self.contacts.pop(subscriber, None)
        self.outcomes = {k: v for k, v in self.outcomes.items() if v[1] != subscriber}
