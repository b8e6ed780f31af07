"""What a batch adds to the server's figures."""

import numpy as np
import numpy.typing as npt
from numba import types

from engine.jit import kernel, read_only, writable

DRY_RUN = 1
"""As engine.batch has it."""
OFFERS, REPEATED, CONFLICTS = range(3)
TALLY_WORDS = 3
_BYTES = writable(np.uint8)


@kernel(types.void(_BYTES, writable(np.int32), _BYTES, _BYTES, _BYTES, writable(np.int64), writable(np.int64)))
def count_decisions(
    reason: npt.NDArray[np.uint8],
    chosen_count: npt.NDArray[np.int32],
    replayed: npt.NDArray[np.uint8],
    conflict: npt.NDArray[np.uint8],
    flags: npt.NDArray[np.uint8],
    reasons: npt.NDArray[np.int64],
    tally: npt.NDArray[np.int64],
) -> None:
    """Count the (n,) decisions of a batch that are new and no dry runs by reason in (256,) `reasons`; set the (TALLY_WORDS,) tally, of their OFFERS."""
    tally[OFFERS] = tally[REPEATED] = tally[CONFLICTS] = 0
    for row in range(len(reason)):
        if conflict[row]:
            tally[CONFLICTS] += 1
        elif replayed[row]:
            tally[REPEATED] += 1
        elif flags[row] & DRY_RUN == 0:
            reasons[reason[row]] += 1
            tally[OFFERS] += chosen_count[row]


@kernel(types.int64(read_only(np.int64), types.int64, read_only(np.int64), writable(np.int64), writable(np.int64)))
def count_times(
    arrived_ns: npt.NDArray[np.int64],
    now_ns: int,
    bounds_us: npt.NDArray[np.int64],
    buckets: npt.NDArray[np.int64],
    taken_us: npt.NDArray[np.int64],
) -> int:
    """Write how long each of (n,) items took, count it in the bucket of the first of (b,) bounds that it is not above, else in the last; return the sum.

    `buckets`: (b + 1,).
    """
    total = 0
    for item in range(len(arrived_ns)):
        us = max((now_ns - arrived_ns[item]) // 1_000, 0)
        taken_us[item] = us
        bucket = 0
        while bucket < len(bounds_us) and us > bounds_us[bucket]:
            bucket += 1
        buckets[bucket] += 1
        total += us
    return total
