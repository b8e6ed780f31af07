"""Records of outcomes read where they lie: what engine.journal.records.Recorded says, in the forms that MessagePack's writers choose by size."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from engine.jit import bundle, kernel, read_only, writable
from engine.kernels.msgpack import BIN, SHORT_ARRAY, U64, big_at, is_form
from engine.kernels.siphash import Int, byte_at, whole_word

RECORDED = 2
"""As engine.journal.records has it."""
FIELDS = 10
SHORT_BIN, MIDDLE_BIN = 0xC4, 0xC5
WIDTHS = (16, 8, 8, 8, 1, 1, 8, 1)
"""Bytes an outcome of each column: the fields of OutcomeColumns, then results."""
OUTCOME, BODY, SUBSCRIBER, DECISION, RANK, KIND, EVENT, RESULT = range(8)


class RecordedRows(NamedTuple):
    """Room for n outcomes: the columns of OutcomeColumns, to be written."""

    outcome: npt.NDArray[np.uint64]
    """(n, 2)"""
    body: npt.NDArray[np.uint64]
    subscriber: npt.NDArray[np.uint64]
    decision: npt.NDArray[np.uint64]
    rank: npt.NDArray[np.uint8]
    kind: npt.NDArray[np.uint8]
    event_us: npt.NDArray[np.int64]
    column_at: npt.NDArray[np.int64]
    """(8,): where each column lies in the segment, and that of results"""


RECORDED_ROWS_TYPE: Any = bundle(
    RecordedRows,
    writable(np.uint64, 2),
    *(writable(np.uint64),) * 3,
    *(writable(np.uint8),) * 2,
    *(writable(np.int64),) * 2,
)
_DATA = read_only(np.uint8)


@kernel(types.boolean(_DATA, types.int64, types.int64), inner=True)
def is_recorded(data: npt.NDArray[np.uint8], at: Int, end: Int) -> bool:
    """Return whether a record of outcomes lies at `at`, by what it begins with."""
    return bool(is_form(data, at, end, SHORT_ARRAY | FIELDS, 1) and data[at + 1] == RECORDED)


@kernel(types.int64(_DATA, types.int64, types.int64), inner=True)
def _length_at(data: npt.NDArray[np.uint8], at: Int, end: Int) -> Int:
    """Return how many bytes MessagePack has at `at`, or -1 when something else lies there."""
    if is_form(data, at, end, SHORT_BIN, 1):
        return np.int64(big_at(data, at + 1, 1))
    if is_form(data, at, end, MIDDLE_BIN, 2):
        return np.int64(big_at(data, at + 1, 2))
    return np.int64(big_at(data, at + 1, 4)) if is_form(data, at, end, BIN, 4) else np.int64(-1)


@kernel(types.int64(_DATA, types.int64), inner=True)
def _form_bytes(data: npt.NDArray[np.uint8], at: Int) -> Int:
    """Return how many bytes say that bytes follow, and how many."""
    form = byte_at(data, at)
    return (
        np.int64(2) if form == np.uint64(SHORT_BIN) else np.int64(3) if form == np.uint64(MIDDLE_BIN) else np.int64(5)
    )


@kernel(types.boolean(_DATA, types.int64, types.int64, RECORDED_ROWS_TYPE, types.int64), inner=True)
def _columns_at(data: npt.NDArray[np.uint8], at: Int, end: Int, rows: RecordedRows, count: Int) -> bool:
    """Find the columns of so many outcomes; return whether they are all there, and nothing else."""
    for column in range(len(WIDTHS)):
        if _length_at(data, at, end) != count * WIDTHS[column]:
            return False
        at += _form_bytes(data, at)
        rows.column_at[column] = at
        at += count * WIDTHS[column]
    return bool(at == end)


@kernel(types.int64(_DATA, types.int64, types.int64, RECORDED_ROWS_TYPE, writable(np.int64)), inner=True)
def read_recorded(
    data: npt.NDArray[np.uint8], start: Int, end: Int, rows: RecordedRows, head: npt.NDArray[np.int64]
) -> Int:
    """Read the record [start, end), and its instant into head[1]; return how many outcomes it has, -1 for what is no such record or has more than fit."""
    if not is_recorded(data, start, end) or not is_form(data, start + 2, end, U64, 8):
        return -1
    head[1] = np.int64(big_at(data, start + 3, 8))
    length = _length_at(data, start + 11, end)
    count = length // WIDTHS[OUTCOME]
    if head[1] < 0 or length < 0 or count > len(rows.body) or not _columns_at(data, start + 11, end, rows, count):
        return -1
    at = rows.column_at
    for row in range(count):
        rows.outcome[row, 0] = whole_word(data, at[OUTCOME] + 16 * row)
        rows.outcome[row, 1] = whole_word(data, at[OUTCOME] + 16 * row + 8)
        rows.body[row] = whole_word(data, at[BODY] + 8 * row)
        rows.subscriber[row] = whole_word(data, at[SUBSCRIBER] + 8 * row)
        rows.decision[row] = whole_word(data, at[DECISION] + 8 * row)
        rows.rank[row], rows.kind[row] = byte_at(data, at[RANK] + row), byte_at(data, at[KIND] + row)
        rows.event_us[row] = np.int64(whole_word(data, at[EVENT] + 8 * row))
    return count
