"""The 64-bit mixer behind control groups and ties."""

import numpy as np
from numba import types

from engine.jit import kernel


@kernel(types.uint64(types.uint64))
def mix64(x: np.uint64) -> np.uint64:
    """Return the SplitMix64 finalizer of `x` (Steele, Lea and Flood, OOPSLA 2014): a bijection of 64-bit words."""
    x ^= x >> np.uint64(30)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x
