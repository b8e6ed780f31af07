"""What was read becomes the model: units resolved, dates at the home zone's midnight, lists sorted, entries with a mistake left out."""

import datetime
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

import holidays

from engine.catalogue.model import (
    Attribute,
    Campaign,
    Catalogue,
    Channel,
    Control,
    Country,
    Label,
    Offer,
    Product,
    Ranking,
    Trigger,
    TriggerField,
)
from engine.catalogue.policy import Cap, ContactPolicy, CoolDown, Purpose, QuietHours, Reoffer, Window
from engine.catalogue.terms import Day, Factor, WindowKind
from engine.zones import zone_info
from loaders.catalogue.gather import Gathered
from loaders.catalogue.reading import Entry, Word

EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
YEARS_BEFORE: Final = 1
YEARS_AFTER: Final = 3
RENAMED: Final = {
    "class": "channel_class",
    "hold": "hold_us",
    "queue_deadline": "queue_deadline_us",
    "max_age": "max_age_us",
    "after_refusal": "after_refusal_us",
    "after_not_now": "after_not_now_us",
    "after_acceptance": "after_acceptance_us",
    "rolling": "duration_us",
}
"""Fields of the format whose unit or name the model states."""

T = TypeVar("T")


def home_zone(gathered: Gathered) -> datetime.tzinfo:
    """Return the zone of dates; UTC while the country is wrong."""
    country: Entry | None = gathered.whole.get("country")
    try:
        return zone_info(str(country.get("home_zone"))) if country is not None else datetime.UTC
    except ValueError:
        return datetime.UTC


def instant_us(value: datetime.date, zone: datetime.tzinfo) -> int:
    """Return the instant in microseconds; a date is its first instant in the zone."""
    if not isinstance(value, datetime.datetime):
        value = datetime.datetime(value.year, value.month, value.day, tzinfo=zone)
    return (value - EPOCH) // datetime.timedelta(microseconds=1)


def resolve(gathered: Gathered, now_us: int) -> Catalogue:
    """Return the catalogue of everything that has no mistake; whole only if no problem was noted."""
    whole = gathered.whole
    zone = home_zone(gathered)
    country = _one(_country, whole.get("country"))
    return Catalogue(
        id=str(whole.get("catalogue")),
        policy_version=str(whole.get("policy_version")),
        country=country or Country(name="", zones=("UTC",), home_zone="UTC"),
        languages=tuple(map(str, whole.get("languages") or ["en"])),
        anonymous_offers=bool(whole.get("anonymous_offers")),
        control=_one(lambda entry: Control(**_plain(entry)), whole.get("control")) or Control(),
        ranking=_one(_ranking, whole.get("ranking")) or Ranking(),
        labels=_sorted(lambda entry: Label(**_plain(entry)), gathered.entries("labels")),
        attributes=_sorted(_attribute, gathered.entries("attributes")),
        triggers=_sorted(_trigger, gathered.entries("triggers")),
        channels=_sorted(lambda entry: Channel(**_plain(entry)), gathered.entries("channels")),
        products=_sorted(_product, gathered.entries("products")),
        offers=_sorted(lambda entry: _offer(entry, zone), gathered.entries("offers")),
        campaigns=_sorted(lambda entry: _campaign(entry, zone), gathered.entries("campaigns")),
        contact_policy=_policy(gathered, now_us),
    )


def _one(make: Callable[[Entry], T], entry: Entry | None) -> T | None:
    return None if entry is None or entry.wrong else make(entry)


def _sorted(make: Callable[[Entry], T], entries: Iterable[Entry]) -> tuple[T, ...]:
    first: dict[str, Entry] = {}
    for entry in entries:
        first.setdefault(entry.id, entry)
    return tuple(make(first[name]) for name in sorted(first) if not first[name].wrong)


def _plain(entry: Entry, *without: str) -> dict[str, Any]:
    """Return the values under the model's names, texts without their places."""
    return {RENAMED.get(name, name): _bare(value) for name, value in entry.values.items() if name not in without}


