"""A router before workers answers as one server would, whatever the call: split, passed on, summed up; a worker that is away keeps its own waiting alone."""

import os
import signal
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import grpc
import pytest
from touchpoint.v1 import admin_service_pb2 as admin
from touchpoint.v1 import decision_service_pb2 as pb
from touchpoint.v1 import outcome_service_pb2 as outcomes
from touchpoint.v1 import subscriber_service_pb2 as subscribers

from engine.rulebook import compile_rulebook, save_rulebook
from engine.shard import Shard
from loaders.catalogue.load import load_catalogue
from server.settings import Settings
from server.workers import processes, rpcs
from server.workers.processes import Worker, settings_of
from server.workers.router import Router
from tests.server.operator_fixture import CUSTOMERS, NOW, Operator, msisdn, write_operator
from tests.server.running import PATIENCE_S, Running, asking, running, settings_for, timeless
from tests.server.sharing import customers_by_owner
from tests.server.tables import read, rows, stream, table_of
from tests.server.test_decisions import violations

OF: Final = 3


@pytest.fixture(scope="module", params=["grpcio", "native"])
def routed(operator: Operator, request: pytest.FixtureRequest) -> Iterator[Running]:
    with running(settings_for(operator, workers=OF, front=request.param)) as started:
        yield started


@pytest.fixture(scope="module")
def customers(operator: Operator) -> list[list[int]]:
    return customers_by_owner(operator, OF)


def workers(server: Running) -> list[Worker]:
    found = cast(Router, server.server).workers
    assert found
    return found.all


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def pid(server: Running, number: int) -> int:
    process = workers(server)[number].process
    assert process
    return process.pid


def status(server: Running) -> admin.GetStatusResponse:
    return server.admin.GetStatus(admin.GetStatusRequest())


