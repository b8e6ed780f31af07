"""Requests become batch columns: each item that is in usual form and right in every way; any other is odd, and left as it is."""

import numpy as np
import numpy.typing as npt
from numba import types

from engine.jit import kernel, read_only, writable
from engine.kernels.base_text import is_plain_key
from engine.kernels.siphash import Int, sip_bytes
from engine.limits import (
    OFFERS_PER_ANSWER_MAX,
    REQUEST_ID_BYTES_MAX,
    STRING_FIELD_BYTES_MAX,
    SUBSCRIBER_KEY_BYTES_MAX,
)
from server.codec.bounds import DURATION_MAX_S, NANOS_MAX, NOTE_BYTES_MAX, TIMESTAMP_MAX_S, TIMESTAMP_MIN_S
from server.codec.dtypes import EXPLAIN as WANTS_EXPLANATION
from server.codec.kernels import message
from server.codec.kernels.identity import SUBSCRIBER_KEY, body_digest, entry_digest, request_digest
from server.codec.kernels.message import (
    DOUBLE,
    DURATION,
    FIELDS,
    INT,
    KIND,
    NAME_AT,
    NAME_BYTES,
    NANOS,
    STRING,
    TIME_S,
    TIMESTAMP,
    VALUE,
    has,
    next_entry,
    split_message,
)
from server.codec.kernels.naming import coded_text, name_number
from server.codec.kernels.wire import ODD, READ
from server.codec.request_tables import (
    CHANNEL,
    CODED_TYPE,
    COLUMNS_TYPE,
    FIELD,
    LANGUAGE,
    PLACEMENT,
    TABLES_TYPE,
    TRIGGER,
    Coded,
    Columns,
    Tables,
)

DRY_RUN = 1
"""As engine.batch has it."""
_EXPONENT = 0x7FF
_PLUS = 43


@kernel(
    types.int64(read_only(np.uint8), types.int64, TABLES_TYPE, COLUMNS_TYPE, writable(np.int64)), inner=True, apart=True
)
def read_address(
    text: npt.NDArray[np.uint8], item: int, tables: Tables, columns: Columns, parts: npt.NDArray[np.int64]
) -> int:
    """Fill channel, language, offers_max, flags and the id's span."""
    id_bytes = parts[2 * message.REQUEST_ID + 1]
    channel: Int = -1
    if has(parts, message.CHANNEL):
        at, size = parts[2 * message.CHANNEL], parts[2 * message.CHANNEL + 1]
        channel = name_number(tables.names, CHANNEL, text, at, size)
    if id_bytes < 1 or id_bytes > REQUEST_ID_BYTES_MAX or channel < 0:
        return ODD
    language: Int = -1
    if parts[2 * message.LANGUAGE + 1] > 0:
        at, size = parts[2 * message.LANGUAGE], parts[2 * message.LANGUAGE + 1]
        language = name_number(tables.names, LANGUAGE, text, at, size)
        if language < 0:
            return ODD
    seats = parts[2 * message.MAX_OFFERS] if has(parts, message.MAX_OFFERS) else np.int64(tables.offers_max[channel])
    if seats < 1 or seats > OFFERS_PER_ANSWER_MAX or has(parts, message.ASSUMED_NOW):
        return ODD
    if has(parts, message.EXPLAIN) and parts[2 * message.EXPLAIN]:
        return ODD
    for note in range(message.TOOL, message.OUTLET + 1):
        if parts[2 * note + 1] > NOTE_BYTES_MAX:
            return ODD
    columns.id_at[item], columns.id_bytes[item] = parts[2 * message.REQUEST_ID], id_bytes
    columns.channel[item], columns.language[item], columns.offers_max[item] = channel, language, seats
    columns.flags[item] = DRY_RUN if has(parts, message.DRY_RUN) and parts[2 * message.DRY_RUN] else 0
    columns.wants[item] = 0
    return READ


