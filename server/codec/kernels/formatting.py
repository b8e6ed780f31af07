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
from server.codec.sayings import BOOL, DOUBLE, DURATION, TIMESTAMP

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
_DIGITS = types.Tuple((types.uint64, types.int64))  # type: ignore[no-untyped-call]
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


@kernel(_DIGITS(types.int64), inner=True)
def digits_of(bits: Integer) -> tuple[np.uint64, Integer]:
    """Return the digits of the shortest text that reads back as a double, and how many of them stand after the point.

    (0, UNSAID) when there are more than 15, or `repr` writes an exponent.
    """
    size = np.abs(np.int64(bits).view(np.float64))
    if size == 0.0 or _PLAIN_MIN <= size < _SHORT_MAX:
        power = np.float64(1.0)
        for places in range(_PLACES_MAX):
            whole = np.rint(size * power)
            if whole >= _SHORT_MAX:
                break
            # Both are exact, so the quotient is what the decimal reads as.
            if whole / power == size:
                return np.uint64(whole), places
            power *= 10.0
    return np.uint64(0), UNSAID


@kernel(types.int64(OUT, types.int64, types.int64, types.uint64, types.int64), inner=True)
def put_number(out: npt.NDArray[np.uint8], at: Integer, sign: Integer, number: np.uint64, scale: Integer) -> Integer:
    """Write a number whose last `scale` digits stand after the point, without a point when there are none; behind a minus when `sign` is negative."""
    if sign < 0:
        out[at] = _MINUS
        at += 1
    end = put_digits(out, at, number, scale + 1)
    if scale > 0:
        for k in range(scale):
            out[end - k] = out[end - k - 1]
        out[end - scale] = _POINT
        end += 1
    return end


@kernel(types.int64(OUT, types.int64, ZONE_TABLES_TYPE, types.int64, types.int64), inner=True)
def put_date(out: npt.NDArray[np.uint8], at: Integer, zones: ZoneTables, zone: Integer, instant_s: Integer) -> Integer:
    """Write the ISO date of an instant in a zone (negative: the last one); UNSAID in the first and last days that dates have, and beyond them."""
    if instant_s < TIMESTAMP_MIN_S + 2 * _DAY_S or instant_s > TIMESTAMP_MAX_S - 2 * _DAY_S:
        return UNSAID
    offset_s = utc_offset_s(zones, int(zone) if zone >= 0 else len(zones.start) - 2, int(instant_s))
    if offset_s == NO_ZONE:
        return UNSAID
    date = instant_part(instant_s + offset_s, YEAR) * 10_000
    date += (instant_part(instant_s + offset_s, MONTH) + 1) * 100 + instant_part(instant_s + offset_s, DAY)
    end = put_digits(out, at, np.uint64(date), 8) + 2
    out[end - 1], out[end - 2], out[end - 3] = out[end - 3], out[end - 4], _MINUS
    out[end - 4], out[end - 5], out[end - 6] = out[end - 5], out[end - 6], _MINUS
    return end


@kernel(types.int64(OUT, types.int64, types.int64, types.int64), inner=True)
def put_span(out: npt.NDArray[np.uint8], at: Integer, seconds: Integer, nanos: Integer) -> Integer:
    """Write a duration like 1h30m, truncated to whole seconds."""
    negative = seconds < 0
    if negative and nanos != 0:
        seconds += 1
    rest, size, unit = magnitude(seconds), np.uint64(_DAY_S), _D
    if rest == np.uint64(0):
        out[at], out[at + 1] = _ZERO, _S
        return at + 2
    if negative:
        out[at] = _MINUS
        at += 1
    while rest != np.uint64(0):
        count = rest // size
        rest %= size
        if count != np.uint64(0):
            at = put_digits(out, at, count, 1)
            out[at] = unit
            at += 1
        if unit == _D:
            size, unit = np.uint64(3_600), _H
        elif unit == _H:
            size, unit = np.uint64(60), _M
        else:
            size, unit = np.uint64(1), _S
    return at


@kernel(
    types.int64(OUT, types.int64, ZONE_TABLES_TYPE, types.int64, types.int64, types.int64, types.int64, types.int64),
    inner=True,
)
def put_value(
    out: npt.NDArray[np.uint8],
    at: Integer,
    zones: ZoneTables,
    zone: Integer,
    kind: Integer,
    scale: Integer,
    value: Integer,
    nanos: Integer,
) -> Integer:
    """Write the value of a slot that holds no string (engine.dtypes.view), of a type of server.codec.sayings; UNSAID."""
    if kind == BOOL:
        return put_bool(out, at, value)
    if kind == TIMESTAMP:
        return put_date(out, at, zones, zone, value)
    if kind == DURATION:
        return put_span(out, at, value, nanos)
    if kind == DOUBLE:
        number, scale = digits_of(value)
        if scale < 0:
            return UNSAID
    else:
        number = magnitude(value)
    return put_number(out, at, value, number, scale)
