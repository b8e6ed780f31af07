"""Rows of a table become batch columns: as `reading` does it for messages, whose parts are filled from columns instead of bytes.

From the parts on everything is the same: what is right, what is odd, and what makes two requests the same.
"""

import numpy as np
import numpy.typing as npt
from numba import types

from engine.jit import kernel, read_only, writable
from engine.kernels.siphash import Int
from engine.limits import REQUEST_ID_BYTES_MAX, STRING_FIELD_BYTES_MAX
from server.codec.kernels import message
from server.codec.kernels.identity import entry_begun, entry_ended, request_digest
from server.codec.kernels.message import FIELDS, KIND, NANOS, PARTS, STRING, TIME_S, VALUE, has
from server.codec.kernels.naming import coded_text
from server.codec.kernels.reading import checked_value, identify, read_address, read_occasion, read_subscriber
from server.codec.kernels.wire import ODD, READ
from server.codec.request_tables import (
    ASSUMED,
    CODED_TYPE,
    COLUMNS_TYPE,
    DRY,
    SEATS,
    SHEET_NUMBERS,
    SHEET_TYPE,
    TABLES_TYPE,
    TIME_NANOS,
    TIME_SECONDS,
    Coded,
    Columns,
    Sheet,
    Tables,
)

_SEATS_MAX = (1 << 31) - 1


@kernel(
    types.void(
        read_only(np.uint8), read_only(np.int64), read_only(np.int32), read_only(np.uint64), writable(np.uint64, 2)
    )
)
def begin_fields(
    names: npt.NDArray[np.uint8],
    start: npt.NDArray[np.int64],
    kind: npt.NDArray[np.int32],
    keys: npt.NDArray[np.uint64],
    begun: npt.NDArray[np.uint64],
) -> None:
    """Set `begun`, (fields, 4), to the states of fields' digests after their names; name f is names[start[f] : start[f + 1]]."""
    for field in range(len(kind)):
        at = start[field]
        v0, v1, v2, v3 = entry_begun(names, at, start[field + 1] - at, np.int64(kind[field]), keys)
        begun[field, 0], begun[field, 1], begun[field, 2], begun[field, 3] = v0, v1, v2, v3


@kernel(types.int64(SHEET_TYPE, types.int64, writable(np.int64)), inner=True)
def _take_apart(sheet: Sheet, row: int, parts: npt.NDArray[np.int64]) -> int:
    """Fill `parts` as split_message does from a message with the same content, but for the fields of the trigger."""
    for part in range(PARTS):
        parts[2 * part + 1] = -1
    for column in range(len(sheet.part)):
        entry = sheet.code[column, row]
        if entry >= 0:
            part = sheet.part[column]
            entry += sheet.first[column]
            parts[2 * part], parts[2 * part + 1] = sheet.entry_at[entry], sheet.entry_bytes[entry]
    if sheet.known[SEATS, row]:
        seats = sheet.number[SEATS, row]
        if seats < 0 or seats > _SEATS_MAX:
            return ODD
        parts[2 * message.MAX_OFFERS], parts[2 * message.MAX_OFFERS + 1] = seats, 0
    if sheet.known[DRY, row]:
        parts[2 * message.DRY_RUN], parts[2 * message.DRY_RUN + 1] = sheet.number[DRY, row], 0
    if sheet.known[TIME_SECONDS, row]:
        parts[2 * message.TIME + 1] = 0
        parts[TIME_S], parts[TIME_S + 1] = sheet.number[TIME_SECONDS, row], sheet.number[TIME_NANOS, row]
    placed = has(parts, message.PLACEMENT)
    if sheet.known[ASSUMED, row] or (placed and (has(parts, message.TYPE) or has(parts, message.TIME))):
        return ODD
    return READ


@kernel(types.int64(SHEET_TYPE, types.int64, types.int64, types.int64, writable(np.int64)), inner=True)
def _take_value(sheet: Sheet, row: int, field: int, kind: Int, parts: npt.NDArray[np.int64]) -> int:
    """Fill kind and value of a field as next_entry does."""
    parts[KIND], parts[VALUE], parts[NANOS] = kind, sheet.field_value[field, row], sheet.field_nanos[field, row]
    if kind == STRING:
        entry = sheet.field_value[field, row]
        parts[VALUE], parts[NANOS] = sheet.entry_at[entry], sheet.entry_bytes[entry]
    return READ


@kernel(
    types.int64(SHEET_TYPE, types.int64, types.int64, TABLES_TYPE, CODED_TYPE, COLUMNS_TYPE, writable(np.int64)),
    inner=True,
)
def _read_fields(
    sheet: Sheet, row: int, item: int, tables: Tables, coded: Coded, columns: Columns, parts: npt.NDArray[np.int64]
) -> int:
    """Fill the columns of the trigger's fields, and `body` with the sum of their digests."""
    total, count = np.uint64(0), 0
    for field in range(len(sheet.field_kind)):
        if not sheet.field_known[field, row]:
            continue
        column = np.int64(sheet.field_column[field])
        if column < 0 or has(parts, message.PLACEMENT):
            return ODD
        _take_value(sheet, row, field, np.int64(sheet.field_kind[field]), parts)
        begun = sheet.field_begun
        state = (begun[field, 0], begun[field, 1], begun[field, 2], begun[field, 3])
        digest = entry_ended(state, sheet.text, parts)
        declared = tables.field_kind[columns.trigger[item], column]
        if checked_value(declared, parts) == ODD:
            return ODD
        value, nanos = parts[VALUE], parts[NANOS]
        if declared == STRING:
            value = 0
            if tables.field_coded[column]:
                value = coded_text(coded, digest, column, sheet.text, parts[VALUE], nanos)
            if value < 0 or nanos > STRING_FIELD_BYTES_MAX:
                return ODD
            nanos = 0
        columns.field_values[item, column], columns.field_nanos[item, column] = value, nanos
        columns.field_known[item, column] = 1
        total += digest
        count += 1
    columns.body[item] = total
    if count > 0:
        parts[2 * FIELDS + 1] = count
    return READ


