"""A Cluster whose slots move while it serves: no decision fails, no cap is passed, and what lies under tags that servers had before is found."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Final

import pytest

from server.shared.topology import slot_of
from tests.server.operator_fixture import CUSTOMERS, Operator
from tests.server.running import running, settings_for
from tests.server.shared.conftest import CAP
from tests.server.shared.redis_servers import RedisServer, keys_of
from tests.server.shared.stock import (
    ACCEPTED_EVENT,
    DECIDED_EVENT,
    LIMIT,
    ask,
    eventually,
    sell,
    sell_out,
    total_of,
)
from tests.server.shared.test_cluster import NODES, cluster, replicas_of
from tests.server.shared.test_failover import until
from tests.server.shared.test_faults import UNAVAILABLE

__all__ = ["cluster"]
TAG: Final = b"3"
"""The first server's; the second's is 1, the third's, which has the totals, 0."""
PIECE: Final = 100


def move(nodes: list[RedisServer], slot: int, source: RedisServer, target: RedisServer) -> None:
    """Move a slot with its keys, as redis-cli does."""
    source_id, target_id = source.command("CLUSTER", "MYID"), target.command("CLUSTER", "MYID")
    target.command("CLUSTER", "SETSLOT", str(slot), "IMPORTING", source_id)
    source.command("CLUSTER", "SETSLOT", str(slot), "MIGRATING", target_id)
    while keys := source.command("CLUSTER", "GETKEYSINSLOT", str(slot), "10"):
        source.command("MIGRATE", "127.0.0.1", str(target.port), "", "0", "5000", "KEYS", *keys)
    for node in (target, source, *nodes[:NODES]):
        node.command("CLUSTER", "SETSLOT", str(slot), "NODE", target_id)


def slots_of(node: RedisServer) -> list[int]:
    """Return the slots in which the server has subscribers."""
    keys = [key for key in keys_of(node) if key.endswith(b"}")]
    return sorted({slot_of(key[4:20]) for key in keys})


def serves(replica: object) -> bool:
    return UNAVAILABLE not in {ask(replica, n, dry_run=True).reason for n in range(CUSTOMERS)}  # type: ignore[arg-type]


def test_slots_that_move_while_everybody_asks(capped: Operator, cluster: list[RedisServer]) -> None:
    with ExitStack() as stack:
        replicas = replicas_of(capped, f"redis-cluster://127.0.0.1:{cluster[1].port}", stack)
        for number in range(CUSTOMERS):
            assert ask(replicas[number % 2], number).offers
        moved, given = threading.Event(), dict.fromkeys(range(CUSTOMERS), 1)

        def client(name: int) -> None:
            number = name
            while not moved.is_set():
                number = (number + 4) % CUSTOMERS
                answer = ask(replicas[number // 4 % 2], number)
                assert answer.reason
                given[number] += bool(answer.offers)

        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(client, name) for name in range(4)]
            for slot in (slot_of(TAG), *slots_of(cluster[0])[:6]):
                move(cluster, slot, cluster[0], cluster[1])
                time.sleep(0.1)
            for slot in (slot_of(b"0"), *slots_of(cluster[2])[:3]):
                move(cluster, slot, cluster[2], cluster[0])
            moved.set()
            for each in asked:
                each.result()
        began = time.monotonic()
        until(lambda: all(map(serves, replicas)))
        assert time.monotonic() - began < 2.5
        for number in range(CUSTOMERS):
            given[number] += sum(bool(ask(replicas[n % 2], number).offers) for n in range(CAP))
        assert set(given.values()) == {CAP}


def test_what_a_killed_replica_gave_is_found_under_each_tag(once: Operator, cluster: list[RedisServer]) -> None:
    with ExitStack() as stack:
        url = f"redis-cluster://127.0.0.1:{cluster[1].port}"
        one, other = replicas_of(once, url, stack)
        sold = len(sell([one], 20))
        assert sold == 20
        given = [key for key in keys_of(cluster[0]) if key.startswith(b"tp:{3}:given:")]
        assert given, "the first server has this tag"
        move(cluster, slot_of(TAG), cluster[0], cluster[1])
        until(lambda: all(map(serves, (one, other))))
        sold += len(sell([one], 4))
        watch = one.server._shared.sharing._watch  # type: ignore[union-attr]
        watch._stopping = True
        with one.server.thread._turn, running(settings_for(once, ledger_redis=url, replica=1)) as successor:
            rest = LIMIT - sold
            assert len(sell_out([successor, other], rest)) == rest
            eventually(lambda: total_of(cluster[2], DECIDED_EVENT), (0, LIMIT))


def test_holds_that_end_are_found_though_their_schedule_has_another_tag(
    held: Operator, cluster: list[RedisServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as stack:
        replicas = replicas_of(held, f"redis-cluster://127.0.0.1:{cluster[1].port}", stack)
        assert len(sell_out(replicas, LIMIT)) == LIMIT
        move(cluster, slot_of(TAG), cluster[0], cluster[1])
        eventually(lambda: total_of(cluster[2], ACCEPTED_EVENT), (0, 0))
        assert len(sell_out(replicas, LIMIT)) == LIMIT
