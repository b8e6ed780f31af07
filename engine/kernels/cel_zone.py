"""Local time: the UTC offset of an instant in a bound zone, and the civil date of a local second."""

from numba import types

from engine.dtypes.zone import PERIOD_END_S, PERIOD_S, PERIOD_START_S, ZONE_TABLES_TYPE, ZoneTables
from engine.jit import kernel

NO_ZONE = -(1 << 63)
"""What `utc_offset_s` returns for a code that names no zone."""


@kernel(types.int64(ZONE_TABLES_TYPE, types.int64, types.int64))
def utc_offset_s(tables: ZoneTables, zone: int, instant_s: int) -> int:
    """Return the seconds east of UTC of zone number `zone` at `instant_s` (whole seconds UTC, floored); NO_ZONE when there is no such zone."""
    if zone < 0 or zone >= tables.start.shape[0] - 1:
        return NO_ZONE
    if instant_s >= PERIOD_END_S:
        instant_s = PERIOD_START_S + (instant_s - PERIOD_START_S) % PERIOD_S
    first = tables.start[zone]
    last = tables.start[zone + 1]
    if first == last:
        return NO_ZONE
    while last - first > 1:
        middle = (first + last) // 2
        if tables.instants[middle] <= instant_s:
            first = middle
        else:
            last = middle
    return int(tables.offsets[first])
