"""A request gives the same row, or the same failure, whichever way it is read; and what is in usual form is read by kernels."""

import random
import struct
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from touchpoint.v1 import decision_service_pb2 as pb
from touchpoint.v1 import value_pb2

from engine.cel.bind import DYNAMIC_ROWS
from engine.limits import BATCH_ITEMS_MAX
from server.codec.binding import new_coded
from server.codec.items import items_of
from tests.server.codec import digests
from tests.server.codec.both_ways import NOW_US, BothWays, Row, rows_of
from tests.server.codec.wire import double_field, group, number_field, tag, text_field, varint

INT64: Final = st.integers(-(1 << 63), (1 << 63) - 1)
WORDS: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
KEYS: Final = st.sampled_from(
    [
        *("+13125550001", "13125550002", "13125550003 ", "(312) 555-0004", "+0125550001", "1312555000", "+1312", ""),
        *(
            "1" * 15,
            "1" * 16,
            "123456",
            "+",
            "+1312\u0665550001",
            "12345678é",
            "x" * 256,
            "x" * 257,
            " x",
            "x\x1f",
            "é",
        ),
    ]
)
INSTANTS: Final = st.one_of(
    st.tuples(st.integers(-62_135_596_801, 253_402_300_800), st.integers(-1, 1_000_000_000)),
    st.tuples(st.integers(1_700_000_000, 1_900_000_000), st.integers(0, 999_999_999)),
)
LENGTHS: Final = st.one_of(
    st.tuples(st.integers(-315_576_000_001, 315_576_000_001), st.integers(-1_000_000_000, 1_000_000_000)),
    st.tuples(st.integers(-3, 3), st.integers(-5, 5)),
)
NAMES: Final = st.sampled_from(["used_mb", "app", "calls", "roaming", "since", "lasted", "nosuch", "time", ""])
RIGHT: Final = {
    "used_mb": "double",
    "app": "string",
    "calls": "int",
    "roaming": "bool",
    "since": "timestamp",
    "lasted": "duration",
}


def value_of(kind: str, drawn: Any) -> value_pb2.Value:
    value = value_pb2.Value()
    if kind in ("timestamp", "duration"):
        held = getattr(value, f"{kind}_value")
        held.seconds, held.nanos = drawn
        held.SetInParent()
    elif kind != "none":
        setattr(value, f"{kind}_value", drawn)
    return value


VALUES: Final = {
    "bool": st.booleans(),
    "int": st.one_of(INT64, st.integers(-9, 9)),
    "double": st.floats(),
    "string": st.one_of(st.sampled_from(["vidéo", "", "web"]), WORDS, st.just("x" * 1_024), st.just("é" * 513)),
    "timestamp": INSTANTS,
    "duration": LENGTHS,
    "none": st.none(),
}


@st.composite
def requests(draw: st.DrawFn) -> pb.DecideRequest:
    """Return a request of which most things are right."""

    def mostly(right: Any, *others: Any) -> Any:
        return right if draw(st.integers(0, 11)) else draw(st.sampled_from(others))

    message = pb.DecideRequest(
        request_id=mostly(
            draw(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)), "", "é" * 64, "x" * 129
        ),
        subscriber=mostly("+13125550007", draw(KEYS)),
        channel=mostly(draw(st.sampled_from(["desk", "sms"])), "", "fax", "desk "),
        language=mostly(draw(st.sampled_from(["", "en", "es"])), "fr"),
        tool=mostly("crm", "", "é" * 64, "x" * 129),
        agent=mostly("", "é" * 65, "a7"),
        outlet=mostly("", "o" * 128),
        dry_run=draw(st.booleans()),
        explain=mostly(False, True),
    )
    if draw(st.booleans()):
        message.max_offers = mostly(draw(st.integers(1, 12)), 0, 13, (1 << 32) - 1)
    if not draw(st.integers(0, 9)):
        message.assumed_now.seconds, message.assumed_now.nanos = draw(INSTANTS)
    if draw(st.integers(0, 3)):
        message.trigger.type = mostly("usage", "", "desk_open", "nosuch")
        if draw(st.booleans()):
            message.trigger.time.seconds, message.trigger.time.nanos = draw(INSTANTS)
        for name in draw(st.sets(NAMES, max_size=7)):
            kind = mostly(RIGHT.get(name, "int"), *VALUES)
            message.trigger.fields[name].CopyFrom(value_of(kind, draw(VALUES[kind])))
    else:
        message.placement = mostly("desk_open", "usage", "nosuch", "")
    return message


