"""Home-zone days against bisect; the buckets of days at their edges."""

from bisect import bisect_right

import numpy as np
import pytest

from engine.dtypes.contact import EVENT_COUNT, TOTAL_DAYS
from engine.dtypes.ledger import LIFETIME, Counters
from engine.jit import frozen
from engine.kernels.ledger_totals import day_bucket, day_of, total_count
from engine.limits import MICROSECONDS_PER_DAY

HOUR_US = MICROSECONDS_PER_DAY // 24


def new_counters() -> Counters:
    return Counters(
        slot_of=frozen(np.zeros((3, 2), np.int32)),
        live=np.zeros((EVENT_COUNT, 2), np.int64),
        lifetime=np.zeros((EVENT_COUNT, 2), np.int64),
        daily=np.zeros((EVENT_COUNT, 2, TOTAL_DAYS), np.int64),
        day=np.full(TOTAL_DAYS, -1, np.int64),
        day_starts_us=frozen(np.zeros(1, np.int64)),
    )


@pytest.mark.parametrize("days", [1, 2, 3, 64, 65])
def test_day_of_every_edge(days: int) -> None:
    hours = [24, 23, 25, 24]
    starts = [5 * HOUR_US]
    for i in range(days - 1):
        starts.append(starts[-1] + hours[i % 4] * HOUR_US)
    table = frozen(np.array(starts, np.int64))
    for start in starts:
        for at_us in (start - 1, start, start + 1):
            expected = bisect_right(starts, at_us) - 1
            assert day_of(table, 100, at_us) == 100 + expected


def test_days_outside_of_the_table_have_24_hours() -> None:
    table = frozen(np.array([0, MICROSECONDS_PER_DAY], np.int64))
    assert day_of(table, 7, -1) == 6
    assert day_of(table, 7, -MICROSECONDS_PER_DAY) == 6
    assert day_of(table, 7, -MICROSECONDS_PER_DAY - 1) == 5
    assert day_of(table, 7, 3 * MICROSECONDS_PER_DAY - 1) == 9
    assert day_of(table, 7, 3 * MICROSECONDS_PER_DAY) == 10


def test_a_bucket_is_emptied_for_its_next_day() -> None:
    counters = new_counters()
    bucket = day_bucket(counters, 50, 50)
    counters.daily[1, 1, bucket] = 3
    assert day_bucket(counters, 60, 50) == bucket
    assert total_count(counters, 1, 1, 50) == 3
    assert day_bucket(counters, 50 + TOTAL_DAYS, 50 + TOTAL_DAYS) == bucket
    assert counters.daily[1, 1, bucket] == 0


def test_a_day_is_kept_for_so_many_days() -> None:
    counters = new_counters()
    today = 1000
    assert day_bucket(counters, today, today - TOTAL_DAYS) == -1
    assert day_bucket(counters, today, today - TOTAL_DAYS + 1) >= 0
    assert day_bucket(counters, today, today + 1) == -1


def test_total_count_adds_open_holds_to_the_window() -> None:
    counters = new_counters()
    counters.live[2, 1] = 5
    counters.lifetime[2, 1] = 100
    for day in (10, 11, 12):
        counters.daily[2, 1, day_bucket(counters, 12, day)] = day
    assert total_count(counters, 2, 1, LIFETIME) == 105
    assert [total_count(counters, 2, 1, since) for since in (9, 10, 11, 12, 13)] == [38, 38, 28, 17, 5]
    assert total_count(counters, 2, 0, LIFETIME) == 0
