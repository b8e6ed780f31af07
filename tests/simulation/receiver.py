"""What those who receive offers note, and what they were promised: the only witness of a simulation, which asks the server nothing."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.simulation.caps_model import Contact, Span, broken_caps
from tests.simulation.world import (
    CAMPAIGN_OF,
    CATEGORY_OF,
    COOL_DOWN_US,
    HOME_ZONE,
    PURPOSE_OF,
    PUSH,
    QUIET,
    ZONE_OF,
    caps_of,
    limits_of,
)

IMPLIED = {
    "handed_off": ("handed_off",),
    "seen": ("handed_off", "seen"),
    "accepted": ("handed_off", "seen", "accepted"),
    "refused": ("handed_off", "seen"),
    "not_now": ("handed_off", "seen"),
}
"""By kind of outcome: what has happened then."""
UNCOUNTED = "exempt"
"""The campaign whose contacts count toward no cap."""


class ViolationError(AssertionError):
    """Something that was promised is not so."""


@dataclass
class Received:
    """One offer of an answer, and what became of it."""

    contact: Contact
    rank: int
    granted_moment: int
    hold_until_us: int
    confirmed: dict[str, int] = field(default_factory=dict)
    """By event: the turn in which the server recorded it."""
    sent_us: int | None = None
    """When a push went out."""


@dataclass
class Standing:
    """What one subscriber said that binds everybody, and in which turn it was acknowledged."""

    refused: dict[tuple[str, str], int] = field(default_factory=dict)
    erasing: bool = False
    erased_moment: int | None = None


class Receiver:
    """Notes what comes, and raises ViolationError when it must not have come."""

    def __init__(self) -> None:
        self.received: dict[tuple[str, int], Received] = {}
        """By decision id and rank."""
        self.standing = {key: Standing() for key in ZONE_OF}
        self.editions: list[tuple[int, int]] = []
        """(instant, edition) of each change of the catalogue."""
        self.ended: dict[tuple[str, str], list[tuple[int, int, str]]] = {}
        """By subscriber and offer: (turn, instant, kind) of each refusal and acceptance that was recorded."""
        self.sends: set[tuple[str, int]] = set()

    def answered(self, ask: Any, answer: Any, moment: int, latest_us: int) -> None:
        """Note a first answer with offers to a request; `ask` has its subscriber, its channel and the turn before which it was first sent."""
        standing, granted_us = self.standing[ask.subscriber], instant(answer.decided_at)
        if standing.erased_moment is not None and standing.erased_moment < ask.first_moment:
            raise ViolationError(f"{ask.id}: {ask.subscriber} was erased before it was sent, and is made an offer")
        if ask.channel == "ussd" and is_quiet(granted_us, ZONE_OF[ask.subscriber]):
            raise ViolationError(f"{ask.id}: an offer in quiet hours, at {granted_us}")
        limits = limits_of(self.edition_at(granted_us))
        for offer in answer.offers:
            self._refuse_unwanted(ask, offer, granted_us)
            contact = Contact(
                subscriber=ask.subscriber,
                zone=ZONE_OF[ask.subscriber],
                decision=answer.decision_id,
                offer=offer.offer,
                campaign=offer.campaign,
                category=CATEGORY_OF[offer.offer],
                channel=ask.channel,
                granted_us=granted_us,
                limits=limits,
                events={"decided": Span(granted_us, max(granted_us, latest_us))},
            )
            hold_us = instant(offer.send_deadline if ask.channel in PUSH else offer.hold_until)
            self.received[answer.decision_id, offer.rank] = Received(contact, offer.rank, moment, hold_us)

    def _refuse_unwanted(self, ask: Any, offer: Any, granted_us: int) -> None:
        """Raise ViolationError for an offer that the subscriber had ruled out before the request was sent."""
        pair = PURPOSE_OF[CAMPAIGN_OF[offer.offer]], ask.channel
        refused = self.standing[ask.subscriber].refused.get(pair)
        if refused is not None and refused < ask.first_moment:
            raise ViolationError(f"{ask.id}: offers {offer.offer}, and {pair} was refused before it was sent")
        for moment, at_us, kind in self.ended.get((ask.subscriber, offer.offer), ()):
            if moment < ask.first_moment and (kind == "accepted" or granted_us < at_us + COOL_DOWN_US):
                raise ViolationError(f"{ask.id}: offers {offer.offer}, which was {kind} at {at_us}, before it was sent")

    def sent(self, decision: str, rank: int, span: Span, asked_moment: int) -> None:
        """Note a push that goes out at this instant, since the server said so when it was asked after turn `asked_moment`."""
        received = self.received.get((decision, rank))
        if received is None:  # what the server had promised of it was lost, and nothing is counted
            return
        contact, standing = received.contact, self.standing[received.contact.subscriber]
        if (decision, rank) in self.sends:
            raise ViolationError(f"{decision}: sent twice")
        if is_quiet(span.earliest_us, contact.zone):
            raise ViolationError(f"{decision}: sent in quiet hours, at {span.earliest_us}")
        if standing.erased_moment is not None and standing.erased_moment < asked_moment:
            raise ViolationError(f"{decision}: sent to {contact.subscriber}, who was erased")
        refused = standing.refused.get((PURPOSE_OF[contact.campaign], contact.channel))
        if refused is not None and refused < asked_moment:
            raise ViolationError(f"{decision}: sent to {contact.subscriber}, who had refused it")
        self.sends.add((decision, rank))
        received.sent_us = span.earliest_us
        contact.events["handed_off"] = contact.events["seen"] = span

    def confirmed(self, decision: str, rank: int, kind: str, span: Span, moment: int) -> None:
        """Note that the server recorded, while the hold was open, what happened then."""
        received = self.received.get((decision, rank))
        if received is None:
            return
        for event in IMPLIED.get(kind, ()):
            received.contact.events.setdefault(event, span)
            received.confirmed.setdefault(event, moment)
        if kind in ("accepted", "refused"):
            key = received.contact.subscriber, received.contact.offer
            self.ended.setdefault(key, []).append((moment, span.earliest_us, kind))

    def edition_at(self, at_us: int) -> int:
        """Return the catalogue's edition at an instant."""
        return self.editions[bisect_right(self.editions, (at_us, 1 << 30)) - 1][1]

    def lose(self, moment: int, urgent_kept: bool) -> None:
        """Take it that the server may know nothing of what it did after turn `moment`: that is not counted, nor promised.

        `urgent_kept`: but for pushes that went out, refusals and erasures, which are safe before anybody hears of them.
        """
        for key, received in list(self.received.items()):
            if received.granted_moment > moment and not (urgent_kept and received.sent_us is not None):
                del self.received[key]
                continue
            for event, known in list(received.confirmed.items()):
                if known > moment:
                    del received.confirmed[event]
                    if received.sent_us is None or event == "accepted":
                        received.contact.events.pop(event, None)
        self.ended = {key: [one for one in all_ if one[0] <= moment] for key, all_ in self.ended.items()}
        if urgent_kept:
            return
        for standing in self.standing.values():
            standing.refused = {pair: known for pair, known in standing.refused.items() if known <= moment}
            if standing.erased_moment is not None and standing.erased_moment > moment:
                standing.erased_moment = None

    def check_caps(self) -> None:
        """Raise ViolationError when a cap was broken."""
        broken = broken_caps(caps_of(0), list(self.counted()), HOME_ZONE)
        if broken:
            raise ViolationError(str(broken[0]))

    def counted(self) -> Iterator[Contact]:
        """Yield the contacts that count; of those who were erased the server need not know any more."""
        for received in self.received.values():
            contact = received.contact
            if contact.campaign != UNCOUNTED and not self.standing[contact.subscriber].erasing:
                yield contact


def instant(stamp: Any) -> int:
    """Return a protobuf timestamp in microseconds since 1970."""
    return int(stamp.seconds) * 10**6 + int(stamp.nanos) // 1000


def is_quiet(at_us: int, zone: str) -> bool:
    """Return whether the local wall clock is within the quiet hours, which wrap past midnight."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)
    local = moment.astimezone(ZoneInfo(zone)).strftime("%H:%M:%S.%f")
    return local >= QUIET["from"] or local < QUIET["to"]