@given(st.lists(requests(), min_size=1, max_size=6))
@settings(max_examples=150, deadline=None)
def test_both_ways_give_the_same(both: BothWays, messages: list[pb.DecideRequest]) -> None:
    both.compare([message.SerializeToString() for message in messages])


@given(st.lists(requests(), min_size=1, max_size=6), st.lists(KEYS, min_size=6, max_size=6))
@settings(max_examples=60, deadline=None)
def test_both_ways_give_the_same_where_keys_are_any_text(
    both_opaque: BothWays, messages: list[pb.DecideRequest], keys: list[str]
) -> None:
    for message, key in zip(messages, keys, strict=False):
        message.subscriber = key
    both_opaque.compare([message.SerializeToString() for message in messages])


@given(requests(), st.randoms(use_true_random=False))
@settings(max_examples=250, deadline=None)
def test_both_ways_give_the_same_of_what_was_spoilt(
    both: BothWays, message: pb.DecideRequest, rng: random.Random
) -> None:
    plain = message.SerializeToString()
    both.compare([spoilt(plain, rng) for _ in range(6)])


ODDITIES: Final = (
    tag(1, 6), tag(1, 7), tag(0, 0) + b"\x00", group(20, number_field(1, 1)), group(3, b""), tag(3, 3), tag(3, 4),
    number_field(99, 7), text_field(99, b"x"), number_field(7, 3), number_field(7, (1 << 32) + 3), number_field(7, -1),
    number_field(7, 3, 9), number_field(7, 3, 10), number_field(11, 2), number_field(11, 1, 3), number_field(12, 0),
    number_field(1, 3), text_field(7, b"\x03"), text_field(8, b"\xff"), text_field(8, b"\xc0\x80"), text_field(8, b"\xed\xa0\x80"),
    text_field(8, b"\xf4\x90\x80\x80"), text_field(8, b""), text_field(6, b""), text_field(6, b"en", 2), tag(8, 2) + varint(-1),
    tag(8, 2) + varint(1 << 31) + b"x", text_field(4, b"desk_open"), text_field(3, b""), text_field(13, b""), b"\x80", b"\xff" * 10,
)  # fmt: skip


def spoilt(payload: bytes, rng: random.Random) -> bytes:
    """Return the bytes with something done to them that no client should do."""
    out = bytearray(payload)
    for _ in range(rng.randint(0, 3)):
        at, end = sorted((rng.randint(0, len(out)), rng.randint(0, len(out))))
        match rng.randrange(7):
            case 0:
                del out[at:]
            case 1 if out:
                out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
            case 2:
                out[at:at] = out[at:end]
            case 3:
                del out[at : min(end, at + 4)]
            case 4:
                out += rng.choice(ODDITIES)
            case 5:
                out[0:0] = rng.choice(ODDITIES)
            case _:
                out[at:at] = bytes([rng.randrange(256)])
    return bytes(out)


def event(*pieces: bytes) -> bytes:
    """Return a request with this trigger, made of the pieces in their order."""
    inside = b"".join(pieces)
    plain = pb.DecideRequest(request_id="r", subscriber="+13125550001", channel="desk").SerializeToString()
    return plain + text_field(3, inside)


def entry(*pieces: bytes) -> bytes:
    return text_field(3, b"".join(pieces))


USAGE: Final = text_field(1, b"usage")
CALLS: Final = text_field(1, b"calls")
THREE: Final = number_field(2, 3)
TEXT: Final = text_field(1, b"app")


