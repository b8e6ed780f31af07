"""Label bits by line come out as words by row, whatever the numbers of rows and words."""

import numpy as np
import pytest

from engine.jit import frozen
from engine.kernels.base_bits import spread_labels


@pytest.mark.parametrize("rows", [1, 63, 64, 65, 200])
@pytest.mark.parametrize("words", [1, 2, 4])
def test_spread_labels_puts_each_bit_into_its_row(rows: int, words: int) -> None:
    rng = np.random.default_rng(rows * 10 + words)
    bits = rng.integers(0, 2**64, (64 * words, rows // 64 + 3), np.uint64)
    out = rng.integers(0, 2**64, (rows, words + 3), np.uint64)
    before = out.copy()
    spread_labels(frozen(bits), 2, np.zeros(64, np.uint64), out)
    held = np.unpackbits(bits.view(np.uint8), axis=1, bitorder="little")[:, :rows].T
    expected = np.packbits(held, axis=1, bitorder="little").view(np.uint64)
    assert (out[:, 2 : 2 + words] == expected).all()
    out[:, 2 : 2 + words] = before[:, 2 : 2 + words]
    assert (out == before).all()
