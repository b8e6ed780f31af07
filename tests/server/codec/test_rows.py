"""Rows of a table are read as the messages that ask the same: the same batch columns and digests, the same failures, whatever Arrow types they came in."""

import copy
from typing import Any, Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # it ships none
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st
from touchpoint.v1 import decision_service_pb2 as pb
from touchpoint.v1.value_pb2 import Value

from server.codec.items import items_of
from server.codec.reader import Reading
from server.codec.rows import Rows, rows_of
from server.failure import RefusedError
from tests.server.codec import both_ways
from tests.server.codec.both_ways import NOW_US, BothWays, Row
from tests.server.codec.test_reader import KEYS, requests
from tests.server.tables import stream, table_of

NS_MAX_S: Final = 9_000_000_000


def fits(held: Any) -> bool:
    """Return whether an instant or duration can be a count of nanoseconds."""
    signs_agree = isinstance(held, Timestamp) or held.nanos * held.seconds >= 0
    return abs(held.seconds) < NS_MAX_S and abs(held.nanos) < 1_000_000_000 and signs_agree


def as_table_has_it(messages: list[pb.DecideRequest]) -> list[pb.DecideRequest]:
    """Return the messages without what a table has no way to say: two kinds in one column, a value of no kind, nanos beyond a second."""
    kinds: dict[str, str] = {}
    kept = [copy.deepcopy(message) for message in messages]
    for message in kept:
        message.explain = False
        if message.HasField("assumed_now") and not (fits(message.assumed_now) and message.assumed_now.nanos >= 0):
            message.ClearField("assumed_now")
        if not message.HasField("trigger"):
            continue
        if message.trigger.HasField("time") and not (fits(message.trigger.time) and message.trigger.time.nanos >= 0):
            message.trigger.ClearField("time")
        for name, value in list(message.trigger.fields.items()):
            kind = value.WhichOneof("kind")
            held = getattr(value, kind) if kind else None
            wrong = isinstance(held, Timestamp | Duration) and not fits(held)
            wrong |= isinstance(held, Timestamp) and held.nanos < 0
            if kind is None or wrong or kinds.setdefault(name, kind) != kind:
                del message.trigger.fields[name]
    return kept


def read(both: BothWays, rows: Rows) -> tuple[list[Row], dict[int, str]]:
    """Return what a reader makes of the rows, with the messages that they stand for."""
    reading = both.kernels.read(rows, NOW_US)
    found = both_ways.rows_of(reading)
    kept = [item for item in range(len(rows)) if item not in reading.failures]
    found = [row._replace(message=rows.message(rows.start + item)) for row, item in zip(found, kept, strict=True)]
    return found, said(reading, [rows.message(row) for row in range(rows.start, rows.end)])


def said(reading: Reading, messages: list[pb.DecideRequest]) -> dict[int, str]:
    """Return the failures; of several fields at fault any may be named, since a map has no order."""
    found = {item: failure.message for item, failure in reading.failures.items()}
    for item, text in found.items():
        if text.startswith("trigger.fields[") and len(messages[item].trigger.fields) > 1:
            found[item] = "trigger.fields"
    return found


def agree(both: BothWays, messages: list[pb.DecideRequest], table: pa.Table) -> list[Row]:
    """Show that the table's rows are read as the messages, and return them."""
    slow = both.python.read(items_of([message.SerializeToString() for message in messages]), NOW_US)
    expected = both_ways.rows_of(slow), said(slow, messages)
    rows = rows_of(stream(table))
    assert read(both, rows) == expected
    return expected[0]


def dressed(table: pa.Table, drawn: int) -> pa.Table:
    """Return the table with texts of other Arrow types, by the bits of `drawn`."""
    for number, field in enumerate(table.schema):
        if pa.types.is_string(field.type):
            column = table.column(number).combine_chunks()
            chosen = (drawn >> 2 * (number % 8)) & 3
            if chosen == 1:
                column = column.dictionary_encode()
            elif chosen > 1:
                column = column.cast(pa.large_utf8() if chosen == 2 else pa.string_view())
            table = table.set_column(number, field.name, column)
    return table


@given(st.lists(requests(), min_size=1, max_size=6), st.integers(0, 65_535), st.integers(1, 6))
@settings(max_examples=120, deadline=None)
def test_rows_are_read_as_messages_are(
    both: BothWays, messages: list[pb.DecideRequest], drawn: int, batch_rows: int
) -> None:
    messages = as_table_has_it(messages)
    table = dressed(table_of(messages), drawn)
    chunks = [table.slice(start, batch_rows) for start in range(0, len(messages), batch_rows)]
    agree(both, messages, pa.concat_tables(chunks) if drawn % 3 else table)


@given(st.lists(requests(), min_size=1, max_size=6), st.lists(KEYS, min_size=6, max_size=6))
@settings(max_examples=40, deadline=None)
def test_rows_are_read_as_messages_are_where_keys_are_any_text(
    both_opaque: BothWays, messages: list[pb.DecideRequest], keys: list[str]
) -> None:
    messages = as_table_has_it(messages)
    for message, key in zip(messages, keys, strict=False):
        message.subscriber = key
    agree(both_opaque, messages, table_of(messages))


