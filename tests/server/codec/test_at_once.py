"""Two servers' fronts get the same requests at the same instants; one decides what is usual in one call, the other everything step by step."""

from collections import Counter
from random import Random
from typing import Any

import pytest
from touchpoint.v1 import decision_service_pb2 as pb

from engine.batch import Batch, Decisions
from engine.kernels.at_once import NOT_USUAL
from server.codec.kernels.at_once import LEFT
from server.failure import Failure
from server.front import DecisionFront
from tests.server.operator_fixture import Operator
from tests.server.test_columns_agreement import CALL, Drawn, Instant, counted, front_of

ROUNDS = 150
LEDGERS = 24
SWEPT = ("contacts", "subscribers", "contacts_used_bytes", "contacts_reserved_bytes")


def watched(front: DecisionFront) -> Counter[int]:
    """Count what becomes of the front's batches that are tried in one call."""
    became: Counter[int] = Counter()
    answers = front._speaking.answers
    really = answers.at_once

    def at_once(step: Any, batch: Batch, decisions: Decisions) -> int:
        took = really(step, batch, decisions)
        became[took] += 1
        return took

    answers.at_once = at_once  # type: ignore[method-assign]
    return became


def step_by_step(front: DecisionFront) -> None:
    front._speaking.answers.at_once = lambda *_: NOT_USUAL  # type: ignore[method-assign]


def answers_of(front: DecisionFront, requests: list[pb.DecideRequest]) -> list[bytes | Failure]:
    """The answers but for the time that they took."""
    found: list[bytes | Failure] = []
    for outcome in front.decide_batch([request.SerializeToString() for request in requests], [CALL] * len(requests)):
        if isinstance(outcome, bytes):
            answer = pb.DecideResponse.FromString(outcome)
            answer.ClearField("server_us")
            outcome = answer.SerializeToString(deterministic=True)
        found.append(outcome)
    return found


def kept(front: DecisionFront) -> dict[str, int]:
    """What the ledger holds, but for contacts that matter no more: which of them the sweep has met by now is left open."""
    return {name: count for name, count in front.engine.ledger.statistics().items() if name not in SWEPT}


@pytest.mark.parametrize("seed", range(4))
def test_what_is_decided_in_one_call_is_what_steps_decide(operator: Operator, seed: int) -> None:
    rng, drawn, instant = Random(seed), Drawn(seed), Instant()
    one, other = front_of(operator, instant), front_of(operator, instant)
    became = watched(one)
    step_by_step(other)
    for _ in range(ROUNDS):
        requests = drawn.some(rng.choice([1, 1, 2, 3, 5, 40]))
        assert answers_of(one, requests) == answers_of(other, requests)
        assert counted(one) == counted(other)
        assert kept(one) == kept(other)
        instant.us += rng.choice([1, 1_000_000, 3_600_000_000])
    assert became[0] > ROUNDS // 5
    assert became[NOT_USUAL] > ROUNDS // 5
    assert became[LEFT], "the first has no room yet for its bytes"


def test_what_the_ledger_does_not_take_is_decided_anew(operator: Operator) -> None:
    """Blocks for so few subscribers that some are refused in the middle of a batch, once in a ledger's life."""
    left = 0
    for seed in range(LEDGERS):
        drawn, instant = Drawn(seed), Instant()
        one, other = front_of(operator, instant, 24), front_of(operator, instant, 24)
        became = watched(one)
        step_by_step(other)
        for _ in range(10):
            requests = drawn.some(4)
            assert answers_of(one, requests) == answers_of(other, requests)
            assert counted(one) == counted(other)
        left += became[LEFT]
    assert left > LEDGERS + 2, "the first has no room yet for its bytes"
