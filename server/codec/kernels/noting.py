"""A decided batch as a record of the journal, MessagePack: what was asked, what was answered, what was held.

    record   [1, raw_us i64, now_us i64, stopped u8, generation u64, [row, ...]]
    row      [request bin, body u64, subscriber u64, message bin, answer, hold]
    answer   bin: the remembered bytes, of a row that holds something; u64: their digest, of one that does not
    hold     nil | [decision u64, expires_us i64, [[offer u16, campaign u16, category u16, channel u16, flags u8], ...]]

Dry runs, repeated answers, conflicts and requests about those who were erased have no row, nor has what was held for an answer that then found no
room to be remembered, which nobody saw. The bytes of the subscriber's key in a message become zeros.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from engine.dtypes.contact import COUNTS, PUSH
from engine.dtypes.decisions import DECISIONS_TYPE, DecisionColumns
from engine.dtypes.ledger import REQUESTS_TYPE, Requests
from engine.dtypes.rules import RULES_TYPE, Rules
from engine.jit import Pointer, bundle, kernel, writable
from engine.kernels.frames import HEADER_BYTES, seal_frame
from engine.kernels.msgpack import ARRAY, BIN, I64, NIL, OUT, SHORT_ARRAY, U8, U16, U64, put_big, put_form
from engine.kernels.siphash import Int, sip_bytes
from engine.kernels.texts import copy_bytes
from engine.reasons import Reason
from server.codec.dtypes import ASKED_TYPE, Asked
from server.codec.kernels.message import SUBSCRIBER, has, split_message
from server.codec.kernels.wire import READ

DRY_RUN = 1
"""As engine.batch has it."""
SUBSCRIBER_ERASED = int(Reason.SUBSCRIBER_ERASED)
ROW_BYTES = 1 + 21 + 9 + 9 + 5 + 5 + 24
"""Most bytes of a row without its message, answer and seats."""
SEAT_BYTES = 15
HEAD_BYTES = 2 + 9 + 9 + 2 + 9 + 5
DECIDED = 1
"""As engine.journal.records has it."""
_ZERO = 48


class Noted(NamedTuple):
    """What a batch's rows are written from."""

    asked: Asked
    requests: Requests
    decisions: DecisionColumns
    rules: Rules
    channel: npt.NDArray[np.int32]
    flags: npt.NDArray[np.uint8]
    texts: npt.NDArray[np.uint8]
    """What the answers lie in."""
    parts: npt.NDArray[np.int64]
    """Scratch of the message."""


NOTED_TYPE: Any = bundle(
    Noted,
    Pointer(ASKED_TYPE),
    Pointer(REQUESTS_TYPE),
    Pointer(DECISIONS_TYPE),
    Pointer(RULES_TYPE),
    writable(np.int32),
    writable(np.uint8),
    writable(np.uint8),
    writable(np.int64),
)


@kernel(types.boolean(NOTED_TYPE, types.int64), inner=True)
def is_noted(noted: Noted, row: int) -> bool:
    """Return whether the row changed the state, or would have, had there been an offer; of those who were erased nothing is kept."""
    decisions = noted.decisions
    if noted.flags[row] & DRY_RUN or decisions.replayed[row] or decisions.conflict[row]:
        return False
    return bool(decisions.reason[row] != SUBSCRIBER_ERASED)


@kernel(types.int64(NOTED_TYPE, OUT, types.int64, types.int64), inner=True)
def _put_message(noted: Noted, out: npt.NDArray[np.uint8], at: Int, row: int) -> Int:
    asked = noted.asked
    start, size = np.int64(asked.item_at[row]), np.int64(asked.item_bytes[row])
    at = put_form(out, at, BIN, np.uint64(size), 4)
    copy_bytes(out, at, asked.text, start, size)
    if split_message(asked.text, start, size, noted.parts) == READ and has(noted.parts, SUBSCRIBER):
        key = at + noted.parts[2 * SUBSCRIBER] - start
        for k in range(noted.parts[2 * SUBSCRIBER + 1]):
            out[key + k] = _ZERO
    return np.int64(at + size)


@kernel(types.int64(NOTED_TYPE, OUT, types.int64, types.int64), inner=True)
def _put_answer(noted: Noted, out: npt.NDArray[np.uint8], at: Int, row: int) -> Int:
    start, size = noted.decisions.text_start[row], noted.decisions.text_bytes[row]
    if noted.decisions.decision[row] == np.uint64(0):
        digest = sip_bytes(noted.texts, start, start + size, np.uint64(0), np.uint64(0))
        return put_form(out, at, U64, digest, 8)
    at = put_form(out, at, BIN, np.uint64(size), 4)
    copy_bytes(out, at, noted.texts, start, size)
    return np.int64(at + size)