@pytest.mark.parametrize(
    "payload",
    [
        event(USAGE, entry(CALLS, text_field(2, THREE))),
        event(entry(CALLS, text_field(2, THREE)), USAGE),
        event(USAGE, entry(text_field(2, THREE), CALLS)),
        event(USAGE, entry(CALLS, text_field(2, number_field(2, 3, 9)))),
        event(USAGE, entry(text_field(1, b"used_mb"), text_field(2, number_field(2, -(1 << 63) + 1)))),
        event(USAGE, entry(text_field(1, b"used_mb"), text_field(2, double_field(3, struct.pack("<d", -0.0))))),
        event(USAGE, entry(text_field(1, b"roaming"), text_field(2, number_field(1, 1, 2)))),
        event(USAGE, text_field(2, b""), entry(text_field(1, b"since"), text_field(2, text_field(5, b"")))),
        event(USAGE, text_field(2, number_field(2, 999) + number_field(1, -5))),
        event(USAGE, entry(text_field(1, b"lasted"), text_field(2, text_field(6, number_field(2, -7))))),
        event(USAGE) + text_field(6, b"") + number_field(12, 0) + text_field(8, "é".encode()),
        number_field(7, 12) + event(text_field(1, b"desk_open")),
    ],
)
def test_rare_but_usual_forms_are_read_by_kernels(both: BothWays, payload: bytes) -> None:
    assert len(both.compare([payload])) == 1
    assert both.kernels.taken.tolist() == [True]


@pytest.mark.parametrize(
    "payload",
    [
        event(USAGE, entry(CALLS)),
        event(USAGE, entry(text_field(2, THREE))),
        event(USAGE, entry(CALLS, text_field(2, b""))),
        event(USAGE, entry(CALLS, text_field(2, THREE)), entry(CALLS, text_field(2, number_field(2, 4)))),
        event(USAGE, entry(CALLS, CALLS, text_field(2, THREE))),
        event(USAGE, entry(CALLS, text_field(2, THREE), text_field(2, THREE))),
        event(USAGE, entry(CALLS, text_field(2, THREE + THREE))),
        event(USAGE, entry(CALLS, text_field(2, number_field(1, 1) + THREE))),
        event(USAGE, entry(CALLS, text_field(2, THREE), number_field(3, 1))),
        event(USAGE, entry(CALLS, text_field(2, THREE + number_field(9, 1)))),
        event(USAGE, entry(CALLS, text_field(2, number_field(2, 3, 10)))),
        event(USAGE, entry(CALLS, text_field(2, tag(2, 0) + b"\xff" * 9 + b"\x02"))),
        event(USAGE, entry(text_field(1, b"roaming"), text_field(2, number_field(1, 2)))),
        event(USAGE, entry(text_field(1, b"used_mb"), text_field(2, double_field(3, b"\x00" * 7)))),
        event(USAGE, entry(TEXT, text_field(2, text_field(4, b"\xff")))),
        event(USAGE, USAGE),
        event(USAGE, text_field(2, b""), text_field(2, number_field(1, 5))),
        event(USAGE, text_field(2, number_field(1, 5) + number_field(1, 6))),
        event(USAGE, text_field(2, number_field(2, 0xFFFF_FFFF))),
        event(USAGE, number_field(9, 1)),
        event(USAGE) + event(text_field(2, number_field(1, 5))),
        event(USAGE) + text_field(4, b"desk_open"),
        text_field(4, b"desk_open") + event(USAGE),
        event(USAGE) + number_field(7, (1 << 32) + 2),
        event(USAGE) + number_field(99, 1),
        event(USAGE) + group(20, b""),
        event(USAGE) + text_field(8, b"x", 4),
        event(USAGE) + text_field(8, b"\xc1\xbf"),
        event(USAGE) + text_field(8, b"\xe0\x9f\xbf"),
        event(USAGE) + text_field(8, b"\xed\xa0\x80"),
        event(USAGE) + text_field(8, b"\xf0\x8f\xbf\xbf"),
        event(USAGE) + text_field(8, b"\xf4\x90\x80\x80"),
        event(USAGE) + text_field(8, b"eight by\xe2\x82"),
        b"",
    ],
)
def test_odd_forms_are_left_to_python(both: BothWays, payload: bytes) -> None:
    both.compare([payload])
    assert both.kernels.taken.tolist() == [False]


