"""The bench of words runs in its smallest size, over answers of both sorts."""

import numpy as np

from bench.words import run


def test_bench_words_smallest_size() -> None:
    with np.errstate(over="ignore"):  # the mixers wrap, which NumPy reports when kernels run uncompiled
        figures = run(rows=10_000, rounds=2, seed=1, sizes=(1, 8))
    assert min(figures["answers"].values()) > 8
    for size in (1, 8):
        assert min(figures[f"batch_{size}"][name] for name in ("varying_us", "same_us")) > 0
