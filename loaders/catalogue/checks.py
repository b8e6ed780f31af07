"""What must hold between the fields of a catalogue: ranges, periods, languages, content; the contact policy's own are in policy_checks."""

import zoneinfo
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from engine.catalogue.model import INT64_MAX, INT64_MIN
from engine.catalogue.slots import RESERVED_ATTRIBUTES, RESERVED_FIELDS, RESERVED_WORDS
from engine.catalogue.terms import ChannelKind, ValueType
from engine.limits import ATTRIBUTES_MAX, CODES_MAX, CONSENT_PAIRS_MAX, LABELS_MAX, TRIGGER_FIELDS_MAX
from engine.zones import zone_info
from loaders.catalogue.gather import Gathered
from loaders.catalogue.problems import shown
from loaders.catalogue.reading import Entry, Reading, Word
from loaders.catalogue.resolve import home_zone, instant_us

COUNTS_MAX: Final = {
    "labels": LABELS_MAX,
    "attributes": ATTRIBUTES_MAX,
    "channels": CONSENT_PAIRS_MAX,
    "products": CODES_MAX,
    "offers": CODES_MAX,
    "campaigns": CODES_MAX,
}


def check_things(gathered: Gathered, reading: Reading) -> None:
    """Note what is wrong between fields, the contact policy and texts apart."""
    _check_country(gathered, reading)
    _check_counts(gathered, reading)
    for attribute in gathered.entries("attributes"):
        _check_range(attribute, reading)
        _check_reserved("attributes", attribute.get("id"), RESERVED_WORDS | RESERVED_ATTRIBUTES, reading)
    _check_trigger_fields(gathered, reading)
    for product in gathered.entries("products"):
        _check_languages(gathered, "products.name", product.get("name") or {}, reading)
    for offer in gathered.entries("offers"):
        _check_offer(gathered, offer, reading)
    for campaign in gathered.entries("campaigns"):
        _check_period(gathered, campaign, "campaigns", reading)
        _check_content(gathered, campaign, reading)


def _check_country(gathered: Gathered, reading: Reading) -> None:
    country: Entry | None = gathered.whole.get("country")
    if country is None:
        return
    zones: list[Word] = country.get("zones") or []
    for zone in zones:
        try:
            zone_info(zone)
        except ValueError:
            advice = reading.problems.nearest(zone, zoneinfo.available_timezones(), "write an IANA name")
            reading.problems.add(zone.place, "country.zones: expected an IANA zone", shown(zone), advice)
    home: Word | None = country.get("home_zone")
    if home is not None and zones and home not in zones:
        advice = reading.problems.nearest(home, zones, "add it to the zones")
        reading.problems.add(home.place, "country.home_zone: expected one of the zones", shown(home), advice)


def _check_counts(gathered: Gathered, reading: Reading) -> None:
    for name, most in COUNTS_MAX.items():
        entries = gathered.entries(name)
        if len(entries) > most:
            expected = f"{name}: expected at most {most:,} in all files"
            reading.problems.add(entries[most].place, expected, f"{len(entries):,}", "take some out")
    channels, purposes = gathered.entries("channels"), gathered.policy("purposes")
    pairs = len(channels) * len(purposes)
    if pairs > CONSENT_PAIRS_MAX:
        expected = f"contact_policy.purposes: expected purposes x channels of at most {CONSENT_PAIRS_MAX}"
        was = f"{len(purposes)} x {len(channels)}"
        reading.problems.add(purposes[0].place, expected, was, "take some purposes or channels out")


def _check_range(attribute: Entry, reading: Reading) -> None:
    scale = (attribute.get("scale") or 0) if attribute.get("type") is ValueType.DECIMAL else 0
    scaled: dict[str, Decimal] = {}
    for name in ("min", "max"):
        value: Decimal | None = attribute.get(name)
        if value is None or {name, "type", "scale"} & attribute.wrong:
            continue
        scaled[name] = value.scaleb(scale)
        if scaled[name] != scaled[name].to_integral_value():
            expected = f"attributes.{name}: expected at most {scale} digits after the point"
            reading.problems.add(attribute.at(name), expected, shown(str(value)), "round it")
        elif not INT64_MIN <= scaled[name] <= INT64_MAX:
            expected = f"attributes.{name}: expected 64 bits to hold it with {scale} digits after the point"
            reading.problems.add(attribute.at(name), expected, shown(str(value)), "make the range or the scale smaller")
    if len(scaled) == 2 and scaled["min"] > scaled["max"]:
        expected = f"attributes.max: expected at least min, {attribute.get('min')}"
        reading.problems.add(attribute.at("max"), expected, shown(str(attribute.get("max"))), "swap them, or mend one")


