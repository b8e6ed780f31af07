"""The bench of answers runs in its smallest size and measures answers that hold offers."""

import numpy as np

from bench.answers import run


def test_bench_answers_smallest_size() -> None:
    with np.errstate(over="ignore"):  # the mixers wrap, which NumPy reports when kernels run uncompiled
        figures = run(rounds=2, seed=1, sizes=(1, 16))
    assert figures["machine"]["cores"] >= 1
    for size in (1, 16):
        measured = figures[f"batch_{size}"]
        assert measured["render_us"] > 0
        assert measured["assemble_us"] > 0
        assert size == 1 or (measured["offered"] > 0.5 and measured["remember_us"] > 0)
        assert measured["answer_bytes"] > 50
