"""Random catalogues as plain lists and mappings: what an author may write, sizes and instants at the edges."""

from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Any

from tests.oracle.catalogue import ALL_DAYS
from tests.oracle.clock import WEEKDAYS, utc
from tests.oracle.numbers import DAY_US
from tests.worlds.conditions import random_condition

Plain = dict[str, Any]

COUNTRIES = (
    ("America/New_York", "America/Chicago", "America/Denver", "America/Phoenix", "Pacific/Honolulu"),
    ("Australia/Sydney", "Australia/Lord_Howe", "Australia/Brisbane", "Australia/Adelaide", "Australia/Eucla"),
    ("America/Santiago", "Pacific/Easter", "America/Punta_Arenas"),
    ("Africa/Cairo",),
    ("Europe/Lisbon", "Atlantic/Azores"),
    ("America/Nuuk", "America/Scoresbysund", "America/Danmarkshavn"),
    ("America/Havana",),
    ("Asia/Beirut",),
    ("Africa/Casablanca",),
    ("Asia/Kathmandu",),
    ("Pacific/Auckland", "Pacific/Chatham"),
    ("America/St_Johns", "America/Halifax"),
    ("Europe/Berlin",),
)
TRIGGERS: dict[str, dict[str, str]] = {
    "desk_open": {},
    "app_open": {},
    "data_usage": {"used_mb": "double", "app": "string", "count": "int"},
}
MORE_TRIGGERS = TRIGGERS | {"top_up": {"amount": "double", "count": "int"}}
"""Those of worlds that change: two triggers share a field."""
PROFILES = (
    *("mixed", "caps", "quiet", "ties", "one_group", "stock", "control", "cool") * 3,
    *("full", "empty"),
)


@dataclass(frozen=True)
class Shape:
    """What kind of world this is."""

    profile: str
    labels: int
    products: int
    offers: int
    campaigns: int
    start_us: int
    changing: bool = False
    """Its catalogue and its base change while contacts are live, and conditions ask more of the trigger."""


def random_shape(rng: Random, start_us: int) -> Shape:
    profile = rng.choice(PROFILES)
    if profile == "empty":
        return Shape(profile, rng.choice([0, 1, 64]), rng.choice([0, 1]), 0, 0, start_us)
    if profile == "full":
        return Shape(profile, 1, 14, 14, 2, start_us)
    products = rng.randint(1, 8)
    return Shape(
        profile, rng.choice([0, 1, 3, 5, 63, 64, 65, 130]), products, rng.randint(1, 14), rng.randint(1, 8), start_us
    )


def triggers_of(shape: Shape) -> dict[str, dict[str, str]]:
    """The fields of each trigger."""
    return MORE_TRIGGERS if shape.changing else TRIGGERS


def targets_of(catalogue: Plain) -> dict[str, list[str]]:
    """By scope: what a cap may name."""
    return {
        **{kind: [thing["id"] for thing in catalogue[f"{kind}s"]] for kind in ("offer", "campaign", "channel")},
        "category": sorted({product["category"] for product in catalogue["products"]}),
        "all": [],
    }


def random_catalogue(rng: Random, shape: Shape) -> Plain:
    zones = list(rng.choice(COUNTRIES))
    labels = [random_label(rng, number) for number in range(shape.labels)]
    channels = random_channels(rng, shape)
    products = [random_product(rng, shape, number) for number in range(shape.products)]
    offers = [random_offer(rng, shape, number, channels) for number in range(shape.offers)]
    campaigns = [random_campaign(rng, shape, number, labels, offers) for number in range(shape.campaigns)]
    plain = {
        "catalogue": "world",
        "policy_version": str(rng.randint(1, 9)),
        "country": {"name": "Somewhere", "zones": zones, "home_zone": rng.choice(zones)},
        "languages": ["en", "es"],
        "anonymous_offers": rng.random() < 0.5,
        "control": random_control(rng, shape),
        "ranking": random_ranking(rng, shape),
        "labels": labels,
        "attributes": list(ATTRIBUTES),
        "triggers": [random_trigger(name, fields) for name, fields in triggers_of(shape).items()],
        "channels": channels,
        "products": products,
        "offers": offers,
        "campaigns": campaigns,
        "contact_policy": random_policy(rng, shape, offers, campaigns, products, channels),
    }
    for things in plain.values():
        if isinstance(things, list) and things and isinstance(things[0], dict):
            rng.shuffle(things)
    return plain


