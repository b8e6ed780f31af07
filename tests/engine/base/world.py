"""Bases made from plain Python rows, and the plain-Python reading of them that the gather must agree with."""

import random
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engine.base.binding import Binding
from engine.base.keys import SubscriberKeys
from engine.base.layout import value_limits
from engine.base.overlay import Overlay
from engine.base.records import Records, Texts
from engine.base.schema import AttributeSpec, BaseSchema, LabelSpec
from engine.base.snapshot import Snapshot, open_current
from engine.base.write import write_snapshot
from engine.catalogue.terms import ValueType
from engine.dtypes.view import View, new_view

SECRET = bytes(range(16))
KEYS = SubscriberKeys(SECRET)
AS_OF_US = 1_780_000_000_000_000
DAY_US = 86_400_000_000

ATTRIBUTES = (
    AttributeSpec("a_bool", ValueType.BOOL),
    AttributeSpec("b_int8", ValueType.INT, min=-3, max=200),
    AttributeSpec("c_int16", ValueType.INT, min=-1_000, max=60_000),
    AttributeSpec("d_int32", ValueType.INT, min=1_000_000_000_000, max=1_000_000_070_000),
    AttributeSpec("e_int64", ValueType.INT),
    AttributeSpec("f_decimal", ValueType.DECIMAL, scale=2, min=-100, max=1_000_000),
    AttributeSpec("g_double", ValueType.DOUBLE),
    AttributeSpec("h_float", ValueType.DOUBLE, float32=True),
    AttributeSpec("i_string", ValueType.STRING),
    AttributeSpec("j_timestamp", ValueType.TIMESTAMP),
    AttributeSpec("k_duration", ValueType.DURATION),
)


@dataclass
class Person:
    """One row as an author would write it."""

    key: str
    labels: set[str] = field(default_factory=set)
    values: dict[str, Any] = field(default_factory=dict)
    """Encoded integers, floats for doubles, texts for strings, microseconds for instants."""
    granted: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    zone: str | None = None
    language: str | None = None
    as_of_s: int = AS_OF_US // 1_000_000

    @property
    def hash(self) -> int:
        return KEYS.hash_one(self.key)


def schema_with(labels: int, attributes: tuple[AttributeSpec, ...] = ATTRIBUTES, pairs: int = 3) -> BaseSchema:
    """Return a schema; every third label is static, the others age after 1 or 7 days."""
    ages = (None, DAY_US, 7 * DAY_US)
    return BaseSchema(
        tuple(LabelSpec(f"label_{k:04}", ages[k % 3]) for k in range(labels)),
        attributes,
        tuple(f"purpose_{k // 8}/channel_{k % 8}" for k in range(pairs)),
        ("en", "es"),
        ("America/Chicago",),
    ).checked()


def random_value(rng: random.Random, attribute: AttributeSpec) -> Any:
    """Return a value that the attribute may have, often at an end of its range."""
    if attribute.type == ValueType.STRING:
        return rng.choice(["", "basic", "é premium", "x" * 50, str(rng.randrange(400))])
    if attribute.type == ValueType.DOUBLE:
        number = rng.choice([0.0, -0.0, 1.5, -2e30, rng.random()])
        return struct.unpack("<f", struct.pack("<f", number))[0] if attribute.float32 else number
    low, high = value_limits(attribute)
    return rng.choice([low, high, rng.randint(low, high), min(max(0, low), high)])


def random_people(rng: random.Random, schema: BaseSchema, count: int) -> list[Person]:
    """Return rows with every kind of value, many of them missing."""
    people = []
    for number in range(count):
        person = Person(f"subscriber-{number}")
        person.labels = {label.id for label in schema.labels if rng.random() < 0.5}
        person.values = {a.id: random_value(rng, a) for a in schema.attributes if rng.random() < 0.7}
        person.granted = {pair for pair in schema.pairs if rng.random() < 0.5}
        person.refused = {pair for pair in schema.pairs if rng.random() < 0.3}
        person.zone = rng.choice([None, "America/New_York", "Asia/Tokyo", "America/Chicago"])
        person.language = rng.choice([None, "es", "fr"])
        person.as_of_s -= rng.randrange(10 * 86_400)
        people.append(person)
    return people