@kernel(
    types.int64(SHEET_TYPE, types.int64, types.int64, TABLES_TYPE, CODED_TYPE, COLUMNS_TYPE, writable(np.int64)),
    inner=True,
)
def _read_row(
    sheet: Sheet, row: int, item: int, tables: Tables, coded: Coded, columns: Columns, parts: npt.NDArray[np.int64]
) -> int:
    if _take_apart(sheet, row, parts) == ODD:
        return ODD
    if read_address(sheet.text, item, tables, columns, parts) == ODD or not has(parts, message.SUBSCRIBER):
        return ODD
    at, size = parts[2 * message.SUBSCRIBER], parts[2 * message.SUBSCRIBER + 1]
    if read_subscriber(sheet.text, item, at, size, tables, columns) == ODD:
        return ODD
    if read_occasion(sheet.text, item, tables, columns, parts) == ODD:
        return ODD
    if _read_fields(sheet, row, item, tables, coded, columns, parts) == ODD:
        return ODD
    identify(sheet.text, item, tables.keys, columns, parts)
    return READ


@kernel(types.boolean(SHEET_TYPE, types.int64, types.int64), inner=True)
def _asks_the_same(sheet: Sheet, row: int, other: int) -> bool:
    """Return whether two rows are seen at once to differ in nothing but id and subscriber: texts by their entries, so of dictionaries alone."""
    for column in range(len(sheet.part)):
        part = sheet.part[column]
        if (
            part != message.REQUEST_ID
            and part != message.SUBSCRIBER
            and sheet.code[column, row] != sheet.code[column, other]
        ):
            return False
    for place in range(SHEET_NUMBERS):
        if (
            sheet.known[place, row] != sheet.known[place, other]
            or sheet.number[place, row] != sheet.number[place, other]
        ):
            return False
    fields = False
    for field in range(len(sheet.field_kind)):
        fields |= sheet.field_known[field, row] != 0 or sheet.field_known[field, other] != 0
    return not fields


@kernel(types.int64(SHEET_TYPE, types.int64, types.int64, TABLES_TYPE, COLUMNS_TYPE), inner=True)
def _read_like(sheet: Sheet, row: int, item: int, tables: Tables, columns: Columns) -> int:
    """Read a row that asks what the row before asks, which was right; its id and subscriber are its own."""
    like = item - 1
    at, size, key_at, key_bytes = np.int64(0), np.int64(0), np.int64(0), np.int64(-1)
    for column in range(len(sheet.part)):
        if sheet.code[column, row] < 0:
            continue
        entry = sheet.first[column] + sheet.code[column, row]
        if sheet.part[column] == message.REQUEST_ID:
            at, size = sheet.entry_at[entry], np.int64(sheet.entry_bytes[entry])
        elif sheet.part[column] == message.SUBSCRIBER:
            key_at, key_bytes = sheet.entry_at[entry], np.int64(sheet.entry_bytes[entry])
    if size < 1 or size > REQUEST_ID_BYTES_MAX or key_bytes < 0:
        return ODD
    if read_subscriber(sheet.text, item, key_at, key_bytes, tables, columns) == ODD:
        return ODD
    columns.id_at[item], columns.id_bytes[item] = at, size
    columns.trigger[item], columns.channel[item] = columns.trigger[like], columns.channel[like]
    columns.language[item], columns.offers_max[item] = columns.language[like], columns.offers_max[like]
    columns.flags[item], columns.wants[item] = columns.flags[like], columns.wants[like]
    for column in range(columns.field_known.shape[1]):
        columns.field_known[item, column] = 0
    columns.field_values[item, 0], columns.field_nanos[item, 0] = (
        columns.field_values[like, 0],
        columns.field_nanos[like, 0],
    )
    columns.field_known[item, 0] = 1
    columns.body[item] = columns.body[like]
    first, second = request_digest(sheet.text, at, size, columns.subscriber[item], tables.keys)
    columns.request[item, 0], columns.request[item, 1] = first, second
    return READ


@kernel(
    types.int64(
        SHEET_TYPE,
        read_only(np.int64),
        types.int64,
        TABLES_TYPE,
        CODED_TYPE,
        COLUMNS_TYPE,
        writable(np.int64),
    )
)  # fmt: skip
def read_rows(
    sheet: Sheet,
    span: npt.NDArray[np.int64],
    now_us: int,
    tables: Tables,
    coded: Coded,
    columns: Columns,
    parts: npt.NDArray[np.int64],
) -> int:
    """Read rows [span[0], span[1]) of the sheet into the first rows of `columns` at the instant `now_us`; return how many are odd.

    `parts` is scratch, (PARTS_SIZE,).
    """
    odd, like = 0, False
    for row in range(span[0], span[1]):
        item = row - span[0]
        columns.now_us[item] = now_us
        status = ODD
        if like and _asks_the_same(sheet, row, row - 1):
            status = _read_like(sheet, row, item, tables, columns)
        if status == ODD:
            status = _read_row(sheet, row, item, tables, coded, columns, parts)
        columns.odd[item] = status
        odd += status
        like = status == READ
    return odd
