"""Where a batch must be cut so that deciding together equals deciding one after the other."""

import numpy as np
from numba import types

from engine.jit import kernel, read_only, writable


@kernel(types.int64(read_only(np.uint64), read_only(np.int64), read_only(np.uint8), types.int64, writable(np.int64, 1)))
def run_end(
    subscriber: np.ndarray,
    now_us: np.ndarray,
    flags: np.ndarray,
    start: int,
    seen: np.ndarray,
) -> int:
    """Return the end of the longest run from `start` with one instant, the same flags and no subscriber twice.

    `seen` is scratch, (2**k,) with at least twice the items: slot -> the item that took it, valid only where that item lies in this run.
    """
    mask = np.uint64(len(seen) - 1)
    for item in range(start, len(subscriber)):
        if now_us[item] != now_us[start] or flags[item] != flags[start]:
            return item
        slot = subscriber[item] & mask
        while start <= seen[slot] < item:
            if subscriber[seen[slot]] == subscriber[item]:
                return item
            slot = (slot + np.uint64(1)) & mask
        seen[slot] = item
    return len(subscriber)