@kernel(
    types.int64(read_only(np.uint8), types.int64, types.int64, types.int64, TABLES_TYPE, COLUMNS_TYPE),
    inner=True,
    apart=True,
)
def read_subscriber(
    text: npt.NDArray[np.uint8], item: int, at: Int, size: Int, tables: Tables, columns: Columns
) -> int:
    """Hash the key if it is its own normal form, but for a telephone number's plus."""
    digits_only = tables.digits_only[0] != 0
    end = at + size
    if digits_only and size > 0 and text[at] == _PLUS:
        at += 1
    if not is_plain_key(text, at, end, digits_only, SUBSCRIBER_KEY_BYTES_MAX):
        return ODD
    columns.subscriber[item] = sip_bytes(text, at, end, tables.keys[SUBSCRIBER_KEY], tables.keys[SUBSCRIBER_KEY + 1])
    return READ


@kernel(types.int64(read_only(np.uint8), types.int64, TABLES_TYPE, COLUMNS_TYPE, writable(np.int64)), inner=True)
def read_occasion(
    text: npt.NDArray[np.uint8], item: int, tables: Tables, columns: Columns, parts: npt.NDArray[np.int64]
) -> int:
    """Fill the trigger and the columns of its time; the other columns become unknown."""
    kind, part = (PLACEMENT, message.PLACEMENT) if has(parts, message.PLACEMENT) else (TRIGGER, message.TYPE)
    if parts[2 * part + 1] <= 0:
        return ODD
    trigger = name_number(tables.names, kind, text, parts[2 * part], parts[2 * part + 1])
    if trigger < 0:
        return ODD
    columns.trigger[item] = trigger
    for column in range(columns.field_known.shape[1]):
        columns.field_known[item, column] = 0
    seconds, nanos = columns.now_us[item] // 1_000_000, columns.now_us[item] % 1_000_000 * 1_000
    if has(parts, message.TIME):
        seconds, nanos = parts[TIME_S], parts[TIME_S + 1]
        if seconds < TIMESTAMP_MIN_S or seconds > TIMESTAMP_MAX_S or nanos < 0 or nanos > NANOS_MAX:
            return ODD
    columns.field_values[item, 0], columns.field_nanos[item, 0], columns.field_known[item, 0] = (
        seconds,
        nanos // 1_000 * 1_000,
        1,
    )
    return READ


@kernel(types.int64(types.int64, writable(np.int64)), inner=True)
def checked_value(declared: int, parts: npt.NDArray[np.int64]) -> int:
    """Make the value that was read last what views hold of a field declared as kind `declared`; strings are left to the caller."""
    kind, value, nanos = parts[KIND], parts[VALUE], parts[NANOS]
    if kind == INT and declared == DOUBLE:
        parts[VALUE] = np.float64(value).view(np.int64)
        return READ
    if kind != declared:
        return ODD
    if kind == DOUBLE and (value >> 52) & _EXPONENT == _EXPONENT:
        return ODD
    if kind == TIMESTAMP and (value < TIMESTAMP_MIN_S or value > TIMESTAMP_MAX_S or nanos < 0 or nanos > NANOS_MAX):
        return ODD
    if kind == DURATION:
        if value < -DURATION_MAX_S or value > DURATION_MAX_S or nanos < -NANOS_MAX or nanos > NANOS_MAX:
            return ODD
        if (value > 0 and nanos < 0) or (value < 0 and nanos > 0):
            return ODD
        if nanos < 0:
            parts[VALUE], parts[NANOS] = value - 1, nanos + 1_000_000_000
    return READ


@kernel(
    types.int64(read_only(np.uint8), types.int64, TABLES_TYPE, CODED_TYPE, COLUMNS_TYPE, writable(np.int64)), inner=True
)
def _read_fields(
    text: npt.NDArray[np.uint8], item: int, tables: Tables, coded: Coded, columns: Columns, parts: npt.NDArray[np.int64]
) -> int:
    """Fill the columns of the trigger's fields, and `body` with the sum of their digests."""
    at, total = parts[2 * message.TRIGGER], np.uint64(0)
    for _ in range(parts[2 * FIELDS + 1]):
        at = next_entry(text, at, parts)
        if at < 0:
            return ODD
        column = name_number(tables.names, FIELD, text, parts[NAME_AT], parts[NAME_BYTES])
        if column < 0 or columns.field_known[item, column]:
            return ODD
        digest = entry_digest(text, parts, tables.keys)
        declared = tables.field_kind[columns.trigger[item], column]
        if checked_value(declared, parts) == ODD:
            return ODD
        value, nanos = parts[VALUE], parts[NANOS]
        if declared == STRING:
            value = 0
            if tables.field_coded[column]:
                value = coded_text(coded, digest, column, text, parts[VALUE], nanos)
            if value < 0 or nanos > STRING_FIELD_BYTES_MAX:
                return ODD
            nanos = 0
        columns.field_values[item, column], columns.field_nanos[item, column] = value, nanos
        columns.field_known[item, column] = 1
        total += digest
    columns.body[item] = total
    return READ