@given(st.one_of(st.binary(max_size=12), st.text(max_size=6).map(lambda text: text.encode(errors="surrogatepass"))))
@settings(max_examples=200, deadline=None)
def test_texts_are_taken_if_they_are_utf8(both: BothWays, note: bytes) -> None:
    both.compare([event(USAGE) + text_field(8, note)])
    assert both.kernels.taken.tolist() == [is_utf8(note)]


def is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def plain_requests(count: int) -> list[pb.DecideRequest]:
    """Return requests in usual form, of every kind."""
    made = []
    for n in range(count):
        request = pb.DecideRequest(
            request_id=f"request-{n}", subscriber=f"+1312555{n:04d}", channel=("desk", "sms")[n % 2]
        )
        if n % 3:
            request.trigger.type = "usage"
            request.trigger.fields["used_mb"].double_value = n / 3
            request.trigger.fields["app"].string_value = ("vidéo", "web")[n % 2]
            request.trigger.fields["calls"].int_value = n % 5 - 2
            request.trigger.fields["roaming"].bool_value = n % 2 == 0
            request.trigger.fields["since"].timestamp_value.FromSeconds(1_700_000_000 + n)
            request.trigger.fields["lasted"].duration_value.FromSeconds(-n)
            request.trigger.time.FromMicroseconds(1_700_000_000_000_000 + n)
        else:
            request.placement = "desk_open"
        if n % 4 == 0:
            request.max_offers, request.language, request.tool, request.dry_run = 1 + n % 12, "es", "crm-desk", True
        made.append(request)
    return made


def test_what_is_usual_is_read_by_kernels(both: BothWays) -> None:
    payloads = [request.SerializeToString() for request in plain_requests(300)]
    both.compare(payloads)
    assert both.kernels.taken.all()


def test_digests_are_what_is_written_of_them(both: BothWays) -> None:
    messages = plain_requests(12)
    messages[0].explain = True
    messages[4].assumed_now.FromNanoseconds(1_800_000_000_000_000_999)
    messages[5].agent, messages[5].outlet = "x" * 16, "é" * 5
    keys = both.hashes.words.tolist()
    rows = both.compare([message.SerializeToString() for message in messages])
    for message, row in zip(messages, rows, strict=True):
        assert row.body == digests.body_digest(message, keys)
        assert row.request == digests.request_digest(message.request_id, row.subscriber, keys)
        assert row.subscriber == both.hashes.one(message.subscriber)
        assert row.request_id == message.request_id.encode()
        assert row.message == message


def changed(**changes: Any) -> list[pb.DecideRequest]:
    found = []
    for name, value in changes.items():
        request = plain_requests(3)[1]
        setattr(request, name, value)
        found.append(request)
    return found


def test_every_part_of_a_request_makes_another_body(both: BothWays) -> None:
    base = plain_requests(3)[1]
    others = changed(
        channel="desk", language="en", max_offers=3, tool="t", agent="t", outlet="t", dry_run=True, explain=True
    )
    for name in ("used_mb", "app", "calls", "roaming", "since", "lasted"):
        request = plain_requests(3)[1]
        del request.trigger.fields[name]
        others.append(request)
    for change in (
        {"used_mb": {"int_value": 1}},
        {"used_mb": {"double_value": -0.0}},
        {"app": {"string_value": "web "}},
        {"calls": {"int_value": 3}},
    ):
        request = plain_requests(3)[1]
        for name, value in change.items():
            request.trigger.fields[name].CopyFrom(value_pb2.Value(**value))
        others.append(request)
    timeless, other_time = plain_requests(3)[1], plain_requests(3)[1]
    timeless.trigger.ClearField("time")
    other_time.trigger.time.nanos += 1
    again = plain_requests(3)[1]
    again.request_id, again.subscriber = "another", "+13125550033"
    messages = [base, again, *others, timeless, other_time]
    bodies = [row.body for row in both.compare([message.SerializeToString() for message in messages])]
    assert bodies[0] == bodies[1]
    assert len(set(bodies)) == len(bodies) - 1


