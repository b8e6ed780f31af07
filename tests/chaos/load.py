"""Callers in threads: each asks, shows or sends, reports, and sends everything again with the same id until it is answered."""

import itertools
import random
import threading
import time
from collections.abc import Callable
from typing import Any, Final

import grpc
from touchpoint.v1 import decision_service_pb2 as decision
from touchpoint.v1 import outcome_service_pb2 as outcome
from touchpoint.v1.decision_service_pb2_grpc import DecisionServiceStub
from touchpoint.v1.outcome_service_pb2_grpc import OutcomeServiceStub

from tests.chaos.counter import Counter, timeless
from tests.chaos.shop import CUSTOMERS, msisdn

CALL_S: Final = 2.0
AGAIN_S: Final = 0.05
HOLD_S: Final = 30
OPTIONS: Final = [
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.use_local_subchannel_pool", 1),
]
AGAIN: Final = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}
ENDED: Final = {grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL}
"""What the library makes of a connection that is reset within an answer."""


class Load:
    """Some threads of callers; `stop` ends them once nothing of theirs is open."""

    def __init__(self, address: str, counter: Counter, threads: int, seed: int) -> None:
        self._address, self._counter = address, counter
        self._ids = itertools.count()
        self._end = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(random.Random(f"{seed} {number}"), f"{seed}.{number}"))
            for number in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End it; the server has to be there."""
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _run(self, rng: random.Random, name: str) -> None:
        with grpc.insecure_channel(self._address, OPTIONS) as channel:
            caller = Caller(channel, self._counter, rng, self._end)
            for number in itertools.count():
                if self._end.is_set():
                    return
                try:
                    caller.ask(f"{name}.{number}")
                except Exception as error:
                    self._counter.violations.append(f"{name}.{number}: {error!r}"[:400])
                    return


class Caller:
    """One front end over one channel."""

    def __init__(self, channel: grpc.Channel, counter: Counter, rng: random.Random, end: threading.Event) -> None:
        self._decisions, self._outcomes = DecisionServiceStub(channel), OutcomeServiceStub(channel)
        self._counter, self._rng, self._end = counter, rng, end

    def ask(self, request_id: str) -> None:
        """Ask for one decision and do what follows from it."""
        channel, subscriber = self._rng.choice(["desk", "desk", "sms"]), msisdn(self._rng.randrange(CUSTOMERS))
        request = decision.DecideRequest(
            request_id=request_id, subscriber=subscriber, placement="open", channel=channel
        )
        answer = self._answered(self._decisions.Decide, request)
        self._counter.got(subscriber, channel, request.SerializeToString(), answer)
        if self._rng.random() < 0.1:
            again = self._answered(self._decisions.Decide, request)
            if answer.offers and timeless(again) != timeless(answer):
                self._counter.violations.append(f"{request_id}: asked again, answered otherwise: {answer} and {again}")
        if answer.offers and channel == "sms":
            self._send(request_id, answer)
        elif answer.offers and self._rng.random() < 0.7:
            self._report(answer, 1)

    def _send(self, request_id: str, answer: Any) -> None:
        may = self._answered(
            self._decisions.CheckHandOff, decision.CheckHandOffRequest(decision_id=answer.decision_id, rank=1)
        )
        if may.hand_off != decision.HAND_OFF_YES:
            return
        self._counter.sent(request_id, answer.decision_id, now_us())
        if self._rng.random() < 0.7:
            self._report(answer, 1, outcome.OUTCOME_KIND_HANDED_OFF)

    def _report(self, answer: Any, rank: int, kind: Any = outcome.OUTCOME_KIND_SEEN) -> None:
        at_us = now_us()
        report = outcome.Outcome(
            outcome_id=f"{answer.decision_id} {kind}", decision_id=answer.decision_id, rank=rank, kind=kind
        )
        report.time.FromMicroseconds(at_us)
        request = outcome.RecordOutcomesRequest(outcomes=[report])
        status = self._answered(self._outcomes.RecordOutcomes, request).results[0].status
        in_time = now_us() < at_us + HOLD_S * 1_000_000 and answer.offers[0].HasField("hold_until")
        in_time = in_time and now_us() < answer.offers[0].hold_until.ToMicroseconds()
        known = status == outcome.OUTCOME_STATUS_RECORDED or (status == outcome.OUTCOME_STATUS_DUPLICATE and in_time)
        if known and kind == outcome.OUTCOME_KIND_SEEN:
            self._counter.confirmed(answer.decision_id, rank, at_us, request.SerializeToString())
        elif status in (outcome.OUTCOME_STATUS_RECORDED_LATE, outcome.OUTCOME_STATUS_DUPLICATE) or known:
            self._counter.acknowledged(request.SerializeToString())
        else:
            self._counter.violations.append(f"{report.outcome_id}: {outcome.OutcomeStatus.Name(status)}")

    def _answered(self, call: Callable[..., Any], request: Any) -> Any:
        """Return the answer, having sent the request until there was one."""
        while True:
            try:
                return call(request, timeout=CALL_S)
            except grpc.RpcError as error:
                code = error.code()
                if code not in AGAIN | ENDED:
                    raise
                time.sleep(AGAIN_S)


def now_us() -> int:
    """Return the wall clock, which the server on this machine has too."""
    return time.time_ns() // 1_000