@kernel(
    types.void(read_only(np.uint8), types.int64, read_only(np.uint64), COLUMNS_TYPE, writable(np.int64)),
    inner=True,
    apart=True,
)
def identify(
    text: npt.NDArray[np.uint8],
    item: int,
    keys: npt.NDArray[np.uint64],
    columns: Columns,
    parts: npt.NDArray[np.int64],
) -> None:
    """Fill the request's digest, and the body's from the sum of its fields'."""
    columns.body[item] = body_digest(text, parts, columns.body[item], keys)
    at, size = columns.id_at[item], columns.id_bytes[item]
    first, second = request_digest(text, at, size, columns.subscriber[item], keys)
    columns.request[item, 0], columns.request[item, 1] = first, second


@kernel(
    types.int64(read_only(np.uint8), types.int64, TABLES_TYPE, CODED_TYPE, COLUMNS_TYPE, writable(np.int64)), inner=True
)
def _read_one(
    text: npt.NDArray[np.uint8], item: int, tables: Tables, coded: Coded, columns: Columns, parts: npt.NDArray[np.int64]
) -> int:
    if split_message(text, columns.item_at[item], columns.item_bytes[item], parts) == ODD:
        return ODD
    if read_address(text, item, tables, columns, parts) == ODD or not has(parts, message.SUBSCRIBER):
        return ODD
    at, size = parts[2 * message.SUBSCRIBER], parts[2 * message.SUBSCRIBER + 1]
    if read_subscriber(text, item, at, size, tables, columns) == ODD:
        return ODD
    if read_occasion(text, item, tables, columns, parts) == ODD:
        return ODD
    if _read_fields(text, item, tables, coded, columns, parts) == ODD:
        return ODD
    identify(text, item, tables.keys, columns, parts)
    return READ


@kernel(
    types.int64(
        read_only(np.uint8), types.int64, types.int64, TABLES_TYPE, CODED_TYPE, COLUMNS_TYPE, writable(np.int64)
    )
)  # fmt: skip
def read_requests(
    text: npt.NDArray[np.uint8],
    count: int,
    now_us: int,
    tables: Tables,
    coded: Coded,
    columns: Columns,
    parts: npt.NDArray[np.int64],
) -> int:
    """Read the first `count` rows' items at the instant `now_us`; return how many are odd. `parts` is scratch, (PARTS_SIZE,)."""
    odd = 0
    for item in range(count):
        columns.now_us[item] = now_us
        columns.odd[item] = _read_one(text, item, tables, coded, columns, parts)
        odd += columns.odd[item]
    return odd


@kernel(types.int64(read_only(np.uint8), read_only(np.int64), read_only(np.uint64), COLUMNS_TYPE, writable(np.int64)))
def identify_rows(
    text: npt.NDArray[np.uint8],
    index: npt.NDArray[np.int64],
    keys: npt.NDArray[np.uint64],
    columns: Columns,
    parts: npt.NDArray[np.int64],
) -> int:
    """Fill digests, the id's span and what is wanted of rows whose items lie in usual form in `text` and whose subscriber is known; return how many do not."""
    odd = 0
    for item in index:
        status = split_message(text, columns.item_at[item], columns.item_bytes[item], parts)
        at, total = parts[2 * message.TRIGGER], np.uint64(0)
        if status == READ and has(parts, FIELDS):
            for _ in range(parts[2 * FIELDS + 1]):
                at = next_entry(text, at, parts)
                if at < 0:
                    status = ODD
                    break
                total += entry_digest(text, parts, keys)
        odd += status
        if status == READ:
            columns.body[item] = total
            columns.id_at[item] = parts[2 * message.REQUEST_ID]
            columns.id_bytes[item] = parts[2 * message.REQUEST_ID + 1]
            wanted = has(parts, message.EXPLAIN) and parts[2 * message.EXPLAIN] != 0
            columns.wants[item] = WANTS_EXPLANATION if wanted else 0
            identify(text, item, keys, columns, parts)
    return odd
