"""Bytes of a text column become numbers and normalised keys, many rows at once, exactly: no number passes through a float."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numba import types

from engine.jit import kernel, read_only, writable

READ, MALFORMED, TOO_PRECISE, TOO_LARGE = 0, 1, 2, 3
"""Statuses of a number: read; no number; more decimals than its scale; beyond 64 bits."""

FAST, SLOW = 0, 1
"""Statuses of a key: normalised; left to the caller."""

_LARGEST_TENTH = 922_337_203_685_477_580
_DIGITS_MAX = 64
_Int: TypeAlias = int | np.integer[Any]
_PAIR: Any = types.UniTuple(types.int64, 2)  # type: ignore[no-untyped-call]


@kernel(_PAIR(read_only(np.uint8), types.int64, types.int64, types.int64), inner=True)
def _parse(data: npt.NDArray[np.uint8], start: _Int, stop: _Int, scale: int) -> tuple[_Int, int]:
    """Return the scaled value and status of `[+-]digits[.digits]` in bytes [start, stop)."""
    negative = start < stop and data[start] == 45
    if start < stop and (data[start] == 45 or data[start] == 43):
        start += 1
    value: _Int = 0
    decimals, digits, status = -1, 0, READ
    for k in range(start, min(stop, start + _DIGITS_MAX)):
        digit = np.int64(data[k]) - 48
        if digit == -2 and decimals < 0:
            decimals = 0
            continue
        if digit < 0 or digit > 9:
            return 0, MALFORMED
        digits += 1
        if decimals >= 0:
            decimals += 1
        if decimals > scale:
            if digit != 0:
                status = TOO_PRECISE
        elif value > _LARGEST_TENTH or (value == _LARGEST_TENTH and digit > 7):
            status = TOO_LARGE
            value = 0
        else:
            value = value * 10 + digit
    if digits == 0 or decimals == 0 or stop - start > _DIGITS_MAX:
        return 0, MALFORMED
    for _ in range(max(decimals, 0), scale):
        if value > _LARGEST_TENTH:
            status = TOO_LARGE
            value = 0
        value *= 10
    return (-value if negative else value), status


@kernel(types.void(read_only(np.uint8), read_only(np.int64), types.int64, writable(np.int64), writable(np.uint8)))
def parse_numbers(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    scale: int,
    out: npt.NDArray[np.int64],
    status: npt.NDArray[np.uint8],
) -> None:
    """Set `out[i]` to text i times 10**scale (of [-(2**63 - 1), 2**63 - 1]) and `status[i]` to READ or why not.

    A text is `[+-]digits[.digits]`, blanks around it allowed; zeros beyond the scale lose nothing and are allowed.
    """
    for i in range(out.shape[0]):
        start, stop = offsets[i], offsets[i + 1]
        while start < stop and data[start] == 32:
            start += 1
        while start < stop and data[stop - 1] == 32:
            stop -= 1
        value, why = _parse(data, start, stop, scale)
        out[i] = value
        status[i] = np.uint8(why)


@kernel(types.boolean(read_only(np.uint8), types.int64, types.int64, types.boolean, types.int64), inner=True)
def is_plain_key(data: npt.NDArray[np.uint8], start: _Int, stop: _Int, digits_only: bool, bytes_max: int) -> bool:
    """Return whether the key in [start, stop) is its own normal form."""
    length = stop - start
    if digits_only:
        if length < 7 or length > 15 or data[start] == 48:
            return False
        low, high = np.uint8(48), np.uint8(57)
    else:
        low, high = np.uint8(0), np.uint8(126)
        if length < 1 or length > bytes_max or data[start] <= 32 or data[stop - 1] <= 32:
            return False
    plain = True
    for k in range(start, stop):
        plain &= low <= data[k] <= high
    return bool(plain)


@kernel(
    types.int64(
        read_only(np.uint8), read_only(np.int64), types.boolean, types.int64,
        writable(np.uint8), writable(np.int64), writable(np.uint8),
    )
)  # fmt: skip
def normalise_keys(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    digits_only: bool,
    bytes_max: int,
    out: npt.NDArray[np.uint8],
    out_offsets: npt.NDArray[np.int64],
    status: npt.NDArray[np.uint8],
) -> int:
    """Copy the keys that are plain to `out` end to end, a telephone number without its plus; return how many bytes that is.

    What is not plain gets status SLOW and no bytes. `out` has room for all of `data`.
    """
    used = 0
    out_offsets[0] = 0
    for i in range(status.shape[0]):
        start, stop = offsets[i], offsets[i + 1]
        if digits_only and start < stop and data[start] == 43:
            start += 1
        status[i] = SLOW
        if is_plain_key(data, start, stop, digits_only, bytes_max):
            status[i] = FAST
            for k in range(start, stop):
                out[used] = data[k]
                used += 1
        out_offsets[i + 1] = used
    return used
