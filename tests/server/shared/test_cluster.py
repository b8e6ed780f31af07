"""A Cluster of three primaries, one of which has a replica that takes over; and a primary that Sentinels move."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from touchpoint.v1 import decision_service_pb2 as pb
from touchpoint.v1 import outcome_service_pb2 as outcomes
from touchpoint.v1 import reason_pb2

from server.shared.accounts import SPARE_MAX
from server.shared.topology import SLOTS
from tests.server.operator_fixture import CUSTOMERS, Operator
from tests.server.running import Running, asking, running, settings_for, timeless
from tests.server.shared.conftest import CAP
from tests.server.shared.redis_servers import RedisServer, free_port, keys_of, redis_server, sentinel
from tests.server.shared.stock import LIMIT, got, sell, sell_out
from tests.server.shared.test_failover import synced, until
from tests.server.shared.test_faults import UNAVAILABLE
from tests.server.test_rpcs import outcome, record

NODES = 3
TIMEOUT_MS = "500"


def joined(nodes: list[RedisServer]) -> bool:
    """Whether every node knows all of them and all slots are served."""
    infos = [node.command("CLUSTER", "INFO") for node in nodes]
    return all(b"cluster_state:ok" in info and b"cluster_known_nodes:%d" % len(nodes) in info for info in infos)


@pytest.fixture
def cluster(binary: str, tmp_path: Path) -> Iterator[list[RedisServer]]:
    """Three primaries with a third of the slots each; the last server is the first one's replica."""
    with ExitStack() as stack:
        options = {"cluster_enabled": "yes", "cluster_node_timeout": TIMEOUT_MS, "repl_diskless_sync_delay": "0"}
        buses = [str(free_port()) for _ in range(NODES + 1)]
        nodes = [
            stack.enter_context(redis_server(tmp_path / f"node-{bus}", binary, cluster_port=bus, **options))
            for bus in buses
        ]
        for number, node in enumerate(nodes[:NODES]):
            first, end = number * SLOTS // NODES, (number + 1) * SLOTS // NODES
            node.command("CLUSTER", "ADDSLOTSRANGE", str(first), str(end - 1))
        for node in nodes[1:]:
            node.command("CLUSTER", "MEET", "127.0.0.1", str(nodes[0].port), buses[0])
        until(lambda: joined(nodes))
        nodes[NODES].command("CLUSTER", "REPLICATE", nodes[0].command("CLUSTER", "MYID"))
        until(lambda: synced(nodes[NODES]))
        yield nodes


def replicas_of(operator: Operator, url: str, stack: ExitStack) -> list[Running]:
    settings = [
        settings_for(operator, ledger_redis=url, replica=replica, ledger_redis_timeout_ms=500) for replica in (1, 2)
    ]
    return [stack.enter_context(running(each)) for each in settings]


def test_a_cluster_holds_each_subscriber_on_its_node(capped: Operator, cluster: list[RedisServer]) -> None:
    with ExitStack() as stack:
        one, other = replicas_of(capped, f"redis-cluster://127.0.0.1:{cluster[1].port}", stack)
        batch = pb.DecideBatchRequest(items=[asking(n % 30) for n in range(30 * (CAP + 1))])
        answers = [result.answer for result in one.decisions.DecideBatch(batch).results]
        assert [bool(answer.offers) for answer in answers] == [True] * 30 * CAP + [False] * 30
        again = [result.answer for result in other.decisions.DecideBatch(batch).results]
        assert [timeless(answer) for answer in again[: 30 * CAP]] == [
            timeless(answer) for answer in answers[: 30 * CAP]
        ]
        assert {answer.reason for answer in again[30 * CAP :]} == {reason_pb2.REASON_CAP_REACHED}
        sent = [outcome(answer.decision_id, f"refused-{n}") for n, answer in enumerate(answers[:30])]
        assert {result.status for result in record(other, *sent)} == {outcomes.OUTCOME_STATUS_RECORDED}
        assert {result.status for result in record(one, *sent)} == {outcomes.OUTCOME_STATUS_DUPLICATE}
        held = [len([key for key in keys_of(node) if key.endswith(b"}")]) for node in cluster[:NODES]]
        assert sum(held) == 30
        assert min(held) > 0


