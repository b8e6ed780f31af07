"""A table's rows written as messages by a kernel: what `Rows.message` makes of each, in a form that the reader takes as usual, the key zeros."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from touchpoint.v1 import decision_service_pb2 as pb

from server.codec.rows import Rows, rows_of
from server.noting import TableMessages
from tests.server.codec.test_reader import requests
from tests.server.codec.test_rows import as_table_has_it
from tests.server.tables import stream, table_of

MESSAGES = TableMessages()


def written(rows: Rows, first: int, count: int) -> list[bytes]:
    text, item_at, item_bytes = MESSAGES.written(rows, first, count)
    return [text[at : at + size].tobytes() for at, size in zip(item_at.tolist(), item_bytes.tolist(), strict=True)]


def expected(rows: Rows, row: int) -> Any:
    message = rows.message(row)
    message.subscriber = "0" * len(message.subscriber.encode())
    return message


@settings(max_examples=150, deadline=None)
@given(asked=st.lists(requests(), min_size=1, max_size=8), data=st.data())
def test_rows_are_written_as_the_messages_that_they_stand_for(
    asked: list[pb.DecideRequest], data: st.DataObject
) -> None:
    kept = [
        m
        for m in as_table_has_it(asked)
        if m.request_id and m.subscriber and m.channel and not m.HasField("assumed_now")
    ]
    kept = [m for m in kept if (m.HasField("trigger") and m.trigger.type) or m.placement]
    if not kept:
        return
    rows = rows_of(stream(table_of(kept)))
    first = data.draw(st.integers(0, len(kept) - 1))
    found = written(rows, first, len(kept) - first)
    for place, payload in enumerate(found, first):
        assert pb.DecideRequest.FromString(payload) == expected(rows, place), place
        assert len(payload) == len(expected(rows, place).SerializeToString())


def test_a_row_with_much_to_say_has_room() -> None:
    asked = pb.DecideRequest(request_id="r", subscriber="+14125550182", channel="sms", tool="t" * 128)
    asked.trigger.type = "usage"
    for number in range(40):
        asked.trigger.fields[f"field_{number}"].string_value = "x" * 1_000
        asked.trigger.fields[f"number_{number}"].int_value = -number
    rows = rows_of(stream(table_of([asked] * 100)))
    payloads = written(rows, 0, 100)
    assert len(payloads) == 100
    assert pb.DecideRequest.FromString(payloads[99]) == expected(rows, 99)
