"""A model checker for caps: reads what receivers noted, and says which cap was certainly broken. It shares no code with what it checks.

A contact has an earliest and a latest instant for each thing that happened, since a wall clock that is set back shows one instant twice: a cap is broken
only when the events lie within its window however those are chosen. What the server need not know of (a pull offer whose outcome never came) does not count.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
UNITS_US = {"s": 10**6, "m": 60 * 10**6, "h": 3600 * 10**6, "d": 86400 * 10**6}


class Span(NamedTuple):
    """When something happened: between these instants, both included, in microseconds since 1970."""

    earliest_us: int
    latest_us: int


@dataclass
class Contact:
    """One offer that somebody received."""

    subscriber: str
    zone: str
    decision: str
    offer: str
    campaign: str
    category: str
    channel: str
    granted_us: int
    limits: Mapping[str, int]
    """Of each cap when it was granted."""
    events: dict[str, Span] = field(default_factory=dict)
    """What happened that the server has to count: decided, handed_off, seen, accepted."""


class Event(NamedTuple):
    """What counts once toward a cap."""

    contact: Contact
    span: Span


class Broken(NamedTuple):
    """A cap that was exceeded."""

    cap: str
    limit: int
    contacts: tuple[Contact, ...]

    def __str__(self) -> str:
        who = ", ".join(f"{c.subscriber} {c.offer} of {c.decision} at {c.granted_us}" for c in self.contacts)
        return f"cap {self.cap}, limit {self.limit}: {len(self.contacts)} counted: {who}"


def broken_caps(caps: Iterable[Mapping[str, Any]], contacts: list[Contact], home_zone: str) -> list[Broken]:
    """Return what exceeded each cap, at most one finding for a cap and whoever it counts for."""
    found = []
    for cap in caps:
        for events in _counted(cap, contacts):
            found += _exceeding(cap, events, home_zone)[:1]
    return found


def _counted(cap: Mapping[str, Any], contacts: list[Contact]) -> Iterator[list[Event]]:
    """Yield the events that count toward each instance of the cap, in the order of their grants."""
    groups: dict[Any, dict[Any, Event]] = defaultdict(dict)
    for number, contact in enumerate(sorted(contacts, key=lambda each: each.granted_us)):
        scope, span = cap["scope"], contact.events.get(cap["counts"])
        target = None if scope == "all" else getattr(contact, scope)
        if span is None or cap.get("target", target) != target:
            continue
        who = "" if cap["per"] == "total" else contact.subscriber
        once = contact.decision if scope in ("channel", "all") else number
        before = groups[who, target].get(once)
        if before is None or span.latest_us > before.span.latest_us:
            groups[who, target][once] = Event(contact, span)
    for group in groups.values():
        yield list(group.values())


def _exceeding(cap: Mapping[str, Any], events: list[Event], home_zone: str) -> list[Broken]:
    found = []
    for last in events:
        granted = [event for event in events if event.contact.granted_us <= last.contact.granted_us]
        together = [e.contact.limits[cap["id"]] for e in granted if e.contact.granted_us == last.contact.granted_us]
        found += [
            Broken(cap["id"], max(together), tuple(event.contact for event in within))
            for within in _windows(cap, last, granted, home_zone)
            if len(within) > max(together)
        ]
    return found


def _windows(cap: Mapping[str, Any], last: Event, granted: list[Event], home_zone: str) -> Iterator[list[Event]]:
    """Yield sets of events that certainly lie within one window, `last` among them."""
    window = cap["window"]
    if window == "lifetime":
        yield granted
    elif "rolling" in window:
        length_us = int(window["rolling"][:-1]) * UNITS_US[window["rolling"][-1]]
        for first in granted:
            start_us, end_us = first.span.earliest_us, first.span.earliest_us + length_us
            within = [e for e in granted if e.span.earliest_us >= start_us and e.span.latest_us < end_us]
            if last in within:
                yield within
    else:
        zone = home_zone if cap["per"] == "total" else last.contact.zone
        period = _period(window, last.span.earliest_us, zone)
        yield [
            event
            for event in granted
            if {_period(window, event.span.earliest_us, zone), _period(window, event.span.latest_us, zone)} == {period}
        ]


def _period(window: Mapping[str, str], at_us: int, zone: str) -> date:
    """Return the first day of the calendar window that holds the instant."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)
    day = moment.astimezone(ZoneInfo(zone)).date()
    if window["calendar"] == "month":
        return day.replace(day=1)
    if window["calendar"] == "week":
        return day - timedelta(days=(day.weekday() - DAYS.index(window["week_start"])) % 7)
    return day
