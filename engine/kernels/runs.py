"""Where a batch must be cut so that deciding together equals deciding one after the other, and what a run takes of it."""

import numpy as np
from numba import types

from engine.dtypes.rules import ASKING_TYPE, ITEMS_TYPE, Asking, Items
from engine.dtypes.view import VIEW_TYPE, View
from engine.jit import kernel, read_only, writable
from engine.limits import MICROSECONDS_PER_SECOND


@kernel(types.int64(ASKING_TYPE, types.int64, types.int64, types.int64, writable(np.int64)), apart=True)
def run_end(asking: Asking, start: int, count: int, serial: int, seen: np.ndarray) -> int:
    """Return the end of the longest run of the batch's `count` items from `start` with one instant, the same flags and no subscriber twice.

    `seen` is scratch, (2**k,) with at least twice the items: slot -> serial + the item that took it. `serial` must exceed that of the last call by
    the batch's capacity or more, so that what earlier calls left is below it.
    """
    mask = np.uint64(len(seen) - 1)
    subscriber, now_us, flags = asking.subscriber, asking.now_us, asking.flags
    for item in range(start, count):
        if now_us[item] != now_us[start] or flags[item] != flags[start]:
            return item
        slot = subscriber[item] & mask
        while seen[slot] >= serial:
            if subscriber[seen[slot] - serial] == subscriber[item]:
                return item
            slot = (slot + np.uint64(1)) & mask
        seen[slot] = serial + item
    return count


@kernel(
    types.void(read_only(np.uint64), read_only(np.int64), writable(np.uint64), types.int64),
    types.void(read_only(np.int32), read_only(np.int64), writable(np.int32), types.int64),
    inner=True,
)
def take_rows(source: np.ndarray, index: np.ndarray, target: np.ndarray, count: int) -> None:
    """Copy source[index[:count]], which ascend, to target[:count]; rows that are next to each other all at once."""
    first = index[0]
    if index[count - 1] - first == count - 1:
        for item in range(count):
            target[item] = source[first + item]
    else:
        for item in range(count):
            target[item] = source[index[item]]


@kernel(types.void(ASKING_TYPE, read_only(np.int64), VIEW_TYPE, types.int64, types.int64, types.int64), inner=True)
def take_field(asking: Asking, index: np.ndarray, view: View, count: int, field: int, slot: int) -> None:
    """Copy a trigger field of those rows to the view's slot."""
    for item in range(count):
        row = index[item]
        view.known[item, slot] = asking.field_known[row, field]
        if asking.field_known[row, field]:
            view.values[item, slot] = asking.field_values[row, field]
            view.nanos[item, slot] = asking.field_nanos[row, field]


@kernel(types.void(VIEW_TYPE, types.int64, types.int64, types.int64), inner=True)
def take_now(view: View, count: int, slot: int, now_us: int) -> None:
    """Fill the view's slot of `now`."""
    seconds, nanos = now_us // MICROSECONDS_PER_SECOND, now_us % MICROSECONDS_PER_SECOND * 1000
    for item in range(count):
        view.values[item, slot] = seconds
        view.nanos[item, slot] = nanos
        view.known[item, slot] = 1


@kernel(
    types.void(ASKING_TYPE, read_only(np.int64), ITEMS_TYPE, VIEW_TYPE, read_only(np.int64), types.int64, types.int64),
    apart=True,
)
def take_items(
    asking: Asking, index: np.ndarray, items: Items, view: View, slots: np.ndarray, count: int, now_us: int
) -> None:
    """Copy rows index[:count] of a batch, which ascend and are all at one instant, to the items of a run.

    `slots`: first the view's slot of `now`, which the trigger fields follow; then those of them that are asked about, which are filled. Each is a cache
    line an item, so the others are left.
    """
    if count == 0:
        return
    take_rows(asking.subscriber, index, items.subscriber, count)
    take_rows(asking.trigger, index, items.trigger, count)
    take_rows(asking.channel, index, items.channel, count)
    take_rows(asking.offers_max, index, items.offers_max, count)
    for item in range(count):
        items.now_us[item] = now_us
    for k in range(1, len(slots)):
        if slots[k] == slots[0]:
            take_now(view, count, slots[k], now_us)
        else:
            take_field(asking, index, view, count, slots[k] - slots[0] - 1, slots[k])
