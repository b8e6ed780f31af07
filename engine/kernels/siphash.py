"""SipHash-2-4 (Aumasson and Bernstein, Indocrypt 2012) over many texts at once: subscriber keys become 64-bit words that only the secret's owner can make."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numba import types

from engine.jit import kernel, read_only, writable

Int: TypeAlias = int | np.integer[Any]
Sip: TypeAlias = tuple[np.uint64, np.uint64, np.uint64, np.uint64]
WORDS_TYPE: Any = types.UniTuple(types.uint64, 2)  # type: ignore[no-untyped-call]
SIP_TYPE: Any = types.UniTuple(types.uint64, 4)  # type: ignore[no-untyped-call]


@kernel(types.uint64(types.uint64, types.uint64), inner=True)
def _rotate(x: np.uint64, bits: np.uint64) -> np.uint64:
    return (x << bits) | (x >> (np.uint64(64) - bits))


@kernel(SIP_TYPE(types.uint64, types.uint64, types.uint64, types.uint64), inner=True)
def _round(v0: np.uint64, v1: np.uint64, v2: np.uint64, v3: np.uint64) -> Sip:
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


@kernel(types.uint64(read_only(np.uint8), types.int64), inner=True)
def byte_at(data: npt.NDArray[np.uint8], at: Int) -> np.uint64:
    """Return a byte; its place is taken as unsigned, which spares the test for places counted from the end."""
    return np.uint64(data[np.uint64(at)])


@kernel(types.uint64(read_only(np.uint8), types.int64), inner=True)
def half_word(data: npt.NDArray[np.uint8], at: Int) -> np.uint64:
    """Return the four bytes from `at` on as a little-endian number: compiled, one load."""
    low = byte_at(data, at) | byte_at(data, at + 1) << np.uint64(8)
    return low | byte_at(data, at + 2) << np.uint64(16) | byte_at(data, at + 3) << np.uint64(24)


@kernel(types.uint64(read_only(np.uint8), types.int64), inner=True)
def whole_word(data: npt.NDArray[np.uint8], at: Int) -> np.uint64:
    """Return the eight bytes from `at` on as a little-endian word: compiled, one load."""
    return half_word(data, at) | half_word(data, at + 4) << np.uint64(32)


@kernel(types.uint64(read_only(np.uint8), types.int64, types.int64), inner=True)
def part_word(data: npt.NDArray[np.uint8], start: Int, stop: Int) -> np.uint64:
    """Return bytes [start, stop), at most seven, as a little-endian word."""
    word, shift = np.uint64(0), np.uint64(0)
    if stop - start >= 4:
        word, shift, start = half_word(data, start), np.uint64(32), start + 4
    while start < stop:
        word |= byte_at(data, start) << shift
        shift += np.uint64(8)
        start += 1
    return word


@kernel(SIP_TYPE(types.uint64, types.uint64), inner=True)
def sip_begin(k0: np.uint64, k1: np.uint64) -> Sip:
    """Return the state under the key (k0, k1) before the first word."""
    return (
        k0 ^ np.uint64(0x736F6D6570736575),
        k1 ^ np.uint64(0x646F72616E646F6D),
        k0 ^ np.uint64(0x6C7967656E657261),
        k1 ^ np.uint64(0x7465646279746573),
    )


@kernel(SIP_TYPE(SIP_TYPE, types.uint64), inner=True)
def sip_word(state: Sip, word: np.uint64) -> Sip:
    """Return the state after one more word."""
    v0, v1, v2, v3 = state
    v3 ^= word
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return v0 ^ word, v1, v2, v3


@kernel(types.uint64(SIP_TYPE), inner=True)
def sip_end(state: Sip) -> np.uint64:
    """Return the hash of the words so far."""
    v0, v1, v2, v3 = state
    v2 ^= np.uint64(255)
    for _ in range(4):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return v0 ^ v1 ^ v2 ^ v3


@kernel(WORDS_TYPE(SIP_TYPE), inner=True)
def sip_end_128(state: Sip) -> tuple[np.uint64, np.uint64]:
    """Return the hash of the words so far in 128 bits, as SipHash-2-4-128 has it; for that, the second word of the key was changed by 0xEE."""
    v0, v1, v2, v3 = state
    v2 ^= np.uint64(0xEE)
    for _ in range(4):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    first = v0 ^ v1 ^ v2 ^ v3
    v1 ^= np.uint64(0xDD)
    for _ in range(4):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return first, v0 ^ v1 ^ v2 ^ v3


@kernel(types.uint64(read_only(np.uint8), types.int64, types.int64, types.uint64, types.uint64), inner=True)
def sip_bytes(data: npt.NDArray[np.uint8], start: Int, stop: Int, k0: np.uint64, k1: np.uint64) -> np.uint64:
    """Return the SipHash-2-4 of bytes [start, stop) under the key (k0, k1)."""
    state = sip_begin(k0, k1)
    length = stop - start
    whole = start + (length // 8) * 8
    for at in range(start, whole, 8):
        state = sip_word(state, whole_word(data, at))
    return sip_end(sip_word(state, part_word(data, whole, stop) | np.uint64(length & 255) << np.uint64(56)))


@kernel(types.void(read_only(np.uint8), read_only(np.int64), read_only(np.uint64), writable(np.uint64)))
def siphash24(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    key: npt.NDArray[np.uint64],
    out: npt.NDArray[np.uint64],
) -> None:
    """Set `out[i]` to the hash of `data[offsets[i]:offsets[i + 1]]` under the 128-bit `key` (two little-endian words)."""
    for i in range(out.shape[0]):
        out[i] = sip_bytes(data, offsets[i], offsets[i + 1], key[0], key[1])


@kernel(types.uint64(types.uint64, types.uint64, types.uint64, types.uint64, types.uint64))
def siphash24_of_three(a: np.uint64, b: np.uint64, c: np.uint64, k0: np.uint64, k1: np.uint64) -> np.uint64:
    """Return the hash of the 24 bytes of three little-endian words under the key (k0, k1)."""
    state = sip_begin(k0, k1)
    for word in (a, b, c, np.uint64(24 << 56)):
        state = sip_word(state, word)
    return sip_end(state)
