"""Simulations from seeds: what was promised holds through faults, all is well after them, and a seed plays the same each time."""

import gc
from collections.abc import Iterator
from typing import Final

import pytest

from engine.jit import COMPILED
from tests.simulation.__main__ import main, play

SEEDS: Final = 200 if COMPILED else 6
AT_ONCE: Final = 10 if COMPILED else 3


pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
"""Kernels that are plain Python wrap around, of which numpy warns."""


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Let go of what was played: much of it is arrays, which the collector does not count."""
    yield
    gc.collect()


@pytest.mark.parametrize("first", range(1, SEEDS + 1, AT_ONCE))
def test_promises_hold_through_faults_and_all_is_well_after_them(first: int) -> None:
    failures = [
        f"seed {played.seed}: {played.failure}"
        for seed in range(first, first + AT_ONCE)
        if (played := play(seed)).failure
    ]
    assert failures == []


@pytest.mark.parametrize("seed", [3, 8, 17])
def test_a_seed_plays_the_same_each_time(seed: int) -> None:
    assert play(seed).digest == play(seed).digest
    assert play(seed).digest != play(seed + 1).digest


def test_the_last_line_says_how_many_ran_and_failed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--first=5", "--seeds=2", "--show"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "2 seeds ran, from 5 on; 0 failed"
