"""Rows of bits: item k is bit k & 63 of word k >> 6."""

import numpy as np
import numpy.typing as npt


def words_of(count: int) -> int:
    """Return how many 64-bit words hold `count` bits; at least one."""
    return max(1, -(-count // 64))


def rows_of_bits(members: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint64]:
    """Return (rows, count) bools as (rows, words) rows of bits."""
    rows, count = members.shape
    padded = np.zeros((rows, 64 * words_of(count)), np.bool_)
    padded[:, :count] = members
    packed = np.packbits(padded, axis=1, bitorder="little")
    return packed.view(np.uint64).reshape(rows, words_of(count))
