"""A DecideRequest taken apart where it lies: `parts` says where each field is, and no byte is copied.

    parts: | at, size of each field by its number | type, time, fields of the trigger | two instants | the entry of a map that is looked at |

A field's size is -1 when it is absent; for a number `at` is its value and `size` 0. What is not the one usual form of a valid message is odd:
a field that is not known, or twice, or of another wire type, a bool beyond 1, text that is not UTF-8, trigger and placement together, a map
entry or value that leaves something out. That is all there is to know here about names, ranges and lengths.
"""

import numpy as np
import numpy.typing as npt
from numba import types

from engine.jit import kernel, read_only, writable
from engine.kernels.siphash import Int, byte_at, whole_word
from server.codec.kernels.wire import ODD, READ, instant_at, is_utf8, length_at, varint_at

REQUEST_ID, SUBSCRIBER, TRIGGER, PLACEMENT, CHANNEL, LANGUAGE, MAX_OFFERS = 1, 2, 3, 4, 5, 6, 7
TOOL, AGENT, OUTLET, DRY_RUN, EXPLAIN, ASSUMED_NOW = 8, 9, 10, 11, 12, 13
"""Field numbers of touchpoint.v1.DecideRequest."""
TYPE, TIME, FIELDS = 14, 15, 16
"""Of its TriggerEvent. FIELDS' size is the number of entries when there are any."""
PARTS = 17
TIME_S, NOW_S, NAME_AT, NAME_BYTES, KIND, VALUE, NANOS = 34, 36, 38, 39, 40, 41, 42
"""Places in `parts`: instants as seconds and nanos; of the map's entry its name's span, Value's kind by number, the value (text: its span)."""
PARTS_SIZE = 43
assert TIME_S == 2 * PARTS

BOOL, INT, DOUBLE, STRING, TIMESTAMP, DURATION = 1, 2, 3, 4, 5, 6
"""Kinds of a touchpoint.v1.Value by field number."""

_NUMBERS = 1 << MAX_OFFERS | 1 << DRY_RUN | 1 << EXPLAIN
_TEXTS = (
    1 << REQUEST_ID
    | 1 << SUBSCRIBER
    | 1 << PLACEMENT
    | 1 << CHANNEL
    | 1 << LANGUAGE
    | 1 << TOOL
    | 1 << AGENT
    | 1 << OUTLET
)
_VARINT, _LENGTH = 0, 2
_FIRST_TAG, _SECOND_TAG, _THIRD_TAG = 1 << 3 | _LENGTH, 2 << 3 | _LENGTH, 3 << 3 | _LENGTH


@kernel(types.boolean(writable(np.int64), types.int64), inner=True)
def has(parts: npt.NDArray[np.int64], part: Int) -> bool:
    """Return whether the message has the part."""
    return bool(parts[2 * part + 1] >= 0)


@kernel(types.int64(read_only(np.uint8), writable(np.int64)), inner=True)
def _split_trigger(text: npt.NDArray[np.uint8], parts: npt.NDArray[np.int64]) -> int:
    at, end = parts[2 * TRIGGER], parts[2 * TRIGGER] + parts[2 * TRIGGER + 1]
    while at < end:
        tag = np.int64(byte_at(text, at))
        at, length = length_at(text, at + 1, end)
        if length < 0:
            return ODD
        if tag == _FIRST_TAG and not has(parts, TYPE) and is_utf8(text, at, length):
            parts[2 * TYPE], parts[2 * TYPE + 1] = at, length
        elif tag == _SECOND_TAG and not has(parts, TIME):
            parts[2 * TIME], parts[2 * TIME + 1] = at, length
            if instant_at(text, at, length, parts, TIME_S):
                return ODD
        elif tag == _THIRD_TAG:
            parts[2 * FIELDS + 1] = max(parts[2 * FIELDS + 1], 0) + 1
        else:
            return ODD
        at += length
    return READ