def test_a_node_of_a_cluster_that_a_replica_stands_in_for(capped: Operator, cluster: list[RedisServer]) -> None:
    with ExitStack() as stack:
        one, other = replicas_of(capped, f"redis-cluster://127.0.0.1:{cluster[1].port}", stack)
        given = [bool(one.decisions.Decide(asking(n)).offers) for n in range(30) for _ in range(CAP - 1)]
        assert all(given)
        cluster[0].stop()
        reasons = {other.decisions.Decide(asking(n, dry_run=True)).reason for n in range(30)}
        assert reasons == {reason_pb2.REASON_OFFERED, UNAVAILABLE}, "the other nodes' subscribers go on"
        until(lambda: UNAVAILABLE not in {other.decisions.Decide(asking(n, dry_run=True)).reason for n in range(30)})
        time.sleep(0.2)
        offered = [[bool(other.decisions.Decide(asking(n)).offers) for _ in range(2)] for n in range(30)]
        assert offered == [[True, False]] * 30


def test_stock_in_a_cluster_goes_on_from_what_is_leased_while_the_totals_are_away(
    once: Operator, cluster: list[RedisServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.shared.sweep.EVERY_S", 600.0)
    for node in cluster:
        node.command("CONFIG", "SET", "cluster-require-full-coverage", "no")
    with ExitStack() as stack:
        one, other = replicas_of(once, f"redis-cluster://127.0.0.1:{cluster[1].port}", stack)
        sold = len(sell([one, other], 12))
        while not one.server.decisions.statistics()["shared_units_to_spare"]:
            sold += len(sell([one], 1))
        totals = cluster[2]
        assert b"tp:{0}:total:0:offer:1" in keys_of(totals), "the slot of {0} is there"
        totals.stop()
        answers = [one.decisions.Decide(asking(n)) for n in range(CUSTOMERS)]
        leased = sum(map(got, answers))
        assert 0 < leased <= SPARE_MAX
        assert {answer.reason for answer in answers} == {reason_pb2.REASON_OFFERED, UNAVAILABLE}
        capped = [answer for answer in answers if answer.offers and not got(answer)]
        assert capped, "when nothing is left of it, other offers are given"
        monkeypatch.undo()
        for replica in (one, other):
            replica.server._shared.sharing._sweep._next_s = 0.0  # type: ignore[union-attr]
        totals.start()
        until(lambda: UNAVAILABLE not in {other.decisions.Decide(asking(n, dry_run=True)).reason for n in range(30)})
        rest = LIMIT - sold - leased
        assert len(sell_out([one, other], rest)) == rest


def test_a_primary_that_sentinels_move(capped: Operator, binary: str, tmp_path: Path) -> None:
    with ExitStack() as stack:
        primary = stack.enter_context(redis_server(tmp_path / "primary", binary, repl_diskless_sync_delay="0"))
        replica = stack.enter_context(redis_server(tmp_path / "replica", binary, replicaof=f"127.0.0.1 {primary.port}"))
        until(lambda: synced(replica))
        watching = stack.enter_context(sentinel(tmp_path / "sentinel", binary, primary.port, "main"))
        until(lambda: bool(watching.command("SENTINEL", "replicas", "main")))
        one, other = replicas_of(capped, f"redis-sentinel://127.0.0.1:{watching.port}/main", stack)
        given = [one.decisions.Decide(asking(1)).offers, other.decisions.Decide(asking(1)).offers]
        assert all(given)
        primary.stop()
        assert one.decisions.Decide(asking(1)).reason == UNAVAILABLE
        until(lambda: one.decisions.Decide(asking(1, dry_run=True)).reason != UNAVAILABLE)
        until(lambda: other.decisions.Decide(asking(1, dry_run=True)).reason != UNAVAILABLE)
        assert [bool(server.decisions.Decide(asking(1)).offers) for server in (one, other)] == [True, False]
