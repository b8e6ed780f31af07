"""For how long a contact is kept: as long as a rule may still ask for it. What is kept no more is as if it had never been, but for totals."""

from dataclasses import dataclass, field

from tests.oracle.catalogue import Catalogue
from tests.oracle.numbers import DAY_US

HISTORY_US = 31 * DAY_US
"""Handed-off, seen and accepted contacts are kept at least this long, so that a cap that an edit adds finds them."""
LATE_US = DAY_US
"""A contact takes outcomes at least this long after its hold's expiry."""
CALENDAR_DAYS = {"day": 3, "week": 9, "month": 33}
"""How long a calendar window may be, seen from any zone."""


@dataclass
class Retention:
    """By event: how long it matters after it happened; None: for ever."""

    counted: dict[str, int] = field(default_factory=dict)
    """decided, handed_off, seen, accepted: toward caps"""
    cool_downs: dict[str, int | None] = field(default_factory=dict)
    """refused, not_now, accepted"""


def retention_of(catalogue: Catalogue) -> Retention:
    longest = {"decided": 0, "handed_off": HISTORY_US}
    for cap in catalogue.caps:
        kind = "decided" if cap.event == "decided" else "handed_off"
        length_us = cap.window.length_us or CALENDAR_DAYS.get(cap.window.kind, 0) * DAY_US
        longest[kind] = max(longest[kind], length_us)
    counted = dict.fromkeys(("handed_off", "seen", "accepted"), longest["handed_off"])
    return Retention(counted | {"decided": longest["decided"]}, {r.event: r.length_us for r in catalogue.cool_downs})
