"""What every door must do alike: answers, statuses with details and trailers, deadlines, cancellation, limits, unknown methods."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # it ships none
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]  # it ships none
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc  # type: ignore[import-untyped]
from touchpoint.v1 import admin_service_pb2 as admin
from touchpoint.v1 import decision_service_pb2 as pb
from touchpoint.v1 import outcome_service_pb2 as outcomes
from touchpoint.v1 import subscriber_service_pb2 as subscribers
from touchpoint.v1.decision_service_pb2_grpc import DecisionServiceStub
from touchpoint.v1.outcome_service_pb2_grpc import OutcomeServiceStub
from touchpoint.v1.subscriber_service_pb2_grpc import SubscriberServiceStub

from engine.limits import BATCH_ITEMS_MAX
from server.grpcio_front import SERVICE_NAMES
from tests.server.fronts.doors import ALL_DOORS, PATIENCE_S, Door
from tests.server.fronts.raw_http2 import RawClient, message
from tests.server.operator_fixture import CUSTOMERS, msisdn
from tests.server.running import asking, timeless


@pytest.fixture(scope="module")
def channel(door: Door) -> Iterator[grpc.Channel]:
    with door.channel() as opened:
        yield opened


@pytest.fixture(scope="module")
def decisions(channel: grpc.Channel) -> DecisionServiceStub:
    return DecisionServiceStub(channel)


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.002)


def contacts(door: Door) -> int:
    if door.name == "workers":
        return door.server.admin.GetStatus(admin.GetStatusRequest()).ledger["contacts"]
    found: int = door.server.server.decisions.engine.ledger.statistics()["contacts"]
    return found


def failed(door: Door, call: Callable[..., Any], request: Any) -> Any:
    """Return the error of a call that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        call(request, metadata=door.metadata)
    return caught.value


def fixed(number: int) -> pb.DecideRequest:
    """Return a dry run whose answer is the same on every server of the same operator, but for ids and instants of its own."""
    request = asking(number, request_id=f"fixed-{number}", dry_run=True, explain=number % 3 == 0)
    request.assumed_now.FromSeconds(1_900_000_000)
    return request


def test_every_door_gives_the_same_bytes(request: pytest.FixtureRequest) -> None:
    found = []
    for name in ALL_DOORS:
        door: Door = request.getfixturevalue(name)
        with door.channel() as channel:
            stub = DecisionServiceStub(channel)
            items = [fixed(number) for number in range(CUSTOMERS)]
            singly = [timeless(stub.Decide(item, metadata=door.metadata)) for item in items]
            answer = stub.DecideBatch(pb.DecideBatchRequest(items=items), metadata=door.metadata)
            batch = [timeless(result.answer) for result in answer.results]
            asked = iter([pb.DecideStreamRequest(request=item) for item in items])
            streamed = [timeless(one.answer) for one in stub.DecideStream(asked, metadata=door.metadata)]
            found += [singly, batch, streamed]
    assert len(found) == 3 * len(ALL_DOORS)
    assert len(set(found[0])) > CUSTOMERS // 2
    assert all(each == found[0] for each in found)


def test_a_failure_has_status_details_and_trailers(door: Door, decisions: DecisionServiceStub) -> None:
    error = failed(door, decisions.Decide, asking(1, channel="ünï♫/%\n"))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert error.details().startswith("channel: ")
    trailers = dict(error.trailing_metadata())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    assert (status.code, status.message) == (3, error.details())
    bad = error_details_pb2.BadRequest()
    assert status.details[0].Unpack(bad)
    assert bad.field_violations[0].field == "channel"
    assert "ünï♫/%" in bad.field_violations[0].description
    assert "ünï♫/%" in error.details()


def test_a_failure_without_fields_has_no_details(door: Door, channel: grpc.Channel) -> None:
    call: Any = channel.unary_unary("/touchpoint.v1.DecisionService/Decide")
    error = failed(door, call, b"\xff\xff")
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "grpc-status-details-bin" not in dict(error.trailing_metadata())


def test_a_used_request_id_is_told(door: Door, decisions: DecisionServiceStub) -> None:
    request = asking(2)
    first = decisions.Decide(request, metadata=door.metadata)
    assert timeless(decisions.Decide(request, metadata=door.metadata)) == timeless(first)
    error = failed(door, decisions.Decide, asking(2, request_id=request.request_id, language="es"))
    assert error.code() == grpc.StatusCode.ALREADY_EXISTS
    assert "grpc-status-details-bin" in dict(error.trailing_metadata())


