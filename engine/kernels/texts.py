"""Bytes copied from buffer to buffer, at the speed of memory."""

import numpy as np
import numpy.typing as npt
from numba import types

from engine.dtypes.ledger import Integer
from engine.dtypes.texts import TEXTS_TYPE, Texts
from engine.jit import kernel, read_only, writable


@kernel(types.void(writable(np.uint8), types.int64, read_only(np.uint8), types.int64, types.int64), inner=True)
def copy_bytes(
    out: npt.NDArray[np.uint8], at: Integer, data: npt.NDArray[np.uint8], start: Integer, count: Integer
) -> None:
    """Set out[at : at + count] to data[start : start + count]."""
    # Unsigned indexes cannot count from the end, and so the loop becomes one of whole vectors: 30 times as fast.
    to, source = np.uint64(at), np.uint64(start)
    for i in range(np.uint64(max(count, 0))):
        out[to + np.uint64(i)] = data[source + np.uint64(i)]


@kernel(types.int64(TEXTS_TYPE, writable(np.uint8), types.int64, writable(np.int64)))
def copy_texts(texts: Texts, out: npt.NDArray[np.uint8], at: Integer, start: npt.NDArray[np.int64]) -> Integer:
    """Write the texts to `out` one after the other, from `at` on, and where each starts; return where they end. There must be room."""
    for i in range(len(texts.start)):
        start[i] = at
        copy_bytes(out, at, texts.data, texts.start[i], texts.length_bytes[i])
        at += texts.length_bytes[i]
    return at
