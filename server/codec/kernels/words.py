"""How tables of texts are looked into: where a text's slot is, and whether two texts are the same. Slots are a power of two, open-addressed."""

import numpy as np
import numpy.typing as npt
from numba import types

from engine.jit import kernel, read_only
from engine.kernels.mix import mix64
from engine.kernels.siphash import Int, part_word, whole_word


@kernel(types.int64(read_only(np.uint8), types.int64, types.int64, types.int64, types.int64), inner=True)
def first_slot(data: npt.NDArray[np.uint8], at: Int, size: Int, kind: Int, mask: Int) -> Int:
    """Return the slot, of `mask` + 1, from which on a text of a kind is looked for: bytes [at, at + size) of `data`.

    Without a key: the texts are the catalogue's and the base's own, so no caller can choose them to collide.
    """
    found = mix64(np.uint64(size) | np.uint64(kind) << np.uint64(32))
    whole = at + (size // 8) * 8
    for k in range(at, whole, 8):
        found = (found ^ whole_word(data, k)) * np.uint64(0x9E3779B97F4A7C15)
        found ^= found >> np.uint64(32)
    return np.int64(mix64(found ^ part_word(data, whole, at + size)) >> np.uint64(33)) & mask


@kernel(types.boolean(read_only(np.uint8), types.int64, read_only(np.uint8), types.int64, types.int64), inner=True)
def same_bytes(a: npt.NDArray[np.uint8], a_at: Int, b: npt.NDArray[np.uint8], b_at: Int, size: Int) -> bool:
    """Return whether a[a_at : a_at + size] is b[b_at : b_at + size]."""
    whole = (size // 8) * 8
    for k in range(0, whole, 8):
        if whole_word(a, a_at + k) != whole_word(b, b_at + k):
            return False
    return bool(part_word(a, a_at + whole, a_at + size) == part_word(b, b_at + whole, b_at + size))
