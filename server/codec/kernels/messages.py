"""The DecideRequest that asks what a row of a table asks, in usual form, as `Rows.message` makes it; in place of the subscriber's key zeros ('0').

For the journal, which keeps requests as messages whichever door they came by. Rows are those that `read_rows` found right.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from engine.jit import Pointer, bundle, kernel, read_only, writable
from engine.kernels.siphash import Int
from server.codec.kernels import message
from server.codec.kernels.message import BOOL, DOUBLE, INT, STRING
from server.codec.kernels.writing import OUT, put_bytes, put_varint
from server.codec.request_tables import (
    DRY,
    SEATS,
    SHEET_TYPE,
    TIME_NANOS,
    TIME_SECONDS,
    Sheet,
)

_ZERO = 48
_INSTANT_MOST = 2 * 11
_TEXTS_FIRST = (message.REQUEST_ID, message.SUBSCRIBER)
_TEXTS_LAST = (message.PLACEMENT, message.CHANNEL, message.LANGUAGE, message.TOOL, message.AGENT, message.OUTLET)


class Asking(NamedTuple):
    """A table's requests, and the names of its trigger fields."""

    sheet: Sheet
    names: npt.NDArray[np.uint8]
    """(bytes,): field f is names[name_at[f] : name_at[f + 1]]."""
    name_at: npt.NDArray[np.int64]


ASKING_TYPE: Any = bundle(Asking, Pointer(SHEET_TYPE), read_only(np.uint8), read_only(np.int64))


@kernel(types.int64(SHEET_TYPE, types.int64, types.int64), inner=True)
def _entry_of(sheet: Sheet, row: int, part: Int) -> Int:
    """Return the entry of the row's text of that part, or -1."""
    for column in range(len(sheet.part)):
        if sheet.part[column] == part and sheet.code[column, row] >= 0:
            return np.int64(sheet.first[column] + sheet.code[column, row])
    return -1


@kernel(types.int64(SHEET_TYPE, OUT, types.int64, types.int64, types.int64), inner=True)
def _put_text(sheet: Sheet, out: npt.NDArray[np.uint8], at: Int, row: int, part: Int) -> Int:
    """Write the row's text of that part, if it has one; the subscriber's as zeros."""
    entry = _entry_of(sheet, row, part)
    if entry < 0:
        return at
    start, size = sheet.entry_at[entry], np.int64(sheet.entry_bytes[entry])
    end = put_bytes(out, at, part << 3 | 2, sheet.text, start, size)
    if part == message.SUBSCRIBER:
        for k in range(end - size, end):
            out[k] = _ZERO
    return end


@kernel(types.int64(OUT, types.int64, types.int64, types.int64, types.int64), inner=True)
def _put_instant(out: npt.NDArray[np.uint8], at: Int, tag: Int, seconds: Int, nanos: Int) -> Int:
    """Write an instant or a duration as a field: at most 22 bytes behind tag and length."""
    out[at] = tag
    start = at + 2
    at = start
    if seconds != 0:
        out[at] = 1 << 3
        at = put_varint(out, at + 1, np.uint64(seconds))
    if nanos != 0:
        out[at] = 2 << 3
        at = put_varint(out, at + 1, np.uint64(nanos))
    out[start - 1] = at - start
    return at


@kernel(types.int64(SHEET_TYPE, OUT, types.int64, types.int64, types.int64), inner=True)
def _put_value(sheet: Sheet, out: npt.NDArray[np.uint8], at: Int, row: int, field: int) -> Int:
    """Write a touchpoint.v1.Value."""
    kind, value, nanos = np.int64(sheet.field_kind[field]), sheet.field_value[field, row], sheet.field_nanos[field, row]
    if kind in (BOOL, INT):
        out[at] = kind << 3
        return put_varint(out, at + 1, np.uint64(value))
    if kind == DOUBLE:
        out[at] = kind << 3 | 1
        bits = np.uint64(value)
        for k in range(8):
            out[at + 1 + k] = bits >> np.uint64(8 * k) & np.uint64(0xFF)
        return at + 9
    if kind == STRING:
        return put_bytes(out, at, kind << 3 | 2, sheet.text, sheet.entry_at[value], np.int64(sheet.entry_bytes[value]))
    return _put_instant(out, at, kind << 3 | 2, value, np.int64(nanos))


