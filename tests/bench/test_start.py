"""The bench of a start in its smallest size."""

import pytest

from bench import start
from bench.operator import Operator
from bench.sizes import Sizes


def test_bench_start_smallest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    began = start._start
    given: list[dict[str, str]] = []

    def with_kernels_at_hand(served: Operator, environment: dict[str, str]) -> start.Started:
        given.append(environment)
        return began(served, {})

    # An empty cache costs a minute of compilation, which other tests' kernels have paid for already.
    monkeypatch.setattr(start, "_start", with_kernels_at_hand)
    found = start.run(Sizes(smallest=True))
    assert found["rows"] == 1_000
    assert [sorted(environment) for environment in given] == [["XDG_CACHE_HOME"]] * 2
    assert all(figure.value(found) > 0 for figure in start.FIGURES)
