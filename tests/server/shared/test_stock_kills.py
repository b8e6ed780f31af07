"""Replicas that are killed and start again while they sell from a stock: never more than there is, and in the end exactly what was accepted is counted."""

import itertools
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from touchpoint.v1 import outcome_service_pb2 as outcomes
from touchpoint.v1.decision_service_pb2_grpc import DecisionServiceStub
from touchpoint.v1.outcome_service_pb2_grpc import OutcomeServiceStub

from tests.server.operator_fixture import CUSTOMERS, Operator
from tests.server.process import Process
from tests.server.running import asking
from tests.server.shared.redis_servers import RedisServer, redis_server
from tests.server.shared.stock import ACCEPTED_EVENT, HOLD_S, LIMIT, eventually, got, total_of
from tests.server.test_rpcs import outcome

CLIENTS = 4
PAUSE_S = 0.004
"""A customer can be held 256 contacts."""
ACCEPTED_SHARE, REFUSED_SHARE = 0.06, 0.3
SURE_S = 30.0


class Replica:
    """A server process of one number, and the channel to its present life."""

    def __init__(self, folder: Path, operator: Operator, redis: RedisServer, number: int) -> None:
        self._folder, self._number, self._lives = folder, number, itertools.count()
        plain = {name: str(value) for name, value in operator._asdict().items() if name != "folder"}
        self._flags: dict[str, Any] = {**plain, "ledger_redis": redis.url, "replica": number, "management_listen": ""}
        self.start()

    def start(self) -> None:
        folder = self._folder / f"replica-{self._number}-{next(self._lives)}"
        folder.mkdir()
        self._process = Process(folder, **self._flags)
        self.channel = self._process.channel()

    def kill(self) -> None:
        self._process.signal(signal.SIGKILL)
        self._process.__exit__()

    def stop(self) -> None:
        self.channel.close()
        self._process.__exit__()


class Shop:
    """Clients of whichever replica answers: each counts what it accepted, and from when until when it certainly held a unit."""

    def __init__(self, replicas: list[Replica]) -> None:
        self._replicas = replicas
        self._numbers = itertools.count()
        self.stopping = threading.Event()
        self.spans: list[tuple[float, float]] = []
        self.accepted = 0

    def client(self, seed: int) -> None:
        rng = random.Random(seed)
        while not self.stopping.is_set():
            time.sleep(PAUSE_S)
            with suppress(grpc.RpcError):
                channel = self._replicas[rng.randrange(2)].channel
                answer = DecisionServiceStub(channel).Decide(asking(rng.randrange(CUSTOMERS)), timeout=1)
                if got(answer):
                    self._answer(answer, rng)

    def _answer(self, answer: Any, rng: random.Random) -> None:
        decided_s, chance = answer.decided_at.ToMicroseconds() / 1e6, rng.random()
        until_s = decided_s + HOLD_S
        if chance < ACCEPTED_SHARE:
            until_s = float("inf")
            self._say(outcome(answer.decision_id, self._name(), kind=outcomes.OUTCOME_KIND_ACCEPTED), rng)
            self.accepted += 1
        elif chance < ACCEPTED_SHARE + REFUSED_SHARE:
            until_s = min(until_s, time.time())
            self._say(outcome(answer.decision_id, self._name()), rng)
        self.spans.append((decided_s, until_s))

    def _name(self) -> str:
        return f"said-{next(self._numbers)}"

    def _say(self, sent: outcomes.Outcome, rng: random.Random) -> None:
        """Say it until somebody has taken it down."""
        request, end_s = outcomes.RecordOutcomesRequest(outcomes=[sent]), time.monotonic() + SURE_S
        while time.monotonic() < end_s:
            with suppress(grpc.RpcError):
                channel = self._replicas[rng.randrange(2)].channel
                (result,) = OutcomeServiceStub(channel).RecordOutcomes(request, timeout=1).results
                assert result.status != outcomes.OUTCOME_STATUS_UNKNOWN_DECISION
                return
            time.sleep(0.05)
        raise AssertionError("nobody took it down")

    def most_at_once(self) -> int:
        changes = sorted([(start, 1) for start, _ in self.spans] + [(end, -1) for _, end in self.spans])
        return max(itertools.accumulate(change for _, change in changes))


def sell_and_kill(operator: Operator, folder: Path, kills: int) -> None:
    rng = random.Random(kills)
    with redis_server(folder / "redis") as redis:
        replicas = [Replica(folder, operator, redis, number) for number in (1, 2)]
        shop = Shop(replicas)
        try:
            with ThreadPoolExecutor(CLIENTS) as pool:
                running = [pool.submit(shop.client, number) for number in range(CLIENTS)]
                try:
                    for _ in range(kills):
                        time.sleep(rng.uniform(0.5, 1.5))
                        killed = replicas[rng.randrange(2)]
                        killed.kill()
                        killed.start()
                    time.sleep(HOLD_S)
                finally:
                    shop.stopping.set()
                for each in running:
                    each.result()
            assert shop.most_at_once() <= LIMIT
            assert 0 < shop.accepted <= LIMIT
            eventually(lambda: total_of(redis, ACCEPTED_EVENT), (0, shop.accepted))
        finally:
            for replica in replicas:
                replica.stop()


def test_what_killed_replicas_had_leased_and_held_comes_back(held: Operator, tmp_path: Path) -> None:
    sell_and_kill(held, tmp_path, 3)


@pytest.mark.long
def test_20_killed_replicas(held: Operator, tmp_path: Path) -> None:
    sell_and_kill(held, tmp_path, 20)
