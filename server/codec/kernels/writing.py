"""Protobuf's wire format, written: numbers, bytes and instants. Each function returns where it stopped writing, or how much it would write."""

import numpy as np
import numpy.typing as npt
from numba import types

from engine.dtypes.ledger import Integer
from engine.jit import kernel, read_only, writable
from engine.kernels.texts import copy_bytes
from engine.limits import MICROSECONDS_PER_SECOND

OUT = writable(np.uint8)
TIME_BYTES_MAX = 1 + 1 + 11 + 6
"""Of an instant as a field: its tag, its length, and its two numbers with their tags."""


@kernel(types.int64(types.uint64), inner=True)
def varint_bytes(number: np.uint64) -> Integer:
    """Return how many bytes a number takes."""
    count = 1
    while number >= np.uint64(0x80):
        number = number >> np.uint64(7)
        count += 1
    return count


@kernel(types.int64(OUT, types.int64, types.uint64), inner=True)
def put_varint(out: npt.NDArray[np.uint8], at: Integer, number: np.uint64) -> Integer:
    """Write a number."""
    while number >= np.uint64(0x80):
        out[at] = (number & np.uint64(0x7F)) | np.uint64(0x80)
        number = number >> np.uint64(7)
        at += 1
    out[at] = number
    return at + 1


@kernel(types.int64(OUT, types.int64, types.int64, types.uint64), inner=True)
def put_number(out: npt.NDArray[np.uint8], at: Integer, tag: Integer, number: np.uint64) -> Integer:
    """Write a field that is a number; nothing for 0."""
    if number == np.uint64(0):
        return at
    out[at] = tag
    return put_varint(out, at + 1, number)


@kernel(types.int64(OUT, types.int64, types.int64, read_only(np.uint8), types.int64, types.int64))
def put_bytes(
    out: npt.NDArray[np.uint8], at: Integer, tag: Integer, data: npt.NDArray[np.uint8], start: Integer, count: Integer
) -> Integer:
    """Write a field of `count` bytes of `data`, those of none too."""
    out[at] = tag
    at = put_varint(out, at + 1, np.uint64(count))
    copy_bytes(out, at, data, start, count)
    return at + count


@kernel(types.int64(types.int64), inner=True)
def instant_bytes(us: Integer) -> Integer:
    """Return how many bytes a google.protobuf.Timestamp takes, without tag and length: at most 17."""
    seconds, nanos = us // MICROSECONDS_PER_SECOND, us % MICROSECONDS_PER_SECOND * 1_000
    count = np.int64(0)
    if seconds != 0:
        count += 1 + varint_bytes(np.uint64(seconds))
    if nanos != 0:
        count += 1 + varint_bytes(np.uint64(nanos))
    return count


@kernel(types.int64(OUT, types.int64, types.int64, types.int64))
def put_instant(out: npt.NDArray[np.uint8], at: Integer, tag: Integer, us: Integer) -> Integer:
    """Write a field that is an instant in microseconds, before 1970 too."""
    seconds, nanos = us // MICROSECONDS_PER_SECOND, us % MICROSECONDS_PER_SECOND * 1_000
    out[at] = tag
    out[at + 1] = instant_bytes(us)
    at = put_number(out, at + 2, 1 << 3, np.uint64(seconds))
    return put_number(out, at, 2 << 3, np.uint64(nanos))
