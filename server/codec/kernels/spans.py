"""Where the items of a DecideBatchRequest lie in its bytes."""

import numpy as np
import numpy.typing as npt
from numba import types

from engine.jit import kernel, read_only, writable
from engine.kernels.siphash import Int
from server.codec.kernels.wire import length_at

NO_SPANS = -1
_ITEM_TAG = 1 << 3 | 2


@kernel(types.int64(read_only(np.uint8), writable(np.int64), writable(np.int32)))
def item_spans(text: npt.NDArray[np.uint8], item_at: npt.NDArray[np.int64], item_bytes: npt.NDArray[np.int32]) -> int:
    """Return how many items the message has, or NO_SPANS when it is malformed or has other fields.

    Item i is `text[item_at[i] : item_at[i] + item_bytes[i]]`; items beyond the arrays' ends are counted and not written.
    """
    at: Int = 0
    end, count = len(text), 0
    while at < end:
        if text[at] != _ITEM_TAG:
            return NO_SPANS
        at, size = length_at(text, at + 1, end)
        if size < 0:
            return NO_SPANS
        if count < len(item_at):
            item_at[count] = at
            item_bytes[count] = size
        count += 1
        at += size
    return count
