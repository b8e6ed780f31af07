"""SipHash-2-4 (Aumasson and Bernstein, Indocrypt 2012) over many texts at once: subscriber keys become 64-bit words that only the secret's owner can make."""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from engine.jit import kernel, read_only, writable

_WORDS: Any = types.UniTuple(types.uint64, 4)  # type: ignore[no-untyped-call]


@kernel(types.uint64(types.uint64, types.uint64), inner=True)
def _rotate(x: np.uint64, bits: np.uint64) -> np.uint64:
    return (x << bits) | (x >> (np.uint64(64) - bits))


@kernel(_WORDS(types.uint64, types.uint64, types.uint64, types.uint64), inner=True)
def _round(
    v0: np.uint64, v1: np.uint64, v2: np.uint64, v3: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    v0 += v1
    v2 += v3
    v1 = _rotate(v1, np.uint64(13)) ^ v0
    v3 = _rotate(v3, np.uint64(16)) ^ v2
    v0 = _rotate(v0, np.uint64(32))
    v2 += v1
    v0 += v3
    v1 = _rotate(v1, np.uint64(17)) ^ v2
    v3 = _rotate(v3, np.uint64(21)) ^ v0
    v2 = _rotate(v2, np.uint64(32))
    return v0, v1, v2, v3


@kernel(types.uint64(read_only(np.uint8), types.int64, types.int64), inner=True)
def _word(data: npt.NDArray[np.uint8], start: int, stop: int) -> np.uint64:
    """Return bytes [start, stop), at most eight, as a little-endian word."""
    word = np.uint64(0)
    for k in range(start, stop):
        word |= np.uint64(data[k]) << np.uint64(8 * (k - start))
    return word


@kernel(types.uint64(read_only(np.uint8), types.int64, types.int64, types.uint64, types.uint64), inner=True)
def _one(data: npt.NDArray[np.uint8], start: int, stop: int, k0: np.uint64, k1: np.uint64) -> np.uint64:
    v0 = k0 ^ np.uint64(0x736F6D6570736575)
    v1 = k1 ^ np.uint64(0x646F72616E646F6D)
    v2 = k0 ^ np.uint64(0x6C7967656E657261)
    v3 = k1 ^ np.uint64(0x7465646279746573)
    length = stop - start
    whole = start + (length // 8) * 8
    for at in range(start, whole + 1, 8):
        word = _word(data, at, min(at + 8, stop))
        if at == whole:
            word |= np.uint64(length & 255) << np.uint64(56)
        v3 ^= word
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        v0 ^= word
    v2 ^= np.uint64(255)
    for _ in range(4):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return v0 ^ v1 ^ v2 ^ v3


@kernel(types.void(read_only(np.uint8), read_only(np.int64), read_only(np.uint64), writable(np.uint64)))
def siphash24(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    key: npt.NDArray[np.uint64],
    out: npt.NDArray[np.uint64],
) -> None:
    """Set `out[i]` to the hash of `data[offsets[i]:offsets[i + 1]]` under the 128-bit `key` (two little-endian words)."""
    for i in range(out.shape[0]):
        out[i] = _one(data, offsets[i], offsets[i + 1], key[0], key[1])


@kernel(types.uint64(types.uint64, types.uint64, types.uint64, types.uint64, types.uint64))
def siphash24_of_three(a: np.uint64, b: np.uint64, c: np.uint64, k0: np.uint64, k1: np.uint64) -> np.uint64:
    """Return the hash of the 24 bytes of three little-endian words under the key (k0, k1)."""
    v0 = k0 ^ np.uint64(0x736F6D6570736575)
    v1 = k1 ^ np.uint64(0x646F72616E646F6D)
    v2 = k0 ^ np.uint64(0x6C7967656E657261)
    v3 = k1 ^ np.uint64(0x7465646279746573)
    for word in (a, b, c, np.uint64(24 << 56)):
        v3 ^= word
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
        v0 ^= word
    v2 ^= np.uint64(255)
    for _ in range(4):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return v0 ^ v1 ^ v2 ^ v3