ATTRIBUTES: list[Plain] = [
    {"id": "tenure", "type": "int", "min": 0, "max": 1200, "unit": "months"},
    {"id": "charges", "type": "decimal", "scale": 2, "min": 0, "max": 10000, "unit": "USD"},
    {"id": "usage", "type": "double", "unit": "MB"},
    {"id": "plan", "type": "string"},
    {"id": "vip", "type": "bool"},
    {"id": "joined", "type": "timestamp"},
]


def random_label(rng: Random, number: int) -> Plain:
    plain = {"id": f"label_{number:03}", "family": "basic", "kind": rng.choice(["static", "dynamic"])}
    if plain["kind"] == "dynamic":
        plain["max_age"] = rng.choice(["90s", "15m", "2h", "1d", "7d", "30d"])
    return plain


def random_trigger(name: str, fields: dict[str, str]) -> Plain:
    plain: Plain = {"id": name, "moment": "service", "placement": not fields}
    if fields:
        plain["fields"] = {field: {"type": type_} for field, type_ in fields.items()}
    return plain


def random_channels(rng: Random, shape: Shape) -> list[Plain]:
    quiet = shape.profile == "quiet"
    return [
        {
            "id": "desk",
            "kind": "pull",
            "class": "screen",
            "max_offers": 12 if shape.profile == "full" else rng.choice([1, 3, 6, 12]),
            "hold": rng.choice(["90s", "15m", "1h30m"]),
            "inbound_exempt": rng.random() < (0.3 if quiet else 0.7),
        },
        {
            "id": "sms",
            "kind": "push",
            "class": "message",
            "max_offers": rng.choice([1, 1, 2]),
            "queue_deadline": rng.choice(["30m", "2h", "12h"]),
            "defer_quiet_hours": rng.random() < 0.6,
        },
        {"id": "ussd", "kind": "pull", "class": "message", "max_offers": 3, "hold": "3m"},
    ]


def random_product(rng: Random, shape: Shape, number: int) -> Plain:
    plain = {
        "id": f"product_{number}",
        "name": {"en": f"Product {number}"},
        "price": 9.90,
        "category": rng.choice(["data", "voice", "tv"]),
        "stickiness": rng.randint(0, 10),
    }
    if shape.profile == "one_group" or (shape.profile != "full" and rng.random() < 0.4):
        plain["exclusive_group"] = "g0" if shape.profile == "one_group" else rng.choice(["g0", "g1", "product_0"])
    return plain


def near(rng: Random, start_us: int, days: int) -> str:
    """A date or an instant within so many days of the start, as an author writes it."""
    moment = utc(start_us) + timedelta(days=rng.randint(-days, days), hours=rng.randint(-3, 3))
    return moment.strftime("%Y-%m-%d") if rng.random() < 0.5 else moment.strftime("%Y-%m-%dT%H:%M:00Z")


def random_span(rng: Random, start_us: int) -> Plain:
    """Open or closed at either end, mostly around the start."""
    ends = {}
    if rng.random() < 0.5:
        ends["from"] = near(rng, start_us - 2 * DAY_US, 4)
    if rng.random() < 0.5:
        ends["until"] = near(rng, start_us + 10 * DAY_US, 7)
    if len(ends) == 2 and ends["until"][:10] < (utc(start_us) + timedelta(days=4)).strftime("%Y-%m-%d"):
        del ends["until"]  # in some zone it may end before it starts
    return ends


