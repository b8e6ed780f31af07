"""What a change of a subscriber's contacts means for totals: which contacts came to count, ceased to, or had an event.

engine/kernels/ledger_totals.py says what counts: an open hold toward every event that it has not had, an event for good; a hold that ends without it no more.
Here it is read off two states of one subscriber, before and after, since in a shared ledger only who wrote the second one on the first knows what it changed.
"""

from collections.abc import Container, Iterable, Mapping
from struct import Struct
from typing import Final, NamedTuple

from engine.dtypes.contact import CONTACT, COUNTS, HANDED_OFF, LIVE, PUSH, SEEN
from engine.limits import NEVER_US

RECORD_BYTES: Final = CONTACT.itemsize
FLAGS_AT: Final = CONTACT.fields["flags"][1]  # type: ignore[index]
_RECORD: Final = Struct("<Q7q4H2B")
"""A CONTACT record, but for what fills it up: its fields in their order."""
assert _RECORD.size == FLAGS_AT + 1

_HELD: Final = LIVE | COUNTS
_TARGETS, _INSTANT = Struct("<3H"), Struct("<q")
_OFFER_AT: Final = CONTACT.fields["offer"][1]  # type: ignore[index]
_EXPIRES_AT: Final = CONTACT.fields["expires_us"][1]  # type: ignore[index]

Target = tuple[int, int]
"""A row of engine.ledger.names.TOTALLED, and a code of that kind."""
Counted = Mapping[Target, Iterable[int]]
"""The events that totals count, by target."""


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


def moves(before: bytes, after: bytes, counted: Counted, *, released: bool = False) -> list[Move]:
    """Return what the counted totals become by a subscriber's contacts going from `before` to `after`.

    A hold that is dropped had expired before; when `released`, it is one that an erasure ended.
    """
    found = list[Move]()
    if after.startswith(before):  # as by every offer, unless an older contact ended or was dropped
        for record in records_of(after[len(before) :]):
            _add_moves(found, None, contact_of(record)[1], counted)
        return found
    old, new = set(records_of(before)), set(records_of(after))
    was = dict(map(contact_of, old - new))
    for key, contact in map(contact_of, sorted(new - old)):
        _add_moves(found, was.pop(key, None), contact, counted)
    for contact in was.values():
        ended = contact._replace(flags=contact.flags & ~LIVE) if released else contact.expired()
        _add_moves(found, contact, ended, counted)
    return found


def _add_moves(found: list[Move], was: Contact | None, now: Contact, counted: Counted) -> None:
    for target in now.targets:
        for event in counted.get(target, ()):
            before, after = was is not None and was.counts(event), now.counts(event)
            at_us = now.happened_us[event]
            happens = after and at_us != NEVER_US and (was is None or was.happened_us[event] == NEVER_US)
            if before != after or happens:
                pair = now.targets[1][1], now.targets[0][1]
                found.append(Move(event, target, after - before, at_us if happens else None, pair))


def first_expiry_us(contacts: bytes, targets: Container[Target]) -> int | None:
    """Return when the first open hold of one of these targets ends; None when there is no such hold."""
    first_us = None
    for number, flags in enumerate(contacts[FLAGS_AT::RECORD_BYTES]):
        if flags & _HELD == _HELD:
            offer, campaign, category = _TARGETS.unpack_from(contacts, number * RECORD_BYTES + _OFFER_AT)
            if (0, offer) in targets or (1, campaign) in targets or (2, category) in targets:
                (expires_us,) = _INSTANT.unpack_from(contacts, number * RECORD_BYTES + _EXPIRES_AT)
                first_us = expires_us if first_us is None else min(first_us, expires_us)
    return first_us
