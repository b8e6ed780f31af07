"""The engine against its specification: generated worlds, every answer compared, every reason code hit.

`TOUCHPOINT_SEEDS=17` plays one world, `TOUCHPOINT_SEEDS=100:200` a range; `-m long` plays at least 200,000 decisions.
"""

import os
from collections import Counter

import pytest

from engine.reasons import Reason
from tests.oracle.reasons import REASONS
from tests.worlds.agreement import check_seed

DEFAULT = (range(100), 80, 5_000)
LONG = (range(1_000, 1_520), 400, 200_000)
"""Seeds, decisions in each world, decisions in all."""

OTHER_ANSWERS = (
    *("conflict", "replayed", "would be", "deferred"),
    *(f"outcome {r}" for r in ("RECORDED", "RECORDED_LATE", "DUPLICATE", "CONFLICT", "UNKNOWN_DECISION", "INVALID")),
    *("hand-off yes OFFERED", "hand-off not_before QUIET_HOURS", "hand-off never HOLD_ENDED"),
    *("hand-off never OFFER_NOT_VALID", "hand-off never CONSENT_MISSING", "hand-off never CAP_REACHED"),
)


def seeds(usual: range) -> range:
    """The seeds that the environment asks for, or the usual ones."""
    asked = os.environ.get("TOUCHPOINT_SEEDS")
    if asked is None:
        return usual
    first, _, end = asked.partition(":")
    return range(int(first), int(end) if end else int(first) + 1)


def agree(usual: range, decisions: int) -> Counter[str]:
    """Play every world; fail at the first difference. Return how often each kind of answer was hit."""
    seen: Counter[str] = Counter()
    for seed in seeds(usual):
        difference = check_seed(seed, decisions, seen)
        if difference is not None:
            pytest.fail(
                f"{difference}\n  again: TOUCHPOINT_SEEDS={seed} (worlds of {decisions} decisions)", pytrace=False
            )
    return seen


def assert_everything_hit(seen: Counter[str], decisions: int) -> None:
    if "TOUCHPOINT_SEEDS" in os.environ:
        return
    missing = [r for r in REASONS if not seen[f"decision {r}"] and not seen[f"candidate {r}"]]
    missing += [name for name in OTHER_ANSWERS if not seen[name]]
    assert missing == []
    assert seen["decisions"] >= decisions


def test_reason_codes_are_the_engine_s() -> None:
    assert {reason.name: int(reason) for reason in Reason} == REASONS


def test_engine_agrees_with_the_oracle_on_5_000_decisions() -> None:
    usual, size, decisions = DEFAULT
    assert_everything_hit(agree(usual, size), decisions)


@pytest.mark.long
def test_engine_agrees_with_the_oracle_on_200_000_decisions() -> None:
    usual, size, decisions = LONG
    assert_everything_hit(agree(usual, size), decisions)