def retried(call: Callable[[], Any]) -> Any:
    """Return what the call returns once nobody is away any more."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return call()
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE or time.monotonic() > end:
                raise
            time.sleep(0.05)


def test_each_decision_is_its_owners(routed: Running, customers: list[list[int]]) -> None:
    items = [asking(number) for number in range(CUSTOMERS)]
    results = routed.decisions.DecideBatch(pb.DecideBatchRequest(items=items)).results
    assert [result.answer.request_id for result in results] == [item.request_id for item in items]
    for shard, own in enumerate(customers):
        ids = [results[number].answer.decision_id for number in own]
        assert all(not held or held.startswith(f"s{shard}-") for held in ids)
    again = [routed.decisions.Decide(item) for item in items]
    assert all(
        timeless(one) == timeless(result.answer) for one, result in zip(again, results, strict=True) if one.decision_id
    )


def test_outcomes_are_split_and_come_back_in_order(routed: Running) -> None:
    ids = [held for number in range(30) if (held := routed.decisions.Decide(asking(number)).decision_id)]
    assert len({held[:2] for held in ids}) == OF
    sent = [
        outcomes.Outcome(outcome_id=f"o-{held}", decision_id=held, rank=1, kind=outcomes.OUTCOME_KIND_SEEN)
        for held in ids
    ]
    sent.insert(4, outcomes.Outcome(outcome_id="no id", decision_id="none", rank=1, kind=outcomes.OUTCOME_KIND_SEEN))
    results = routed.outcomes.RecordOutcomes(outcomes.RecordOutcomesRequest(outcomes=sent)).results
    assert [result.outcome_id for result in results] == [each.outcome_id for each in sent]
    assert results[4].status == outcomes.OUTCOME_STATUS_UNKNOWN_DECISION
    assert {result.status for place, result in enumerate(results) if place != 4} == {outcomes.OUTCOME_STATUS_RECORDED}
    checked = routed.decisions.CheckHandOff(pb.CheckHandOffRequest(decision_id=ids[0], rank=1))
    assert checked.hand_off
    with pytest.raises(grpc.RpcError) as caught:
        routed.decisions.CheckHandOff(pb.CheckHandOffRequest(decision_id="none", rank=1))
    assert violations(caught.value) == ["decision_id"]


@pytest.fixture(scope="module")
def unasked(operator: Operator) -> Iterator[Running]:
    """One server whom no other test changes."""
    with running(settings_for(operator)) as started:
        yield started


def test_a_table_is_split_and_put_together(routed: Running, unasked: Running) -> None:
    def fixed(number: int) -> pb.DecideRequest:
        request = asking(number, request_id=f"table-{number}", dry_run=True, language=("", "es")[number % 2])
        request.assumed_now.FromSeconds(1_900_000_000)
        return request

    requests = [fixed(number) for number in range(CUSTOMERS)]
    requests[3].channel = "nosuch"
    requests[9].subscriber = "not a number"
    table = stream(table_of(requests))
    for omitted in (False, True):
        request = pb.DecideColumnsRequest(table=table, omit_words=omitted)
        ours, alone = (rows(read(each.decisions.DecideColumns(request))) for each in (routed, unasked))
        for one, other in zip(ours, alone, strict=True):
            same = {
                "reason",
                "error_code",
                "error_message",
                "error_field",
                "error_shard",
                "base_version",
                "decision_id",
            }
            assert {name: one[name] for name in same} == {name: other[name] for name in same}
            assert one.keys() == other.keys()
        batch = routed.decisions.DecideBatch(pb.DecideBatchRequest(items=requests)).results
        for row, result in zip(ours, batch, strict=True):
            found = [offer["offer"] for offer in row["offers"] or []]
            assert found == [offer.offer for offer in result.answer.offers]
    wrong = pb.DecideColumnsRequest(table=stream(table_of(requests[:1]).drop_columns(["channel"])))
    with pytest.raises(grpc.RpcError) as caught:
        routed.decisions.DecideColumns(wrong)
    assert violations(caught.value) == ["table[channel]"]


def test_subscribers_are_asked_of_their_owners(routed: Running, customers: list[list[int]]) -> None:
    for own in customers:
        key = msisdn(own[-1])
        assert routed.subscribers.GetSubscriber(subscribers.GetSubscriberRequest(subscriber=key)).base_version
        consent = subscribers.Consent(purpose="service", state=subscribers.CONSENT_STATE_REFUSED)
        routed.subscribers.UpdateSubscriber(subscribers.UpdateSubscriberRequest(subscriber=key, consents=[consent]))
        assert not routed.decisions.Decide(asking(own[-1])).offers
        routed.subscribers.ForgetSubscriber(subscribers.ForgetSubscriberRequest(subscriber=key))
        assert routed.subscribers.GetSubscriber(subscribers.GetSubscriberRequest(subscriber=key)).erased
    with pytest.raises(grpc.RpcError) as caught:
        routed.subscribers.GetSubscriber(subscribers.GetSubscriberRequest(subscriber="x"))
    assert violations(caught.value) == ["subscriber"]
    with pytest.raises(grpc.RpcError) as caught:
        routed.subscribers.GetSubscriber(subscribers.GetSubscriberRequest(subscriber="+13125559999"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def test_the_status_is_that_of_all(routed: Running, customers: list[list[int]]) -> None:
    before = status(routed)
    assert (before.shard, before.shard_count, before.worker_count, before.worker_ready_count) == (0, 1, OF, OF)
    assert before.subscriber_count == CUSTOMERS
    for own in customers:
        routed.decisions.Decide(asking(own[0]))
    after = status(routed)
    assert after.decision_count == before.decision_count + OF
    assert after.clock_confirmed
    assert not routed.admin.ConfirmClock(admin.ConfirmClockRequest()).was_unconfirmed
    assert routed.decisions.GetShard(pb.GetShardRequest()) == pb.GetShardResponse(number=0, of=1)


def test_metrics_have_the_workers_names(routed: Running) -> None:
    url = f"http://127.0.0.1:{routed.serving.management_port}"
    text = urllib.request.urlopen(f"{url}/metrics", timeout=10).read().decode()
    for shard in range(OF):
        assert f'touchpoint_worker_ready{{shard="{shard}"}} 1.0' in text
        assert f'touchpoint_decisions_total{{reason="OFFERED",shard="{shard}"}}' in text
        assert f'touchpoint_decision_seconds_bucket{{le="0.0001",shard="{shard}"}}' in text
    assert text.count("# TYPE touchpoint_decisions_total counter") == 1
    assert urllib.request.urlopen(f"{url}/readyz", timeout=10).read() == b"ok\n"


def test_a_slow_worker_keeps_its_own_waiting_and_gets_one_batch(routed: Running, customers: list[list[int]]) -> None:
    load = routed.server.thread.load
    batches = sum(load.batch_items.values())
    os.kill(pid(routed, 0), signal.SIGSTOP)
    try:
        held = [routed.decisions.Decide.future(asking(customers[0][n % 5])) for n in range(40)]
        until(lambda: load.waiting_items == 40)
        for number in range(10):
            assert routed.decisions.Decide(asking(customers[1][number % 5]), timeout=5).request_id
        mixed = pb.DecideBatchRequest(items=[asking(customers[1][0]), asking(customers[0][0])])
        whole = routed.decisions.DecideBatch.future(mixed)
        assert not any(call.done() for call in held)
    finally:
        os.kill(pid(routed, 0), signal.SIGCONT)
    assert all(call.result(PATIENCE_S).request_id for call in held)
    assert [result.answer.request_id for result in whole.result(PATIENCE_S).results] == [
        item.request_id for item in mixed.items
    ]
    # One for each that the second worker answered, and one or two of the first's forty and one.
    assert sum(load.batch_items.values()) - batches <= 10 + 1 + 3
    until(lambda: load.waiting_items == 0)


def test_a_worker_that_dies_is_started_again_and_others_go_on(
    operator: Operator, routed: Running, customers: list[list[int]]
) -> None:
    held = routed.decisions.Decide(asking(customers[1][0])).decision_id
    restarts = workers(routed)[2].restarts
    died = pid(routed, 2)
    os.kill(died, signal.SIGKILL)
    until(lambda: not workers(routed)[2].ready)
    codes = set()
    for _ in range(5):
        with pytest.raises(grpc.RpcError) as caught:
            routed.decisions.Decide(asking(customers[2][0]))
        codes.add(caught.value.code())
        assert "worker 2 of 3 is away" in str(caught.value.details())
        assert routed.decisions.Decide(asking(customers[0][0])).request_id
    assert codes == {grpc.StatusCode.UNAVAILABLE}
    mixed = routed.decisions.DecideBatch(
        pb.DecideBatchRequest(items=[asking(customers[0][0]), asking(customers[2][0])])
    ).results
    assert (mixed[0].HasField("answer"), mixed[1].error.code) == (True, 14)
    table = stream(table_of([asking(customers[2][0]), asking(customers[0][0])]))
    found = rows(read(routed.decisions.DecideColumns(pb.DecideColumnsRequest(table=table))))
    assert [row["error_code"] for row in found] == [14, None]
    assert status(routed).worker_ready_count == OF - 1
    assert retried(lambda: routed.decisions.Decide(asking(customers[2][0]))).request_id
    until(lambda: workers(routed)[2].ready)
    assert (workers(routed)[2].restarts, pid(routed, 2) != died) == (restarts + 1, True)
    seen = outcomes.Outcome(outcome_id="still", decision_id=held, rank=1, kind=outcomes.OUTCOME_KIND_SEEN)
    (result,) = routed.outcomes.RecordOutcomes(outcomes.RecordOutcomesRequest(outcomes=[seen])).results
    assert result.status == outcomes.OUTCOME_STATUS_RECORDED, "the others' ledgers are as they were"


def test_a_reload_reaches_all_and_a_bad_one_none(folder: Path) -> None:
    operator = write_operator(folder)
    source = operator.folder / "catalogue" / "all.yaml"
    good = operator.rulebook.read_bytes()
    with running(settings_for(operator, workers=2)) as routed:
        source.write_text(source.read_text().replace("value: 4.5", "value: 4.75"))
        loaded = load_catalogue(operator.folder / "catalogue", now_us=int(NOW.timestamp()) * 1_000_000)
        save_rulebook(compile_rulebook(loaded), operator.rulebook)
        answer = routed.admin.Reload(admin.ReloadRequest())
        assert (answer.changed, answer.rulebook_generation) == (True, 2)
        generations = {routed.decisions.Decide(asking(number)).rulebook_generation for number in range(20)}
        assert generations == {2}
        assert not routed.admin.Reload(admin.ReloadRequest()).changed
        operator.rulebook.write_bytes(good[:-9])
        with pytest.raises(grpc.RpcError) as caught:
            routed.admin.Reload(admin.ReloadRequest())
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        for worker in ("worker 0 of 2: nothing was changed", "worker 1 of 2: nothing was changed"):
            assert worker in str(caught.value.details())
        assert {routed.decisions.Decide(asking(number)).rulebook_generation for number in range(20)} == {2}
        assert status(routed).last_reload_error


def test_rare_calls_under_way_are_bounded(
    operator: Operator, routed: Running, customers: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpcs, "UNDER_WAY_BYTES_MAX", 5 * rpcs.CALL_BYTES)
    request = subscribers.GetSubscriberRequest(subscriber=msisdn(customers[0][1]))
    os.kill(pid(routed, 0), signal.SIGSTOP)
    try:
        calls = [routed.subscribers.GetSubscriber.future(request) for _ in range(8)]
        until(lambda: sum(call.done() for call in calls) == 6)
        own = subscribers.GetSubscriberRequest(subscriber=msisdn(customers[1][1]))
        assert routed.subscribers.GetSubscriber(own, timeout=5).base_version, "the others have room"
    finally:
        os.kill(pid(routed, 0), signal.SIGCONT)
    ended: list[Any] = [call.exception(PATIENCE_S) for call in calls]
    codes = [error and error.code() for error in ended]
    assert codes.count(grpc.StatusCode.RESOURCE_EXHAUSTED) == 6
    assert codes.count(None) == 2


def test_a_workers_settings_are_its_part(tmp_path: Path) -> None:
    settings = Settings(
        workers=4, contacts_max=10, answers_bytes_max=100_000, tokens_file="t", insecure=True, listen="0.0.0.0:1"
    )
    own = settings_of(settings, Worker(Shard(3, 4), tmp_path))
    assert (own.shard, own.workers, own.contacts_max, own.answers_bytes_max) == ("3/4", 1, 4, 65_536)
    assert own.listen == f"unix:{tmp_path}/3.s"
    assert own.management_listen == f"unix:{tmp_path}/3.m"
    assert (own.tokens_file, own.insecure, own.tls_certificate_file) == ("", False, "")
    others = {"TOUCHPOINT_WORKERS": "4", "TOUCHPOINT_FAILPOINTS": "sync:die", "TOUCHPOINT_CONFIG": "c", "HOME": "h"}
    environment = processes._environment(others, own)
    assert environment["TOUCHPOINT_WORKERS"] == "1"
    assert environment["TOUCHPOINT_FAILPOINTS"] == "sync:die"
    assert "TOUCHPOINT_CONFIG" not in environment


def test_concurrent_callers_of_everything_get_their_own_answers(routed: Running) -> None:
    wrong: list[str] = []

    def ask(caller: int) -> None:
        for round_ in range(30):
            number = (caller * 7 + round_) % 40
            request = asking(number, dry_run=True)
            if routed.decisions.Decide(request).request_id != request.request_id:
                wrong.append(request.request_id)
            items = [asking((number + more) % 40, dry_run=True) for more in range(5)]
            results = routed.decisions.DecideBatch(pb.DecideBatchRequest(items=items)).results
            if [result.answer.request_id for result in results] != [item.request_id for item in items]:
                wrong.append(items[0].request_id)

    threads = [threading.Thread(target=ask, args=(caller,)) for caller in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert not wrong
    until(lambda: routed.server.thread.load.waiting_items == 0)


def test_the_workers_sockets_are_the_users_alone(routed: Running) -> None:
    folder = workers(routed)[0].socket.parent
    assert folder.stat().st_mode & 0o777 == 0o700
    with socket.socket(socket.AF_UNIX) as asked:
        asked.connect(str(workers(routed)[0].socket))


def test_a_worker_with_a_journal_goes_on_where_it_was(operator: Operator, tmp_path: Path) -> None:
    with running(settings_for(operator, workers=2, journal=str(tmp_path / "journal"))) as routed:
        asked = [asking(number) for number in range(20)]
        before = [timeless(routed.decisions.Decide(request)) for request in asked]
        os.kill(pid(routed, 1), signal.SIGKILL)
        until(lambda: not workers(routed)[1].ready)
        after = [timeless(retried(partial(routed.decisions.Decide, request))) for request in asked]
        held = [number for number, answer in enumerate(before) if pb.DecideResponse.FromString(answer).decision_id]
        assert len(held) > 10
        assert [after[number] for number in held] == [before[number] for number in held]
        assert sorted(entry.name for entry in (tmp_path / "journal").iterdir()) == ["shard-0", "shard-1"]
