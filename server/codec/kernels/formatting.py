"""Values as messages say them, byte for byte as engine.templates.format_value does: each writes ASCII from `at` on and returns where it ends.

There must be room for VALUE_BYTES_MAX. What is not said here, because only Python says it exactly, gives UNSAID.
"""

import numpy as np
import numpy.typing as npt
from numba import types

from engine.dtypes.ledger import Integer
from engine.dtypes.operation import DAY, MONTH, YEAR
from engine.dtypes.zone import ZONE_TABLES_TYPE, ZoneTables
from engine.jit import kernel
from engine.kernels.cel_time import instant_part
from engine.kernels.cel_zone import NO_ZONE, utc_offset_s
from server.codec.bounds import TIMESTAMP_MAX_S, TIMESTAMP_MIN_S
from server.codec.kernels.writing import OUT

UNSAID = -2
VALUE_BYTES_MAX = 64
SCALE_MAX = 32
"""A decimal has at most so many digits after the point."""
_MINUS, _POINT, _ZERO = 45, 46, 48
_TRUE, _FALSE = int.from_bytes(b"true", "little"), int.from_bytes(b"false", "little")
_D, _H, _M, _S = 100, 104, 109, 115
_DAY_S = 86_400
_SHORT_MAX = 1e15
"""Of two numbers of at most 15 digits no two are the same double, so one that reads back as a double is its shortest text."""
_PLAIN_MIN = 1e-4
"""Below it `repr` writes exponents."""
_PLACES_MAX = 19
assert VALUE_BYTES_MAX >= SCALE_MAX + 22


@kernel(types.int64(OUT, types.int64, types.uint64, types.int64), inner=True)
def put_digits(out: npt.NDArray[np.uint8], at: Integer, number: np.uint64, least: Integer) -> Integer:
    """Write a number in decimal, with zeros before it up to `least` digits."""
    count, rest = np.int64(1), number // np.uint64(10)
    while rest != np.uint64(0):
        rest //= np.uint64(10)
        count += 1
    end = at + max(count, least)
    for k in range(end - at):
        out[end - 1 - k] = np.uint64(_ZERO) + number % np.uint64(10)
        number //= np.uint64(10)
    return end


@kernel(types.int64(OUT, types.int64, types.boolean), inner=True)
def put_sign(out: npt.NDArray[np.uint8], at: Integer, negative: bool) -> Integer:
    """Write a minus before what is negative."""
    if negative:
        out[at] = _MINUS
        at += 1
    return at


@kernel(types.int64(OUT, types.int64, types.uint64, types.int64), inner=True)
def put_scaled(out: npt.NDArray[np.uint8], at: Integer, number: np.uint64, scale: Integer) -> Integer:
    """Write a number whose last `scale` digits stand after the point; without a point when there are none."""
    end = put_digits(out, at, number, scale + 1)
    if scale > 0:
        for k in range(scale):
            out[end - k] = out[end - k - 1]
        out[end - scale] = _POINT
        end += 1
    return end


@kernel(types.int64(OUT, types.int64, types.int64), inner=True)
def put_bool(out: npt.NDArray[np.uint8], at: Integer, value: Integer) -> Integer:
    """Write true or false."""
    word, count = (np.uint64(_TRUE), 4) if value != 0 else (np.uint64(_FALSE), 5)
    for k in range(count):
        out[at + k] = (word >> np.uint64(8 * k)) & np.uint64(255)
    return at + count


@kernel(types.uint64(types.int64), inner=True)
def magnitude(number: Integer) -> np.uint64:
    """Return how large a number is, the least int64 too."""
    return np.uint64(number) if number >= 0 else np.uint64(-(number + 1)) + np.uint64(1)


@kernel(types.int64(OUT, types.int64, types.int64, types.int64), inner=True)
def put_decimal(out: npt.NDArray[np.uint8], at: Integer, value: Integer, scale: Integer) -> Integer:
    """Write an integer (scale 0), or a decimal with all digits of its scale."""
    at = put_sign(out, at, value < 0)
    return put_scaled(out, at, magnitude(value), scale)


@kernel(types.int64(OUT, types.int64, types.int64), inner=True)
def put_double(out: npt.NDArray[np.uint8], at: Integer, bits: Integer) -> Integer:
    """Write the shortest text that reads back as the double, without a trailing .0, when that has at most 15 digits and no exponent; else UNSAID."""
    value = np.int64(bits).view(np.float64)
    size = np.abs(value)
    if not (size == 0.0 or _PLAIN_MIN <= size < _SHORT_MAX):
        return UNSAID
    power = np.float64(1.0)
    for places in range(_PLACES_MAX):
        whole = np.rint(size * power)
        if whole >= _SHORT_MAX:
            break
        # Both are exact, so the quotient is what the decimal reads as.
        if whole / power == size:
            at = put_sign(out, at, np.int64(bits) < 0)
            return put_scaled(out, at, np.uint64(whole), places)
        power *= 10.0
    return UNSAID


@kernel(types.int64(OUT, types.int64, ZONE_TABLES_TYPE, types.int64, types.int64), inner=True)
def put_date(out: npt.NDArray[np.uint8], at: Integer, zones: ZoneTables, zone: Integer, instant_s: Integer) -> Integer:
    """Write the ISO date of an instant in a zone (negative: the last one); UNSAID in the first and last days that dates have, and beyond them."""
    if instant_s < TIMESTAMP_MIN_S + 2 * _DAY_S or instant_s > TIMESTAMP_MAX_S - 2 * _DAY_S:
        return UNSAID
    offset_s = utc_offset_s(zones, zone if zone >= 0 else len(zones.start) - 2, instant_s)
    if offset_s == NO_ZONE:
        return UNSAID
    local_s = instant_s + offset_s
    at = put_digits(out, at, np.uint64(instant_part(local_s, YEAR)), 4)
    out[at] = _MINUS
    at = put_digits(out, at + 1, np.uint64(instant_part(local_s, MONTH) + 1), 2)
    out[at] = _MINUS
    return put_digits(out, at + 1, np.uint64(instant_part(local_s, DAY)), 2)


@kernel(types.int64(OUT, types.int64, types.uint64, types.int64), inner=True)
def _put_unit(out: npt.NDArray[np.uint8], at: Integer, count: np.uint64, unit: Integer) -> Integer:
    if count != np.uint64(0):
        at = put_digits(out, at, count, 1)
        out[at] = unit
        at += 1
    return at


@kernel(types.int64(OUT, types.int64, types.int64, types.int64), inner=True)
def put_span(out: npt.NDArray[np.uint8], at: Integer, seconds: Integer, nanos: Integer) -> Integer:
    """Write a duration like 1h30m, truncated to whole seconds."""
    start, negative = at, seconds < 0
    if negative and nanos != 0:
        seconds += 1
    rest = magnitude(seconds)
    at = put_sign(out, at, negative)
    signed = at
    at = _put_unit(out, at, rest // np.uint64(_DAY_S), _D)
    at = _put_unit(out, at, rest // np.uint64(3_600) % np.uint64(24), _H)
    at = _put_unit(out, at, rest // np.uint64(60) % np.uint64(60), _M)
    at = _put_unit(out, at, rest % np.uint64(60), _S)
    if at == signed:
        out[start] = _ZERO
        out[start + 1] = _S
        at = start + 2
    return at
