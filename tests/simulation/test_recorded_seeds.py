"""Seeds that catch the mutants of the journal, one test each: `make mutants` names them, with the kernels as plain Python."""

import pytest

from tests.simulation.__main__ import play

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
SEEDS = (1, 3, 4, 8, 12, 15)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_seed_that_catches_mutants_holds_without_them(seed: int) -> None:
    assert play(seed).failure == ""