def _bare(value: Any) -> Any:
    if isinstance(value, Word):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _bare(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return tuple(sorted(_bare(item) for item in value))
    return value


def _country(entry: Entry) -> Country:
    return Country(**_plain(entry))


def _ranking(entry: Entry) -> Ranking:
    named = entry.get("factors")
    return Ranking(priority_first=entry.get("priority_first"), factors=tuple(f for f in Factor if f in named))


def _attribute(entry: Entry) -> Attribute:
    scale = entry.get("scale") or 0
    range_: dict[str, Any] = {
        name: int(entry.get(name).scaleb(scale)) for name in ("min", "max") if entry.get(name) is not None
    }
    return Attribute(**_plain(entry, "min", "max"), **range_)


def _trigger(entry: Entry) -> Trigger:
    fields: Mapping[Word, Entry] = entry.get("fields") or {}
    return Trigger(
        **_plain(entry, "fields"),
        fields=tuple(TriggerField(id=str(name), **_plain(fields[name])) for name in sorted(fields)),
    )


def _product(entry: Entry) -> Product:
    return Product(**_plain(entry))


def _period(entry: Entry | None, zone: datetime.tzinfo) -> dict[str, Any]:
    if entry is None:
        return {}
    return {f"{name}_us": instant_us(entry.get(name), zone) for name in ("from", "until") if name in entry.values}


def _offer(entry: Entry, zone: datetime.tzinfo) -> Offer:
    return Offer(**_plain(entry, "valid"), **_period(entry.get("valid"), zone))


def _campaign(entry: Entry, zone: datetime.tzinfo) -> Campaign:
    exempt: Entry | None = entry.get("exempt")
    switches = exempt.values if exempt is not None else {}
    return Campaign(**_plain(entry, "from", "until", "exempt"), **_period(entry, zone), **switches)


def _policy(gathered: Gathered, now_us: int) -> ContactPolicy:
    policy: Entry | None = gathered.whole.get("contact_policy")
    if policy is None:
        return ContactPolicy()
    return ContactPolicy(
        purposes=_sorted(lambda entry: Purpose(**_plain(entry)), gathered.policy("purposes")),
        holidays=_one(lambda entry: _holidays(entry, now_us), policy.get("holidays")) or (),
        quiet_hours=_sorted(_quiet_hours, gathered.policy("quiet_hours")),
        caps=_sorted(_cap, gathered.policy("caps")),
        cool_down=_one(lambda entry: CoolDown(**_plain(entry)), policy.get("cool_down")) or CoolDown(),
        reoffer=_one(lambda entry: Reoffer(**_plain(entry)), policy.get("reoffer")) or Reoffer(),
    )


def _holidays(entry: Entry, now_us: int) -> tuple[str, ...]:
    dates = set(entry.get("dates") or ())
    country = entry.get("country")
    if country is not None and country in holidays.list_supported_countries(include_aliases=False):
        year = (EPOCH + datetime.timedelta(microseconds=now_us)).year
        years = range(year - YEARS_BEFORE, year + YEARS_AFTER + 1)
        dates.update(holidays.country_holidays(str(country), years=years))
    return tuple(sorted(date.isoformat() for date in dates))


def _quiet_hours(entry: Entry) -> QuietHours:
    named = entry.get("days")
    return QuietHours(
        id=str(entry.get("id")),
        classes=_bare(entry.get("classes")),
        days=tuple(day for day in Day if day in named),
        from_minute=entry.get("from"),
        to_minute=entry.get("to"),
    )


def _cap(entry: Entry) -> Cap:
    written = entry.get("window")
    if not isinstance(written, Entry):
        window = Window(kind=WindowKind.LIFETIME)
    else:
        window = Window(kind=written.get("calendar") or WindowKind.ROLLING, **_plain(written, "calendar"))
    return Cap(**_plain(entry, "window"), window=window)