def random_offer(rng: Random, shape: Shape, number: int, channels: list[Plain]) -> Plain:
    tied, full = shape.profile == "ties", shape.profile == "full"
    with_content = channels if full else rng.sample(channels, rng.choice([1, 2, 3, 3, 3, 3]))
    plain = {
        "id": f"offer_{number:02}",
        "product": f"product_{number if full else rng.randrange(shape.products)}",
        "value": 1.5 if tied else rng.choice([0.0, 1.0, 4.5, 0.1]),
        "propensity": 0.1 if tied else rng.choice([0.08, 0.5, 1.0, 0.0 if shape.changing else 0.1]),
        "priority": 2 if tied else rng.choice([1, 1, 2, 5]),
        "anonymous": rng.random() < 0.5,
        "content": {channel["id"]: {"en": "Hello", "es": "Hola"} for channel in with_content},
    }
    span = random_span(rng, shape.start_us)
    if span and not full and rng.random() < 0.3:
        plain["valid"] = span
    return plain


def random_campaign(rng: Random, shape: Shape, number: int, labels: list[Plain], offers: list[Plain]) -> Plain:
    full, tied, triggers = shape.profile == "full", shape.profile == "ties", triggers_of(shape)
    chosen = rng.sample(offers, len(offers) if full else rng.randint(1, min(6, len(offers))))
    channels = random_channel_names(rng, shape)
    chosen = [offer for offer in chosen if set(channels) <= set(offer["content"])] or chosen[:1]
    plain: Plain = {
        "id": f"campaign_{number}",
        "state": "live" if full or rng.random() < 0.9 else rng.choice(["draft", "paused", "ended"]),
        "triggers": sorted(triggers) if full else sorted(rng.sample(sorted(triggers), rng.randint(1, 3))),
        "channels": [name for name in channels if all(name in offer["content"] for offer in chosen)]
        or sorted(chosen[0]["content"]),
        "purpose": "service" if full else rng.choice(["marketing", "service"]),
        "offers": [offer["id"] for offer in chosen],
        "lever": 1.0 if tied else rng.choice([1.0, 1.0, 0.5, 3.0]),
        "control_share": rng.choice([0.0, 0.3, 0.5, 1.0])
        if shape.profile == "control" or (shape.changing and rng.random() < 0.2)
        else rng.choice([0.0, 0.0, 0.1]),
        "exempt": {"obeys_caps": rng.random() < 0.85, "counts": rng.random() < 0.85},
    }
    if not full and rng.random() < 0.4:
        plain |= random_span(rng, shape.start_us)
    if not full and rng.random() < (0.5 if shape.profile == "mixed" else 0.25):
        fields = condition_fields(shape, plain["triggers"])
        plain["condition"] = random_condition(rng, [label["id"] for label in labels], fields, shape.start_us)
    return plain


def condition_fields(shape: Shape, triggers: list[str]) -> dict[str, str]:
    """What a condition may ask of the trigger: in worlds that change, fields that not all of the campaign's triggers have, and the time."""
    if not shape.changing:
        return TRIGGERS["data_usage"] if triggers == ["data_usage"] else {}
    fields = {name: type_ for trigger in triggers for name, type_ in triggers_of(shape)[trigger].items()}
    return fields | {"time": "timestamp"}


def random_channel_names(rng: Random, shape: Shape) -> list[str]:
    """Where quiet hours matter, messages more often."""
    if shape.profile == "full":
        return ["desk", "sms", "ussd"]
    names = rng.sample(["desk", "sms", "ussd"], rng.choice([1, 2, 3]))
    return names if shape.profile != "quiet" else sorted({*names, "sms"})


def random_control(rng: Random, shape: Shape) -> Plain:
    share = rng.choice([0.02, 0.2, 0.5, 1.0]) if shape.profile == "control" else 0.02
    if shape.changing and rng.random() < 0.3:
        share = rng.choice([0.0, 0.5, 1.0])
    return {"salt": str(rng.randint(2020, 2030)), "universal_share": 0.0 if shape.profile == "full" else share}


def random_ranking(rng: Random, shape: Shape) -> Plain:
    often = 0.5 if shape.changing else 0.7
    factors = [f for f in ("propensity", "value", "lever", "priority") if rng.random() < often]
    return {"priority_first": rng.random() < 0.5, "factors": factors or ["propensity"]}


