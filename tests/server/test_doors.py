"""One decision path: single, batch, stream and explain agree, however the items are cut, and each item fails by itself."""

import copy
import queue
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from touchpoint.v1 import decision_service_pb2 as pb
from touchpoint.v1 import outcome_service_pb2 as outcomes
from touchpoint.v1 import reason_pb2

from engine.limits import BATCH_ITEMS_MAX
from server.failure import Failure
from server.work import CallInfo
from tests.server.operator_fixture import CUSTOMERS, Operator
from tests.server.running import Running, asking, running, settings_for, timeless

CALLER = CallInfo("test", 0)


def mixed(tag: str) -> list[pb.DecideRequest]:
    """Return requests of every sort, wrong ones and repeated ones among them; the same for the same tag."""
    requests = []
    for number in range(CUSTOMERS):
        request = asking(number, request_id=f"{tag}-{number}")
        if number % 7 == 0:
            request.channel = "nowhere"
        if number % 5 == 0:
            request.explain = True
        if number % 3 == 0:
            request.dry_run = True
        requests.append(request)
    return [*requests, *requests[1:20]]


def stripped(answer: pb.DecideResponse) -> bytes:
    """Return the answer without what differs between two servers that were asked at different instants: ids and instants."""
    answer = copy.deepcopy(answer)
    answer.server_us = 0
    answer.decision_id = "held" if answer.decision_id else ""
    answer.ClearField("decided_at")
    answer.ClearField("next_allowed")
    for offer in answer.offers:
        offer.ClearField("hold_until")
    for candidate in answer.candidates:
        candidate.ClearField("until")
    return answer.SerializeToString(deterministic=True)


def singly(server: Running, requests: list[pb.DecideRequest]) -> list[bytes | int]:
    found: list[bytes | int] = []
    for request in requests:
        try:
            found.append(stripped(server.decisions.Decide(request)))
        except grpc.RpcError as error:
            found.append(error.code().value[0])
    return found


def in_batches(server: Running, requests: list[pb.DecideRequest], size: int) -> list[bytes | int]:
    found: list[bytes | int] = []
    for start in range(0, len(requests), size):
        response = server.decisions.DecideBatch(pb.DecideBatchRequest(items=requests[start : start + size]))
        found += [
            stripped(result.answer) if result.WhichOneof("result") == "answer" else result.error.code
            for result in response.results
        ]
    return found


def streamed(server: Running, requests: list[pb.DecideRequest]) -> list[bytes | int]:
    answers = server.decisions.DecideStream(iter([pb.DecideStreamRequest(request=request) for request in requests]))
    found: list[bytes | int] = []
    for request, answer in zip(requests, answers, strict=True):
        assert answer.request_id == request.request_id
        found.append(stripped(answer.answer) if answer.WhichOneof("result") == "answer" else answer.error.code)
    return found


def test_single_batch_and_stream_give_the_same(operator: Operator) -> None:
    requests = mixed("doors")
    results = []
    for ask in (
        singly,
        streamed,
        lambda server, items: in_batches(server, items, 1),
        lambda server, items: in_batches(server, items, 7),
        lambda server, items: in_batches(server, items, len(items)),
    ):
        with running(settings_for(operator)) as server:
            results.append(ask(server, requests))
    assert all(result == results[0] for result in results)
    assert 3 in results[0]
    assert len({result for result in results[0] if isinstance(result, bytes)}) > 40


def test_a_batch_cut_anywhere_gives_the_same_bytes(server: Running) -> None:
    requests = [asking(n, dry_run=True, explain=n % 4 == 0) for n in range(20)]
    for request in requests:
        request.assumed_now.FromSeconds(1_900_000_000)
    payloads = [request.SerializeToString() for request in requests]
    front = server.server.decisions

    def cut(size: int) -> list[bytes]:
        found: list[bytes | Failure] = []
        for start in range(0, len(payloads), size):
            part = payloads[start : start + size]
            found += front.decide_batch(part, [CALLER] * len(part))
        return [timeless(pb.DecideResponse.FromString(each)) for each in found if not isinstance(each, Failure)]

    whole, *others = (server.on_loop(on_thread(server, lambda size=size: cut(size))) for size in (20, 1, 3))
    assert len(whole) == 20
    assert others == [whole, whole]