@kernel(types.int64(NOTED_TYPE, OUT, types.int64, types.int64), inner=True)
def _put_hold(noted: Noted, out: npt.NDArray[np.uint8], at: Int, row: int) -> Int:
    decisions, rules = noted.decisions, noted.rules
    if decisions.decision[row] == np.uint64(0):
        return put_form(out, at, NIL, np.uint64(0), 0)
    channel = rules.channels[noted.channel[row]]
    at = put_form(out, at, SHORT_ARRAY | 3, np.uint64(0), 0)
    at = put_form(out, at, U64, decisions.decision[row], 8)
    at = put_form(out, at, I64, np.uint64(decisions.expires_us[row]), 8)
    at = put_form(out, at, ARRAY, np.uint64(decisions.chosen_count[row]), 4)
    for seat in range(decisions.chosen_count[row]):
        candidate = rules.candidates[decisions.chosen[row, seat]]
        at = put_form(out, at, SHORT_ARRAY | 5, np.uint64(0), 0)
        at = put_form(out, at, U16, np.uint64(candidate["offer"]), 2)
        at = put_form(out, at, U16, np.uint64(candidate["campaign"]), 2)
        at = put_form(out, at, U16, np.uint64(candidate["category"]), 2)
        at = put_form(out, at, U16, np.uint64(channel["code"]), 2)
        at = put_form(
            out, at, U8, np.uint64((COUNTS if candidate["counts"] else 0) | (PUSH if channel["push"] else 0)), 1
        )
    return at


@kernel(types.int64(NOTED_TYPE, types.int64), inner=True)
def _most_bytes(noted: Noted, count: int) -> int:
    """Return how many bytes the rows of the first `count` take at most; 0 when none has a row."""
    total = 0
    for row in range(count):
        if is_noted(noted, row):
            total += ROW_BYTES + SEAT_BYTES * noted.decisions.chosen_count[row]
            total += noted.asked.item_bytes[row] + noted.decisions.text_bytes[row]
    return total


@kernel(types.int64(NOTED_TYPE, OUT, types.int64, types.int64), inner=True)
def _put_row(noted: Noted, out: npt.NDArray[np.uint8], at: Int, row: int) -> Int:
    requests = noted.requests
    at = put_form(out, at, SHORT_ARRAY | 6, np.uint64(0), 0)
    at = put_form(out, at, BIN, np.uint64(16), 4)
    at = put_big(out, at, requests.request[row, 0], 8)
    at = put_big(out, at, requests.request[row, 1], 8)
    at = put_form(out, at, U64, requests.body[row], 8)
    at = put_form(out, at, U64, requests.subscriber[row], 8)
    at = _put_message(noted, out, at, row)
    at = _put_answer(noted, out, at, row)
    return _put_hold(noted, out, at, row)


@kernel(types.int64(NOTED_TYPE, types.int64, writable(np.int64), OUT, types.int64, types.int64))
def note_batch(
    noted: Noted, count: int, head: npt.NDArray[np.int64], out: npt.NDArray[np.uint8], start: Int, sequence: Int
) -> Int:
    """Write the frame of the first `count` rows' record at `start`; return where it ends, `start` when no row is noted, or minus the bytes that it wants.

    `head`, (5,): raw instant, ledger instant, `stopped` of engine.journal.records.Decided, generation; written: how many rows hold something to be pushed.
    """
    most = _most_bytes(noted, count)
    if most == 0:
        return start
    if start + HEADER_BYTES + HEAD_BYTES + most > len(out):
        return np.int64(-(HEADER_BYTES + HEAD_BYTES + most))
    at = put_form(out, start + HEADER_BYTES, SHORT_ARRAY | 6, np.uint64(0), 0)
    at = put_big(out, at, np.uint64(DECIDED), 1)
    at = put_form(out, at, I64, np.uint64(head[0]), 8)
    at = put_form(out, at, I64, np.uint64(head[1]), 8)
    at = put_form(out, at, U8, np.uint64(head[2]), 1)
    at = put_form(out, at, U64, np.uint64(head[3]), 8)
    rows = head[4] = 0
    for row in range(count):
        if is_noted(noted, row):
            rows += 1
            held = noted.decisions.decision[row] != np.uint64(0)
            head[4] += held and noted.rules.channels[noted.channel[row]]["push"]
    at = put_form(out, at, ARRAY, np.uint64(rows), 4)
    for row in range(count):
        if is_noted(noted, row):
            at = _put_row(noted, out, at, row)
    seal_frame(out, start, at, sequence)
    return at
