"""A square of 64 words of 64 bits, transposed."""

import numpy as np
from numba import types

from engine.jit import kernel, writable

SIDE = 64


@kernel(types.void(writable(np.uint64, 2)))
def transpose(square: np.ndarray) -> None:
    """Transpose square[0] in place: bit i of word k becomes bit k of word i; square[1] is scratch.

    Six rounds, each of which trades one bit of the word's number for one of the bit's (Warren, Hacker's Delight, 7-3), the words dealt as a
    pack of cards is, so that every round reads and writes whole vectors.
    """
    mask = ~np.uint64(0)
    for turn in range(6):
        shift = np.uint64(SIDE >> (turn + 1))
        mask ^= mask << shift
        source, target = turn & 1, 1 - (turn & 1)
        for k in range(SIDE // 2):
            low, high = square[source, k], square[source, k + SIDE // 2]
            traded = (low >> shift ^ high) & mask
            square[target, 2 * k] = low ^ traded << shift
            square[target, 2 * k + 1] = high ^ traded


assert SIDE == 64
