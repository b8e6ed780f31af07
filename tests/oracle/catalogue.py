"""A catalogue as its author wrote it (the plain lists and mappings of its YAML files), read into records."""

import re
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from tests.oracle.clock import instant_of, midnight
from tests.oracle.numbers import DAY_US, HOUR_US, MINUTE_US, SECOND_US

Plain = dict[str, Any]

ALL_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday")


@dataclass(frozen=True)
class Label:
    id: str
    max_age_us: int | None
    """None for a static label."""


@dataclass(frozen=True)
class Channel:
    id: str
    push: bool
    class_: str
    max_offers: int
    hold_us: int
    queue_deadline_us: int
    inbound_exempt: bool
    defer_quiet_hours: bool


@dataclass(frozen=True)
class Offer:
    id: str
    product: str
    category: str
    exclusive_group: tuple[str, str]
    """("group", its name), or ("product", its id): a product without a group is a group of its own."""
    from_us: int | None
    until_us: int | None
    value: float
    priority: int
    propensity: float
    anonymous: bool
    channels: frozenset[str]
    """The channels that it has content for."""


@dataclass(frozen=True)
class Campaign:
    id: str
    state: str
    from_us: int | None
    until_us: int | None
    triggers: frozenset[str]
    channels: frozenset[str]
    purpose: str
    offers: tuple[str, ...]
    condition: str | None
    """In CEL; None: everybody."""
    control_share: float
    lever: float
    obeys_caps: bool
    counts: bool


@dataclass(frozen=True)
class QuietWindow:
    classes: frozenset[str]
    days: frozenset[str]
    from_minute: int
    to_minute: int


@dataclass(frozen=True)
class Window:
    kind: str
    """rolling, day, week, month or lifetime"""
    length_us: int = 0
    week_start: str = "monday"


@dataclass(frozen=True)
class Cap:
    id: str
    scope: str
    target: str | None
    total: bool
    event: str
    window: Window
    limit: int


@dataclass(frozen=True)
class CoolDown:
    reason: str
    event: str
    """The event of a contact that starts it."""
    length_us: int | None
    """None: for ever."""
    scope: str


@dataclass
class Catalogue:
    policy_version: str
    zones: list[str]
    home_zone: str
    anonymous_offers: bool
    control_salt: str
    universal_share: float
    priority_first: bool
    factors: frozenset[str]
    labels: dict[str, Label]
    channels: dict[str, Channel]
    offers: dict[str, Offer]
    campaigns: dict[str, Campaign]
    basis: dict[str, str]
    """By purpose: opt_in or opt_out."""
    holidays: frozenset[date]
    quiet_windows: list[QuietWindow]
    caps: list[Cap]
    cool_downs: list[CoolDown] = field(default_factory=list)


UNITS = {"s": SECOND_US, "m": MINUTE_US, "h": HOUR_US, "d": DAY_US}


def duration_us(text: str) -> int:
    """`1h30m` is 5,400 seconds."""
    return sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)([smhd])", text))


def instant_us(written: Any, home_zone: str) -> int | None:
    """An RFC 3339 instant, or a date: local midnight in the home zone."""
    if written is None:
        return None
    text = str(written)
    if re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        return midnight(date.fromisoformat(text), home_zone)
    return instant_of(datetime.fromisoformat(text))


def minute_of_day(text: str) -> int:
    """`21:30` is 1,290."""
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def read_catalogue(plain: Plain) -> Catalogue:
    """The records of a plain catalogue that is known to be valid."""
    home = plain["country"]["home_zone"]
    control, ranking = plain.get("control", {}), plain.get("ranking", {})
    policy = plain.get("contact_policy", {})
    products = {product["id"]: product for product in plain.get("products", [])}
    return Catalogue(
        policy_version=plain["policy_version"],
        zones=sorted(plain["country"]["zones"]),
        home_zone=home,
        anonymous_offers=plain.get("anonymous_offers", False),
        control_salt=control.get("salt", ""),
        universal_share=control.get("universal_share", 0.0),
        priority_first=ranking.get("priority_first", False),
        factors=frozenset(ranking.get("factors", ["propensity", "value", "lever", "priority"])),
        labels={p["id"]: read_label(p) for p in plain.get("labels", [])},
        channels={p["id"]: read_channel(p) for p in plain.get("channels", [])},
        offers={p["id"]: read_offer(p, products[p["product"]], home) for p in plain.get("offers", [])},
        campaigns={p["id"]: read_campaign(p, home) for p in plain.get("campaigns", [])},
        basis={p["id"]: p["basis"] for p in policy.get("purposes", [])},
        holidays=frozenset(date.fromisoformat(str(d)) for d in policy.get("holidays", {}).get("dates", [])),
        quiet_windows=[read_quiet_window(p) for p in policy.get("quiet_hours", [])],
        caps=[read_cap(p) for p in policy.get("caps", [])],
        cool_downs=read_cool_downs(policy),
    )