async def on_thread(server: Running, work: Any) -> Any:
    return await server.server.thread.run(work)


def test_a_repeated_request_within_a_batch_gets_the_same_bytes(server: Running) -> None:
    request = asking(21)
    response = server.decisions.DecideBatch(pb.DecideBatchRequest(items=[request, asking(22), request]))
    first, _, third = response.results
    assert first.answer.decision_id
    assert timeless(first.answer) == timeless(third.answer)


def test_an_item_of_a_batch_fails_alone_and_names_its_field(server: Running) -> None:
    response = server.decisions.DecideBatch(pb.DecideBatchRequest(items=[asking(23, channel="x"), asking(23)]))
    failed, answered = response.results
    assert failed.error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert failed.error.violations[0].field == "channel"
    assert answered.answer.offers


def test_a_malformed_item_of_a_batch_fails_alone(server: Running) -> None:
    good = asking(24).SerializeToString()
    call: Any = server.channel.unary_unary("/touchpoint.v1.DecisionService/DecideBatch")
    response = pb.DecideBatchResponse.FromString(call(b"\x0a\x02\xff\xff" + b"\x0a" + bytes([len(good)]) + good))
    assert response.results[0].error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert response.results[1].answer.offers


def test_the_largest_batch_is_answered_and_a_larger_one_is_refused(server: Running) -> None:
    request = asking(25, dry_run=True)
    largest = pb.DecideBatchRequest(items=[request] * BATCH_ITEMS_MAX)
    assert len(server.decisions.DecideBatch(largest).results) == BATCH_ITEMS_MAX
    with pytest.raises(grpc.RpcError) as caught:
        server.decisions.DecideBatch(pb.DecideBatchRequest(items=[request] * (BATCH_ITEMS_MAX + 1)))
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    with pytest.raises(grpc.RpcError) as caught:
        server.decisions.DecideBatch(pb.DecideBatchRequest())
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_lone_call_comes_in_between_the_pieces_of_a_large_batch(server: Running) -> None:
    request = asking(25, dry_run=True, explain=True)
    large = server.decisions.DecideBatch.future(pb.DecideBatchRequest(items=[request] * BATCH_ITEMS_MAX))
    answered_while_it_ran = 0
    while not large.done():
        server.decisions.Decide(asking(26, dry_run=True))
        answered_while_it_ran += 1
    assert len(large.result().results) == BATCH_ITEMS_MAX
    assert answered_while_it_ran >= 4, "16 pieces leave 15 gaps"


def test_a_stream_goes_on_after_a_failure(server: Running) -> None:
    requests = [asking(26, channel="x"), asking(26)]
    failed, answered = server.decisions.DecideStream(iter([pb.DecideStreamRequest(request=r) for r in requests]))
    assert failed.error.violations[0].field == "channel"
    assert failed.request_id == requests[0].request_id
    assert answered.answer.offers


def test_a_stream_answers_each_request_before_the_next_is_sent(server: Running) -> None:
    answered: queue.Queue[str] = queue.Queue()
    seen: list[str] = []

    def one_by_one() -> Iterator[pb.DecideStreamRequest]:
        for number in range(5):
            yield pb.DecideStreamRequest(request=asking(27, request_id=f"turn-{number}", dry_run=True))
            seen.append(answered.get(timeout=30))

    for answer in server.decisions.DecideStream(one_by_one()):
        answered.put(answer.request_id)
    assert seen == [f"turn-{number}" for number in range(5)]


