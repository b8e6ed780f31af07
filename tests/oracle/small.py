"""A small world for examples that a reader can check by hand: one desk, one sms channel, offers `a`, `b`, `c` in Chicago."""

import itertools
from datetime import datetime
from typing import Any

from tests.oracle.catalogue import Plain, read_catalogue
from tests.oracle.clock import instant_of, zone_info
from tests.oracle.decide import Answer, Request
from tests.oracle.ledger import Outcome
from tests.oracle.oracle import Oracle
from tests.oracle.subscribers import Subscriber

CHICAGO = "America/Chicago"
ANN, BOB = 1001, 1002
numbers = itertools.count(1)


def at(text: str, zone: str = CHICAGO) -> int:
    """The instant of a local date-time, such as `2026-03-02 10:00`."""
    return instant_of(datetime.fromisoformat(text).replace(tzinfo=zone_info(zone)))


NOON = at("2026-03-02 12:00")
"""A Monday."""
SECOND, MINUTE, HOUR, DAY = 10**6, 60 * 10**6, 3600 * 10**6, 86400 * 10**6


def offer(name: str, **changes: Any) -> Plain:
    content = {channel: {"en": "Hello"} for channel in ("desk", "sms")}
    return {"id": name, "product": f"product_{name}", "value": 1.0, "propensity": 0.5, "content": content} | changes


def product(name: str, **changes: Any) -> Plain:
    return {"id": f"product_{name}", "category": "data", "price": 1, "name": {"en": name}} | changes


def campaign(name: str, offers: list[str], **changes: Any) -> Plain:
    plain = {"id": name, "state": "live", "triggers": ["open"], "channels": ["desk", "sms"], "purpose": "service"}
    return plain | {"offers": offers} | changes


DESK: Plain = {"id": "desk", "kind": "pull", "class": "screen", "max_offers": 6, "hold": "15m", "inbound_exempt": True}
SMS: Plain = {"id": "sms", "kind": "push", "class": "message", "max_offers": 2, "queue_deadline": "2h"}
PURPOSES = [{"id": "service", "basis": "opt_out"}, {"id": "marketing", "basis": "opt_in"}]

WRITTEN: Plain = {
    "catalogue": "small",
    "languages": ["en"],
    "triggers": [{"id": "open", "moment": "service", "placement": True}],
}
"""What the loader asks for beyond what the oracle reads."""


def catalogue(**changes: Any) -> Plain:
    """One campaign `k` with one offer `a`; `policy=` is the contact policy without purposes."""
    plain: Plain = {
        "policy_version": "1",
        "country": {"name": "US", "zones": [CHICAGO], "home_zone": CHICAGO},
        "channels": [DESK, SMS],
        "products": [product("a"), product("b"), product("c")],
        "offers": [offer("a"), offer("b"), offer("c")],
        "campaigns": [campaign("k", ["a"])],
    }
    policy = changes.pop("policy", {})
    return plain | changes | {"contact_policy": {"purposes": PURPOSES} | policy}


def oracle(*people: Subscriber, **changes: Any) -> Oracle:
    """Ann and Bob live in Chicago unless others are given."""
    contacts_max = changes.pop("contacts_max", 256)
    known = list(people) or [Subscriber(ANN, CHICAGO), Subscriber(BOB, CHICAGO)]
    return Oracle(read_catalogue(catalogue(**changes)), known, contacts_max)


def ask(
    world: Oracle, now_us: int = NOON, who: int = ANN, channel: str = "desk", offers_max: int = 1, **more: Any
) -> Answer:
    """One request with an id of its own."""
    id_ = more.pop("id", f"request {next(numbers)}")
    return world.decide(Request(id_, who, more.pop("trigger", "open"), channel, now_us, offers_max, **more))


def tell(
    world: Oracle, given: Answer, kind: str, now_us: int, rank: int = 1, event_us: int | None = None, id_: str = ""
) -> str:
    """One outcome; its event is now unless told."""
    name = id_ or f"outcome {next(numbers)}"
    return world.record(Outcome(name, given.decision, rank, kind, now_us if event_us is None else event_us), now_us)


def cap(name: str = "cap", **changes: Any) -> Plain:
    plain = {"id": name, "scope": "offer", "per": "subscriber", "counts": "handed_off", "window": {"rolling": "7d"}}
    return plain | {"limit": 1} | changes


def reasons(given: Answer) -> dict[str, str | None]:
    """Offer to reason."""
    return {verdict.offer.id: verdict.reason for verdict in given.verdicts}
