"""Clients of replicas that sell from a stock, who count themselves what they hold and accept."""

import itertools
import random
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Protocol

import grpc
from touchpoint.v1 import decision_service_pb2 as pb
from touchpoint.v1 import outcome_service_pb2 as outcomes

from tests.server.operator_fixture import CUSTOMERS
from tests.server.running import asking
from tests.server.shared.stock import HOLD_S, got
from tests.server.test_rpcs import outcome

PAUSE_S = 0.003
"""A customer can be held 256 contacts."""
ACCEPTED_SHARE, REFUSED_SHARE = 0.06, 0.3
SURE_S = 30.0
CALL_S = 1.0


class Seller(Protocol):
    """A replica as clients see it."""

    @property
    def decisions(self) -> Any:
        """Its DecisionService."""

    @property
    def outcomes(self) -> Any:
        """Its OutcomeService."""


class Shop:
    """Clients that ask for a_half, and take it, refuse it or say nothing; each holds what it got from its decision on, until it gave it back."""

    def __init__(self, replicas: Sequence[Seller], *, may_fail: bool = False) -> None:
        """`may_fail`: calls may fail, as when a replica is killed; else every Decide is answered."""
        self._replicas = replicas
        self._may_fail = may_fail
        self._numbers = itertools.count()
        self.stopping = threading.Event()
        self.spans: list[tuple[float, float]] = []
        """From when until when a unit was certainly held, epoch seconds."""
        self.accepted = 0

    def client(self, seed: int) -> None:
        rng = random.Random(seed)
        while not self.stopping.is_set():
            time.sleep(PAUSE_S)
            with suppress(*([grpc.RpcError] if self._may_fail else [])):
                request = asking(rng.randrange(CUSTOMERS))
                answer = self._replicas[rng.randrange(2)].decisions.Decide(request, timeout=CALL_S)
                if got(answer):
                    self._answer(answer, rng)

    def _answer(self, answer: pb.DecideResponse, rng: random.Random) -> None:
        decided_s, chance = answer.decided_at.ToMicroseconds() / 1e6, rng.random()
        until_s, name = decided_s + HOLD_S, f"said-{next(self._numbers)}"
        if chance < ACCEPTED_SHARE:
            until_s = float("inf")
            self._say(outcome(answer.decision_id, name, kind=outcomes.OUTCOME_KIND_ACCEPTED), rng)
            self.accepted += 1
        elif chance < ACCEPTED_SHARE + REFUSED_SHARE:
            until_s = min(until_s, time.time())
            self._say(outcome(answer.decision_id, name), rng)
        self.spans.append((decided_s, until_s))

    def _say(self, sent: outcomes.Outcome, rng: random.Random) -> None:
        """Say it until somebody has taken it down."""
        request, end_s = outcomes.RecordOutcomesRequest(outcomes=[sent]), time.monotonic() + SURE_S
        while time.monotonic() < end_s:
            with suppress(grpc.RpcError):
                replica = self._replicas[rng.randrange(2)]
                (result,) = replica.outcomes.RecordOutcomes(request, timeout=CALL_S).results
                assert result.status in (
                    outcomes.OUTCOME_STATUS_RECORDED,
                    outcomes.OUTCOME_STATUS_RECORDED_LATE,
                    outcomes.OUTCOME_STATUS_DUPLICATE,
                ), result.status
                return
            time.sleep(0.02)
        raise AssertionError("nobody took it down")

    def most_at_once(self) -> int:
        changes = sorted([(start, 1) for start, _ in self.spans] + [(end, -1) for _, end in self.spans])
        return max(itertools.accumulate(change for _, change in changes))