def usage(**fields: Value) -> pb.DecideRequest:
    asked = pb.DecideRequest(request_id="r", subscriber="+13125550001", channel="desk")
    asked.trigger.type = "usage"
    for name, value in fields.items():
        asked.trigger.fields[name].CopyFrom(value)
    return asked


EVERY: Final = usage(
    used_mb=Value(double_value=901.5),
    app=Value(string_value="vidéo"),
    calls=Value(int_value=3),
    roaming=Value(bool_value=True),
    since=Value(timestamp_value=Timestamp(seconds=1, nanos=5)),
    lasted=Value(duration_value=Duration(seconds=-90, nanos=-1)),
)


def test_every_type_of_field_is_read_by_kernels(both: BothWays) -> None:
    table = table_of([EVERY] * 3)
    agree(both, [EVERY] * 3, table)
    rows = rows_of(stream(table))
    assert both.kernels._read_rows(rows, NOW_US) == 0


@pytest.mark.parametrize(
    ("name", "type_", "values"),
    [
        *(("calls", f"{sign}int{bits}", [3, None]) for sign in ("", "u") for bits in (8, 16, 32)),
        ("calls", "int64", [-(1 << 63), (1 << 63) - 1]),
        *(("used_mb", type_, [1.5, -0.0]) for type_ in ("float16", "float32", "float64")),
        ("used_mb", "int32", [7, None]),
        ("roaming", "bool", [True, None]),
        *(("since", f"timestamp[{unit}]", [-1, 1_700_000_000]) for unit in ("s", "ms", "us", "ns")),
        ("since", "timestamp[us, tz=America/Chicago]", [-1, None]),
        *(("lasted", f"duration[{unit}]", [-1, 90_500]) for unit in ("s", "ms", "us", "ns")),
        ("app", "null", [None, None]),
    ],
)
def test_fields_come_in_any_width_and_unit(both: BothWays, name: str, type_: str, values: list[Any]) -> None:
    messages = [usage(**({} if value is None else {name: value_of(type_, value)})) for value in values]
    column = pa.array(values, named(type_)) if "[" not in type_ else pa.array(values, pa.int64()).cast(named(type_))
    table = table_of([usage()] * 2).append_column(f"field.{name}", column)
    agree(both, messages, table)
    assert both.kernels._read_rows(rows_of(stream(table)), NOW_US) == 0


def named(type_: str) -> pa.DataType:
    """Return the Arrow type of a name as Arrow prints it."""
    kind, _, rest = type_.rstrip("]").partition("[")
    unit, _, zone = rest.partition(", tz=")
    if kind == "timestamp":
        return pa.timestamp(unit, zone or None)
    if kind == "duration":
        return pa.duration(unit)
    return {"null": pa.null(), "bool": pa.bool_()}.get(kind) or pa.from_numpy_dtype(np.dtype(kind))


