"""Failovers that lose acknowledged writes, and old primaries: what replicas know is asserted, and no cap is passed."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from touchpoint.v1 import decision_service_pb2 as pb
from touchpoint.v1 import reason_pb2
from touchpoint.v1 import subscriber_service_pb2 as subscribers

from server.shared.connection import UnavailableError
from tests.server.operator_fixture import Operator, msisdn
from tests.server.running import Running, asking, running, settings_for, timeless
from tests.server.shared.between import Between
from tests.server.shared.conftest import CAP
from tests.server.shared.redis_servers import RedisServer, redis_server
from tests.server.shared.test_faults import UNAVAILABLE, heals
from tests.server.shared.test_replicas import say

PATIENCE_S = 15.0
TIMEOUT_MS = 150
"""Two servers and their clients share this process."""


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def synced(replica: RedisServer) -> bool:
    return b"master_link_status:up" in replica.command("INFO", "replication")


class Failing(NamedTuple):
    """Two servers that share a ledger on a primary, which a replica can stand in for under the same address."""

    one: Running
    other: Running
    primary: RedisServer
    replica: RedisServer
    proxy: Between

    def promote(self) -> None:
        self.replica.command("REPLICAOF", "NO", "ONE")
        self.proxy.to = self.replica.port
        self.proxy.cut_all()


@pytest.fixture
def failing(capped: Operator, binary: str, tmp_path: Path) -> Iterator[Failing]:
    with ExitStack() as stack:
        primary = stack.enter_context(redis_server(tmp_path / "primary", binary, repl_diskless_sync_delay="0"))
        replica = stack.enter_context(redis_server(tmp_path / "replica", binary, replicaof=f"127.0.0.1 {primary.port}"))
        until(lambda: synced(replica))
        proxy = Between(primary.port)
        stack.callback(proxy.close)
        url = f"redis://127.0.0.1:{proxy.port}"
        one, other = (
            stack.enter_context(
                running(settings_for(capped, ledger_redis=url, replica=replica, ledger_redis_timeout_ms=TIMEOUT_MS))
            )
            for replica in (1, 2)
        )
        yield Failing(one, other, primary, replica, proxy)


def test_acknowledged_writes_that_a_failover_loses(failing: Failing) -> None:
    kept = failing.one.decisions.Decide(asking(1))
    until(lambda: failing.replica.command("DBSIZE") == failing.primary.command("DBSIZE"))
    failing.replica.pause()
    lost = [asking(1), asking(1)]
    answers = [failing.one.decisions.Decide(lost[0]), failing.other.decisions.Decide(lost[1])]
    assert kept.offers
    assert all(answer.offers for answer in answers)
    say(failing.one, 6, subscribers.CONSENT_STATE_REFUSED)
    failing.one.subscribers.ForgetSubscriber(subscribers.ForgetSubscriberRequest(subscriber=msisdn(7)))
    failing.primary.stop()
    failing.replica.go_on()
    failing.promote()
    assert heals(lambda: failing.other.decisions.Decide(asking(6))).reason == reason_pb2.REASON_CONSENT_REFUSED
    assert heals(lambda: failing.other.decisions.Decide(asking(7))).reason == reason_pb2.REASON_SUBSCRIBER_ERASED
    assert heals(lambda: failing.other.decisions.Decide(asking(1))).reason == reason_pb2.REASON_CAP_REACHED
    for replica in (failing.one, failing.other):
        for request, answer in zip(lost, answers, strict=True):
            assert timeless(heals(lambda: replica.decisions.Decide(request))) == timeless(answer)  # noqa: B023


def test_a_link_that_leads_elsewhere_than_the_watch(failing: Failing) -> None:
    given = [failing.one.decisions.Decide(asking(8)).offers for _ in range(CAP - 1)]
    until(lambda: failing.replica.command("DBSIZE") == failing.primary.command("DBSIZE"))
    time.sleep(0.2)
    failing.replica.pause()
    given.append(failing.one.decisions.Decide(asking(8)).offers)
    assert all(given)
    failing.primary.pause()
    failing.replica.go_on()
    failing.replica.command("REPLICAOF", "NO", "ONE")
    failing.proxy.to = failing.replica.port
    failing.primary.go_on()
    shared = failing.one.server._shared
    assert shared is not None
    node = shared.sharing._fetching.states._topology.nodes[0]
    with failing.one.busy():
        assert node.link is not None
        node.drop(node.link)
    began = time.monotonic()
    while time.monotonic() - began < 0.7:
        assert failing.one.decisions.Decide(asking(8)).reason == UNAVAILABLE, (
            "the other one is with the old primary yet"
        )
    failing.proxy.cut_all()
    assert heals(lambda: failing.one.decisions.Decide(asking(8))).reason == reason_pb2.REASON_CAP_REACHED


def test_nobody_grants_before_each_replica_has_asserted(failing: Failing, monkeypatch: pytest.MonkeyPatch) -> None:
    assert failing.one.decisions.Decide(asking(2)).offers
    watch = failing.other.server._shared.sharing._watch  # type: ignore[union-attr]

    def stuck(*_: object) -> None:
        raise UnavailableError("held back by the test")

    monkeypatch.setattr(watch, "_assert", stuck)
    failing.promote()
    began = time.monotonic()
    until(lambda: failing.one.decisions.Decide(asking(2)).reason == UNAVAILABLE)
    while time.monotonic() - began < 2:
        assert failing.one.decisions.Decide(asking(2)).reason == UNAVAILABLE
        time.sleep(0.05)
    monkeypatch.undo()
    assert heals(lambda: failing.one.decisions.Decide(asking(2))).offers


def test_an_old_primary_is_not_used_once_others_have_gone_on(failing: Failing) -> None:
    for _ in range(CAP):
        assert failing.one.decisions.Decide(asking(3)).offers
    failing.promote()
    heals(lambda: failing.one.decisions.Decide(asking(4)))
    heals(lambda: failing.other.decisions.Decide(asking(4)))
    failing.proxy.to = failing.primary.port
    failing.proxy.cut_all()
    until(lambda: failing.one.decisions.Decide(asking(4)).reason == UNAVAILABLE)
    time.sleep(1.0)
    for replica in (failing.one, failing.other):
        assert replica.decisions.Decide(asking(4)).reason == UNAVAILABLE
    failing.proxy.to = failing.replica.port
    failing.proxy.cut_all()
    answer: pb.DecideResponse = heals(lambda: failing.one.decisions.Decide(asking(3)))
    assert answer.reason == reason_pb2.REASON_CAP_REACHED