def test_metadata_of_any_kind_disturbs_nothing(door: Door, decisions: DecisionServiceStub) -> None:
    more = (
        ("x-raw-bin", bytes(range(256))),
        ("x-empty", ""),
        ("x-long", "v" * 4_000),
        ("x-twice", "1"),
        ("x-twice", "2"),
    )
    assert decisions.Decide(asking(3, dry_run=True), metadata=(*door.metadata, *more)).offers


def test_unicode_comes_and_goes_whole(door: Door, decisions: DecisionServiceStub) -> None:
    answer = decisions.Decide(asking(4, request_id="ü♫美", tool="Björk 美咲", dry_run=True), metadata=door.metadata)
    assert answer.request_id == "ü♫美"
    assert "美咲" in answer.offers[0].content


def test_an_expired_call_is_never_evaluated(door: Door, channel: grpc.Channel) -> None:
    decisions = DecisionServiceStub(channel)
    load = door.server.server.thread.load
    before, dropped = contacts(door), load.dropped_items
    asked: list[tuple[Any, Any]] = [
        (decisions.Decide, asking(5)),
        (decisions.DecideBatch, pb.DecideBatchRequest(items=[asking(5), asking(6)])),
        (OutcomeServiceStub(channel).RecordOutcomes, outcomes.RecordOutcomesRequest()),
    ]
    if door.name == "workers":
        asked.pop()  # outcomes do not queue with decisions there
    with door.server.busy():
        calls = [method.future(request, timeout=1.5, metadata=door.metadata) for method, request in asked]
        until(lambda: load.waiting_items == 2 + len(asked))
        for call in calls:
            with pytest.raises(grpc.RpcError) as caught:
                call.result()
            assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        # The server counts from when a call came, so its deadline is a little later than the caller's.
        time.sleep(0.5)
    until(lambda: load.waiting_items == 0)
    assert contacts(door) == before
    assert load.dropped_items == dropped + 3, "items of decisions; a command's drop is not counted"


@pytest.mark.parametrize("timeout", ["1n", "0m", "1u"])
def test_a_deadline_that_has_passed_on_arrival_is_told(door: Door, timeout: str) -> None:
    before = contacts(door)
    client = RawClient(door.connect())
    with door.server.busy():
        reply = client.call(message(asking(7).SerializeToString()), more=(("grpc-timeout", timeout), *door.metadata))
    client.close()
    assert reply.status == 4 or reply.reset is not None
    until(lambda: door.server.server.thread.load.waiting_items == 0)
    assert contacts(door) == before


def test_a_cancelled_call_is_never_evaluated(door: Door, decisions: DecisionServiceStub) -> None:
    load = door.server.server.thread.load
    before, dropped = contacts(door), load.dropped_items
    with door.server.busy():
        call = decisions.Decide.future(asking(8), metadata=door.metadata)
        until(lambda: load.waiting_items == 2)
        call.cancel()
        time.sleep(0.2)
    until(lambda: load.dropped_items == dropped + 1)
    assert contacts(door) == before
    assert load.waiting_items == 0


def test_a_cancelled_stream_leaves_nothing_behind(door: Door, decisions: DecisionServiceStub) -> None:
    load, before = door.server.server.thread.load, contacts(door)
    gate = threading.Event()

    def endless() -> Iterator[pb.DecideStreamRequest]:
        yield from [pb.DecideStreamRequest(request=asking(9)) for _ in range(20)]
        gate.wait(PATIENCE_S)

    with door.server.busy():
        call = decisions.DecideStream(endless(), metadata=door.metadata)
        until(lambda: load.waiting_items == 21)
        call.cancel()
        time.sleep(0.2)
        gate.set()
    until(lambda: load.waiting_items == 0)
    assert contacts(door) == before


def test_a_message_over_the_limit_is_refused(door: Door, decisions: DecisionServiceStub) -> None:
    error = failed(door, decisions.Decide, asking(0, tool="x" * 1_048_576))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert decisions.Decide(asking(0, dry_run=True), metadata=door.metadata).offers


def test_a_message_just_under_the_limit_is_taken(door: Door, channel: grpc.Channel) -> None:
    item = asking(10, dry_run=True)
    room = 1_048_576 - pb.DecideBatchRequest(items=[item]).ByteSize()
    # A field that no message has, which every reader skips.
    padding = b"\xfa\x3f" + _varint(room - 5) + bytes(room - 5)
    call: Any = channel.unary_unary("/touchpoint.v1.DecisionService/DecideBatch")
    payload = pb.DecideBatchRequest(items=[item]).SerializeToString() + padding
    assert len(payload) == 1_048_576
    answer = pb.DecideBatchResponse.FromString(call(payload, metadata=door.metadata))
    assert answer.results[0].answer.offers


