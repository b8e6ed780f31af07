"""What must hold within the contact policy: caps that can be enforced, holidays that are known."""

from typing import Final

import holidays

from engine.catalogue.terms import CapPer, Scope, WindowKind
from engine.limits import CONTACTS_PER_SUBSCRIBER_MAX
from loaders.catalogue.gather import Gathered
from loaders.catalogue.problems import a_kind, shown
from loaders.catalogue.reading import Entry, Reading

TOTAL_SCOPES: Final = (Scope.OFFER, Scope.CAMPAIGN, Scope.CATEGORY)


def check_policy(gathered: Gathered, reading: Reading) -> None:
    """Note what is wrong between the fields of the contact policy."""
    policy: Entry | None = gathered.whole.get("contact_policy")
    if policy is None:
        return
    _check_holidays(policy.get("holidays"), reading)
    for cap in gathered.policy("caps"):
        _check_target(gathered, cap, reading)
        _check_window(cap, reading)
        if cap.get("per") is CapPer.TOTAL:
            _check_total(cap, reading)
        elif cap.get("per") is CapPer.SUBSCRIBER:
            _check_per_subscriber(cap, reading)


def _check_holidays(days: Entry | None, reading: Reading) -> None:
    if days is None:
        return
    if not days.nodes:
        expected = "contact_policy.holidays: expected country, dates or both"
        reading.problems.add(days.place, expected, "neither", "add one, or take holidays out")
    country = days.get("country")
    known = holidays.list_supported_countries(include_aliases=False)
    if country is not None and country not in known:
        advice = reading.problems.nearest(country, known, "list the dates themselves under dates")
        expected = "contact_policy.holidays.country: expected a country whose holidays are known"
        reading.problems.add(country.place, expected, shown(country), advice)


def _check_target(gathered: Gathered, cap: Entry, reading: Reading) -> None:
    target, scope = cap.get("target"), cap.get("scope")
    if target is None or scope is None:
        return
    if scope is Scope.ALL:
        expected = "contact_policy.caps.target: expected none with scope all"
        reading.problems.add(target.place, expected, shown(target), "take it out, or narrow the scope")
        return
    known = gathered.ids[scope]
    if target not in known and not reading.incomplete:
        advice = reading.problems.nearest(target, known, f"add that {scope}, or take the target out")
        expected = f"contact_policy.caps.target: expected the id of {a_kind(scope)}"
        reading.problems.add(target.place, expected, shown(target), advice)


def _kind(cap: Entry) -> WindowKind | None:
    window = cap.get("window")
    if isinstance(window, Entry):
        calendar: WindowKind | None = window.get("calendar")
        return WindowKind.ROLLING if window.get("rolling") is not None else calendar
    return WindowKind.LIFETIME if window is WindowKind.LIFETIME else None


def _check_window(cap: Entry, reading: Reading) -> None:
    kind, per = _kind(cap), cap.get("per")
    if kind is WindowKind.LIFETIME and per is CapPer.SUBSCRIBER:
        expected = "contact_policy.caps.window: expected rolling or calendar per subscriber"
        reading.problems.add(cap.at("window"), expected, shown(kind), "use rolling: 366d, or per: total")
    if kind is WindowKind.ROLLING and per is CapPer.TOTAL:
        expected = "contact_policy.caps.window: expected calendar or lifetime for a total"
        reading.problems.add(cap.at("window"), expected, shown(kind), "use calendar: day, week or month, or lifetime")


def _check_total(cap: Entry, reading: Reading) -> None:
    scope = cap.get("scope")
    if scope is not None and scope not in TOTAL_SCOPES:
        expected = "contact_policy.caps.scope: expected offer, campaign or category for a total"
        reading.problems.add(cap.at("scope"), expected, shown(scope), "narrow the scope, or use per: subscriber")


def _check_per_subscriber(cap: Entry, reading: Reading) -> None:
    limit: int | None = cap.get("limit")
    if limit is not None and limit > CONTACTS_PER_SUBSCRIBER_MAX:
        most = f"{CONTACTS_PER_SUBSCRIBER_MAX} for one subscriber, whose contacts the ledger keeps up to that number"
        expected = f"contact_policy.caps.limit: expected at most {most}"
        reading.problems.add(cap.at("limit"), expected, f"{limit:,}", "lower it, or take the cap out")
