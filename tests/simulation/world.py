"""The operator that simulations serve: a small catalogue whose limits vary, eight subscribers, and the stores made from them, once a process."""

import tempfile
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, Final

from engine.base.schema import base_schema_of
from engine.rulebook import Rulebook, compile_rulebook
from loaders.catalogue.load import load_catalogue
from server.stores import Stores
from tests.engine.base.world import KEYS
from tests.worlds.files import write_base, write_catalogue
from tests.worlds.people import Row

Plain = dict[str, Any]
START_US: Final = 1_772_409_600_000_000
"""2026-03-02 00:00 UTC, a Monday; clocks change in Chicago on the 8th."""
DAY_US: Final = 86_400_000_000
ZONES: Final = ("America/Chicago", "America/New_York")
HOME_ZONE: Final = ZONES[0]
SUBSCRIBERS: Final = tuple(f"customer {number}" for number in range(8))
FRESH: Final = tuple(f"fresh {number}" for number in range(4))
"""Subscribers whom nobody asks about before the end."""
ZONE_OF: Final = {key: ZONES[number % 2] for number, key in enumerate((*SUBSCRIBERS, *FRESH))}
CAMPAIGNS: Final = {"first": ("a", "b"), "second": ("c", "d"), "stocked": ("e",), "exempt": ("f",)}
CAMPAIGN_OF: Final = {offer: campaign for campaign, offers in CAMPAIGNS.items() for offer in offers}
CATEGORY_OF: Final = {"a": "data", "b": "data", "c": "voice", "d": "data", "e": "tv", "f": "tv"}
PURPOSE_OF: Final = {"first": "service", "second": "marketing", "stocked": "service", "exempt": "service"}
PUSH: Final = ("sms",)
CHANNELS: Final = ("desk", "ussd", "sms")
QUIET: Final = {"from": "21:00", "to": "08:00"}
"""Of the class message, which ussd and sms are of."""
COOL_DOWN_US: Final = 2 * DAY_US
EDITIONS: Final = 6


def limits_of(edition: int) -> dict[str, int]:
    """Return the limit of each cap in an edition of the catalogue."""
    rng = Random(f"edition {edition}")
    ranges = {
        "offer_decided": (1, 3),
        "sms_a_day": (1, 2),
        "seen_a_week": (2, 6),
        "first_handed_off": (1, 3),
        "data_a_month": (2, 5),
        "desk_twice": (1, 3),
        "stock": (3, 8),
        "stock_a_day": (1, 4),
        "accepted_in_all": (1, 3),
    }
    return {name: rng.randint(*bounds) for name, bounds in ranges.items()}


def caps_of(edition: int) -> list[Plain]:
    """Return the caps, as the catalogue has them and as the model checker takes them."""
    limits = limits_of(edition)
    caps: list[Plain] = [
        _cap("offer_decided", "offer", "decided", {"rolling": "1d"}),
        _cap("sms_a_day", "channel", "handed_off", {"calendar": "day"}, target="sms"),
        _cap("seen_a_week", "all", "seen", {"rolling": "7d"}),
        _cap("first_handed_off", "campaign", "handed_off", {"rolling": "2h"}, target="first"),
        _cap("data_a_month", "category", "handed_off", {"calendar": "month"}, target="data"),
        _cap("desk_twice", "channel", "decided", {"rolling": "20m"}, target="desk"),
        _cap("accepted_in_all", "all", "accepted", {"calendar": "week", "week_start": "monday"}),
        _cap("stock", "offer", "decided", "lifetime", target="e", per="total"),
        _cap("stock_a_day", "campaign", "accepted", {"calendar": "day"}, target="second", per="total"),
    ]
    return [cap | {"limit": limits[cap["id"]]} for cap in caps]


def _cap(name: str, scope: str, counts: str, window: Any, **more: str) -> Plain:
    return {"id": name, "scope": scope, "per": "subscriber", "counts": counts, "window": window} | more


