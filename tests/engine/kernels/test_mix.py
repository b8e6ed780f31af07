"""`mix64` against SplitMix64's published outputs and plain Python."""

from random import Random

import numpy as np
import pytest

from engine.bound_rules import mix64 as bound_mix64
from engine.kernels.mix import mix64
from tests.oracle.numbers import mix64 as oracle_mix64

GOLDEN = 0x9E3779B97F4A7C15
PUBLISHED = [
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
]
"""SplitMix64 from seed 1234567: the finalizer of seed + n * GOLDEN."""


def compiled(x: int) -> int:
    with np.errstate(over="ignore"):
        return int(mix64(np.uint64(x)))


@pytest.mark.parametrize("number", range(1, 6))
def test_published_outputs(number: int) -> None:
    assert compiled((1234567 + number * GOLDEN) & (1 << 64) - 1) == PUBLISHED[number - 1]


def test_three_mixers_agree() -> None:
    rng = Random(1)
    for x in [0, 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, *(rng.getrandbits(64) for _ in range(500))]:
        assert compiled(x) == oracle_mix64(x) == bound_mix64(x)