def _varint(value: int) -> bytes:
    """Return a number of three bytes' size."""
    assert 1 << 14 <= value < 1 << 21
    return bytes([value & 127 | 128, value >> 7 & 127 | 128, value >> 14])


def test_too_many_and_no_items_are_refused(door: Door, decisions: DecisionServiceStub) -> None:
    many = pb.DecideBatchRequest(items=[asking(11, dry_run=True)] * (BATCH_ITEMS_MAX + 1))
    assert failed(door, decisions.DecideBatch, many).code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert failed(door, decisions.DecideBatch, pb.DecideBatchRequest()).code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_large_answer_comes_whole(door: Door, decisions: DecisionServiceStub) -> None:
    many = pb.DecideBatchRequest(items=[asking(n % 20, dry_run=True) for n in range(BATCH_ITEMS_MAX)])
    with door.channel(("grpc.max_receive_message_length", -1)) as roomy:
        answer = DecisionServiceStub(roomy).DecideBatch(many, metadata=door.metadata)
    assert len(answer.results) == BATCH_ITEMS_MAX
    assert all(result.answer.request_id for result in answer.results)


@pytest.mark.parametrize("kind", ["unary_unary", "stream_stream"])
@pytest.mark.parametrize("path", ["/touchpoint.v1.DecisionService/Nope", "/nowhere.Service/Decide", "/x"])
def test_an_unknown_method_is_unimplemented(door: Door, channel: grpc.Channel, path: str, kind: str) -> None:
    call = getattr(channel, kind)(path)
    request = b"" if kind == "unary_unary" else iter([b""])
    with pytest.raises(grpc.RpcError) as caught:
        list(call(request, metadata=door.metadata, timeout=PATIENCE_S))
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_the_rare_methods_are_served(door: Door, channel: grpc.Channel) -> None:
    decisions = DecisionServiceStub(channel)
    held = decisions.Decide(asking(12), metadata=door.metadata)
    outcome = outcomes.Outcome(
        outcome_id=held.decision_id, decision_id=held.decision_id, rank=1, kind=outcomes.OUTCOME_KIND_SEEN
    )
    recorded = OutcomeServiceStub(channel).RecordOutcomes(
        outcomes.RecordOutcomesRequest(outcomes=[outcome]), metadata=door.metadata
    )
    assert len(recorded.results) == 1
    explained = decisions.Explain(pb.ExplainRequest(request=asking(12)), metadata=door.metadata)
    assert explained.decision.candidates
    checked = decisions.CheckHandOff(
        pb.CheckHandOffRequest(decision_id=held.decision_id, rank=1), metadata=door.metadata
    )
    assert checked.hand_off
    asked = subscribers.GetSubscriberRequest(subscriber=msisdn(12))
    assert SubscriberServiceStub(channel).GetSubscriber(asked, metadata=door.metadata).ListFields()


def test_health_and_reflection_are_served(door: Door, channel: grpc.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    for name in ("", *SERVICE_NAMES):
        answer = health.Check(health_pb2.HealthCheckRequest(service=name), metadata=door.metadata)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    watched = health.Watch(health_pb2.HealthCheckRequest(), metadata=door.metadata)
    assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
    watched.cancel()
    reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    (listed,) = reflection.ServerReflectionInfo(asked, metadata=door.metadata)
    assert {service.name for service in listed.list_services_response.service} >= set(SERVICE_NAMES)


def test_what_waits_becomes_one_batch(door: Door, decisions: DecisionServiceStub) -> None:
    if door.name == "workers":
        pytest.skip("each worker's batch gathers behind its sender: tests/server/workers/test_router.py")
    load = door.server.server.thread.load
    before = load.batch_items.get(32, 0)
    with door.server.busy():
        calls = [decisions.Decide.future(asking(n, dry_run=True), metadata=door.metadata) for n in range(20)]
        until(lambda: load.waiting_items == 21)
    assert all(call.result(PATIENCE_S).offers for call in calls)
    assert load.batch_items[32] == before + 1


def test_pings_are_answered(door: Door) -> None:
    client = RawClient(door.connect())
    for _ in range(2):
        client.send(6, 0, 0, b"12345678")
    until_pongs = time.monotonic() + PATIENCE_S
    while client.pongs < 2:
        assert time.monotonic() < until_pongs
        client.read()
    assert client.call(message(asking(13, dry_run=True).SerializeToString()), more=door.metadata).status == 0
    client.close()
