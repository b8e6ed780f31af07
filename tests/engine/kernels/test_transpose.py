"""A transposed square of bits against NumPy's."""

import numpy as np
import pytest

from engine.kernels.transpose import SIDE, transpose


@pytest.mark.parametrize("seed", range(5))
def test_bit_i_of_word_k_becomes_bit_k_of_word_i(seed: int) -> None:
    square = np.random.default_rng(seed).integers(0, 1 << 64, (2, SIDE), np.uint64)
    before = square[0].copy()
    transpose(square)
    assert np.array_equal(_bits(square[0]), _bits(before).T)


@pytest.mark.parametrize(("word", "bit"), [(0, 0), (0, 63), (63, 0), (63, 63), (31, 32), (1, 2)])
def test_a_single_bit(word: int, bit: int) -> None:
    square = np.zeros((2, SIDE), np.uint64)
    square[0, word] = np.uint64(1 << bit)
    transpose(square)
    assert square[0, bit] == np.uint64(1 << word)
    assert np.count_nonzero(square[0]) == 1


def _bits(words: np.ndarray) -> np.ndarray:
    return np.unpackbits(np.ascontiguousarray(words).view(np.uint8), bitorder="little").reshape(SIDE, SIDE)
