"""What a server answered is still there after a restart: answers, holds, outcomes, changes, erasures; also after `kill -9`."""

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from touchpoint.v1 import decision_service_pb2 as pb
from touchpoint.v1 import outcome_service_pb2 as outcome
from touchpoint.v1 import subscriber_service_pb2 as subscribers
from touchpoint.v1.decision_service_pb2_grpc import DecisionServiceStub

from engine.journal.recovery import Recovered
from engine.journal.segments import Cut, JournalError
from server.journalling import lost_since
from server.lifecycle import Server
from tests.server.operator_fixture import Operator, msisdn, write_operator
from tests.server.process import Process
from tests.server.running import Running, asking, running, settings_for, timeless


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    return write_operator(tmp_path_factory.mktemp("operator"))


def journalled(operator: Operator, folder: Path, **changes: Any) -> Any:
    return settings_for(operator, journal=str(folder / "journal"), **changes)


def accepted(server: Running, answer: pb.DecideResponse, name: str) -> Any:
    sent = outcome.Outcome(outcome_id=name, decision_id=answer.decision_id, rank=1, kind=outcome.OUTCOME_KIND_ACCEPTED)
    request = outcome.RecordOutcomesRequest(outcomes=[sent])
    return server.outcomes.RecordOutcomes(request).results[0].status


@pytest.mark.parametrize("durability", ["always", "everysec", "none"])
@pytest.mark.parametrize("front", ["grpcio", "native"])
def test_a_restart_goes_on_where_it_was(operator: Operator, tmp_path: Path, front: str, durability: str) -> None:
    settings = journalled(operator, tmp_path, journal_durability=durability, front=front)
    requests = [asking(number) for number in range(14, 20)]
    with running(settings) as server:
        answers = [server.decisions.Decide(request) for request in requests]
        assert all(answer.offers for answer in answers)
        assert accepted(server, answers[0], "first") == outcome.OUTCOME_STATUS_RECORDED
        server.subscribers.ForgetSubscriber(subscribers.ForgetSubscriberRequest(subscriber=msisdn(19)))
        explained = [decided(server, number) for number in range(14, 20)]
        before = server.server.decisions.engine.ledger.statistics()
    with running(settings) as server:
        after = server.server.decisions.engine.ledger.statistics()
        same = ("subscribers", "contacts", "live_contacts", "outcome_ids", "answers", "answers_used_bytes")
        assert [after[name] for name in same] == [before[name] for name in same]
        again = [server.decisions.Decide(request) for request in requests[:5]]
        assert [timeless(answer) for answer in again] == [timeless(answer) for answer in answers[:5]]
        assert accepted(server, answers[0], "first") == outcome.OUTCOME_STATUS_DUPLICATE
        assert accepted(server, answers[1], "second") == outcome.OUTCOME_STATUS_RECORDED
        assert [decided(server, number) for number in range(16, 20)] == explained[2:]
        with pytest.raises(grpc.RpcError) as caught:
            server.decisions.Decide(asking(14, request_id=requests[0].request_id, max_offers=1))
        assert caught.value.code() == grpc.StatusCode.ALREADY_EXISTS


def decided(server: Running, number: int) -> tuple[int, list[str]]:
    """Return what a dry run says, whose answer depends on what is held."""
    answer = server.decisions.Decide(asking(number, dry_run=True))
    return answer.reason, [offer.offer for offer in answer.offers]


def test_a_second_server_does_not_write_the_same_journal(operator: Operator, tmp_path: Path) -> None:
    settings = journalled(operator, tmp_path)

    async def start() -> None:
        await Server(settings).start()

    with running(settings), pytest.raises(JournalError, match="another process writes this journal"):
        asyncio.run(start())


def test_no_number_is_in_the_journal(operator: Operator, tmp_path: Path) -> None:
    with running(journalled(operator, tmp_path)) as server:
        for number in range(14, 40):
            server.decisions.Decide(asking(number))
    written = b"".join(path.read_bytes() for path in (tmp_path / "journal").iterdir())
    assert b"desk_open" in written
    for number in range(14, 40):
        assert msisdn(number).lstrip("+").encode()[-9:] not in written


def test_what_was_acknowledged_survives_kill_9(operator: Operator, tmp_path: Path) -> None:
    flags = {name: str(path) for name, path in operator._asdict().items() if name != "folder"}
    flags |= {"journal": str(tmp_path / "journal"), "journal_durability": "always", "management_listen": ""}
    requests = [asking(number) for number in range(14, 34)]
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    with Process(first, **flags) as process:
        stub = DecisionServiceStub(process.channel())
        answers = [stub.Decide(request) for request in requests]
        os.kill(process.popen.pid, signal.SIGKILL)
        process.end()
    with Process(second, **flags) as process:
        stub = DecisionServiceStub(process.channel())
        assert [timeless(stub.Decide(request)) for request in requests] == [timeless(answer) for answer in answers]


def test_what_may_be_lost_is_known_though_the_life_before_ended_in_order() -> None:
    cut = Cut("2.journal", 0, 100, "the record's checksum is wrong")
    known = Recovered(records=7, last_us=5, boot="boot")
    assert lost_since(replace(known, ended=True), "boot") == 0
    assert lost_since(replace(known, ended=True, cut=cut), "boot") == 5
    assert lost_since(replace(known, ended=False, cut=cut), "boot") == 5
    assert lost_since(replace(known, ended=False), "boot") == 0
    assert lost_since(replace(known, ended=False), "another") == 5
