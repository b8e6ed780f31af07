"""Bits by label become words by row: 64 x 64 squares are transposed in place (Warren, Hacker's Delight, 7-3)."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numba import types

from engine.jit import kernel, read_only, writable

_Int: TypeAlias = int | np.integer[Any]


@kernel(types.void(writable(np.uint64)), inner=True)
def _transpose(square: npt.NDArray[np.uint64]) -> None:
    """Swap bit i of word k with bit k of word i, for all of the 64 words."""
    half = 32
    mask = np.uint64(0xFFFFFFFF)
    while half > 0:
        shift = np.uint64(half)
        for first in range(0, 64, 2 * half):
            for k in range(first, first + half):
                swapped = ((square[k] >> shift) ^ square[k + half]) & mask
                square[k] ^= swapped << shift
                square[k + half] ^= swapped
        half >>= 1
        mask ^= mask << np.uint64(half)


@kernel(types.void(read_only(np.uint64, 2), types.int64, writable(np.uint64), writable(np.uint64, 2)))
def spread_labels(
    bits: npt.NDArray[np.uint64], at: int, square: npt.NDArray[np.uint64], rows: npt.NDArray[np.uint64]
) -> None:
    """Set words [at, at + W) of each row: bit k of word w is bit `row` of `bits[64 * w + k]`, (64 W, rows / 64 or more).

    `square`, (64,), is room to work in.
    """
    for group in range((rows.shape[0] + 63) // 64):
        start = 64 * group
        for word in range(bits.shape[0] // 64):
            for k in range(64):
                square[k] = bits[64 * word + k, group]
            _transpose(square)
            for k in range(min(64, rows.shape[0] - start)):
                rows[start + k, at + word] = square[k]
