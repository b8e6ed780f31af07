"""Decided records: kernels read what plain MessagePack reads, and nothing else."""

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.jit import frozen
from engine.journal.records import Decided, Hold, Row, decode_decided, encode_decided
from engine.journal.recovery import _new_rows
from engine.kernels.noted_rows import read_noted
from engine.limits import OFFERS_PER_ANSWER_MAX

WORDS = st.integers(0, 2**64 - 1)
TIMES = st.integers(-(2**63), 2**63 - 1)
CODES = st.integers(0, 2**16 - 1)
HOLDS = st.builds(
    Hold,
    st.integers(1, 2**64 - 1),
    TIMES,
    st.lists(st.tuples(CODES, CODES, CODES, CODES, st.integers(0, 255)), min_size=1, max_size=OFFERS_PER_ANSWER_MAX),
)
ROWS = st.one_of(
    st.builds(
        Row, st.binary(min_size=16, max_size=16), WORDS, WORDS, st.binary(max_size=40), st.binary(max_size=40), HOLDS
    ),
    st.builds(Row, st.binary(min_size=16, max_size=16), WORDS, WORDS, st.binary(max_size=40), WORDS, st.none()),
)
RECORDS = st.builds(Decided, TIMES, TIMES, st.integers(0, 255), st.integers(0, 2**63 - 1), st.lists(ROWS, max_size=6))
KEPT = _new_rows(8, OFFERS_PER_ANSWER_MAX)


def read(body: bytes) -> Decided | None:
    """Return what the kernel reads, as plain records."""
    head, data = np.zeros(5, np.int64), frozen(np.frombuffer(b"??" + body + b"??", np.uint8))
    count = int(read_noted(data, 2, 2 + len(body), KEPT, head))
    if count < 0:
        return None
    rows, raw, text = [], KEPT, data.tobytes()
    for row in range(count):
        seats = [
            (*(int(code) for code in raw.codes[row, seat]), int(raw.flags[row, seat])) for seat in range(raw.seats[row])
        ]
        hold = Hold(int(raw.decision[row]), int(raw.expires_us[row]), seats) if raw.decision[row] else None  # type: ignore[arg-type]
        size, at = int(raw.answer_bytes[row]), int(raw.answer_at[row])
        message_at = int(raw.message_at[row])
        rows.append(
            Row(
                raw.request[row].astype(">u8").tobytes(),
                int(raw.body[row]),
                int(raw.subscriber[row]),
                text[message_at : message_at + int(raw.message_bytes[row])],
                int(raw.digest[row]) if size < 0 else text[at : at + size],
                hold,
            )
        )
    return Decided(int(head[0]), int(head[1]), int(head[2]), int(head[3]), rows)


@given(RECORDS)
@settings(deadline=None)
def test_read_noted_reads_what_messagepack_reads(record: Decided) -> None:
    body = encode_decided(record)
    assert decode_decided(body) == record
    assert read(body) == record


def test_a_generation_that_no_server_comes_to_is_no_record() -> None:
    body = encode_decided(Decided(0, 0, 0, 2**63 - 1, []))
    assert read(body) == decode_decided(body)
    damaged = body.replace((2**63 - 1).to_bytes(8, "big"), (2**63).to_bytes(8, "big"))
    assert decode_decided(damaged).generation == 2**63
    assert read(damaged) is None


@given(RECORDS, st.data())
@settings(deadline=None)
def test_read_noted_of_damaged_bytes_is_nothing_or_what_messagepack_reads(record: Decided, data: st.DataObject) -> None:
    body = bytearray(encode_decided(record))
    for _ in range(data.draw(st.integers(1, 3))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(body[: data.draw(st.integers(0, len(body)))]) if data.draw(st.booleans()) else bytes(body)
    found = read(cut)
    if found is not None:
        assert decode_decided(cut) == found


@given(RECORDS)
def test_other_forms_of_the_same_numbers_are_not_read(record: Decided) -> None:
    body = msgspec.msgpack.encode(record)
    if body != encode_decided(record):
        assert read(body) is None
