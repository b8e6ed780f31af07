"""The contact policy of a catalogue: purposes, quiet hours, caps, cool-downs, re-offers, all in resolved units."""

from typing import Final

import msgspec

from engine.catalogue.terms import Basis, CapEvent, CapPer, Day, Scope, WeekDay, WindowKind

FOREVER_US: Final = (1 << 63) - 1
"""The duration that never ends; every real duration is shorter."""


class Purpose(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A purpose of contact, to which a subscriber consents channel by channel."""

    id: str
    basis: Basis


class QuietHours(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A do-not-disturb window of local wall-clock time, which belongs to the day on which it starts."""

    id: str
    classes: tuple[str, ...]
    """Channel classes that it silences, sorted, at least one."""
    days: tuple[Day, ...]
    """Days on which it may start, in the order of Day, at least one; a holiday is only matched by `holiday`."""
    from_minute: int
    """0 to 1439."""
    to_minute: int
    """0 to 1440, exclusive; at or before `from_minute` it lies on the next day."""


class Window(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long an event counts toward a cap."""

    kind: WindowKind
    duration_us: int = 0
    """Rolling windows: 1 second to 366 days; else 0."""
    week_start: WeekDay = WeekDay.MONDAY
    """Used by week windows only."""


class Cap(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most `limit` events in the window.

    A total has scope offer, campaign or category, and no rolling window; only totals have lifetime.
    """

    id: str
    scope: Scope
    target: str | None = None
    """Id of the scope's kind; None: each offer (campaign, category, channel) by itself."""
    per: CapPer
    counts: CapEvent
    window: Window
    limit: int
    """0 to 2**31 - 1; per subscriber at most CONTACTS_PER_SUBSCRIBER_MAX."""


class CoolDown(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long a refusal or a "not now" stops offers of its scope; 0: not at all, FOREVER_US: for good."""

    after_refusal_us: int = 0
    refusal_scope: Scope = Scope.OFFER
    after_not_now_us: int = 0
    not_now_scope: Scope = Scope.OFFER


class Reoffer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long an acceptance stops offers of its scope; 0 does not stop any, FOREVER_US stops them for good."""

    after_acceptance_us: int = 0
    scope: Scope = Scope.OFFER


class ContactPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What holds for every campaign. All lists sorted by id."""

    purposes: tuple[Purpose, ...] = ()
    holidays: tuple[str, ...] = ()
    """ISO dates, sorted, each once: the country's, for the build's year - 1 to + 3, and the listed ones."""
    quiet_hours: tuple[QuietHours, ...] = ()
    caps: tuple[Cap, ...] = ()
    cool_down: CoolDown = CoolDown()
    reoffer: Reoffer = Reoffer()
