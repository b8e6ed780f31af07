"""Replicas that are killed and start again while they sell from a stock: never more than there is, and in the end exactly what was accepted is counted."""

import itertools
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from touchpoint.v1.decision_service_pb2_grpc import DecisionServiceStub
from touchpoint.v1.outcome_service_pb2_grpc import OutcomeServiceStub

from tests.server.operator_fixture import Operator
from tests.server.process import Process
from tests.server.shared.redis_servers import RedisServer, redis_server
from tests.server.shared.shop import Shop
from tests.server.shared.stock import ACCEPTED_EVENT, HOLD_S, LIMIT, eventually, total_of

CLIENTS = 4


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
        self._channel = self._process.channel()
        self.decisions, self.outcomes = DecisionServiceStub(self._channel), OutcomeServiceStub(self._channel)

    def kill(self) -> None:
        self._process.signal(signal.SIGKILL)
        self._process.__exit__()

    def stop(self) -> None:
        self._channel.close()
        self._process.__exit__()


def sell_and_kill(operator: Operator, folder: Path, kills: int) -> None:
    rng = random.Random(kills)
    with redis_server(folder / "redis") as redis:
        replicas = [Replica(folder, operator, redis, number) for number in (1, 2)]
        shop = Shop(replicas, may_fail=True)
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
