"""Stock that is held, accepted, refused and left to expire by two replicas, while the ledger is tormented and fails over: counted by who got it."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.server.operator_fixture import Operator
from tests.server.shared.shop import Shop
from tests.server.shared.stock import ACCEPTED_EVENT, HOLD_S, LIMIT, eventually, sell_out, total_of
from tests.server.shared.test_failover import Failing, failing, until
from tests.server.shared.test_soak import lose_writes, torment

CLIENTS = 6
assert failing


@pytest.fixture(scope="module")
def capped(held: Operator) -> Operator:
    """The operator of `failing` here: so many of its first offer may be accepted."""
    return held


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
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