def random_policy(
    rng: Random, shape: Shape, offers: list[Plain], campaigns: list[Plain], products: list[Plain], channels: list[Plain]
) -> Plain:
    targets = targets_of({"offers": offers, "campaigns": campaigns, "products": products, "channels": channels})
    counts = {"full": 0, "caps": 5, "stock": 4, "quiet": 1, "cool": 0, "ties": 0}
    plain = {
        "purposes": [{"id": "marketing", "basis": "opt_in"}, {"id": "service", "basis": "opt_out"}],
        "holidays": {"dates": random_holidays(rng, shape)},
        "quiet_hours": random_quiet_hours(rng, shape),
        "caps": [random_cap(rng, shape, number, targets) for number in range(counts.get(shape.profile, 2))],
    }
    if shape.profile != "full":
        plain |= random_cool_downs(rng, shape)
    return plain


def random_holidays(rng: Random, shape: Shape) -> list[str]:
    return sorted({(utc(shape.start_us) + timedelta(days=rng.randint(-2, 12))).strftime("%Y-%m-%d") for _ in range(3)})


def random_quiet_hours(rng: Random, shape: Shape) -> list[Plain]:
    if shape.profile == "full":
        return []
    windows = []
    for number in range(rng.randint(2, 4) if shape.profile == "quiet" else rng.randint(0, 2)):
        hours = rng.choice(
            [
                ("21:00", "09:00"),
                ("00:00", "01:00"),
                ("02:00", "03:00"),
                ("12:30", "13:15"),
                ("23:30", "00:00"),
                ("01:17", "02:43"),
                ("20:00", "08:00"),
                ("00:00", "06:00"),
            ]
        )
        plain = {
            "id": f"quiet_{number}",
            "classes": rng.choice([["message"], ["screen"], ["message", "screen"]]),
            "from": hours[0],
            "to": hours[1],
        }
        if rng.random() < 0.5:
            plain["days"] = rng.sample(ALL_DAYS, rng.randint(1, 8))
        windows.append(plain)
    if shape.profile == "quiet" and rng.random() < 0.2:
        windows.append(
            {"id": "whole_day", "classes": ["message"], "days": ["sun", "holiday"], "from": "00:00", "to": "00:00"}
        )
    return windows


def random_cap(rng: Random, shape: Shape, number: int, targets: dict[str, list[str]]) -> Plain:
    total = rng.random() < (0.7 if shape.profile == "stock" else 0.15)
    scope = rng.choice(
        ["offer", "campaign", "category"] if total else ["offer", "campaign", "category", "channel", "all"]
    )
    plain: Plain = {
        "id": f"cap_{number}",
        "scope": scope,
        "per": "total" if total else "subscriber",
        "counts": rng.choice(["decided", "handed_off", "seen", "accepted"]),
        "limit": rng.choice([0, 1, 2, 2, 3, 3, 5, 8]),
    }
    if targets[scope] and rng.random() < 0.5:
        plain["target"] = rng.choice(targets[scope])
    windows: list[Any] = [{"calendar": "day"}, {"calendar": "month"}]
    windows.append({"calendar": "week", "week_start": rng.choice(WEEKDAYS)})
    plain["window"] = rng.choice([*windows, "lifetime"] if total else [*windows, *ROLLING])
    return plain


ROLLING = [{"rolling": length} for length in ("90s", "20m", "2h", "1d", "7d")]


def random_cool_downs(rng: Random, shape: Shape) -> Plain:
    if shape.profile != "cool" and rng.random() < 0.4:
        return {}
    scopes = ["offer", "campaign", "category", "all"]
    return {
        "cool_down": {
            "after_refusal": rng.choice(["10m", "1d", "30d"]),
            "refusal_scope": rng.choice(scopes),
            "after_not_now": rng.choice(["90s", "2h", "1d"]),
            "not_now_scope": rng.choice(scopes),
        },
        "reoffer": {"after_acceptance": rng.choice(["never", "1h", "7d"]), "scope": rng.choice(scopes)},
    }
