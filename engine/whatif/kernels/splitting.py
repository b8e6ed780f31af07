"""Which segment of each split the items of a run fall into."""

from typing import Any

import numpy as np
from numba import types

from engine.dtypes.rules import RUN_TYPE, Run
from engine.dtypes.tally import DOUBLE_RANGES, LABEL, SPLITS_TYPE, VALUES, ZONE, Splits
from engine.dtypes.view import FOUND
from engine.jit import kernel
from engine.kernels.cel_number import double_order
from engine.kernels.gather import load_attributes
from engine.kernels.matching import interval_of

_i8 = types.int64
HAS, HAS_NOT, STALE = 0, 1, 2


@kernel(_i8(RUN_TYPE, _i8, _i8), inner=True)
def label_segment(run: Run, item: int, bit: int) -> int:
    """Return whether the item's subscriber has the label of this bit: HAS, HAS_NOT, or STALE past its age."""
    mask = np.uint64(1) << np.uint64(bit & 63)
    if run.rows.present[item, bit >> 6] & mask == np.uint64(0):
        return HAS_NOT
    return HAS if run.rows.fresh[item, bit >> 6] & mask != np.uint64(0) else STALE


@kernel(_i8(RUN_TYPE, _i8, SPLITS_TYPE, _i8), inner=True)
def value_segment(run: Run, item: int, splits: Splits, split: int) -> int:
    """Return the segment, within its split, of an attribute that is known and loaded."""
    record = splits.splits[split]
    value: Any = run.rows.values[item, record["at"]]
    if record["kind"] == VALUES:
        others = np.int64(record["segments"] - 2)
        return int(splits.lists[record["list_at"] + value]) if 0 <= value < record["list_count"] else int(others)
    if record["kind"] == DOUBLE_RANGES:
        value = double_order(value)
    if record["list_count"] == 0:
        return 0
    return int(interval_of(splits.lists, record["list_at"], record["list_count"], value))


@kernel(types.void(RUN_TYPE, SPLITS_TYPE))
def split_run(run: Run, splits: Splits) -> None:
    """Write the segments of the run's items, whose rows are gathered; nothing is known of those who are not in the base, or erased."""
    for item in range(run.moment.items):
        for split in range(len(splits.splits)):
            record = splits.splits[split]
            segment = record["segments"] - 1
            if run.rows.found[item] == FOUND:
                if record["kind"] == LABEL:
                    segment = label_segment(run, item, record["at"])
                elif record["kind"] == ZONE:
                    segment = run.rows.zone[item] if run.rows.zone[item] >= 0 else segment
                else:
                    load_attributes(run.base, run.plan, run.rows, item)
                    if run.rows.known[item, record["at"]]:
                        segment = value_segment(run, item, splits, split)
            splits.segment[item, split] = record["first"] + segment
