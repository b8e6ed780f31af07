"""What differs for the items of a run between two rulebooks, of which each has decided it."""

from typing import Any

import numpy as np
from numba import types

from engine.dtypes.tally import CHANGED, CHANGES_TYPE, GAINED, LOST, SIDE_TYPE, Changes, Side
from engine.intrinsics import lowest_bit
from engine.jit import kernel

_i8 = types.int64
BEFORE, AFTER = 0, 1
THINGS = 3


@kernel(types.void(CHANGES_TYPE, SIDE_TYPE, _i8, _i8), inner=True)
def note_reached(changes: Changes, side: Side, row: int, item: int) -> None:
    """Stamp, in this row, the candidates, campaigns and offers that reached the item; after the other side's, count those that it has stamped too."""
    serial = changes.serial[0]
    for w in range(side.reached.shape[1]):
        bits = side.reached[item, w]
        while bits != np.uint64(0):
            position = w * 64 + lowest_bit(bits)
            bits &= bits - np.uint64(1)
            for kind in range(THINGS):
                thing = side.things[position, kind]
                if changes.stamp[row, thing] != serial:
                    changes.stamp[row, thing] = serial
                    if row == AFTER and changes.stamp[BEFORE, thing] == serial:
                        changes.kept[thing] += 1


@kernel(types.void(CHANGES_TYPE, _i8), inner=True)
def note_first(changes: Changes, item: int) -> None:
    """Count how the item's first offer moved."""
    before, after = np.int64(changes.before.first[item]), np.int64(changes.after.first[item])
    if changes.flow.shape[0] > 0:
        changes.flow[before + 1, after + 1] += 1
    was: Any = np.int64(changes.before.things[before, 0]) if before >= 0 else np.int64(-1)
    now: Any = np.int64(changes.after.things[after, 0]) if after >= 0 else np.int64(-1)
    if was == now:
        return
    column = GAINED if was < 0 else LOST if now < 0 else CHANGED
    for split in range(changes.segment.shape[1]):
        changes.moved[changes.segment[item, split], column] += 1


@kernel(types.void(CHANGES_TYPE, _i8))
def compare_run(changes: Changes, items: int) -> None:
    """Add the first `items` of what both sides left behind."""
    for item in range(items):
        changes.serial[0] += 1
        note_reached(changes, changes.before, BEFORE, item)
        note_reached(changes, changes.after, AFTER, item)
        note_first(changes, item)