def records_of(schema: BaseSchema, people: list[Person], *, rows_as_of: bool = False) -> tuple[Records, Texts]:
    """Return the people as records to write, and what their codes mean."""
    zones = sorted({p.zone for p in people if p.zone}, reverse=True)
    languages = sorted({p.language for p in people if p.language}, reverse=True)
    texts = Texts([[] for _ in schema.attributes], zones, languages)
    records = Records(schema, len(people), rows_as_of)
    hashes = np.array([p.hash for p in people], np.uint64)
    records.set_keys(hashes, hashes, np.arange(len(people), dtype=np.int64))
    bits = records.label_bits()
    for bit, label in enumerate(schema.labels):
        for row, p in enumerate(people):
            bits[bit, row // 64] |= np.uint64((label.id in p.labels) << (row % 64))
    records.set_labels(bits)
    for index, attribute in enumerate(schema.attributes):
        held = [p.values.get(attribute.id) for p in people]
        if attribute.type == ValueType.STRING:
            texts.strings[index] = list(dict.fromkeys(text for text in held if text is not None))
            held = [None if text is None else texts.strings[index].index(text) for text in held]
        dtype = np.float64 if attribute.type == ValueType.DOUBLE else np.int64
        known = np.array([value is not None for value in held], np.bool_)
        records.set_attribute(index, np.array([0 if value is None else value for value in held], dtype), known)
    granted, refused = (
        [sum(1 << bit for bit, pair in enumerate(schema.pairs) if pair in getattr(p, said)) for p in people]
        for said in ("granted", "refused")
    )
    records.set_consent(np.array(granted, np.uint64), np.array(refused, np.uint64))
    records.set_zone(np.array([zones.index(p.zone) + 1 if p.zone else 0 for p in people], np.uint16))
    records.set_language(np.array([languages.index(p.language) + 1 if p.language else 0 for p in people], np.uint16))
    if rows_as_of:
        records.set_as_of(np.array([p.as_of_s for p in people], np.uint32))
    return records, texts


def build(
    folder: Path, schema: BaseSchema, people: list[Person], *, rows_as_of: bool = False, as_of_us: int = AS_OF_US
) -> Snapshot:
    """Write the people as a snapshot and open it."""
    records, texts = records_of(schema, people, rows_as_of=rows_as_of)
    write_snapshot(folder, records, texts, KEYS, as_of_us=as_of_us, has_as_of=rows_as_of)
    return open_current(folder, KEYS)


def gathered(binding: Binding, hashes: list[int], now_us: int = AS_OF_US) -> View:
    """Return the view of these subscribers, two slots wider than the attributes, poisoned before."""
    count = len(hashes)
    view = new_view(count, binding.label_words, len(binding.schema.attributes) + 2)
    for array in view:
        array.fill(1)
    binding.gather(np.array(hashes, np.uint64), np.full(count, now_us, np.int64), view, 0, count)
    return view


def bound(snapshot: Snapshot, schema: BaseSchema, overlay: Overlay | None = None) -> Binding:
    """Return a binding with a small overlay."""
    return Binding(snapshot, schema, overlay or Overlay(64, 256))


def read_plainly(binding: Binding, view: View, row: int) -> dict[str, Any]:
    """Return what a gathered row says, by names."""
    schema = binding.schema
    values: dict[str, Any] = {}
    for slot, attribute in enumerate(schema.attributes):
        raw, nanos = int(view.values[row, slot]), int(view.nanos[row, slot])
        if not view.known[row, slot]:
            assert (raw, nanos) == (0, 0)
            continue
        if attribute.type == ValueType.STRING:
            values[attribute.id] = next(t for t, code in binding.strings[slot].items() if code == raw)
        elif attribute.type == ValueType.DOUBLE:
            values[attribute.id] = struct.unpack("<d", struct.pack("<q", raw))[0]
        elif attribute.type in (ValueType.TIMESTAMP, ValueType.DURATION):
            values[attribute.id] = raw * 1_000_000 + nanos // 1000
        else:
            values[attribute.id] = raw
    bits = dict(zip([label.id for label in schema.labels], binding.label_bits.tolist(), strict=True))
    present, fresh = (
        {name for name, bit in bits.items() if int(words[row, bit // 64]) >> (bit % 64) & 1}
        for words in (view.present, view.fresh)
    )
    granted, refused = (
        {pair for bit, pair in enumerate(schema.pairs) if int(word[row]) >> bit & 1}
        for word in (view.granted, view.refused)
    )
    zone, language = int(view.zone[row]), int(binding.languages[row])
    return {
        "found": int(view.found[row]), "values": values, "labels": present, "fresh": fresh,
        "granted": granted, "refused": refused,
        "zone": binding.zone_names[zone] if zone >= 0 else None,
        "language": binding.language_names[language] if language >= 0 else None,
    }  # fmt: skip


def expected_of(schema: BaseSchema, person: Person, now_us: int, as_of_us: int) -> dict[str, Any]:
    """Return what the row must say at `now_us`."""
    ages = {label.id: label.max_age_us for label in schema.labels}
    late_us = now_us - as_of_us
    labels = {label for label in person.labels if label in ages}
    return {
        "found": 1,
        "values": {a.id: person.values[a.id] for a in schema.attributes if a.id in person.values},
        "labels": labels,
        "fresh": {label for label in labels if (age := ages[label]) is None or late_us <= age},
        "granted": person.granted & set(schema.pairs),
        "refused": person.refused & set(schema.pairs),
        "zone": person.zone,
        "language": person.language,
    }
