"""A ledger that stops, freezes, forgets, answers late or closes in the middle: no decision fails, none passes a cap, and all goes on once it is healed."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from touchpoint.v1 import decision_service_pb2 as pb
from touchpoint.v1 import outcome_service_pb2 as outcomes
from touchpoint.v1 import reason_pb2
from touchpoint.v1 import subscriber_service_pb2 as subscribers

from tests.server.operator_fixture import Operator, msisdn
from tests.server.running import Running, asking, running, settings_for, timeless
from tests.server.shared.between import Between
from tests.server.shared.conftest import CAP, Pair
from tests.server.shared.redis_servers import RedisServer, free_port, keys_of, redis_server
from tests.server.test_rpcs import outcome, record

UNAVAILABLE: Final = reason_pb2.REASON_STATE_UNAVAILABLE
HEALED_S: Final = 1.0


def heals(ask: Callable[[], pb.DecideResponse]) -> pb.DecideResponse:
    """Ask until something else than STATE_UNAVAILABLE comes, which must be within a second; nothing fails meanwhile."""
    began = time.monotonic()
    while (answer := ask()).reason == UNAVAILABLE:
        assert time.monotonic() - began < HEALED_S
        time.sleep(0.01)
    return answer


def check_unavailable(replica: Running, number: int) -> None:
    """Whatever does not need the ledger is answered as ever; what does is not known, and says so at once."""
    began = time.monotonic()
    answer = replica.decisions.Decide(asking(number, explain=True), timeout=1)
    assert time.monotonic() - began < 0.5
    assert (answer.reason, len(answer.offers)) == (UNAVAILABLE, 0)
    stopped = {candidate.reason for candidate in answer.candidates}
    assert UNAVAILABLE in stopped
    unknown = replica.decisions.Decide(asking(0, subscriber="+13125559999"), timeout=1)
    assert unknown.reason == reason_pb2.REASON_UNKNOWN_SUBSCRIBER


def test_a_frozen_server_and_its_thaw(pair: Pair) -> None:
    held = pair.one.decisions.Decide(asking(1))
    pair.redis.pause()
    for replica in (pair.one, pair.other):
        check_unavailable(replica, 1)
        check_unavailable(replica, 1)
        with pytest.raises(grpc.RpcError) as raised:
            record(replica, outcome(held.decision_id, "while-frozen"))
        assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
        with pytest.raises(grpc.RpcError) as raised:
            replica.subscribers.ForgetSubscriber(subscribers.ForgetSubscriberRequest(subscriber=msisdn(1)))
        assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
        checked = replica.decisions.CheckHandOff(pb.CheckHandOffRequest(decision_id=held.decision_id, rank=1))
        assert (checked.hand_off, checked.reason) == (pb.HAND_OFF_NOT_BEFORE, UNAVAILABLE)
    pair.redis.go_on()
    for replica in (pair.one, pair.other):
        assert heals(partial(replica.decisions.Decide, asking(2))).offers
    assert record(pair.other, outcome(held.decision_id, "while-frozen"))[0].status in (
        outcomes.OUTCOME_STATUS_RECORDED,
        outcomes.OUTCOME_STATUS_DUPLICATE,
    )


def test_a_restart_with_what_was_written_and_a_request_sent_again(
    capped: Operator, binary: str, tmp_path: Path
) -> None:
    with (
        redis_server(tmp_path / "redis", binary, appendonly="yes", appendfsync="always") as redis,
        running(settings_for(capped, ledger_redis=redis.url, replica=1)) as one,
    ):
        request = asking(3)
        first = one.decisions.Decide(request)
        redis.stop()
        check_unavailable(one, 3)
        redis.start()
        again = heals(lambda: one.decisions.Decide(request))
        assert timeless(again) == timeless(first)
        given = [bool(one.decisions.Decide(asking(3)).offers) for _ in range(CAP)]
        assert given == [True] * (CAP - 1) + [False]


def test_a_server_that_lost_everything_is_told_by_each_replica(pair: Pair) -> None:
    request = asking(4)
    first = pair.one.decisions.Decide(request)
    record(pair.other, outcome(first.decision_id, "refused-4"))
    given = [replica.decisions.Decide(asking(5)).offers for replica in (pair.one, pair.other, pair.one)]
    assert all(given)
    pair.redis.stop()
    check_unavailable(pair.one, 4)
    pair.redis.start()
    assert heals(lambda: pair.other.decisions.Decide(asking(5))).reason == reason_pb2.REASON_CAP_REACHED
    assert timeless(heals(lambda: pair.one.decisions.Decide(request))) == timeless(first)
    again = heals(lambda: pair.other.decisions.Decide(asking(4)))
    assert first.offers[0].offer not in [offer.offer for offer in again.offers]
    assert record(pair.one, outcome(first.decision_id, "refused-4"))[0].status == outcomes.OUTCOME_STATUS_DUPLICATE


def test_a_server_that_is_emptied_while_it_runs(pair: Pair) -> None:
    given = [
        bool(replica.decisions.Decide(asking(14)).offers) for replica in (pair.one, pair.other, pair.one, pair.other)
    ]
    assert given == [True] * CAP + [False]
    pair.redis.command("FLUSHALL")
    pair.redis.command("FUNCTION", "FLUSH")
    asked = [heals(partial(replica.decisions.Decide, asking(14))) for replica in (pair.other, pair.one)]
    assert {answer.reason for answer in asked} == {reason_pb2.REASON_CAP_REACHED}
    assert heals(partial(pair.one.decisions.Decide, asking(15))).offers


def test_keys_and_contacts_that_somebody_else_wrote_concern_their_subscriber_alone(pair: Pair) -> None:
    for number in (16, 17):
        assert pair.one.decisions.Decide(asking(number)).offers
    one, other = (key for key in keys_of(pair.redis) if key.endswith(b"}"))
    pair.redis.command("DEL", one)
    pair.redis.command("LPUSH", one, "no hash")
    pair.redis.command("HSET", other, "c", b"\xff" * 80 + b"more")
    batch = pb.DecideBatchRequest(items=[asking(number) for number in (16, 17, 18)])
    for replica in (pair.one, pair.other):
        answers = [result.answer for result in replica.decisions.DecideBatch(batch).results]
        assert [answer.reason for answer in answers[:2]] == [UNAVAILABLE] * 2
        assert answers[2].offers


def test_a_connection_that_dies_while_nobody_asks(pair: Pair) -> None:
    assert pair.one.decisions.Decide(asking(19)).offers
    pair.redis.command("CLIENT", "KILL", "TYPE", "normal")
    time.sleep(1.6)
    assert pair.one.decisions.Decide(asking(19)).offers


@pytest.fixture
def between(tmp_path: Path) -> Iterator[tuple[RedisServer, Between]]:
    with redis_server(tmp_path / "redis") as redis:
        proxy = Between(redis.port)
        yield redis, proxy
        proxy.close()


def test_a_connection_that_is_reset_after_the_write(capped: Operator, between: tuple[RedisServer, Between]) -> None:
    _, proxy = between
    with running(settings_for(capped, ledger_redis=f"redis://127.0.0.1:{proxy.port}")) as replica:
        proxy.cut_after = b"touchpoint2_commit"
        request = asking(6)
        lost = replica.decisions.Decide(request)
        assert (lost.reason, len(lost.offers), proxy.cuts) == (UNAVAILABLE, 0, 1)
        first = heals(lambda: replica.decisions.Decide(request))
        assert first.offers
        assert timeless(replica.decisions.Decide(request)) == timeless(first)
        given = [bool(replica.decisions.Decide(asking(6)).offers) for _ in range(CAP)]
        assert given == [True] * (CAP - 1) + [False], "what was written and never answered counts once"


@pytest.mark.parametrize("late_ms", [1, 5, 30])
def test_a_slow_server_is_waited_for(capped: Operator, between: tuple[RedisServer, Between], late_ms: int) -> None:
    _, proxy = between
    proxy.late_s = late_ms / 1_000
    with running(
        settings_for(capped, ledger_redis=f"redis://127.0.0.1:{proxy.port}", ledger_redis_timeout_ms=200)
    ) as replica:
        given = [bool(replica.decisions.Decide(asking(7)).offers) for _ in range(CAP + 1)]
        assert given == [True] * CAP + [False]


@pytest.mark.parametrize("late_ms", [150, 5_000])
def test_a_server_that_is_too_slow_is_not_waited_for(
    capped: Operator, between: tuple[RedisServer, Between], late_ms: int
) -> None:
    _, proxy = between
    with running(settings_for(capped, ledger_redis=f"redis://127.0.0.1:{proxy.port}")) as replica:
        assert replica.decisions.Decide(asking(8)).offers
        proxy.late_s = late_ms / 1_000
        for _ in range(10):
            began = time.monotonic()
            assert replica.decisions.Decide(asking(8), timeout=1).reason == UNAVAILABLE
            assert time.monotonic() - began < 0.5
        proxy.late_s = 0.0
        assert replica.decisions.Decide(asking(9), timeout=1) is not None
        heals(lambda: replica.decisions.Decide(asking(9)))


def refused(operator: Operator, **changes: Any) -> str:
    """Return why a server does not start."""
    from server.settings import SettingsError

    with pytest.raises(SettingsError) as raised, running(settings_for(operator, **changes)):
        pass
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_server_that_is_not_there(capped: Operator) -> None:
    assert "cannot be reached" in refused(capped, ledger_redis=f"redis://127.0.0.1:{free_port()}")


def test_a_wrong_password_and_the_right_one(capped: Operator, binary: str, tmp_path: Path) -> None:
    with redis_server(tmp_path / "redis", binary, requirepass="right") as redis:
        file = tmp_path / "password"
        file.write_text("wrong\n")
        told = refused(capped, ledger_redis=redis.url, ledger_redis_password_file=str(file))
        assert "WRONGPASS" in told
        assert "wrong\n" not in told
        assert "NOAUTH" in refused(capped, ledger_redis=redis.url)
        assert "holds a password" in refused(capped, ledger_redis=redis.url.replace("//", "//:right@"))
        file.write_text("right\n")
        with running(settings_for(capped, ledger_redis=redis.url, ledger_redis_password_file=str(file))) as replica:
            assert replica.decisions.Decide(asking(1)).offers


FOREIGN: Final = "#!lua name=touchpoint2\nredis.register_function('touchpoint1_commit', function() return 1 end)"


def test_somebody_elses_library_and_somebody_elses_ledger_are_left(
    capped: Operator, operator: Operator, binary: str, tmp_path: Path
) -> None:
    with redis_server(tmp_path / "foreign", binary) as redis:
        redis.command("FUNCTION", "LOAD", FOREIGN)
        before = redis.command("FUNCTION", "LIST", "WITHCODE")
        assert "FUNCTION DELETE" in refused(capped, ledger_redis=redis.url)
        assert redis.command("FUNCTION", "LIST", "WITHCODE") == before
    with redis_server(tmp_path / "other", binary) as redis:
        with running(settings_for(capped, ledger_redis=redis.url)) as replica:
            assert replica.decisions.Decide(asking(1)).offers
        keys = redis.command("DBSIZE")
        assert "another installation" in refused(operator, ledger_redis=redis.url)
        assert redis.command("DBSIZE") == keys


def test_a_replicas_number_that_is_taken_and_one_that_is_free_again(
    capped: Operator, binary: str, tmp_path: Path
) -> None:
    with redis_server(tmp_path / "redis", binary) as redis:
        with running(settings_for(capped, ledger_redis=redis.url, replica=4)):
            assert "4 is the number of another server" in refused(capped, ledger_redis=redis.url, replica=4)
        with running(settings_for(capped, ledger_redis=redis.url, replica=4)) as replica:
            assert replica.decisions.Decide(asking(1)).offers


def test_a_server_that_would_forget_contacts(capped: Operator, binary: str, tmp_path: Path) -> None:
    with redis_server(tmp_path / "redis", binary, maxmemory="100mb", maxmemory_policy="allkeys-lru") as redis:
        assert "noeviction" in refused(capped, ledger_redis=redis.url)
