"""Replies that come byte by byte, and connections that end at any byte of a batch's replies: nothing fails, and what was given is counted once."""

import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from touchpoint.v1 import decision_service_pb2 as pb

from tests.server.operator_fixture import Operator
from tests.server.running import Running, asking, running, settings_for, timeless
from tests.server.shared.between import Between
from tests.server.shared.conftest import CAP
from tests.server.shared.redis_servers import redis_server
from tests.server.shared.test_faults import heals

PEOPLE: Final = 57
CUTS: Final = 2 * PEOPLE // 3
BYTES_MAX: Final = 900
"""A batch of three brings about as many."""


@pytest.fixture
def cut(capped: Operator, tmp_path: Path) -> Iterator[tuple[Running, Between]]:
    with redis_server(tmp_path / "redis") as redis:
        proxy = Between(redis.port)
        url = f"redis://127.0.0.1:{proxy.port}"
        with running(settings_for(capped, ledger_redis=url, ledger_redis_timeout_ms=500)) as replica:
            yield replica, proxy
        proxy.close()


def test_replies_byte_by_byte(cut: tuple[Running, Between]) -> None:
    replica, proxy = cut
    proxy.slice_bytes = 1
    for number in range(3):
        given = [bool(replica.decisions.Decide(asking(number)).offers) for _ in range(CAP + 1)]
        assert given == [True] * CAP + [False]


def test_a_connection_that_ends_at_any_byte_of_the_replies(cut: tuple[Running, Between]) -> None:
    replica, proxy = cut
    rng = random.Random(7)
    for number in range(CUTS):
        people = [(3 * number + n) % PEOPLE for n in range(3)]
        batch = pb.DecideBatchRequest(items=[asking(person) for person in people])
        proxy.cut_within = rng.randrange(BYTES_MAX)
        answers = [result.answer for result in replica.decisions.DecideBatch(batch).results]
        assert all(answer.offers or answer.reason for answer in answers)
        proxy.cut_within = -1
        for item, before in zip(batch.items, answers, strict=True):
            after = heals(partial(replica.decisions.Decide, item))
            assert not before.offers or timeless(before) == timeless(after)
    assert proxy.cuts > CUTS // 4
    for person in range(PEOPLE):
        given = [bool(replica.decisions.Decide(asking(person)).offers) for _ in range(CAP)]
        assert given == [True] * (CAP - 2) + [False] * 2, "two requests were answered in the end, each was counted once"
