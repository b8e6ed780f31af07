"""Protobuf's wire format, read in place (https://protobuf.dev/programming-guides/encoding): the forms that well-formed messages of ours have.

What is legal but rare is not read here, it is reported as odd: a length that takes more than four bytes, because it is padded or beyond 256 MiB.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from engine.jit import kernel, read_only, writable
from engine.kernels.siphash import Int, byte_at, part_word, whole_word

READ, ODD = 0, 1
"""Statuses: understood and well-formed; left to whoever knows the rare forms."""
PAIR: Any = types.UniTuple(types.int64, 2)  # type: ignore[no-untyped-call]
LENGTH_BYTES_MAX = 4
"""A length takes at most so many bytes here."""


@kernel(PAIR(read_only(np.uint8), types.int64, types.int64), inner=True)
def length_at(text: npt.NDArray[np.uint8], at: Int, end: Int) -> tuple[Int, Int]:
    """Return (start, size) of what follows the length at `at`, lying before `end`; size is -1 when that is odd or beyond."""
    size: Int = 0
    shift = 0
    while at < end and shift < 7 * LENGTH_BYTES_MAX:
        byte = np.int64(byte_at(text, at))
        at += 1
        size |= (byte & 127) << shift
        if byte < 128:
            return at, (size if size <= end - at else -1)
        shift += 7
    return at, -1


@kernel(PAIR(read_only(np.uint8), types.int64, types.int64), inner=True)
def varint_at(text: npt.NDArray[np.uint8], at: Int, end: Int) -> tuple[Int, Int]:
    """Return (value, next) of the 64-bit number at `at`, read as signed; next is -1 when it has no end before `end` or more than 64 bits."""
    value: Int = 0
    shift = 0
    while at < end and shift < 70:
        byte = np.int64(byte_at(text, at))
        at += 1
        if shift == 63 and byte > 1:
            break
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    return value, -1


@kernel(types.boolean(read_only(np.uint8), types.int64, types.int64), inner=True, apart=True)
def is_utf8(text: npt.NDArray[np.uint8], at: Int, size: Int) -> bool:
    """Return whether bytes [at, at + size) are UTF-8 (Unicode 15, table 3-7: neither overlong nor surrogates)."""
    end, whole = at + size, at + (size // 8) * 8
    seen = part_word(text, whole, end)
    for k in range(at, whole, 8):
        seen |= whole_word(text, k)
    if seen & np.uint64(0x8080808080808080) == np.uint64(0):
        return True
    while at < end:
        lead = np.int64(byte_at(text, at))
        more = 0 if lead < 0x80 else 1 if lead < 0xE0 else 2 if lead < 0xF0 else 3
        if more > 0:
            if lead < 0xC2 or lead > 0xF4 or at + more >= end:
                return False
            second = np.int64(byte_at(text, at + 1))
            low = 0xA0 if lead == 0xE0 else 0x90 if lead == 0xF0 else 0x80
            top = 0x9F if lead == 0xED else 0x8F if lead == 0xF4 else 0xBF
            if second < low or second > top:
                return False
            for k in range(at + 2, at + 1 + more):
                if np.int64(byte_at(text, k)) & 0xC0 != 0x80:
                    return False
        at += 1 + more
    return True


@kernel(types.int64(read_only(np.uint8), types.int64, types.int64, writable(np.int64), types.int64), inner=True)
def instant_at(text: npt.NDArray[np.uint8], at: Int, size: Int, out: npt.NDArray[np.int64], slot: int) -> int:
    """Read a google.protobuf.Timestamp or Duration of `size` bytes: set `out[slot]` to its seconds, the next to its nanos; return the status."""
    out[slot], out[slot + 1] = 0, 0
    seen: Int = 0
    end = at + size
    while at < end:
        tag = np.int64(byte_at(text, at))
        field = tag >> 3
        if (tag != 8 and tag != 16) or (seen >> field) & 1:
            return ODD
        seen |= 1 << field
        value, at = varint_at(text, at + 1, end)
        if at < 0:
            return ODD
        out[slot + field - 1] = value
    return READ if -(1 << 31) <= out[slot + 1] < 1 << 31 else ODD