def value_of(type_: str, value: Any) -> Value:
    """Return the Value that a column's value stands for."""
    kind, _, rest = type_.partition("[")
    if kind == "bool":
        return Value(bool_value=value)
    if kind in ("timestamp", "duration"):
        unit = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}[rest.rstrip("]").split(",")[0]]
        seconds, rest_ = (
            divmod(value, unit) if kind == "timestamp" or value > 0 else (-(-value // unit), -(-value % unit))
        )
        nanos = rest_ * (1_000_000_000 // unit)
        if kind == "timestamp":
            return Value(timestamp_value=Timestamp(seconds=seconds, nanos=nanos))
        return Value(duration_value=Duration(seconds=seconds, nanos=nanos))
    return Value(double_value=value) if kind.startswith("float") else Value(int_value=value)


CHANGES: Final[tuple[dict[str, Any], ...]] = (
    {"channel": "sms"}, {"channel": "fax"}, {"language": "es"}, {"tool": "crm"}, {"agent": "a"}, {"outlet": "o"}, {"max_offers": 2}, {"max_offers": 0},
    {"dry_run": True}, {"subscriber": ""}, {"subscriber": "+13125550002"}, {"request_id": ""}, {"request_id": "x" * 129},
)  # fmt: skip


@pytest.mark.parametrize("event", [False, True])
def test_a_row_is_its_own_however_much_it_asks_what_the_row_before_asks(both: BothWays, event: bool) -> None:
    """Dictionaries say at once that two rows ask the same; whatever differs must count, and so must what comes after it."""
    first = (
        usage()
        if event
        else pb.DecideRequest(request_id="r", subscriber="+13125550001", channel="desk", placement="desk_open")
    )
    messages = [first]
    for change in CHANGES:
        for fields in (change, {}):
            again = pb.DecideRequest()
            again.CopyFrom(first)
            again.request_id = f"r{len(messages)}"
            for name, value in fields.items():
                setattr(again, name, value)
            messages.append(again)
    if event:
        calls = (3, None, 4, 4, None)
        messages += [usage(**({} if n is None else {"calls": Value(int_value=n)})) for n in calls]
        for seconds in (5, 5, 6, None):
            messages.append(usage())
            if seconds:
                messages[-1].trigger.time.seconds = seconds
    agree(both, messages, dressed(table_of(messages), 0x5555))


def plain(**columns: Any) -> pa.Table:
    """Return a table of one row that is right, with other columns."""
    asked = pb.DecideRequest(request_id="r", subscriber="+13125550001", channel="desk", placement="desk_open")
    table = table_of([asked])
    kept = {name: table.column(name) for name in ("request_id", "subscriber", "channel", "placement")} | columns
    return pa.table({name: column for name, column in kept.items() if column is not None})


TIME: Final = pa.array([5], pa.timestamp("s"))


@pytest.mark.parametrize(
    ("columns", "field", "words"),
    [
        ({"trigger": ["usage"]}, "placement", "expected a trigger or a placement, were both"),
        ({"placement": [None], "trigger": pa.array([None], pa.utf8())}, "trigger", "was neither"),
        ({"trigger_time": TIME}, "trigger.time", "expected only with a trigger"),
        ({"field.calls": [3]}, "trigger.fields[calls]", "expected only with a trigger"),
        ({"max_offers": [-1]}, "max_offers", "expected 1 to 12, was -1"),
        ({"max_offers": [1 << 32]}, "max_offers", "expected 1 to 12, was 4,294,967,296"),
        ({"max_offers": [(1 << 32) - 1]}, "max_offers", "expected 1 to 12, was 4,294,967,295"),
        ({"assumed_now": TIME}, "assumed_now", "expected only with dry_run"),
        ({"request_id": pa.array([None], pa.utf8())}, "request_id", "expected 1 to 128 bytes, were 0"),
        ({"subscriber": pa.array([None], pa.utf8())}, "subscriber", "expected 1 to 256 bytes, were 0"),
        ({"channel": pa.array([None], pa.null())}, "channel", "was nothing"),
        ({"placement": None, "trigger": ["usage"], "field.time": [3]}, "trigger.fields[time]", "no field of usage"),
        ({"placement": None, "trigger": ["usage"], "field.": [3]}, "trigger.fields[]", "expected a field of usage"),
    ],
)
def test_a_row_that_says_too_much_or_too_little_fails_alone(
    both: BothWays, columns: dict[str, Any], field: str, words: str
) -> None:
    wrong = plain(**columns)
    right = plain(request_id=["right"])
    table = pa.concat_tables([right, wrong, right], promote_options="permissive")
    reading = both.kernels.read(rows_of(stream(table)), NOW_US)
    assert list(reading.failures) == [1]
    assert reading.failures[1].violations[0].field == field
    assert words in reading.failures[1].message
    assert reading.batch.count == 2


@pytest.mark.parametrize(
    ("table", "path", "words"),
    [
        (plain(request_id=[7]), "table[request_id]", "expected utf8, large_utf8 or utf8_view, plain or as a dictionary, was int64"),
        (plain(channel=None), "table[channel]", "expected a column of utf8, large_utf8 or utf8_view, plain or as a dictionary, was not there"),
        (plain(placement=None), "table[trigger]", "expected a column trigger or a column placement of utf8, was neither"),
        (plain(max_offers=["3"]), "table[max_offers]", "expected int8 to int64 or uint8 to uint32, was string"),
        (plain(max_offers=pa.array([3], pa.uint64())), "table[max_offers]", "was uint64"),
        (plain(dry_run=[1]), "table[dry_run]", "expected bool, was int64"),
        (plain(assumed_now=["x"]), "table[assumed_now]", "expected timestamp, was string"),
        (plain(explain=[True]), "table[explain]", "expected one of the columns request_id,"),
        (plain(**{"field.calls": [[1]]}), "table[field.calls]", "was list<item: int64>"),
        (plain(tool=pa.array([b"x"])), "table[tool]", "was binary"),
        (plain(tool=pa.array([1]).dictionary_encode()), "table[tool]", "was dictionary<"),
        (plain(**{f"field.f{n}": [1] for n in range(129)}), "table", "expected at most 128 columns field...., were 129"),
        (plain().slice(1), "table", "expected 1 to 4,096 rows, were none"),
    ],
)  # fmt: skip
def test_a_table_of_another_schema_is_refused(table: pa.Table, path: str, words: str) -> None:
    with pytest.raises(RefusedError) as caught:
        rows_of(stream(table))
    failure = caught.value.failure
    assert failure.violations[0].field == path
    assert failure.message.startswith(path + ": ")
    assert words in failure.message


@pytest.mark.parametrize(("key", "sizes"), [("+13125550001", [256, 700, 344]), ("(312) 555-0004", [256] * 5 + [20])])
def test_parts_are_larger_once_rows_turn_out_to_be_in_usual_form(both: BothWays, key: str, sizes: list[int]) -> None:
    asked = pb.DecideRequest(request_id="r", subscriber=key, channel="desk", placement="desk_open")
    rows = rows_of(stream(table_of([asked] * 1_300)))
    found = []
    for piece in rows.pieces(700):
        found.append(both.kernels.read(piece, NOW_US).batch.count)
        assert len(piece) == found[-1]
    assert found == sizes
