"""`run_end` against a plain set."""

from random import Random

import numpy as np
import pytest

from engine.jit import frozen
from engine.kernels.runs import run_end


def plain_end(subscribers: list[int], nows: list[int], flags: list[int], start: int) -> int:
    met: set[int] = set()
    for item in range(start, len(subscribers)):
        if nows[item] != nows[start] or flags[item] != flags[start] or subscribers[item] in met:
            return item
        met.add(subscribers[item])
    return len(subscribers)


@pytest.mark.parametrize("seed", range(60))
def test_runs_cover_a_batch_as_plain_python_cuts_it(seed: int) -> None:
    rng = Random(seed)
    count = rng.randrange(1, 30)
    alike = rng.choice([1, 1 << 6, 1 << 40])
    subscribers = [rng.randrange(rng.choice([4, 1000])) * alike for _ in range(count)]
    nows = sorted(rng.randrange(rng.choice([1, 3])) for _ in range(count))
    flags = [int(rng.random() < rng.choice([0.0, 0.2])) for _ in range(count)]
    seen = np.full(64, -1, np.int64)
    start = 0
    while start < count:
        end = run_end(
            frozen(np.array(subscribers, np.uint64)),
            frozen(np.array(nows, np.int64)),
            frozen(np.array(flags, np.uint8)),
            start,
            seen,
        )
        assert end == plain_end(subscribers, nows, flags, start)
        assert end > start
        start = end


def test_what_an_earlier_run_left_in_the_scratch_is_not_seen() -> None:
    subscribers = frozen(np.array([5, 5, 5, 69], np.uint64))
    nows, flags = frozen(np.zeros(4, np.int64)), frozen(np.zeros(4, np.uint8))
    seen = np.full(8, -1, np.int64)
    assert [run_end(subscribers, nows, flags, start, seen) for start in range(4)] == [1, 2, 4, 4]
