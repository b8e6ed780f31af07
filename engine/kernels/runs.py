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
    types.void(ASKING_TYPE, read_only(np.int64), ITEMS_TYPE, VIEW_TYPE, types.int64, types.int64, types.int64),
    apart=True,
)
def take_items(
    asking: Asking, index: np.ndarray, items: Items, view: View, count: int, now_slot: int, now_us: int
) -> None:
    """Copy rows index[:count] of a batch, all at one instant, to the items of a run, and to the view's slots of `now` and of known trigger fields."""
    for item in range(count):
        row = index[item]
        items.subscriber[item] = asking.subscriber[row]
        items.now_us[item] = now_us
        items.trigger[item] = asking.trigger[row]
        items.channel[item] = asking.channel[row]
        items.offers_max[item] = asking.offers_max[row]
        view.values[item, now_slot] = now_us // MICROSECONDS_PER_SECOND
        view.nanos[item, now_slot] = now_us % MICROSECONDS_PER_SECOND * 1000
        view.known[item, now_slot] = 1
        for field in range(asking.field_values.shape[1]):
            view.known[item, now_slot + 1 + field] = asking.field_known[row, field]
            if asking.field_known[row, field]:
                view.values[item, now_slot + 1 + field] = asking.field_values[row, field]
                view.nanos[item, now_slot + 1 + field] = asking.field_nanos[row, field]
