"""The kernel says words as engine.templates.render says them, or leaves them: over seeded templates of all types, and values of all sizes."""

import struct
from collections.abc import Callable
from random import Random
from typing import Any, Final, NamedTuple

import numpy as np
import pytest
from touchpoint.v1 import decision_service_pb2

from engine.catalogue.model import Attribute, Catalogue, Country, Trigger, TriggerField
from engine.catalogue.terms import Moment, ValueType
from engine.dtypes import base
from engine.dtypes.texts import Texts
from engine.dtypes.view import new_view
from engine.jit import frozen
from engine.limits import STRING_FIELD_BYTES_MAX
from engine.templates import LENGTH_MAX, Template, Variable, compile_template, filled_in, format_value, render
from engine.zones import bind_zones, zone_info
from server.codec.dtypes import Asked
from server.codec.items import items_of
from server.codec.kernels.formatting import UNSAID
from server.codec.kernels.saying import NO_ROOM
from server.codec.saying_tables import SayingTables, strings_of
from server.codec.sayings import Fields, Hearers, Sayings, Speaker
from server.codec.speech import new_said
from server.content import said
from tests.server.codec.saying_entry import say_first

ZONES: Final = ("America/Chicago", "Asia/Kathmandu", "Africa/Casablanca", "Pacific/Apia", "Europe/Madrid")
"""The last is the home zone."""
SCALES: Final = {"price": 2, "rate": 9, "whole": 0}
ATTRIBUTES: Final = (
    *(
        Attribute(id=f"{type_}_{n}", type=type_)
        for type_ in ValueType
        if type_ is not ValueType.DECIMAL
        for n in (1, 2)
    ),
    *(Attribute(id=name, type=ValueType.DECIMAL, scale=scale) for name, scale in SCALES.items()),
)
FIELDS: Final = tuple(
    TriggerField(id=f"{type_}_3", type=type_) for type_ in sorted(ValueType) if type_ is not ValueType.DECIMAL
)
CATALOGUE: Final = Catalogue(
    id="small",
    policy_version="1",
    country=Country(name="Here", home_zone=ZONES[-1], zones=ZONES),
    languages=("en",),
    attributes=ATTRIBUTES,
    triggers=(Trigger(id="seen", moment=Moment.SPECIAL, fields=FIELDS),),
)
ROOM: Final = 1 << 14
PIECES: Final = ("", "a", "é", "♫𝄞", "Hello, ", "{", "x" * 90, "ñ" * 70)
STRINGS: Final = ("", "Ana", "Zoë", "日本", "𝄞𝄞𝄞", "a" * 127, "é" * 200, "{{campaign.id}}")
NUMBERS: Final = (
    0,
    1,
    -1,
    9,
    -10,
    99,
    100,
    59,
    60,
    61,
    3_599,
    3_600,
    86_399,
    86_400,
    90_061,
    -61,
    2**31,
    10**15,
    -(10**15),
)
LIMITS: Final = (
    2**63 - 1,
    -(2**63),
    253_402_300_799,
    -62_135_596_800,
    253_402_214_400,
    4_102_444_800 + 400 * 366 * 86_400,
)
DOUBLES: Final = (
    0.0, -0.0, 1.0, 900.0, -2.5, 0.1, 0.3, 1 / 3, 1e-4, 9.999e-5, 123456.789, 1e15, 999999999999999.0, 1e16, 1e22, 5e-324,
    0.1 + 0.2, 4503599627370497.5, 99999.99999, 1.7976931348623157e308, 0.001, -1e-3, 2.675, 1e14 + 0.5, 123456789012345.6,
)  # fmt: skip


class Case(NamedTuple):
    """Words, and what is known of the subscriber and the trigger: (value, nanos) by name, strings as they are."""

    content: Template
    script: Template | None
    known: dict[str, tuple[int, int] | str]
    zone: int


def variables() -> dict[str, Variable]:
    found = {f"subscriber.{a.id}": Variable(type=a.type, scale=a.scale) for a in ATTRIBUTES}
    found |= {f"trigger.{field.id}": Variable(type=field.type) for field in FIELDS}
    return {**found, "campaign.id": Variable(type=ValueType.STRING, always=True)}


VARIABLES: Final = variables()
TYPES: Final = {name: (variable.type, variable.scale) for name, variable in VARIABLES.items() if name != "campaign.id"}


def source(rng: Random, depth: int = 0) -> str:
    """A template's source, with sections in sections."""
    text = []
    for _ in range(rng.randint(1, 6)):
        kind = rng.random()
        if kind < 0.35:
            text.append(rng.choice(PIECES).replace("{", "{{{{"))
        elif kind < 0.8 or depth == 3:
            name = rng.choice(list(VARIABLES))
            text.append(f"{{{{{name}|{rng.choice(('', 'you', 'señor', '♫'))}}}}}")
        else:
            name = rng.choice([name for name, (type_, _) in TYPES.items() if type_ is ValueType.BOOL])
            text.append(f"{{{{{rng.choice('#^')}{name}}}}}{source(rng, depth + 1)}{{{{/{name}}}}}")
    return "".join(text) or "x"


