"""Clients that go on asking while the ledger is paused, cut off, late, and fails over with writes lost: no call fails, none waits long, no cap is passed."""

import itertools
import random
import threading
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor

import pytest
from touchpoint.v1 import decision_service_pb2 as pb

from engine.reasons import Reason
from tests.server.operator_fixture import Operator, write_operator
from tests.server.running import asking
from tests.server.shared.conftest import CAP, CAPPED
from tests.server.shared.stock import DECIDED_EVENT, eventually, got, sell_out, total_of
from tests.server.shared.test_failover import Failing, failing, until
from tests.server.shared.test_faults import heals

CLIENTS = 8
SUBSCRIBERS = 40
STOCK = 70
"""Fewer than the subscribers' own caps leave room for."""
DEADLINE_S = 1.0
assert failing


def with_stock(cap: str) -> str:
    return CAPPED.replace(
        "  cool_down:", f"    - {{id: stock, scope: offer, target: a_half, per: total, {cap}}}\n  cool_down:"
    )


@pytest.fixture(scope="module")
def capped(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """The operator of `failing` here: its first offer is in stock."""
    catalogue = with_stock(f"counts: decided, window: lifetime, limit: {STOCK}")
    return write_operator(tmp_path_factory.mktemp("stock"), catalogue)


class Asking:
    """Clients that ask, sometimes the same again, and what they were given by distinct decisions."""

    def __init__(self, failing: Failing) -> None:
        self._replicas = [failing.one, failing.other]
        self.given: dict[int, set[str]] = defaultdict(set)
        self.sold: set[str] = set()
        """The decisions that gave a_half."""
        self.reasons: Counter[int] = Counter()
        self.slowest_s = 0.0
        self.stopping = threading.Event()
        self._numbers = itertools.count()

    def ask(self, request: pb.DecideRequest, subscriber: int, replica: int) -> None:
        began = time.monotonic()
        answer = self._replicas[replica].decisions.Decide(request, timeout=DEADLINE_S)
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)
        self.reasons[answer.reason] += 1
        if answer.offers:
            self.given[subscriber].add(answer.decision_id)
        if got(answer):
            self.sold.add(answer.decision_id)

    def client(self, seed: int) -> None:
        rng = random.Random(seed)
        before: list[tuple[pb.DecideRequest, int]] = []
        while not self.stopping.is_set():
            subscriber = rng.randrange(SUBSCRIBERS)
            if before and rng.random() < 0.3:
                request, subscriber = rng.choice(before)
            else:
                request = asking(subscriber)
                before = [*before[-20:], (request, subscriber)]
            self.ask(request, subscriber, rng.randrange(2))


def torment(failing: Failing, rng: random.Random) -> None:
    """One fault after the other, each healed after a while."""
    for _ in range(6):
        if rng.random() < 0.5:
            failing.proxy.cut_all()
        else:
            failing.primary.command("CLIENT", "KILL", "TYPE", "normal")
        time.sleep(0.15)
    for late_s in (0.005, 0.2, 2.0):
        failing.proxy.late_s = late_s
        time.sleep(0.4)
        failing.proxy.late_s = 0.0
        time.sleep(0.2)
    for _ in range(3):
        failing.primary.pause()
        time.sleep(rng.uniform(0.05, 0.4))
        failing.primary.go_on()
        time.sleep(0.2)


def lose_writes(failing: Failing) -> None:
    """Fail over to a replica that missed the last writes."""
    failing.replica.pause()
    time.sleep(0.3)
    failing.primary.stop()
    failing.replica.go_on()
    failing.promote()


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_nothing_fails_and_no_cap_is_passed_whatever_becomes_of_the_ledger(failing: Failing, seed: int) -> None:
    clients = Asking(failing)
    with ThreadPoolExecutor(CLIENTS) as pool:
        running = [pool.submit(clients.client, 100 * seed + number) for number in range(CLIENTS)]
        try:
            torment(failing, random.Random(seed))
            lose_writes(failing)
            time.sleep(0.5)
        finally:
            clients.stopping.set()
        for each in running:
            each.result()
    until(lambda: failing.one.server.decisions.statistics()["shared_links"] == 1)
    for subscriber in range(SUBSCRIBERS):
        for _ in range(CAP + 1):
            answer = heals(lambda: failing.one.decisions.Decide(asking(subscriber)))  # noqa: B023
            if answer.offers:
                clients.given[subscriber].add(answer.decision_id)
            if got(answer):
                clients.sold.add(answer.decision_id)
        assert answer.reason == int(Reason.CAP_REACHED)
    assert max(map(len, clients.given.values())) <= CAP
    eventually(lambda: total_of(failing.replica, DECIDED_EVENT)[0], 0)
    _, counted = total_of(failing.replica, DECIDED_EVENT)
    assert len(clients.sold) <= counted <= STOCK
    sold = sell_out([failing.one, failing.other], STOCK - counted)
    assert len(sold) == STOCK - counted, "what was not given is there"
    assert clients.reasons[int(Reason.STATE_UNAVAILABLE)] > 0
    assert clients.slowest_s < DEADLINE_S