def catalogue_of(edition: int) -> Plain:
    """Return an edition of the catalogue, as an author would write it."""
    offers = [
        {"id": name, "product": f"product_{name}", "value": 1.0 + place, "propensity": 0.5, "content": _words(name)}
        for place, name in enumerate(CATEGORY_OF)
    ]
    campaigns = [_campaign(name) for name in CAMPAIGNS]
    policy = {
        "purposes": [{"id": "marketing", "basis": "opt_in"}, {"id": "service", "basis": "opt_out"}],
        "quiet_hours": [{"id": "night", "classes": ["message"]} | QUIET],
        "caps": caps_of(edition),
        "cool_down": {"after_refusal": "2d", "refusal_scope": "offer", "after_not_now": "6h", "not_now_scope": "offer"},
        "reoffer": {"after_acceptance": "never", "scope": "offer"},
    }
    return {
        "catalogue": "simulated",
        "policy_version": "1",
        "country": {"name": "US", "zones": list(ZONES), "home_zone": HOME_ZONE},
        "languages": ["en"],
        "labels": [{"id": "heavy", "family": "consumption", "kind": "dynamic", "max_age": "7d"}],
        "attributes": [{"id": "tenure", "type": "int", "min": 0, "max": 1200}],
        "triggers": [{"id": "open", "moment": "service", "placement": True}],
        "channels": [
            {"id": "desk", "kind": "pull", "class": "screen", "max_offers": 3, "hold": "15m", "inbound_exempt": True},
            {"id": "ussd", "kind": "pull", "class": "message", "max_offers": 2, "hold": "3m"},
            {"id": "sms", "kind": "push", "class": "message", "max_offers": 1, "queue_deadline": "2h"}
            | {"defer_quiet_hours": True},
        ],
        "products": [
            {"id": f"product_{name}", "category": category, "price": 1, "name": {"en": name}}
            for name, category in CATEGORY_OF.items()
        ],
        "offers": offers,
        "campaigns": campaigns,
        "contact_policy": policy,
    }


def _words(name: str) -> Plain:
    return {channel: {"en": f"{name} for {{{{subscriber.tenure|some}}}} months"} for channel in CHANNELS}


def _campaign(name: str) -> Plain:
    plain: Plain = {
        "id": name,
        "state": "live",
        "triggers": ["open"],
        "channels": list(CHANNELS),
        "purpose": PURPOSE_OF[name],
    }
    plain["offers"] = list(CAMPAIGNS[name])
    if name == "second":
        plain["condition"] = '"heavy" in subscriber.labels || subscriber.tenure > 2'
    if name == "exempt":
        plain["exempt"] = {"obeys_caps": False, "counts": False}
    return plain


@cache
def folder() -> tempfile.TemporaryDirectory[str]:
    """Return where the stores are, until the process ends."""
    return tempfile.TemporaryDirectory(prefix="simulated-")


@cache
def rulebook_of(edition: int) -> Rulebook:
    """Return an edition compiled."""
    written = Path(folder().name) / f"catalogue_{edition}"
    write_catalogue(written, catalogue_of(edition))
    return compile_rulebook(load_catalogue(written, now_us=START_US))


@cache
def stores_of(edition: int) -> Stores:
    """Return what a server of this edition serves from; all editions share the base."""
    if edition:
        first = stores_of(0)
        return Stores(rulebook_of(edition), b"", first.snapshot, first.keys)
    rulebook = rulebook_of(0)
    snapshot = write_base(
        Path(folder().name) / "base", base_schema_of(rulebook.catalogue), _rows(), KEYS, START_US - DAY_US
    )
    return Stores(rulebook, b"", snapshot, KEYS)


def _rows() -> list[Row]:
    return [
        Row(
            key=key,
            zone=ZONE_OF[key],
            language="en",
            as_of_us=START_US - DAY_US,
            labels=["heavy"] if number % 3 == 0 else [],
            attributes={"tenure": number},
            granted=[("marketing", channel) for channel in CHANNELS] if number % 4 != 3 else [],
        )
        for number, key in enumerate((*SUBSCRIBERS, *FRESH))
    ]
