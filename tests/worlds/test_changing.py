"""What the engine and the oracle do with edits that generated worlds hit too seldom."""

from pathlib import Path

import pytest

from tests.engine.kernels.pair import ANN, BOB, Pair
from tests.oracle.numbers import DAY_US, MINUTE_US
from tests.oracle.small import NOON, cap
from tests.worlds.script import written_world


@pytest.mark.parametrize(("later_us", "reason"), [(DAY_US, "CAP_REACHED"), (DAY_US + 15 * MINUTE_US, "OFFERED")])
def test_an_edit_that_keeps_longer_brings_nothing_back(tmp_path: Path, later_us: int, reason: str) -> None:
    """Whether the ledger's sweep has come round by then or not."""
    pair = Pair(tmp_path)
    pair.ask(NOON)
    pair.ask(NOON + later_us, who=BOB)
    pair.edit(NOON + later_us, policy={"caps": [cap(counts="decided", window={"rolling": "7d"})]})
    assert pair.ask(NOON + later_us, who=ANN).reason == reason


def test_every_third_world_changes_and_is_the_same_each_time() -> None:
    assert [written_world(seed, 1).shape.changing for seed in range(6)] == [False, True, False] * 2
    first, again = written_world(7, 60), written_world(7, 60)
    assert (first.script, first.expected) == (again.script, again.expected)
