"""A real server killed ten times: nothing over a cap, nothing acknowledged lost, no push repeated, counted by the receivers."""

from pathlib import Path

import pytest

from engine.jit import COMPILED
from tests.chaos.chaos import Chaos

KILLS = 5


@pytest.mark.skipif(not COMPILED, reason="a server of plain Python answers too little between two kills")
@pytest.mark.parametrize("durability", ["always", "everysec"])
def test_what_was_acknowledged_survives_kills_under_load(tmp_path: Path, durability: str) -> None:
    chaos = Chaos(tmp_path, durability, seed=7)
    assert chaos.run(KILLS, print) == []
    assert len(chaos.lives) == KILLS
    counter = chaos.counter
    assert min(counter.answers, counter.offers, counter.pushes, counter.outcomes) > 50
    assert 0 < counter.stocked <= 300
