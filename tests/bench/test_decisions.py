"""The bench of decisions runs in its smallest size and measures answers that hold offers."""

import numpy as np

from bench.decisions import run


def test_bench_decisions_smallest_size() -> None:
    with np.errstate(over="ignore"):  # the mixers wrap, which NumPy reports when kernels run uncompiled
        figures = run(rounds=2, seed=1)
    assert figures["machine"]["cores"] >= 1
    for size in (1, 16, 256):
        measured = figures[f"batch_{size}"]
        assert measured["us_per_decision"] > 0
        assert size == 1 or measured["offered"] > 0.5