def read_label(plain: Plain) -> Label:
    dynamic = plain["kind"] == "dynamic"
    return Label(plain["id"], duration_us(plain["max_age"]) if dynamic else None)


def read_channel(plain: Plain) -> Channel:
    return Channel(
        id=plain["id"],
        push=plain["kind"] == "push",
        class_=plain["class"],
        max_offers=plain.get("max_offers", 1),
        hold_us=duration_us(plain.get("hold", "")),
        queue_deadline_us=duration_us(plain.get("queue_deadline", "")),
        inbound_exempt=plain.get("inbound_exempt", False),
        defer_quiet_hours=plain.get("defer_quiet_hours", False),
    )


def read_offer(plain: Plain, product: Plain, home: str) -> Offer:
    group, valid = product.get("exclusive_group"), plain.get("valid", {})
    return Offer(
        id=plain["id"],
        product=product["id"],
        category=product["category"],
        exclusive_group=("group", group) if group is not None else ("product", product["id"]),
        from_us=instant_us(valid.get("from"), home),
        until_us=instant_us(valid.get("until"), home),
        value=float(plain["value"]),
        priority=plain.get("priority", 1),
        propensity=float(plain["propensity"]),
        anonymous=plain.get("anonymous", False),
        channels=frozenset(plain.get("content", {})),
    )


def read_campaign(plain: Plain, home: str) -> Campaign:
    exempt = plain.get("exempt", {})
    return Campaign(
        id=plain["id"],
        state=plain["state"],
        from_us=instant_us(plain.get("from"), home),
        until_us=instant_us(plain.get("until"), home),
        triggers=frozenset(plain["triggers"]),
        channels=frozenset(plain["channels"]),
        purpose=plain["purpose"],
        offers=tuple(plain["offers"]),
        condition=plain.get("condition"),
        control_share=plain.get("control_share", 0.0),
        lever=float(plain.get("lever", 1.0)),
        obeys_caps=exempt.get("obeys_caps", True),
        counts=exempt.get("counts", True),
    )


def read_quiet_window(plain: Plain) -> QuietWindow:
    return QuietWindow(
        classes=frozenset(plain["classes"]),
        days=frozenset(plain.get("days", ALL_DAYS)),
        from_minute=minute_of_day(plain["from"]),
        to_minute=minute_of_day(plain["to"]),
    )


def read_window(plain: Any) -> Window:
    if plain == "lifetime":
        return Window("lifetime")
    if "rolling" in plain:
        return Window("rolling", length_us=duration_us(plain["rolling"]))
    return Window(plain["calendar"], week_start=plain.get("week_start", "monday"))


def read_cap(plain: Plain) -> Cap:
    return Cap(
        id=plain["id"],
        scope=plain["scope"],
        target=plain.get("target"),
        total=plain["per"] == "total",
        event=plain["counts"],
        window=read_window(plain["window"]),
        limit=plain["limit"],
    )


def read_cool_downs(policy: Plain) -> list[CoolDown]:
    cool_down, reoffer = policy.get("cool_down", {}), policy.get("reoffer", {})
    rules = [
        ("COOL_DOWN_REFUSED", "refused", cool_down.get("after_refusal"), cool_down.get("refusal_scope", "offer")),
        ("COOL_DOWN_NOT_NOW", "not_now", cool_down.get("after_not_now"), cool_down.get("not_now_scope", "offer")),
        ("ALREADY_ACCEPTED", "accepted", reoffer.get("after_acceptance"), reoffer.get("scope", "offer")),
    ]
    return [
        CoolDown(reason, event, None if length == "never" else duration_us(length), scope)
        for reason, event, length, scope in rules
        if length is not None
    ]
