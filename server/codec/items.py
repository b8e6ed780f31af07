"""The requests that are decided together, as spans of the bytes in which they came: nothing is copied out of a DecideBatch message."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import numpy as np
import numpy.typing as npt

from engine.jit import frozen
from server.codec.kernels.spans import NO_SPANS, item_spans

_SPANS_FIRST: Final = 256
"""Room for as many items is tried first; most messages have no more."""

_FIRST: Final = frozen(np.zeros(1, np.int64))


@dataclass(frozen=True, slots=True)
class Items:
    """n DecideRequests as they were sent: item i is `text[item_at[i] : item_at[i] + item_bytes[i]]`."""

    text: bytes
    item_at: npt.NDArray[np.int64]
    """(n,)"""
    item_bytes: npt.NDArray[np.int32]

    def __len__(self) -> int:
        """Return n."""
        return len(self.item_at)

    def pieces(self, items_max: int) -> Iterator["Items"]:
        """Yield the items in order, at most `items_max` at a time."""
        for start in range(0, len(self), items_max):
            end = start + items_max
            yield Items(self.text, self.item_at[start:end], self.item_bytes[start:end])

    def payload(self, item: int) -> bytes:
        """Return the bytes of one item."""
        start = int(self.item_at[item])
        return self.text[start : start + int(self.item_bytes[item])]


def items_of(payloads: Sequence[bytes]) -> Items:
    """Return the payloads as items."""
    sizes = list(map(len, payloads))
    if len(payloads) == 1:
        return Items(payloads[0], _FIRST, np.array(sizes, np.int32))
    ends = list(accumulate(sizes, initial=0))
    return Items(b"".join(payloads), np.array(ends[:-1], np.int64), np.array(sizes, np.int32))


def items_in(message: bytes) -> Items | None:
    """Return the items of a DecideBatchRequest; None when it is malformed, or has fields that are not known here."""
    text = np.frombuffer(message, np.uint8)
    room = _SPANS_FIRST
    while True:
        item_at, item_bytes = np.empty(room, np.int64), np.empty(room, np.int32)
        count = item_spans(text, item_at, item_bytes)
        if count == NO_SPANS:
            return None
        if count <= room:
            return Items(message, item_at[:count], item_bytes[:count])
        room = count
