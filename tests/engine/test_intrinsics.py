"""Instructions that do 64 lanes at once against NumPy."""

from typing import Any

import numpy as np
import pytest

from tests.engine.lanes_entry import compare_lanes, turn_words


def bits_of(words: np.ndarray) -> np.ndarray:
    return np.unpackbits(np.ascontiguousarray(words).view(np.uint8), bitorder="little").reshape(-1, 64)


@pytest.mark.parametrize("dtype", [np.int64, np.uint32, np.uint16, np.uint8])
def test_values_not_below_a_cut(dtype: Any) -> None:
    kind = np.iinfo(dtype)
    rng = np.random.default_rng(kind.bits)
    values = rng.integers(kind.min, kind.max, 64, dtype, endpoint=True)
    values[:4] = kind.min, kind.max, kind.max // 2, kind.max // 2 + 1
    for cut in (*values.tolist(), 0, 1):
        word = compare_lanes(values, cut)
        assert np.array_equal(bits_of(np.array([word]))[0], values >= dtype(cut)), cut


@pytest.mark.parametrize("seed", range(5))
def test_bit_i_of_word_k_becomes_bit_k_of_word_i(seed: int) -> None:
    square = np.random.default_rng(seed).integers(0, 1 << 64, (2, 64), np.uint64)
    turned, words = np.zeros(512, np.uint8), np.zeros(64, np.uint64)
    turn_words(square, turned, words)
    assert np.array_equal(turned.reshape(8, 64), square[0].view(np.uint8).reshape(64, 8).T)
    assert np.array_equal(bits_of(words), bits_of(square[0]).T)
