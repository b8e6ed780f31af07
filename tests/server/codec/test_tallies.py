"""What a batch adds to the figures, against plain Python."""

from collections import Counter
from random import Random

import numpy as np
import pytest

from engine.batch import DRY_RUN
from engine.jit import frozen
from server.codec.kernels import tallies
from server.codec.kernels.tallies import CONFLICTS, OFFERS, REPEATED, TALLY_WORDS, count_decisions, count_times


def test_the_kernel_knows_dry_runs() -> None:
    assert tallies.DRY_RUN == DRY_RUN


@pytest.mark.parametrize("seed", range(20))
def test_decisions_are_counted_as_plain_python_counts_them(seed: int) -> None:
    rng = Random(seed)
    n = rng.choice([0, 1, 7, 60])
    rows = [
        (rng.choice([0, 40, 100, 255]), rng.randrange(4), rng.random() < 0.2, rng.choice([0, 0, 0, 1, 2]), rng.choice([0, DRY_RUN, 2, 3]))
        for _ in range(n)
    ]  # fmt: skip
    reasons, tally = np.full(256, 3, np.int64), np.full(TALLY_WORDS, 9, np.int64)
    columns = list(zip(*rows, strict=True)) or [(), (), (), (), ()]
    reason, replayed, conflict, flags = (np.array(columns[number], np.uint8) for number in (0, 2, 3, 4))
    count_decisions(reason, np.array(columns[1], np.int32), replayed, conflict, flags, reasons, tally)
    new = [row for row in rows if not row[2] and not row[3] and not row[4] & DRY_RUN]
    expected = Counter(row[0] for row in new)
    assert reasons.tolist() == [3 + expected[number] for number in range(256)]
    assert tally[OFFERS] == sum(row[1] for row in new)
    assert tally[REPEATED] == sum(bool(row[2]) and not row[3] for row in rows)
    assert tally[CONFLICTS] == sum(bool(row[3]) for row in rows)


def test_times_fall_into_the_bucket_that_their_bound_closes() -> None:
    bounds = frozen(np.array([50, 100, 200], np.int64))
    buckets, taken = np.zeros(4, np.int64), np.zeros(7, np.int64)
    us = [0, 50, 51, 100, 200, 201, -5]
    arrived = frozen(np.array([10**9 - 1_000 * each - 999 for each in us], np.int64))
    assert count_times(arrived, 10**9, bounds, buckets, taken) == sum(max(each, 0) for each in us)
    assert taken.tolist() == [max(each, 0) for each in us]
    assert buckets.tolist() == [3, 2, 1, 1]
