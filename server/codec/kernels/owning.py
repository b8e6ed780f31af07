"""The hashes of requests' subscribers alone, for who passes requests on and decides none."""

import numpy as np
import numpy.typing as npt
from numba import types

from engine.jit import kernel, read_only, writable
from engine.kernels.base_text import is_plain_key
from engine.kernels.siphash import Int, sip_bytes
from engine.limits import SUBSCRIBER_KEY_BYTES_MAX
from server.codec.kernels.message import SUBSCRIBER, has, split_message
from server.codec.kernels.wire import READ

_PLUS = 43


@kernel(
    types.void(
        read_only(np.uint8),
        read_only(np.int64),
        read_only(np.int32),
        read_only(np.uint64),
        types.boolean,
        writable(np.int64),
        writable(np.uint64),
        writable(np.uint8),
    )
)
def hash_subscribers(
    text: npt.NDArray[np.uint8],
    item_at: npt.NDArray[np.int64],
    item_bytes: npt.NDArray[np.int32],
    key: npt.NDArray[np.uint64],
    digits_only: bool,
    parts: npt.NDArray[np.int64],
    hashes: npt.NDArray[np.uint64],
    odd: npt.NDArray[np.uint8],
) -> None:
    """Fill `hashes`, (n,), for the requests in usual form whose key is its own normal form but for a plus; `odd` is 1 for the others.

    Item i is `text[item_at[i] : item_at[i] + item_bytes[i]]`; `parts`, (PARTS_SIZE,), is room.
    """
    for item in range(len(item_at)):
        odd[item] = 1
        if split_message(text, item_at[item], np.int64(item_bytes[item]), parts) != READ or not has(parts, SUBSCRIBER):
            continue
        at: Int = parts[2 * SUBSCRIBER]
        end = at + parts[2 * SUBSCRIBER + 1]
        if digits_only and at < end and text[at] == _PLUS:
            at += 1
        if is_plain_key(text, at, end, digits_only, SUBSCRIBER_KEY_BYTES_MAX):
            hashes[item] = sip_bytes(text, at, end, key[0], key[1])
            odd[item] = 0
