"""Stock that is held, accepted, refused and left to expire by two replicas, while the ledger is tormented and fails over: counted by who got it."""

import itertools
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import grpc
import pytest
from touchpoint.v1 import outcome_service_pb2 as outcomes

from tests.server.operator_fixture import CUSTOMERS, Operator
from tests.server.running import Running
from tests.server.shared.stock import ACCEPTED_EVENT, HOLD_S, LIMIT, ask, eventually, got, sell_out, total_of
from tests.server.shared.test_failover import Failing, failing, until
from tests.server.shared.test_soak import lose_writes, torment
from tests.server.test_rpcs import outcome, record

CLIENTS = 6
PAUSE_S = 0.003
"""A customer can be held 256 contacts."""
ACCEPTED_SHARE, REFUSED_SHARE = 0.06, 0.3
SURE_S = 20.0
assert failing


@pytest.fixture(scope="module")
def capped(held: Operator) -> Operator:
    """The operator of `failing` here: so many of its first offer may be accepted."""
    return held


class Shop:
    """Clients that ask for a_half, and take it, refuse it or say nothing; each holds what it got from its decision on, until it gave it back."""

    def __init__(self, replicas: list[Running]) -> None:
        self._replicas = replicas
        self._numbers = itertools.count()
        self.stopping = threading.Event()
        self.spans: list[tuple[float, float]] = []
        """From when until when a unit was certainly held, epoch seconds."""
        self.accepted = 0

    def client(self, seed: int) -> None:
        rng = random.Random(seed)
        while not self.stopping.is_set():
            time.sleep(PAUSE_S)
            answer = ask(self._replicas[rng.randrange(2)], rng.randrange(CUSTOMERS))
            if not got(answer):
                continue
            decided_s = answer.decided_at.ToMicroseconds() / 1e6
            until_s, chance = decided_s + HOLD_S, rng.random()
            if chance < ACCEPTED_SHARE + REFUSED_SHARE:
                kind = outcomes.OUTCOME_KIND_ACCEPTED if chance < ACCEPTED_SHARE else outcomes.OUTCOME_KIND_REFUSED
                sent_s = time.time()
                self._say(outcome(answer.decision_id, f"said-{next(self._numbers)}", kind=kind), rng)
                if kind == outcomes.OUTCOME_KIND_ACCEPTED:
                    self.accepted += 1
                    until_s = float("inf")
                else:
                    until_s = min(until_s, sent_s)
            self.spans.append((decided_s, until_s))

    def _say(self, sent: outcomes.Outcome, rng: random.Random) -> None:
        """Say it until somebody has taken it down."""
        end_s = time.monotonic() + SURE_S
        while time.monotonic() < end_s:
            with suppress(grpc.RpcError):
                status = record(self._replicas[rng.randrange(2)], sent)[0].status
                assert status in (
                    outcomes.OUTCOME_STATUS_RECORDED,
                    outcomes.OUTCOME_STATUS_RECORDED_LATE,
                    outcomes.OUTCOME_STATUS_DUPLICATE,
                ), status
                return
            time.sleep(0.02)
        raise AssertionError("nobody took it down")

    def most_at_once(self) -> int:
        changes = sorted([(start, 1) for start, _ in self.spans] + [(end, -1) for _, end in self.spans])
        return max(itertools.accumulate(change for _, change in changes))


@pytest.mark.parametrize("seed", [1, 2])
def test_no_more_is_held_than_there_is_and_nothing_is_lost(failing: Failing, seed: int) -> None:
    shop = Shop([failing.one, failing.other])
    with ThreadPoolExecutor(CLIENTS) as pool:
        running = [pool.submit(shop.client, 100 * seed + number) for number in range(CLIENTS)]
        try:
            torment(failing, random.Random(seed))
            lose_writes(failing)
            time.sleep(HOLD_S)
        finally:
            shop.stopping.set()
        for each in running:
            each.result()
    until(lambda: failing.one.server.decisions.statistics()["shared_links"] == 1)
    assert 0 < shop.accepted <= LIMIT
    assert shop.most_at_once() <= LIMIT
    eventually(lambda: total_of(failing.replica, ACCEPTED_EVENT), (0, shop.accepted))
    assert len(sell_out([failing.one, failing.other], LIMIT - shop.accepted)) >= LIMIT - shop.accepted
