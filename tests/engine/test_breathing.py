"""Long work offers to let others go first, and what is made some rows at a time is what is made at once."""

import threading

import numpy as np
import pytest

from engine.breathing import ROWS_AT_ONCE, array_of, breathe, breathing


def test_only_the_thread_that_asked_for_it_breathes() -> None:
    breaths: list[str] = []
    with breathing(lambda: breaths.append("outer")):
        breathe()
        with breathing(lambda: breaths.append("inner")):
            breathe()
        other = threading.Thread(target=breathe)
        other.start()
        other.join()
        breathe()
        with breathing(None):
            breathe()
    breathe()
    assert breaths == ["outer", "inner", "outer"]


@pytest.mark.parametrize("count", [0, 1, ROWS_AT_ONCE, 2 * ROWS_AT_ONCE + 3])
def test_arrays_are_what_numpy_makes_at_once(count: int) -> None:
    record = np.dtype([("a", np.int32), ("b", np.float64)], align=True)
    rows = [(n, n / 3) for n in range(count)]
    breaths: list[int] = []
    with breathing(lambda: breaths.append(1)):
        assert np.array_equal(array_of(rows, record), np.array(rows, record))
    assert len(breaths) == -(-count // ROWS_AT_ONCE)
    assert np.array_equal(array_of([(n, n + 1) for n in range(count)], np.int64, 2)[:, 1], np.arange(1, count + 1))
    assert array_of([], np.int64, 3).shape == (0, 3)