def template(rng: Random) -> Template:
    text = source(rng) + "."
    shortest = len(render(compile_template(text, VARIABLES), lambda _: ""))
    length_max = rng.choice([shortest, shortest + 1, shortest + 7, 200, LENGTH_MAX])
    compiled = compile_template(text, VARIABLES, length_max=max(length_max, shortest))
    return filled_in(compiled, {"campaign.id": "topup_é"})


def value_of(rng: Random, type_: ValueType) -> tuple[int, int] | str:
    if type_ is ValueType.STRING:
        return rng.choice(STRINGS)
    if type_ is ValueType.BOOL:
        return rng.randint(0, 1), 0
    if type_ is ValueType.DOUBLE:
        number = rng.choice([rng.choice(DOUBLES), round(rng.uniform(-1e6, 1e6), rng.randint(0, 6)), rng.uniform(-1, 1)])
        return int(struct.unpack("<q", struct.pack("<d", number))[0]), 0
    nanos = rng.choice([0, 1, 999_999_999]) if type_ in (ValueType.DURATION, ValueType.TIMESTAMP) else 0
    large = (
        rng.randint(-(2**63), 2**63 - 1)
        if type_ in (ValueType.INT, ValueType.DECIMAL)
        else rng.randint(-(10**11), 10**11)
    )
    return rng.choice([rng.choice(NUMBERS), rng.choice(LIMITS), large]), nanos


def case(rng: Random) -> Case:
    known = {name: value_of(rng, type_) for name, (type_, _) in TYPES.items() if rng.random() < 0.8}
    return Case(template(rng), template(rng) if rng.random() < 0.5 else None, known, rng.randint(-1, len(ZONES) - 2))


def lookup(known: dict[str, tuple[int, int] | str], zone: int) -> Callable[[str], str | None]:
    """What the specification says of each name."""

    def find(name: str) -> str | None:
        if name not in known:
            return None
        value, (type_, scale) = known[name], TYPES[name]
        return (
            value if isinstance(value, str) else format_value(type_, value[0], value[1], scale, zone_info(ZONES[zone]))
        )

    return find


def expected(one: Case) -> bytes:
    find = lookup(one.known, one.zone)
    return said(render(one.content, find), render(one.script, find) if one.script else "", "en")


def asked_of(message: Any) -> Asked:
    """A message that is row 0 of a batch."""
    items = items_of([message.SerializeToString()])
    zero = frozen(np.zeros(1, np.int32))
    text = frozen(np.frombuffer(items.text, np.uint8))
    return Asked(
        text,
        frozen(items.item_at),
        frozen(items.item_bytes),
        frozen(np.zeros(1, np.int64)),
        zero,
        zero,
        frozen(np.zeros(1, np.uint8)),
    )


def sayings_of(one: Case) -> Sayings:
    blob = bytearray(b"\x00")

    def start(piece: bytes) -> int:
        blob.extend(piece)
        return len(blob) - len(piece)

    tables = SayingTables(CATALOGUE, start)
    tables.add(one.content, one.script, said("", "", "en"))
    return tables.sayings(frozen(np.frombuffer(bytes(blob), np.uint8)))


def hearers_of(one: Case) -> Hearers:
    """One hearer, as if gathered."""
    view = new_view(1, 1, len(ATTRIBUTES))
    view.zone[0] = one.zone
    for slot, attribute in enumerate(ATTRIBUTES):
        if (value := one.known.get(f"subscriber.{attribute.id}")) is not None:
            view.values[0, slot], view.nanos[0, slot] = (STRINGS.index(value), 0) if isinstance(value, str) else value
            view.known[0, slot] = 1
    none64, none8 = frozen(np.zeros(0, np.int64)), frozen(np.zeros(0, np.uint8))
    u64, u32, i32 = (frozen(np.zeros(0, t)) for t in (np.uint64, np.uint32, np.int32))
    rows = base.Rows(u64, u32, none8, frozen(np.zeros(0, np.uint16)), u32, none64, frozen(np.zeros(0, np.float32)))
    plan = base.ReadPlan(
        frozen(np.zeros(0, base.PLAN)),
        frozen(np.zeros(0, base.FIELD)),
        i32,
        i32,
        none64,
        none64,
        frozen(np.zeros((0, 0), np.uint64)),
    )
    live = base.Live(i32, frozen(np.zeros(0, base.PERSON)), frozen(np.zeros(0, base.CHANGE)), i32)
    asked = base.Asked(u64, none64, np.zeros(0, np.int16))
    empty = np.zeros(0, np.int64)
    return Hearers(rows, plan, live, asked, view, bind_zones(ZONES), empty, np.zeros(0, np.uint64), empty)


