"""What a change of a subscriber's contacts means for totals: which contacts came to count, ceased to, or had an event.

engine/kernels/ledger_totals.py says what counts: an open hold toward every event that it has not had, an event for good; a hold that ends without it no more.
Here it is read off two states of one subscriber, before and after, since in a shared ledger only who wrote the second one on the first knows what it changed.
"""

from collections.abc import Container, Iterator
from struct import Struct
from typing import Final, NamedTuple

from engine.dtypes.contact import ACCEPTED, CONTACT, COUNTS, DECIDED, HANDED_OFF, LIVE, PUSH, SEEN
from engine.limits import NEVER_US

RECORD_BYTES: Final = CONTACT.itemsize
FLAGS_AT: Final = CONTACT.fields["flags"][1]  # type: ignore[index]
_RECORD: Final = Struct("<Q7q4H2B")
"""A CONTACT record, but for what fills it up: its fields in their order."""
assert _RECORD.size == FLAGS_AT + 1

Target = tuple[int, int]
"""A row of engine.ledger.names.TOTALLED, and a code of that kind."""


class Move(NamedTuple):
    """What a change did to one total."""

    event: int
    target: Target
    units: int
    """1: one more counts; -1: one less; 0: as many, of which one has had the event now."""
    at_us: int | None
    """When the event happened, if it did by this change."""
    pair: tuple[int, int]
    """Codes of the contact's campaign and offer."""


class Contact(NamedTuple):
    """What of a CONTACT record decides what it counts for."""

    expires_us: int
    happened_us: tuple[int, int, int, int]
    """By event."""
    targets: tuple[Target, Target, Target]
    flags: int

    def counts(self, event: int) -> bool:
        """Return whether it counts toward totals of the event: it has happened, or may yet."""
        return bool(self.flags & COUNTS) and (self.happened_us[event] != NEVER_US or bool(self.flags & LIVE))

    def expired(self) -> "Contact":
        """Return it as it is once its hold has ended by time."""
        if not self.flags & LIVE:
            return self
        happened = list(self.happened_us)
        for event in (HANDED_OFF, SEEN) if self.flags & PUSH else ():
            happened[event] = self.expires_us if happened[event] == NEVER_US else happened[event]
        granted, handed_off, seen, accepted = happened
        return self._replace(happened_us=(granted, handed_off, seen, accepted), flags=self.flags & ~LIVE)


def contact_of(record: bytes) -> tuple[tuple[int, int], Contact]:
    """Return a CONTACT record's decision and rank, and what it counts for."""
    (decision, granted_us, expires_us, handed_off_us, seen_us, accepted_us, _, _,
     offer, campaign, category, _, rank, flags) = _RECORD.unpack_from(record)  # fmt: skip
    happened_us = (granted_us, handed_off_us, seen_us, accepted_us)
    return (decision, rank), Contact(expires_us, happened_us, ((0, offer), (1, campaign), (2, category)), flags)


def records_of(contacts: bytes) -> list[bytes]:
    """Return the records of a subscriber's contacts."""
    return [contacts[at : at + RECORD_BYTES] for at in range(0, len(contacts), RECORD_BYTES)]


def moves(before: bytes, after: bytes, *, released: bool = False) -> Iterator[Move]:
    """Return what totals become by a subscriber's contacts going from `before` to `after`.

    A hold that is dropped had expired before; when `released`, it is one that an erasure ended.
    """
    if before == after:
        return
    old, new = set(records_of(before)), set(records_of(after))
    was = dict(map(contact_of, old - new))
    for key, contact in map(contact_of, sorted(new - old)):
        yield from _moves(was.pop(key, None), contact)
    for contact in was.values():
        yield from _moves(contact, contact._replace(flags=contact.flags & ~LIVE) if released else contact.expired())


def _moves(was: Contact | None, now: Contact) -> Iterator[Move]:
    for event in (DECIDED, HANDED_OFF, SEEN, ACCEPTED):
        counted, counts = was is not None and was.counts(event), now.counts(event)
        happened = counts and now.happened_us[event] != NEVER_US
        happens = happened and (was is None or was.happened_us[event] == NEVER_US)
        if counted != counts or happens:
            (_, offer), (_, campaign), _ = now.targets
            for target in now.targets:
                at_us = now.happened_us[event] if happens else None
                yield Move(event, target, counts - counted, at_us, (campaign, offer))


def first_expiry_us(contacts: bytes, targets: Container[Target]) -> int | None:
    """Return when the first open hold of one of these targets ends; None when there is no such hold."""
    first_us = None
    for number, flags in enumerate(contacts[FLAGS_AT::RECORD_BYTES]):
        if flags & LIVE and flags & COUNTS:
            _, contact = contact_of(contacts[number * RECORD_BYTES : (number + 1) * RECORD_BYTES])
            if any(target in targets for target in contact.targets):
                first_us = contact.expires_us if first_us is None else min(first_us, contact.expires_us)
    return first_us
