"""Caps: which contacts count, for how long, and when a reached cap gives way."""

from dataclasses import dataclass

from tests.oracle.catalogue import Cap, Catalogue, Window
from tests.oracle.clock import window_end, window_start
from tests.oracle.ledger import Contact


@dataclass(frozen=True)
class Subject:
    """What caps, cool-downs and re-offer rules ask of a candidate."""

    campaign: str
    offer: str
    category: str
    channel: str

    def target(self, scope: str) -> str:
        """The candidate's own offer, campaign, category or channel; "" for everything."""
        return {
            "offer": self.offer,
            "campaign": self.campaign,
            "category": self.category,
            "channel": self.channel,
            "all": "",
        }[scope]


def subject_of(contact: Contact) -> Subject:
    return Subject(contact.campaign, contact.offer, contact.category, contact.channel)


def concerns(cap: Cap, subject: Subject) -> bool:
    """Whether the cap binds the candidate: it has no target, or this one."""
    return cap.target is None or cap.target == subject.target(cap.scope)


def counted_at(contact: Contact, event: str, now_us: int) -> int | None:
    """The instant at which the contact counts for the event, or None when it does not."""
    if event == "decided":
        return contact.granted_us
    if event in contact.events:
        return contact.events[event]
    if contact.live and now_us < contact.expires_us:
        return now_us
    if contact.live and contact.push and event in ("handed_off", "seen"):
        return contact.expires_us
    return None


def counts_until(cap: Cap, contact: Contact, now_us: int, zones: tuple[str, ...]) -> int:
    """When a counted contact stops counting, if nothing else happens."""
    happened_us = contact.granted_us if cap.event == "decided" else contact.events.get(cap.event)
    if happened_us is None:
        if not contact.push or cap.event == "accepted":
            return contact.expires_us
        happened_us = contact.expires_us
    return leaves(cap.window, happened_us, zones)


def opened(window: Window, now_us: int, zones: tuple[str, ...]) -> int | None:
    """The earliest instant of an event that still counts now; None: any."""
    if window.kind == "lifetime":
        return None
    if window.kind == "rolling":
        return now_us - window.length_us + 1
    return min(window_start(window.kind, window.week_start, now_us, zone) for zone in zones)


def leaves(window: Window, event_us: int, zones: tuple[str, ...]) -> int:
    """The first instant at which an event no longer counts."""
    if window.kind == "rolling":
        return event_us + window.length_us
    return max(window_end(window.kind, window.week_start, event_us, zone) for zone in zones)


def units(
    cap: Cap, subject: Subject, contacts: list[Contact], now_us: int, zones: tuple[str, ...]
) -> list[list[Contact]]:
    """What the cap counts now: contacts one by one; for `channel` and `all`, the counted contacts of each decision together."""
    opened_us = opened(cap.window, now_us, zones)
    found: dict[object, list[Contact]] = {}
    for contact in contacts:
        if not contact.counts or subject_of(contact).target(cap.scope) != subject.target(cap.scope):
            continue
        at_us = counted_at(contact, cap.event, now_us)
        if at_us is not None and (opened_us is None or at_us >= opened_us):
            key = contact.decision if cap.scope in ("channel", "all") else (contact.decision, contact.rank)
            found.setdefault(key, []).append(contact)
    return list(found.values())


def gives_way(cap: Cap, counted: list[list[Contact]], now_us: int, zones: tuple[str, ...], room: int) -> int | None:
    """The first instant at which so many have stopped counting that `room` more fit under the limit, if nothing else happens."""
    if cap.total:
        return None
    stops = sorted(max(counts_until(cap, contact, now_us, zones) for contact in unit) for unit in counted)
    must_stop = len(counted) - cap.limit + room
    return stops[must_stop - 1] if must_stop <= len(stops) else None


def count_total(cap: Cap, subject: Subject, contacts: list[Contact], now_us: int, home_zone: str) -> int:
    """Events over all subscribers. Open holds count whatever the instant asked about: only the ledger's own time expires them."""
    opened_us = opened(cap.window, now_us, (home_zone,))
    count = 0
    for contact in contacts:
        if not contact.counts or subject_of(contact).target(cap.scope) != subject.target(cap.scope):
            continue
        at_us = counted_at(contact, cap.event, now_us)
        if at_us is None and contact.live:
            at_us = now_us
        count += at_us is not None and (opened_us is None or at_us >= opened_us)
    return count


def caps_of(catalogue: Catalogue, subject: Subject) -> list[Cap]:
    """The caps that bind the candidate's offers."""
    campaign = catalogue.campaigns.get(subject.campaign)
    if campaign is not None and not campaign.obeys_caps:
        return []
    return [cap for cap in catalogue.caps if concerns(cap, subject)]
