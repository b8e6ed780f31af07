"""The wall-clock kernels against plain loops over the same instants."""

from bisect import bisect_right
from collections.abc import Sequence
from random import Random

import numpy as np
import pytest

from engine.dtypes.ledger import FOREVER_US
from engine.dtypes.rules import WallClock
from engine.jit import frozen
from engine.kernels.wall_clock import (
    last_not_after,
    local_day,
    next_quiet_start,
    quiet_end,
    window_end,
    window_start,
)
from engine.limits import NEVER_US

ROWS = 4
EDGE = 100


def table(rng: Random) -> tuple[list[list[tuple[int, int]]], list[list[tuple[int, int, int]]], WallClock]:
    """Quiet intervals and (break, start, day) by row, as lists and as the kernels' arrays."""
    quiet = []
    for _ in range(ROWS):
        points = sorted(rng.sample(range(EDGE), 2 * rng.randrange(5)))
        quiet.append(list(zip(points[::2], points[1::2], strict=True)))
    windows = []
    for _ in range(ROWS):
        breaks = [-10, *sorted(rng.sample(range(EDGE), 5))]
        starts = sorted(rng.sample(range(-30, -9), 1) + [at - rng.randrange(3) for at in breaks[1:]])
        windows.append([(at, min(start, at), day) for day, (at, start) in enumerate(zip(breaks, starts, strict=True))])
    clock = WallClock._make(
        [
            starts_of(quiet),
            *(column(quiet, n) for n in range(2)),
            starts_of(windows),
            *(column(windows, n) for n in range(3)),
        ]
    )
    return quiet, windows, clock


def starts_of(rows: Sequence[Sequence[tuple[int, ...]]]) -> np.ndarray:
    return frozen(np.cumsum([0, *map(len, rows)]).astype(np.int32))


def column(rows: Sequence[Sequence[tuple[int, ...]]], number: int) -> np.ndarray:
    return frozen(np.array([entry[number] for row in rows for entry in row], np.int64))


@pytest.mark.parametrize("seed", range(20))
def test_last_not_after_is_bisect(seed: int) -> None:
    rng = Random(seed)
    instants = sorted(rng.sample(range(EDGE), 20))
    first, end = 3, rng.randrange(3, 21)
    for now in range(-1, EDGE + 1):
        expected = bisect_right(instants, now, first, end) - 1
        assert last_not_after(frozen(np.array(instants, np.int64)), first, end, now) == expected


@pytest.mark.parametrize("seed", range(20))
def test_quiet_time_is_half_open(seed: int) -> None:
    quiet, _, clock = table(Random(seed))
    for row in range(ROWS):
        for now in range(-1, EDGE + 1):
            ends = [end for start, end in quiet[row] if start <= now < end]
            coming = [start for start, _ in quiet[row] if start > now]
            assert quiet_end(clock, row, now) == (ends[0] if ends else NEVER_US)
            assert next_quiet_start(clock, row, now) == (coming[0] if coming else FOREVER_US)


@pytest.mark.parametrize("seed", range(20))
def test_windows_start_and_end_where_the_tables_say(seed: int) -> None:
    _, windows, clock = table(Random(seed))
    for row in range(ROWS):
        for now in range(-10, EDGE + 1):
            _, start, day = [entry for entry in windows[row] if entry[0] <= now][-1]
            assert window_start(clock, row, now) == start
            assert local_day(clock, row, now) == day
            gone = [at for at, opened, _ in windows[row] if at > now and opened > now]
            assert window_end(clock, row, now) == (gone[0] if gone else FOREVER_US)