@kernel(types.int64(SHEET_TYPE, types.int64, types.int64), inner=True)
def _value_most(sheet: Sheet, row: int, field: int) -> Int:
    """Return how many bytes a value takes at most."""
    if sheet.field_kind[field] == STRING:
        return np.int64(sheet.entry_bytes[sheet.field_value[field, row]]) + 6
    return 2 + _INSTANT_MOST


@kernel(types.int64(OUT, types.int64, types.int64, types.int64), inner=True)
def _close(out: npt.NDArray[np.uint8], start: Int, room: Int, end: Int) -> Int:
    """Write the length of what lies from start + room on up to `end` at `start`, and move it there; return where it then ends."""
    size = end - start - room
    width = put_varint(out, start, np.uint64(size)) - start
    for k in range(size):
        out[start + width + k] = out[start + room + k]
    return np.int64(start + width + size)


@kernel(types.int64(ASKING_TYPE, OUT, types.int64, types.int64), inner=True)
def _put_trigger(asking: Asking, out: npt.NDArray[np.uint8], at: Int, row: int) -> Int:
    """Write the trigger, if the row has one."""
    sheet = asking.sheet
    entry = _entry_of(sheet, row, message.TYPE)
    if entry < 0:
        return at
    out[at] = message.TRIGGER << 3 | 2
    start, room = at + 1, 4
    at = put_bytes(out, start + room, 1 << 3 | 2, sheet.text, sheet.entry_at[entry], np.int64(sheet.entry_bytes[entry]))
    if sheet.known[TIME_SECONDS, row]:
        at = _put_instant(out, at, 2 << 3 | 2, sheet.number[TIME_SECONDS, row], sheet.number[TIME_NANOS, row])
    for field in range(len(sheet.field_kind)):
        if sheet.field_known[field, row]:
            out[at] = 3 << 3 | 2
            name_at = asking.name_at[field]
            end = put_bytes(out, at + 5, 1 << 3 | 2, asking.names, name_at, asking.name_at[field + 1] - name_at)
            out[end] = 2 << 3 | 2
            at = _close(out, at + 1, 4, _close(out, end + 1, 4, _put_value(sheet, out, end + 5, row, field)))
    return _close(out, start, room, at)


@kernel(types.int64(ASKING_TYPE, types.int64), inner=True)
def _most(asking: Asking, row: int) -> Int:
    """Return how many bytes the row's message takes at most."""
    sheet, total = asking.sheet, np.int64(64 + 2 + _INSTANT_MOST)
    for column in range(len(sheet.part)):
        if sheet.code[column, row] >= 0:
            total += sheet.entry_bytes[sheet.first[column] + sheet.code[column, row]] + 6
    for field in range(len(sheet.field_kind)):
        if sheet.field_known[field, row]:
            total += 20 + asking.name_at[field + 1] - asking.name_at[field] + _value_most(sheet, row, field)
    return total


@kernel(types.int64(ASKING_TYPE, types.int64, types.int64, OUT, writable(np.int64), writable(np.int32)))
def write_messages(
    asking: Asking,
    first: int,
    count: int,
    out: npt.NDArray[np.uint8],
    item_at: npt.NDArray[np.int64],
    item_bytes: npt.NDArray[np.int32],
) -> Int:
    """Write the messages of rows [first, first + count) and where each lies; return how many bytes that is.

    Minus those that it wants, with nothing written, when there is no room for them.
    """
    wanted = np.int64(0)
    for row in range(first, first + count):
        wanted += _most(asking, row)
    if wanted > len(out):
        return -wanted
    sheet = asking.sheet
    at: Int = np.int64(0)
    for row in range(first, first + count):
        item_at[row - first] = at
        for part in _TEXTS_FIRST:
            at = _put_text(sheet, out, at, row, part)
        at = _put_trigger(asking, out, at, row)
        for part in _TEXTS_LAST[:3]:
            at = _put_text(sheet, out, at, row, part)
        if sheet.known[SEATS, row]:
            out[at] = message.MAX_OFFERS << 3
            at = put_varint(out, at + 1, np.uint64(sheet.number[SEATS, row]))
        for part in _TEXTS_LAST[3:]:
            at = _put_text(sheet, out, at, row, part)
        if sheet.known[DRY, row] and sheet.number[DRY, row]:
            out[at], out[at + 1] = message.DRY_RUN << 3, 1
            at += 2
        item_bytes[row - first] = at - item_at[row - first]
    return at