def test_the_order_of_a_map_makes_no_other_body(both: BothWays) -> None:
    calls, used = (
        entry(CALLS, text_field(2, THREE)),
        entry(text_field(1, b"used_mb"), text_field(2, number_field(2, 1))),
    )
    rows = both.compare(
        [event(USAGE, calls, used), event(used, calls, USAGE), event(used, USAGE, calls) + number_field(99, 1)]
    )
    assert len({row.body for row in rows}) == 1


def string_request(text: str) -> bytes:
    request = pb.DecideRequest(request_id="s", subscriber="+13125550001", channel="desk")
    request.trigger.type = "usage"
    request.trigger.fields["app"].string_value = text
    return request.SerializeToString()


def test_a_string_goes_the_slow_way_once_until_codes_are_forgotten(operator: Any) -> None:
    fresh = BothWays(operator)
    interner, reader = fresh.engine.bound.conditions.interner, fresh.kernels
    column = fresh.engine.bound.field_index["app"]

    def read(*texts: str) -> list[bool]:
        reading = reader.read(items_of([string_request(text) for text in texts]), NOW_US)
        codes = [interner.intern(fresh.engine.bound.field_slot + column, text) for text in texts]
        assert reading.batch.field_values[: len(texts), column].tolist() == codes
        return [bool(taken) for taken in reader.taken]

    assert read("a", "b", "a", "") == [False, False, False, False]
    assert read("a", "b", "c", "") == [True, True, False, True]
    for n in range(DYNAMIC_ROWS - 5):
        interner.intern(fresh.engine.bound.field_slot + column, f"filler {n}")
    assert read("b", "a") == [False, False]
    assert read("b", "a") == [True, True]


def test_strings_that_find_no_room_stay_right(operator: Any) -> None:
    fresh = BothWays(operator)
    fresh.kernels._codes.keep(new_coded(entries=4, data_bytes=20))
    payloads = [string_request(text) for text in ("one", "two", "three", "a long text beyond", "four", "five")]
    for _ in range(3):
        fresh.compare(payloads)
    assert fresh.kernels.taken.tolist() == [True, True, True, False, True, False]


def test_an_odd_item_spoils_nobody(both: BothWays) -> None:
    messages = plain_requests(9)
    messages[2].channel = "fax"
    messages[5].subscriber = "(312) 555-0005"
    messages[7].explain = True
    payloads = [message.SerializeToString() for message in messages]
    payloads[8] = b"\xff"
    rows = both.compare(payloads)
    assert both.kernels.taken.tolist() == [True, True, False, True, True, False, True, False, False]
    assert [row.request_id for row in rows] == [f"request-{n}".encode() for n in (0, 1, 3, 4, 5, 6, 7)]
    assert rows[4].subscriber == both.hashes.one("+13125550005")


def test_what_wants_an_explanation_goes_alone(both: BothWays) -> None:
    messages = plain_requests(8)
    for n in (0, 3, 4):
        messages[n].explain = True
    reading = both.kernels.read(items_of([message.SerializeToString() for message in messages]), NOW_US)
    whole: list[Row] = rows_of(reading)
    parts = list(reading.stretches())
    assert [batch.count for batch, _ in parts] == [1, 2, 1, 1, 3]
    assert [row for batch, asked in parts for row in rows_of(reading._replace(batch=batch, asked=asked))] == whole
    assert list(both.kernels.read(items_of([b"\xff"]), NOW_US).stretches()) == []


def test_a_full_batch_is_read(both: BothWays) -> None:
    payloads = [request.SerializeToString() for request in plain_requests(8)] * (BATCH_ITEMS_MAX // 8)
    reading = both.kernels.read(items_of(payloads), NOW_US)
    assert reading.batch.count == BATCH_ITEMS_MAX
    assert np.array_equal(reading.batch.body[:8], reading.batch.body[BATCH_ITEMS_MAX - 8 : BATCH_ITEMS_MAX])
