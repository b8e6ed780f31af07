"""The ledger: contacts with their holds, and what outcomes and expiry do to them."""

from dataclasses import dataclass, field

from tests.oracle.numbers import DAY_US, MINUTE_US
from tests.oracle.retention import LATE_US, Retention

REMEMBERED_US = DAY_US
"""How long answers and outcome ids are remembered."""
SKEW_US = 5 * MINUTE_US
"""How far an outcome's event time may lie before the grant or after ledger time."""

SETS = {
    "handed_off": ("handed_off",),
    "seen": ("handed_off", "seen"),
    "clicked": ("handed_off", "seen"),
    "accepted": ("handed_off", "seen", "accepted"),
    "fulfilled": ("handed_off", "seen", "accepted"),
    "refused": ("handed_off", "seen", "refused"),
    "not_now": ("handed_off", "seen", "not_now"),
    "failed": (),
}
"""The events that each kind of outcome sets, unless set."""
CLOSES = ("accepted", "fulfilled", "refused", "not_now", "failed")


@dataclass
class Contact:
    """One offer held for, or shown to, one subscriber."""

    subscriber: int
    decision: int
    rank: int
    campaign: str
    offer: str
    category: str
    channel: str
    push: bool
    counts: bool
    granted_us: int
    expires_us: int
    deadline_us: int
    live: bool = True
    expired: bool = False
    late: bool = False
    dropped: bool = False
    """It mattered no more when an edit came: no later rule brings it back."""
    events: dict[str, int] = field(default_factory=dict)
    """handed_off, seen, accepted, refused, not_now: when it happened"""


@dataclass(frozen=True)
class Outcome:
    id: str
    decision: int
    rank: int
    kind: str
    event_us: int


class Ledger:
    """All contacts, oldest first for each subscriber; ledger time never goes backwards."""

    def __init__(self, contacts_max: int) -> None:
        self.contacts_max = contacts_max
        self.retention = Retention()
        self.now_us = 0
        self.next_decision = 1
        self.of_subscriber: dict[int, list[Contact]] = {}
        self.of_decision: dict[int, list[Contact]] = {}
        self.of_erased: list[Contact] = []
        """Contacts dropped by erasure: gone for the subscriber, still in the totals."""
        self.outcomes: dict[str, tuple[Outcome, int]] = {}

    def advance(self, now_us: int) -> None:
        """Ledger time becomes the later of itself and now; holds whose expiry is at or before it expire."""
        self.now_us = max(self.now_us, now_us)
        for contacts in self.of_subscriber.values():
            for contact in contacts:
                if contact.live and contact.expires_us <= self.now_us:
                    expire(contact)

    def keep(self, retention: Retention) -> None:
        """From now on contacts are kept for so long; what mattered no more until now stays dropped."""
        for contacts in self.of_subscriber.values():
            for contact in contacts:
                contact.dropped = not self.matters(contact)
        self.retention = retention

    def contacts(self, subscriber: int) -> list[Contact]:
        """The subscriber's contacts that still matter."""
        return [contact for contact in self.of_subscriber.get(subscriber, []) if self.matters(contact)]

    def matters(self, contact: Contact) -> bool:
        """Whether some rule may still ask for the contact, or an outcome still come to it."""
        if contact.dropped:
            return False
        if contact.live or self.now_us < contact.expires_us + LATE_US:
            return True
        happened = contact.events | {"decided": contact.granted_us}
        ends = [
            None if length_us is None else happened[event] + length_us
            for event, length_us in self.retention.cool_downs.items()
            if event in happened
        ]
        if contact.counts:
            ends += [
                happened[event] + length_us for event, length_us in self.retention.counted.items() if event in happened
            ]
        return any(end is None or self.now_us < end for end in ends)

    def room(self, subscriber: int) -> int:
        """How many more contacts the subscriber may be given."""
        return self.contacts_max - len(self.contacts(subscriber))

    def everything(self) -> list[Contact]:
        """What totals count."""
        return [contact for contacts in self.of_subscriber.values() for contact in contacts] + self.of_erased

    def hold(self, contacts: list[Contact]) -> int:
        """Keep the contacts of one decision and return its sequence number."""
        number = self.next_decision
        self.next_decision += 1
        for contact in contacts:
            contact.decision = number
            self.of_subscriber.setdefault(contact.subscriber, []).append(contact)
        self.of_decision[number] = contacts
        return number

    def find(self, decision: int, rank: int) -> Contact | None:
        contacts = self.of_decision.get(decision, [])
        return next((c for c in contacts if c.rank == rank and self.matters(c)), None)

    def forget(self, subscriber: int) -> None:
        """Drop the subscriber's contacts; open holds are released, what happened stays in the totals."""
        for contact in self.of_subscriber.pop(subscriber, []):
            contact.live = False
            self.of_erased.append(contact)
            self.of_decision.pop(contact.decision, None)
            self.outcomes = {id_: kept for id_, kept in self.outcomes.items() if kept[0].decision != contact.decision}

    def record(self, outcome: Outcome, now_us: int) -> str:
        """Count an outcome once."""
        self.advance(now_us)
        before = self.outcomes.get(outcome.id)
        if before is not None and self.now_us < before[1] + REMEMBERED_US:
            return "DUPLICATE" if before[0] == outcome else "CONFLICT"
        contact = self.find(outcome.decision, outcome.rank)
        if contact is None:
            return "UNKNOWN_DECISION"
        if outcome.kind not in SETS or not self.plausible(outcome, contact):
            return "INVALID"
        self.outcomes[outcome.id] = (outcome, self.now_us)
        return self.apply(outcome, contact)

    def plausible(self, outcome: Outcome, contact: Contact) -> bool:
        return contact.granted_us - SKEW_US <= outcome.event_us <= self.now_us + SKEW_US

    def apply(self, outcome: Outcome, contact: Contact) -> str:
        happened_us = min(max(outcome.event_us, contact.granted_us), self.now_us)
        for event in SETS[outcome.kind]:
            contact.events.setdefault(event, happened_us)
        if outcome.kind in CLOSES:
            contact.live = False
        if contact.expired:
            contact.late = True
        return "RECORDED_LATE" if contact.expired else "RECORDED"


def expire(contact: Contact) -> None:
    """An expired push hold counts as handed off and seen at its expiry; an expired pull hold is released."""
    if contact.push:
        contact.events.setdefault("handed_off", contact.expires_us)
        contact.events.setdefault("seen", contact.expires_us)
    contact.live = False
    contact.expired = True