@kernel(types.int64(read_only(np.uint8), types.int64, types.int64, writable(np.int64)), inner=True)
def split_message(text: npt.NDArray[np.uint8], start: Int, size: Int, parts: npt.NDArray[np.int64]) -> int:
    """Fill `parts`, (PARTS_SIZE,), from the DecideRequest in bytes [start, start + size); return READ or ODD."""
    for part in range(PARTS):
        parts[2 * part + 1] = -1
    at, end = start, start + size
    while at < end:
        tag = np.int64(byte_at(text, at))
        field, wire = tag >> 3, tag & 7
        if field < REQUEST_ID or field > ASSUMED_NOW or has(parts, field):
            return ODD
        if (_NUMBERS >> field) & 1:
            value, at = varint_at(text, at + 1, end)
            if wire != _VARINT or at < 0 or value < 0 or value > (1 if field != MAX_OFFERS else (1 << 31) - 1):
                return ODD
            parts[2 * field], parts[2 * field + 1] = value, 0
            continue
        at, length = length_at(text, at + 1, end)
        if wire != _LENGTH or length < 0 or ((_TEXTS >> field) & 1 and not is_utf8(text, at, length)):
            return ODD
        parts[2 * field], parts[2 * field + 1] = at, length
        at += length
    if has(parts, ASSUMED_NOW) and instant_at(text, parts[2 * ASSUMED_NOW], parts[2 * ASSUMED_NOW + 1], parts, NOW_S):
        return ODD
    if not has(parts, TRIGGER):
        return READ
    return ODD if has(parts, PLACEMENT) else _split_trigger(text, parts)


@kernel(types.int64(read_only(np.uint8), types.int64, types.int64, writable(np.int64)), inner=True)
def _read_value(text: npt.NDArray[np.uint8], at: Int, size: Int, parts: npt.NDArray[np.int64]) -> int:
    end = at + size
    if size == 0:
        return ODD
    tag = np.int64(byte_at(text, at))
    kind, at = tag >> 3, at + 1
    parts[KIND], parts[NANOS] = kind, 0
    if tag == BOOL << 3 | _VARINT or tag == INT << 3 | _VARINT:
        parts[VALUE], at = varint_at(text, at, end)
        if kind == BOOL and (parts[VALUE] < 0 or parts[VALUE] > 1):
            return ODD
    elif tag == DOUBLE << 3 | 1 and at + 8 <= end:
        parts[VALUE] = np.uint64(whole_word(text, at)).view(np.int64)
        at += 8
    elif tag == STRING << 3 | _LENGTH or tag == TIMESTAMP << 3 | _LENGTH or tag == DURATION << 3 | _LENGTH:
        at, length = length_at(text, at, end)
        if length < 0:
            return ODD
        parts[VALUE], parts[NANOS] = at, length
        if not is_utf8(text, at, length) if kind == STRING else instant_at(text, at, length, parts, VALUE):
            return ODD
        at += length
    else:
        return ODD
    return READ if at == end else ODD


@kernel(types.int64(read_only(np.uint8), types.int64, types.int64, writable(np.int64)), inner=True)
def _read_entry(text: npt.NDArray[np.uint8], at: Int, size: Int, parts: npt.NDArray[np.int64]) -> int:
    end = at + size
    parts[NAME_AT], parts[KIND] = -1, -1
    while at < end:
        tag = np.int64(byte_at(text, at))
        at, length = length_at(text, at + 1, end)
        if length < 0:
            return ODD
        if tag == _FIRST_TAG and parts[NAME_AT] < 0 and is_utf8(text, at, length):
            parts[NAME_AT], parts[NAME_BYTES] = at, length
        elif tag != _SECOND_TAG or parts[KIND] >= 0 or _read_value(text, at, length, parts) == ODD:
            return ODD
        at += length
    return ODD if parts[NAME_AT] < 0 or parts[KIND] < 0 else READ


@kernel(types.int64(read_only(np.uint8), types.int64, writable(np.int64)), inner=True)
def next_entry(text: npt.NDArray[np.uint8], at: Int, parts: npt.NDArray[np.int64]) -> Int:
    """Read the trigger's next entry of `fields` at or after `at`, of a message that was taken apart; return where to go on, -1 when it is odd."""
    end = parts[2 * TRIGGER] + parts[2 * TRIGGER + 1]
    while np.int64(byte_at(text, at)) != _THIRD_TAG:
        at, length = length_at(text, at + 1, end)
        at += length
    at, length = length_at(text, at + 1, end)
    return at + length if _read_entry(text, at, length, parts) == READ else -1