def request_of(one: Case, rng: Random) -> tuple[Any, Fields]:
    """The request, and its fields as columns of a batch."""
    columns = len(FIELDS) + 1
    fields = Fields(
        np.zeros((1, columns), np.int64), np.zeros((1, columns), np.int32), np.zeros((1, columns), np.uint8)
    )
    message = decision_service_pb2.DecideRequest(request_id="r", subscriber="1")
    message.trigger.type = "seen"
    message.trigger.fields["label"].bool_value = True
    for column, field in rng.sample(list(enumerate(FIELDS, 1)), len(FIELDS)):
        if (value := one.known.get(f"trigger.{field.id}")) is not None:
            fields.field_known[0, column] = 1
            if isinstance(value, str):
                message.trigger.fields[field.id].string_value = value
            else:
                fields.field_values[0, column], fields.field_nanos[0, column] = value
    return message, fields


def heard(one: Case, rng: Random, room: int = ROOM) -> bytes | int:
    """What the kernel says into so much room, or why it does not; it writes nothing beyond."""
    message, fields = request_of(one, rng)
    out = np.full(room + 64, 0xA5, np.uint8)
    speaker = Speaker(
        sayings=sayings_of(one),
        strings=strings_of(
            [(slot, STRINGS) for slot, a in enumerate(ATTRIBUTES) if a.type is ValueType.STRING], len(ATTRIBUTES)
        ),
        hearers=hearers_of(one),
        said=new_said(1, 0)._replace(texts=Texts(out[:room], np.zeros(1, np.int64), np.zeros(1, np.int64))),
    )
    end = int(say_first(speaker, asked_of(message), fields))
    assert (out[room:] == 0xA5).all()
    return out[:end].tobytes() if end >= 0 else end


@pytest.mark.parametrize("seed", range(20))
def test_words_are_said_as_rendered(seed: int) -> None:
    rng, seen = Random(seed), {"said": 0, "left": 0, "cut": 0}
    for _ in range(60):
        one = case(rng)
        got = heard(one, rng)
        if isinstance(got, int):
            assert got == UNSAID
            assert leaves_something(one)
            seen["left"] += 1
        else:
            assert got == expected(one), one
            seen["said"] += 1
            seen["cut"] += is_cut(one)
    assert min(seen.values()) > 0, seen


def leaves_something(one: Case) -> bool:
    """Whether there is a double with a long text or an exponent, or a date at the ends of the calendar."""
    for name, value in one.known.items():
        type_ = TYPES[name][0]
        if type_ is ValueType.DOUBLE and not isinstance(value, str):
            text = format_value(type_, *value)
            if "e" in text or sum(c.isdigit() for c in text.lstrip("-0.")) > 15 or abs(float(text)) >= 1e15:
                return True
        if (
            type_ is ValueType.TIMESTAMP
            and not isinstance(value, str)
            and not -62_135_000_000 < value[0] < 253_402_000_000
        ):
            return True
    return False


def is_cut(one: Case) -> bool:
    whole = Template(parts=one.content.parts, length_max=LENGTH_MAX)
    return len(render(whole, lookup(one.known, one.zone))) > one.content.length_max


@pytest.mark.parametrize("type_", [t for t in ValueType if t is not ValueType.STRING])
def test_each_type_is_formatted_as_in_python(type_: ValueType) -> None:
    """All edges, and seeded values; a double is left only when its text is long or has an exponent."""
    rng, left = Random(str(type_)), 0
    name = next(f"subscriber.{a.id}" for a in ATTRIBUTES if a.type is type_)
    content = compile_template(f"{{{{{name}|}}}}!", VARIABLES)
    doubles = [(int(struct.unpack("<q", struct.pack("<d", x))[0]), 0) for x in DOUBLES]
    edges = doubles if type_ is ValueType.DOUBLE else [(n, nanos) for n in (*NUMBERS, *LIMITS) for nanos in (0, 5)]
    for value in [*edges, *(value_of(rng, type_) for _ in range(200))]:
        one = Case(content, None, {name: value}, rng.randint(-1, len(ZONES) - 2))
        got = heard(one, rng)
        if got == UNSAID:
            assert leaves_something(one), value
            left += 1
        else:
            assert got == expected(one), value
    assert (left > 0) is (type_ in (ValueType.DOUBLE, ValueType.TIMESTAMP))


def test_nothing_is_written_beyond_the_room_there_is() -> None:
    rng = Random(3)
    for _ in range(60):
        one = case(rng)
        whole = heard(one, rng)
        if isinstance(whole, int):
            continue
        for room in (0, 1, 5, len(whole) // 2, len(whole) - 1):
            assert heard(one, rng, room) == NO_ROOM
        assert heard(one, rng, 4 * len(whole) + 4 * STRING_FIELD_BYTES_MAX) == whole