def _check_reserved(what: str, name: Word | None, reserved: frozenset[str], reading: Reading) -> None:
    if name is not None and name in reserved:
        expected = f"{what}: expected an id that conditions do not keep for themselves"
        reading.problems.add(name.place, expected, shown(name), f"call it {name}_value or the like")


def _check_trigger_fields(gathered: Gathered, reading: Reading) -> None:
    first: dict[str, tuple[Word, Entry]] = {}
    for trigger in gathered.entries("triggers"):
        fields: Mapping[Word, Entry] = trigger.get("fields") or {}
        for name, field in fields.items():
            _check_reserved("triggers.fields", name, RESERVED_WORDS | RESERVED_FIELDS, reading)
            if field.get("type") is None:
                continue
            there, known = first.setdefault(str(name), (name, field))
            if known.get("type") is not field.get("type"):
                expected = f"triggers.fields.{name}.type: expected {known.get('type')}, as in the first trigger with it"
                advice = f"use one type, or another name; the first is at {there.place.file}:{there.place.line}"
                reading.problems.add(field.at("type"), expected, shown(field.get("type")), advice)
    if len(first) > TRIGGER_FIELDS_MAX:
        place = list(first.values())[TRIGGER_FIELDS_MAX][0].place
        expected = f"triggers.fields: expected at most {TRIGGER_FIELDS_MAX} different names"
        reading.problems.add(place, expected, f"{len(first)}", "use names again, or take some out")


def _check_languages(gathered: Gathered, what: str, texts: Mapping[Word, Any], reading: Reading) -> None:
    languages: list[Word] = gathered.whole.get("languages") or []
    if not languages or not texts:
        return
    for language in texts:
        if language not in languages:
            advice = reading.problems.nearest(language, languages, "add it to languages, or take the text out")
            expected = f"{what}: expected a language of the catalogue"
            reading.problems.add(language.place, expected, shown(language), advice)
    if languages[0] not in texts:
        place = next(iter(texts)).place
        was = f"only {', '.join(texts)}"
        reading.problems.add(place, f"{what}: expected the default language", was, f"add {languages[0]}: ...")


def _check_period(gathered: Gathered, entry: Entry | None, what: str, reading: Reading) -> None:
    if entry is None or entry.get("from") is None or entry.get("until") is None:
        return
    zone = home_zone(gathered)
    if instant_us(entry.get("from"), zone) >= instant_us(entry.get("until"), zone):
        expected = f"{what}.until: expected an instant after from, {entry.get('from').isoformat()}"
        advice = "swap them, or mend one; until is not part of the period"
        reading.problems.add(entry.at("until"), expected, shown(entry.get("until").isoformat()), advice)


def _check_offer(gathered: Gathered, offer: Entry, reading: Reading) -> None:
    _check_period(gathered, offer.get("valid"), "offers.valid", reading)
    content: Mapping[Word, Mapping[Word, Word]] = offer.get("content") or {}
    script: Mapping[Word, Mapping[Word, Word]] = offer.get("script") or {}
    for channel, texts in content.items():
        _check_languages(gathered, f"offers.content.{channel}", texts, reading)
    for channel, texts in script.items():
        _check_languages(gathered, f"offers.script.{channel}", texts, reading)
        known = gathered.ids["channel"].get(channel)
        if known is not None and known.get("kind") is ChannelKind.PUSH:
            expected = "offers.script: expected a pull channel, where an agent reads it"
            reading.problems.add(channel.place, expected, f"{shown(channel)}, which is push", "take the script out")
        elif channel not in content and "content" not in offer.wrong:
            expected = f"offers.script.{channel}: expected content for the channel too"
            reading.problems.add(channel.place, expected, "without it", f"add content: {{{channel}: ...}}")


def _check_content(gathered: Gathered, campaign: Entry, reading: Reading) -> None:
    channels: list[Word] = campaign.get("channels") or []
    for word in campaign.get("offers") or []:
        offer = gathered.ids["offer"].get(word)
        if offer is None or "content" in offer.wrong:
            continue
        missing = [c for c in channels if c in gathered.ids["channel"] and c not in (offer.get("content") or {})]
        if missing:
            expected = f"campaigns.offers: expected an offer with content for {', '.join(missing)}"
            advice = f"add content to the offer, at {offer.place.file}:{offer.place.line}, or take it out here"
            reading.problems.add(word.place, expected, f"{shown(word)}, without it", advice)
