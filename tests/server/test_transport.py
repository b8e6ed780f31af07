"""What happens to calls that are late, abandoned, too large or too many, and what health and reflection say."""

import threading
import time
from collections.abc import Callable, Iterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]  # it ships none
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc  # type: ignore[import-untyped]
from touchpoint.v1 import decision_service_pb2 as pb

from server.grpcio_front import SERVICE_NAMES
from tests.server.operator_fixture import Operator
from tests.server.running import Running, asking, running, settings_for

PATIENCE_S = 30.0


def until(true: Callable[[], bool]) -> None:
    """Wait until something is true."""
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def contacts(server: Running) -> int:
    return server.server.decisions.engine.ledger.statistics()["contacts"]


def test_a_call_past_its_deadline_is_never_evaluated(server: Running) -> None:
    before, dropped = contacts(server), server.server.thread.load.dropped_items
    with server.busy():
        with pytest.raises(grpc.RpcError) as caught:
            server.decisions.Decide(asking(43), timeout=0.2)
        assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    until(lambda: server.server.thread.load.dropped_items == dropped + 1)
    assert contacts(server) == before
    assert server.server.thread.load.waiting_items == 0


def test_a_cancelled_call_is_dropped_before_it_is_evaluated(server: Running) -> None:
    before, dropped = contacts(server), server.server.thread.load.dropped_items
    with server.busy():
        call = server.decisions.Decide.future(asking(44))
        until(lambda: server.server.thread.load.waiting_items == 2)
        call.cancel()
        time.sleep(0.2)
    until(lambda: server.server.thread.load.dropped_items == dropped + 1)
    assert contacts(server) == before


def test_a_cancelled_stream_leaves_nothing_behind(server: Running) -> None:
    before = contacts(server)
    with server.busy():
        requests = [pb.DecideStreamRequest(request=asking(45)) for _ in range(50)]
        gate = threading.Event()

        def endless() -> Iterator[pb.DecideStreamRequest]:
            yield from requests
            gate.wait(PATIENCE_S)

        call = server.decisions.DecideStream(endless())
        until(lambda: server.server.thread.load.waiting_items == 51)
        call.cancel()
        time.sleep(0.2)
        gate.set()
    until(lambda: server.server.thread.load.waiting_items == 0)
    assert contacts(server) == before


def test_what_waits_becomes_one_batch(server: Running) -> None:
    before = dict(server.server.thread.load.batch_items)
    with server.busy():
        calls = [server.decisions.Decide.future(asking(n, dry_run=True)) for n in range(20)]
        until(lambda: server.server.thread.load.waiting_items == 21)
    assert all(call.result(PATIENCE_S).offers for call in calls)
    after = server.server.thread.load.batch_items
    assert after.get(32, 0) == before.get(32, 0) + 1


def test_a_message_over_the_limit_is_refused(server: Running) -> None:
    request = asking(0, tool="x" * 2_000_000)
    with pytest.raises(grpc.RpcError) as caught:
        server.decisions.Decide(request)
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_more_than_may_wait_is_shed(operator: Operator) -> None:
    with running(settings_for(operator, queue_items_max=10)) as server:
        with server.busy():
            waiting = [server.decisions.Decide.future(asking(n, dry_run=True)) for n in range(9)]
            until(lambda: server.server.thread.load.waiting_items == 10)
            with pytest.raises(grpc.RpcError) as caught:
                server.decisions.Decide(asking(10))
            assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "send again later" in str(caught.value.details())
        assert all(call.result(PATIENCE_S).offers for call in waiting)
        assert server.decisions.Decide(asking(10)).offers
        assert server.server.thread.load.shed_items == 1


def test_a_stream_has_at_most_so_many_in_flight(operator: Operator) -> None:
    with running(settings_for(operator, stream_in_flight_max=8)) as server:
        with server.busy():
            requests = [pb.DecideStreamRequest(request=asking(n % 50, dry_run=True)) for n in range(40)]
            answers = server.decisions.DecideStream(iter(requests))
            until(lambda: server.server.thread.load.waiting_items == 9)
            time.sleep(0.2)
            assert server.server.thread.load.waiting_items == 9
        assert len(list(answers)) == 40


def test_every_service_is_healthy(server: Running) -> None:
    stub = health_pb2_grpc.HealthStub(server.channel)
    for name in ("", *SERVICE_NAMES):
        status = stub.Check(health_pb2.HealthCheckRequest(service=name)).status
        assert status == health_pb2.HealthCheckResponse.SERVING


def test_reflection_lists_the_services(server: Running) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(server.channel)
    (answer,) = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    assert {service.name for service in answer.list_services_response.service} >= set(SERVICE_NAMES)


def test_a_unix_socket_serves_too(operator: Operator) -> None:
    # A socket's path has at most 107 bytes; pytest's own folders may be longer.
    path = operator.folder.parent / "s"
    if len(str(path)) > 100:
        pytest.skip("the temporary folder's path is too long for a socket")
    with running(settings_for(operator, listen=f"unix:{path}")) as server:
        assert server.decisions.Decide(asking(1, dry_run=True)).offers
        assert server.admin.GetStatus  # the admin's service counts a Unix socket as loopback, see test_security
