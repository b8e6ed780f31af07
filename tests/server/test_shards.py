"""A shard answers for its own subscribers and nobody else's, by every door alike, and says who owns the others."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # it ships none
from touchpoint.v1 import admin_service_pb2 as admin
from touchpoint.v1 import decision_service_pb2 as pb
from touchpoint.v1 import outcome_service_pb2 as outcomes
from touchpoint.v1 import reason_pb2
from touchpoint.v1 import subscriber_service_pb2 as subscribers
from touchpoint.v1.error_pb2 import OtherShard

from engine.journal.segments import JournalError
from engine.rulebook import compile_rulebook, save_rulebook
from loaders.catalogue.load import load_catalogue
from tests.server.operator_fixture import CATALOGUE, CUSTOMERS, NOW, Operator, msisdn, write_operator
from tests.server.running import Running, asking, running, settings_for, timeless
from tests.server.sharing import customers_by_owner, owner_of, shards
from tests.server.tables import read, stream, table_of
from tests.server.tables import rows as rows_of

OF: Final = 3


@pytest.fixture(scope="module", params=["grpcio", "native"])
def three(operator: Operator, request: pytest.FixtureRequest) -> Iterator[list[Running]]:
    with shards(operator, OF, front=request.param) as started:
        yield started


@pytest.fixture(scope="module")
def customers(operator: Operator) -> list[list[int]]:
    found = customers_by_owner(operator, OF)
    assert all(len(own) >= 5 for own in found)
    return found


def other_shard(call: Callable[..., Any], request: Any) -> OtherShard:
    """Return where a call that must be refused for its shard is to be sent, having compared what people and programs are told."""
    with pytest.raises(grpc.RpcError) as caught:
        call(request)
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    (value,) = (pair.value for pair in error.trailing_metadata() if pair.key == "grpc-status-details-bin")
    status = status_pb2.Status.FromString(value)
    told = error_details_pb2.ErrorInfo()
    assert (status.code, status.message) == (9, error.details())
    assert status.details[0].Unpack(told)
    assert (told.reason, told.domain) == ("OTHER_SHARD", "touchpoint.v1")
    found = OtherShard(**{name: int(number) for name, number in told.metadata.items()})
    assert error.details() == said(found)
    return found


def said(found: OtherShard) -> str:
    return f"shard {found.owner} of {found.of} owns this subscriber, this is shard {found.shard}: send it there"


def contacts(server: Running) -> int:
    return server.server.decisions.engine.ledger.statistics()["contacts"]


def test_each_call_about_a_foreign_subscriber_is_refused_with_its_owner(
    three: list[Running], customers: list[list[int]]
) -> None:
    server, foreign = three[1], msisdn(customers[2][0])
    held = three[2].decisions.Decide(asking(customers[2][0])).decision_id
    before = contacts(server)
    calls: list[tuple[Callable[..., Any], Any]] = [
        (server.decisions.Decide, asking(customers[2][0])),
        (server.decisions.Explain, pb.ExplainRequest(request=asking(customers[2][0]))),
        (server.decisions.CheckHandOff, pb.CheckHandOffRequest(decision_id=held, rank=1)),
        (server.subscribers.GetSubscriber, subscribers.GetSubscriberRequest(subscriber=foreign)),
        (server.subscribers.UpdateSubscriber, subscribers.UpdateSubscriberRequest(subscriber=foreign)),
        (server.subscribers.ForgetSubscriber, subscribers.ForgetSubscriberRequest(subscriber=foreign)),
    ]
    for call, request in calls:
        assert other_shard(call, request) == OtherShard(owner=2, shard=1, of=OF)
    assert contacts(server) == before
    found = three[2].subscribers.GetSubscriber(subscribers.GetSubscriberRequest(subscriber=foreign))
    assert not found.erased


def test_a_number_in_another_notation_has_the_same_owner(three: list[Running], customers: list[list[int]]) -> None:
    number = msisdn(customers[0][0])
    spoken = f"({number[2:5]}) {number[5:8]}-{number[8:]}"
    assert three[0].decisions.Decide(asking(subscriber=spoken)).decision_id.startswith("s0-")
    assert other_shard(three[1].decisions.Decide, asking(subscriber=spoken)).owner == 0


def test_unknown_subscribers_have_owners_too(operator: Operator, three: list[Running]) -> None:
    request = asking(subscriber="+13125559999", dry_run=True)
    owner = owner_of(operator, request.subscriber, OF)
    for shard, server in enumerate(three):
        if shard == owner:
            assert server.decisions.Decide(request).reason == reason_pb2.REASON_UNKNOWN_SUBSCRIBER
        else:
            assert other_shard(server.decisions.Decide, request).owner == owner


def test_a_batch_is_refused_item_by_item(three: list[Running], customers: list[list[int]]) -> None:
    owner = {number: shard for shard, own in enumerate(customers) for number in own}
    items = [asking(number) for number in range(CUSTOMERS)]
    items[7].channel = "nosuch"
    items[20].subscriber = f" {items[20].subscriber} "  # Python reads it: not in usual form
    items[22].explain = items[22].dry_run = True
    for shard, server in enumerate(three):
        results = server.decisions.DecideBatch(pb.DecideBatchRequest(items=items)).results
        assert len(results) == CUSTOMERS
        for number, (item, result) in enumerate(zip(items, results, strict=True)):
            if number == 7:
                assert result.error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
                assert not result.error.HasField("other_shard")
            elif owner[number] == shard:
                assert result.answer.request_id == item.request_id
                assert not result.answer.decision_id or result.answer.decision_id.startswith(f"s{shard}-")
            else:
                assert result.error.code == grpc.StatusCode.FAILED_PRECONDITION.value[0]
                assert result.error.other_shard == OtherShard(owner=owner[number], shard=shard, of=OF)
                assert result.error.message == said(result.error.other_shard)
        again = server.decisions.DecideBatch(pb.DecideBatchRequest(items=items)).results
        held = [number for number, result in enumerate(results) if result.answer.decision_id]
        assert len(held) > 10
        assert all(timeless(again[number].answer) == timeless(results[number].answer) for number in held)


def test_a_stream_goes_on_after_a_foreign_subscriber(three: list[Running], customers: list[list[int]]) -> None:
    asked = [asking(customers[shard][0]) for shard in (0, 1, 2, 1)]
    answers = list(three[1].decisions.DecideStream(iter([pb.DecideStreamRequest(request=each) for each in asked])))
    assert [answer.request_id for answer in answers] == [each.request_id for each in asked]
    assert [answer.error.other_shard.owner if answer.HasField("error") else 1 for answer in answers] == [0, 1, 2, 1]


def test_a_table_is_refused_row_by_row(three: list[Running], customers: list[list[int]]) -> None:
    owner = [shard for number in range(CUSTOMERS) for shard, own in enumerate(customers) if number in own]
    table = stream(table_of([asking(number) for number in range(CUSTOMERS)]))
    rows = rows_of(read(three[1].decisions.DecideColumns(pb.DecideColumnsRequest(table=table))))
    for row, expected in zip(rows, owner, strict=True):
        if expected == 1:
            assert (row["error_code"], row["error_shard"]) == (None, None)
        else:
            assert (row["reason"], row["error_code"], row["error_shard"]) == (None, 9, expected)
            assert row["error_message"] == said(OtherShard(owner=expected, shard=1, of=OF))


def test_outcomes_are_refused_one_by_one(three: list[Running], customers: list[list[int]]) -> None:
    held = [server.decisions.Decide(asking(own[1])).decision_id for server, own in zip(three, customers, strict=True)]
    sent = [
        outcomes.Outcome(
            outcome_id=f"shard-{held[shard]}", decision_id=held[shard], rank=1, kind=outcomes.OUTCOME_KIND_SEEN
        )
        for shard in (0, 1, 2)
    ]
    results = three[1].outcomes.RecordOutcomes(outcomes.RecordOutcomesRequest(outcomes=sent)).results
    status = outcomes.OutcomeStatus
    assert [result.status for result in results] == [
        status.OUTCOME_STATUS_OTHER_SHARD,
        status.OUTCOME_STATUS_RECORDED,
        status.OUTCOME_STATUS_OTHER_SHARD,
    ]
    assert [result.other_shard.owner for result in results] == [0, 0, 2]
    assert results[2].message == f"decision_id: {said(results[2].other_shard)}"
    for shard in (0, 2):
        again = three[shard].outcomes.RecordOutcomes(outcomes.RecordOutcomesRequest(outcomes=[sent[shard]])).results
        assert again[0].status == status.OUTCOME_STATUS_RECORDED


def test_each_says_which_shard_it_is(three: list[Running], customers: list[list[int]]) -> None:
    for shard, server in enumerate(three):
        assert server.decisions.GetShard(pb.GetShardRequest()) == pb.GetShardResponse(number=shard, of=OF)
        status = server.admin.GetStatus(admin.GetStatusRequest())
        assert (status.shard, status.shard_count) == (shard, OF)
        assert status.subscriber_count == len(customers[shard])


def test_foreign_requests_have_a_figure_of_their_own(three: list[Running], customers: list[list[int]]) -> None:
    figures = three[0].server.decisions.figures
    before = figures.foreign, figures.failed
    items = [asking(customers[shard][0]) for shard in (0, 1, 2)] + [asking(customers[1][0], channel="nosuch")]
    three[0].decisions.DecideBatch(pb.DecideBatchRequest(items=items))
    assert (figures.foreign, figures.failed) == (before[0] + 2, before[1] + 1)


def test_an_only_server_owns_everybody(server: Running) -> None:
    assert server.decisions.GetShard(pb.GetShardRequest()) == pb.GetShardResponse(number=0, of=1)


def test_decisions_are_those_of_one_server(
    operator: Operator, three: list[Running], customers: list[list[int]]
) -> None:
    def same(answer: pb.DecideResponse) -> bytes:
        answer.ClearField("decided_at")
        answer.ClearField("rulebook_generation")
        return timeless(answer)

    with running(settings_for(operator)) as alone:
        for shard, own in enumerate(customers):
            for number in own:
                request = asking(number, request_id=f"same-{number}", dry_run=True, explain=number % 5 == 0)
                request.assumed_now.FromSeconds(1_900_000_000)
                assert same(three[shard].decisions.Decide(request)) == same(alone.decisions.Decide(request))


def test_a_total_is_shared_out(folder: Any) -> None:
    total = (
        "- {id: film_all, scope: offer, target: film_month, per: total, counts: decided, window: lifetime, limit: 7}"
    )
    catalogue = CATALOGUE.replace("  caps:\n", f"  caps:\n    {total}\n")
    operator = write_operator(folder, catalogue)
    made, details = [], []
    for number, own in enumerate(customers_by_owner(operator, 2)):
        with running(settings_for(operator, shard=f"{number}/2")) as server:
            answers = [server.decisions.Decide(asking(customer)) for customer in own]
            explained = server.decisions.Explain(pb.ExplainRequest(request=asking(own[-1]))).decision
        made.append(sum(offer.offer == "film_month" for answer in answers for offer in answer.offers))
        details.append([each.detail for each in explained.candidates if each.offer == "film_month"])
    assert made == [3, 4]
    assert "in total, 3 of them by shard 0 of 2" in details[0][0]


def test_a_reload_keeps_to_the_shard(folder: Any) -> None:
    operator = write_operator(folder)
    own = customers_by_owner(operator, 2)[1]
    with running(settings_for(operator, shard="1/2")) as server:
        text = (operator.folder / "catalogue" / "all.yaml").read_text()
        (operator.folder / "catalogue" / "all.yaml").write_text(text.replace("value: 4.5", "value: 4.75"))
        loaded = load_catalogue(operator.folder / "catalogue", now_us=int(NOW.timestamp()) * 1_000_000)
        save_rulebook(compile_rulebook(loaded), operator.rulebook)
        assert server.admin.Reload(admin.ReloadRequest()).changed
        assert server.decisions.Decide(asking(own[0])).decision_id.startswith("s1-")
        assert other_shard(server.decisions.Decide, asking(customers_by_owner(operator, 2)[0][0])).owner == 0


def test_a_journal_keeps_what_is_the_shards_own(operator: Operator, tmp_path: Path) -> None:
    items = [asking(number) for number in range(CUSTOMERS)]
    settings = settings_for(operator, shard="1/2", journal=str(tmp_path / "journal"))
    found = []
    for _ in range(2):
        with running(settings) as server:
            results = server.decisions.DecideBatch(pb.DecideBatchRequest(items=items)).results
            found.append([timeless(result.answer) for result in results if result.answer.decision_id])
    assert len(found[0]) > 10
    assert found[0] == found[1]
    with (
        pytest.raises(JournalError, match="1/2"),
        running(settings_for(operator, shard="0/2", journal=settings.journal)),
    ):
        pass
