"""Quiet hours and calendar windows by binary search in sorted instants."""

import numpy as np
from numba import types

from engine.dtypes.ledger import FOREVER_US
from engine.dtypes.rules import WALL_CLOCK_TYPE, WallClock
from engine.jit import kernel, read_only
from engine.limits import NEVER_US


@kernel(types.int64(read_only(np.int64), types.int64, types.int64, types.int64))
def last_not_after(instants: np.ndarray, first: int, end: int, now_us: int) -> int:
    """Return the last index in [first, end) whose instant is not after `now_us`, or first - 1."""
    low, high = first, end
    while low < high:
        middle = (low + high) >> 1
        if instants[middle] <= now_us:
            low = middle + 1
        else:
            high = middle
    return low - 1


@kernel(types.int64(WALL_CLOCK_TYPE, types.int64, types.int64))
def quiet_end(clock: WallClock, row: int, now_us: int) -> int:
    """Return when the quiet time that holds at `now_us` ends, or NEVER_US when it is not quiet."""
    first, end = clock.quiet_start[row], clock.quiet_start[row + 1]
    at = last_not_after(clock.quiet_from_us, first, end, now_us)
    if at < first or now_us >= clock.quiet_until_us[at]:
        return NEVER_US
    return int(clock.quiet_until_us[at])


@kernel(types.int64(WALL_CLOCK_TYPE, types.int64, types.int64))
def next_quiet_start(clock: WallClock, row: int, now_us: int) -> int:
    """Return the first start of quiet time after `now_us`, or FOREVER_US."""
    first, end = clock.quiet_start[row], clock.quiet_start[row + 1]
    at = last_not_after(clock.quiet_from_us, first, end, now_us) + 1
    if at >= end:
        return FOREVER_US
    return int(clock.quiet_from_us[at])


@kernel(types.int64(WALL_CLOCK_TYPE, types.int64, types.int64))
def window_start(clock: WallClock, row: int, now_us: int) -> int:
    """Return the start of the calendar window that holds at `now_us`, which the tables must cover."""
    at = last_not_after(clock.calendar_breaks_us, clock.calendar_start[row], clock.calendar_start[row + 1], now_us)
    return int(clock.calendar_starts_us[at])


@kernel(types.int64(WALL_CLOCK_TYPE, types.int64, types.int64))
def window_end(clock: WallClock, row: int, event_us: int) -> int:
    """Return the first instant whose calendar window starts after `event_us`: from then on the event no longer counts; FOREVER_US beyond the tables."""
    first, end = clock.calendar_start[row], clock.calendar_start[row + 1]
    at = last_not_after(clock.calendar_breaks_us, first, end, event_us) + 1
    at = max(at, first)
    while at < end and clock.calendar_starts_us[at] <= event_us:
        at += 1
    if at >= end:
        return FOREVER_US
    return int(clock.calendar_breaks_us[at])


@kernel(types.int64(WALL_CLOCK_TYPE, types.int64, types.int64))
def local_day(clock: WallClock, row: int, now_us: int) -> int:
    """Return the local date at `now_us` as days since 1970-01-01; `row` is one of the day calendar."""
    at = last_not_after(clock.calendar_breaks_us, clock.calendar_start[row], clock.calendar_start[row + 1], now_us)
    return int(clock.calendar_days[at])