def test_a_stream_of_thousands_is_answered_in_order(server: Running) -> None:
    requests = [asking(n % CUSTOMERS, dry_run=True) for n in range(3_000)]
    answers = server.decisions.DecideStream(iter([pb.DecideStreamRequest(request=request) for request in requests]))
    assert [answer.request_id for answer in answers] == [request.request_id for request in requests]


def test_explain_says_why_of_every_candidate(server: Running) -> None:
    explained = server.decisions.Explain(pb.ExplainRequest(request=asking(12))).decision
    found = {(candidate.campaign, candidate.offer): candidate for candidate in explained.candidates}
    assert len(found) == 5
    assert found["data", "a_half"].reason == reason_pb2.REASON_OFFERED
    assert found["data", "a_half"].detail == "offered as number 1"
    assert found["data_b", "b_half"].reason == reason_pb2.REASON_EXCLUSIVE_GROUP
    assert found["data_b", "b_half"].detail == "a_half has the place of main"
    assert found["data_b", "b_half"].nearest_change == "rank above a_half"
    extra = found["extras", "film_month"]
    assert extra.reason == reason_pb2.REASON_NOT_ELIGIBLE
    assert extra.stage == reason_pb2.STAGE_ELIGIBILITY
    assert "subscriber.tenure_months > 12" in extra.detail
    assert "subscriber.tenure_months > 12" in extra.nearest_change
    assert found["measured", "held_back"].reason == reason_pb2.REASON_CONTROL_CAMPAIGN
    assert [(withheld.offer, withheld.rank) for withheld in explained.withheld] == [("held_back", 1)]
    assert explained.decision_id == ""


def test_explain_tells_the_particulars_of_what_was_said_before(server: Running) -> None:
    def told(number: int, kind: "outcomes.OutcomeKind.ValueType") -> str:
        held = server.decisions.Decide(asking(number))
        outcome = outcomes.Outcome(outcome_id="said", decision_id=held.decision_id, rank=1, kind=kind)
        server.outcomes.RecordOutcomes(outcomes.RecordOutcomesRequest(outcomes=[outcome]))
        explained = server.decisions.Explain(pb.ExplainRequest(request=asking(number, max_offers=1))).decision
        assert all(candidate.detail for candidate in explained.candidates)
        return next(c.detail for c in explained.candidates if c.offer == held.offers[0].offer)

    assert told(51, outcomes.OUTCOME_KIND_REFUSED) == "offer a_half was refused, which holds for 30d"
    assert told(52, outcomes.OUTCOME_KIND_NOT_NOW) == "offer a_half got a not now, which holds for 1d"
    assert told(53, outcomes.OUTCOME_KIND_ACCEPTED) == "offer a_half was accepted, which holds for good"


def test_explain_agrees_with_deciding_and_holds_nothing(server: Running) -> None:
    request = asking(28)
    before = server.server.decisions.engine.ledger.statistics()["contacts"]
    explained = server.decisions.Explain(pb.ExplainRequest(request=request)).decision
    assert server.server.decisions.engine.ledger.statistics()["contacts"] == before
    decided = server.decisions.Decide(request)
    assert [offer.offer for offer in decided.offers] == [offer.offer for offer in explained.offers]
    assert not decided.candidates


def test_explain_names_the_cap_and_when_it_ends(server: Running) -> None:
    held = server.decisions.Decide(asking(50))
    rank = next(offer.rank for offer in held.offers if offer.offer == "film_month")
    outcome = outcomes.Outcome(
        outcome_id="cap", decision_id=held.decision_id, rank=rank, kind=outcomes.OUTCOME_KIND_ACCEPTED
    )
    server.outcomes.RecordOutcomes(outcomes.RecordOutcomesRequest(outcomes=[outcome]))
    explained = server.decisions.Explain(pb.ExplainRequest(request=asking(50))).decision
    film = next(candidate for candidate in explained.candidates if candidate.offer == "film_month")
    assert film.reason == reason_pb2.REASON_ALREADY_ACCEPTED
    assert not film.HasField("until")
