"""The bench of reading runs in its smallest size, and kernels read the requests that it takes for usual."""

import numpy as np

from bench.reading import run


def test_bench_reading_smallest_size() -> None:
    with np.errstate(over="ignore"):  # the hashes wrap, which NumPy reports when kernels run uncompiled
        figures = run(rounds=1, seed=1, sizes=(1, 16))
    assert figures["batch_1"]["kernels_us"] > 0
    assert figures["batch_16"]["kernels_us"] > 0
    assert figures["batch_16"]["python_us"] > 0
