"""The rows of decided records read where they lie (server/codec/kernels/noting.py writes them): columns, and spans of messages and answers."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from engine.jit import bundle, kernel, read_only, writable
from engine.kernels.msgpack import ARRAY, BIN, I64, NIL, SHORT_ARRAY, U8, U16, U64, big_at, is_form
from engine.kernels.siphash import Int
from engine.limits import OFFERS_PER_ANSWER_MAX


class NotedRows(NamedTuple):
    """n rows or room for them; k = OFFERS_PER_ANSWER_MAX."""

    request: npt.NDArray[np.uint64]
    """(n, 2)"""
    body: npt.NDArray[np.uint64]
    subscriber: npt.NDArray[np.uint64]
    message_at: npt.NDArray[np.int64]
    """(n,): where the request lies in the segment"""
    message_bytes: npt.NDArray[np.int64]
    answer_at: npt.NDArray[np.int64]
    answer_bytes: npt.NDArray[np.int64]
    """(n,): -1 when there is only a digest, or nothing"""
    digest: npt.NDArray[np.uint64]
    decision: npt.NDArray[np.uint64]
    """(n,): 0 when nothing was held"""
    expires_us: npt.NDArray[np.int64]
    seats: npt.NDArray[np.int32]
    codes: npt.NDArray[np.uint16]
    """(n, k, 4): of offer, campaign, category and channel"""
    flags: npt.NDArray[np.uint8]
    """(n, k)"""


NOTED_ROWS_TYPE: Any = bundle(
    NotedRows,
    writable(np.uint64, 2),
    *(writable(np.uint64),) * 2,
    *(writable(np.int64),) * 4,
    *(writable(np.uint64),) * 2,
    writable(np.int64),
    writable(np.int32),
    writable(np.uint16, 3),
    writable(np.uint8, 2),
)
_DATA = read_only(np.uint8)
DECIDED = 1
"""As engine.journal.records has it."""


@kernel(types.int64(_DATA, types.int64, types.int64, NOTED_ROWS_TYPE, types.int64), inner=True)
def _read_who(data: npt.NDArray[np.uint8], at: Int, end: Int, rows: NotedRows, row: int) -> Int:
    """Read request, body and subscriber; return where they end, or -1."""
    if not is_form(data, at, end, SHORT_ARRAY | 6, 0) or not is_form(data, at + 1, end, BIN, 20):
        return -1
    if big_at(data, at + 2, 4) != np.uint64(16) or not is_form(data, at + 22, end, U64, 8):
        return -1
    if not is_form(data, at + 31, end, U64, 8):
        return -1
    rows.request[row, 0], rows.request[row, 1] = big_at(data, at + 6, 8), big_at(data, at + 14, 8)
    rows.body[row], rows.subscriber[row] = big_at(data, at + 23, 8), big_at(data, at + 32, 8)
    return at + 40


@kernel(types.int64(_DATA, types.int64, types.int64), inner=True)
def _bin_end(data: npt.NDArray[np.uint8], at: Int, end: Int) -> Int:
    """Return where the bytes at `at` end, or -1."""
    if not is_form(data, at, end, BIN, 4):
        return -1
    stop = at + 5 + np.int64(big_at(data, at + 1, 4))
    return stop if stop <= end else -1


@kernel(types.int64(_DATA, types.int64, types.int64, NOTED_ROWS_TYPE, types.int64), inner=True)
def _read_texts(data: npt.NDArray[np.uint8], at: Int, end: Int, rows: NotedRows, row: int) -> Int:
    """Read the spans of message and answer; return where they end, or -1."""
    stop = _bin_end(data, at, end)
    if stop < 0:
        return -1
    rows.message_at[row], rows.message_bytes[row] = at + 5, stop - at - 5
    rows.answer_at[row], rows.answer_bytes[row], rows.digest[row] = 0, -1, 0
    at = stop
    if is_form(data, at, end, U64, 8):
        rows.digest[row] = big_at(data, at + 1, 8)
        return at + 9
    stop = _bin_end(data, at, end)
    if stop >= 0:
        rows.answer_at[row], rows.answer_bytes[row] = at + 5, stop - at - 5
    return stop


@kernel(types.int64(_DATA, types.int64, types.int64, NOTED_ROWS_TYPE, types.int64, types.int64), inner=True)
def _read_seat(data: npt.NDArray[np.uint8], at: Int, end: Int, rows: NotedRows, row: int, seat: int) -> Int:
    if not is_form(data, at, end, SHORT_ARRAY | 5, 14):
        return -1
    for k in range(4):
        if not is_form(data, at + 1 + 3 * k, end, U16, 2):
            return -1
        rows.codes[row, seat, k] = big_at(data, at + 2 + 3 * k, 2)
    if not is_form(data, at + 13, end, U8, 1):
        return -1
    rows.flags[row, seat] = big_at(data, at + 14, 1)
    return at + 15


@kernel(types.int64(_DATA, types.int64, types.int64, NOTED_ROWS_TYPE, types.int64), inner=True)
def _read_hold(data: npt.NDArray[np.uint8], at: Int, end: Int, rows: NotedRows, row: int) -> Int:
    """Read what was held; return where that ends, or -1."""
    rows.decision[row], rows.expires_us[row], rows.seats[row] = 0, 0, 0
    if is_form(data, at, end, NIL, 0):
        return at + 1
    if not is_form(data, at, end, SHORT_ARRAY | 3, 23) or not is_form(data, at + 1, end, U64, 8):
        return -1
    if not is_form(data, at + 10, end, I64, 8) or not is_form(data, at + 19, end, ARRAY, 4):
        return -1
    rows.decision[row], seats = big_at(data, at + 2, 8), np.int64(big_at(data, at + 20, 4))
    rows.expires_us[row] = np.int64(big_at(data, at + 11, 8))
    if seats < 1 or seats > OFFERS_PER_ANSWER_MAX or rows.decision[row] == np.uint64(0):
        return -1
    rows.seats[row] = seats
    at += 24
    for seat in range(seats):
        at = _read_seat(data, at, end, rows, row, seat)
        if at < 0:
            return -1
    return at


@kernel(types.boolean(_DATA, types.int64, types.int64), inner=True)
def is_noted(data: npt.NDArray[np.uint8], at: Int, end: Int) -> bool:
    """Return whether a decided record lies at `at`, by what it begins with."""
    return bool(is_form(data, at, end, SHORT_ARRAY | 6, 1) and data[at + 1] == DECIDED)


@kernel(types.int64(_DATA, types.int64, types.int64, writable(np.int64)), inner=True)
def _read_head(data: npt.NDArray[np.uint8], at: Int, end: Int, head: npt.NDArray[np.int64]) -> Int:
    """Read what comes before the rows; return where they begin, or -1."""
    if not is_noted(data, at, end) or not is_form(data, at, end, SHORT_ARRAY | 6, 35):
        return -1
    if not is_form(data, at + 2, end, I64, 8) or not is_form(data, at + 11, end, I64, 8):
        return -1
    if not is_form(data, at + 20, end, U8, 1) or not is_form(data, at + 22, end, U64, 8):
        return -1
    head[0], head[1] = np.int64(big_at(data, at + 3, 8)), np.int64(big_at(data, at + 12, 8))
    head[2], head[3] = np.int64(big_at(data, at + 21, 1)), np.int64(big_at(data, at + 23, 8))
    return at + 31 if head[3] >= 0 else np.int64(-1)


@kernel(types.int64(_DATA, types.int64, types.int64, NOTED_ROWS_TYPE, writable(np.int64)))
def read_noted(data: npt.NDArray[np.uint8], start: Int, end: Int, rows: NotedRows, head: npt.NDArray[np.int64]) -> Int:
    """Read the decided record [start, end); return how many rows it has, -1 for what is no such record or has more rows than fit.

    `head`, four or more: raw instant, ledger instant, `stopped` of engine.journal.records.Decided, generation.
    """
    at = _read_head(data, start, end, head)
    if at < 0 or not is_form(data, at, end, ARRAY, 4):
        return -1
    count = np.int64(big_at(data, at + 1, 4))
    if count > len(rows.body):
        return -1
    at += 5
    for row in range(count):
        at = _read_who(data, at, end, rows, row)
        if at >= 0:
            at = _read_texts(data, at, end, rows, row)
        if at >= 0:
            at = _read_hold(data, at, end, rows, row)
        if at < 0:
            return -1
    return count if at == end else np.int64(-1)
