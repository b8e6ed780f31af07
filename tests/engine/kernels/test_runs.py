"""`run_end` against a plain set."""

from random import Random

import numpy as np
import pytest

from engine.dtypes.rules import Asking
from engine.kernels.runs import run_end

CAPACITY = 30


def asking_of(subscribers: list[int], nows: list[int], flags: list[int]) -> Asking:
    n = len(subscribers)
    columns = {
        "subscriber": np.array(subscribers, np.uint64),
        "now_us": np.array(nows, np.int64),
        "flags": np.array(flags, np.uint8),
        **{name: np.zeros(n, np.int32) for name in ("trigger", "channel", "offers_max")},
    }
    return Asking(
        field_values=np.zeros((n, 1), np.int64),
        field_nanos=np.zeros((n, 1), np.int32),
        field_known=np.zeros((n, 1), np.uint8),
        **columns,  # type: ignore[arg-type]  # of many dtypes
    )


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
    seen, serial = np.zeros(64, np.int64), 0
    asking = asking_of(subscribers, nows, flags)
    start = 0
    while start < count:
        serial += CAPACITY
        end = run_end(asking, start, count, serial, seen)
        assert end == plain_end(subscribers, nows, flags, start)
        assert end > start
        start = end


def test_what_an_earlier_run_left_in_the_scratch_is_not_seen() -> None:
    asking = asking_of([5, 5, 5, 69, 5], [0] * 5, [0] * 5)
    seen = np.zeros(8, np.int64)
    ends = [run_end(asking, start, 4, CAPACITY * (1 + start), seen) for start in range(4)]
    assert ends == [1, 2, 4, 4], "the fifth row is beyond the batch's count"
    for again in range(100):
        assert run_end(asking, 2, 4, CAPACITY * (5 + again), seen) == 4, "what is left does not fill the scratch"
