"""Entries from Python to the instructions that do 64 lanes at once."""

from typing import Any

import numpy as np
from numba import types

from engine.intrinsics import bits_across, not_below, turn_bytes
from engine.jit import kernel, writable

_WORDS: Any = writable(np.uint64)


@kernel(*(types.uint64(writable(dtype), types.int64) for dtype in (np.int64, np.uint32, np.uint16, np.uint8)))
def compare_lanes(values: np.ndarray, cut: int) -> np.uint64:
    """Return the word of those of the 64 values that are not below the cut."""
    return np.uint64(not_below(values, cut))


@kernel(types.void(writable(np.uint64, 2), writable(np.uint8), _WORDS))
def turn_words(square: np.ndarray, turned: np.ndarray, words: np.ndarray) -> None:
    """Turn square[0] to bytes, and those to the word of each of the 64 bits."""
    turn_bytes(square, turned)
    for bit in range(64):
        words[bit] = bits_across(turned, (bit >> 3) * 64, bit & 7)
