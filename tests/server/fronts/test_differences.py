"""The accepted differences between doors, one test each; server/README.md lists them in this order."""

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]  # it ships none
from touchpoint.v1 import admin_service_pb2 as admin
from touchpoint.v1 import decision_service_pb2 as pb
from touchpoint.v1.admin_service_pb2_grpc import AdminServiceStub
from touchpoint.v1.decision_service_pb2_grpc import DecisionServiceStub

from tests.server.fronts.doors import PATIENCE_S, Door, opened
from tests.server.fronts.raw_http2 import PING, ConnectionEndedError, RawClient, Reply, frame, message
from tests.server.fronts.test_abuse import BOMB_BYTES, answers, bomb, drop_bomb, peak_growth_bytes
from tests.server.operator_fixture import Operator
from tests.server.running import asking

ENHANCE_YOUR_CALM = 11


def raw(door: Door) -> RawClient:
    client = RawClient(door.connect())
    client.socket.settimeout(PATIENCE_S)
    return client.greeted()


def status_of(call: Callable[[], Reply]) -> int | None:
    """Return the status of a call, None when the connection ended first."""
    try:
        return call().status
    except (ConnectionEndedError, OSError):
        return None


def decide() -> bytes:
    return message(asking(15, dry_run=True).SerializeToString())


@pytest.mark.parametrize("name", ["native", "envoy-l4"])
def test_a_bomb_goes_off_in_the_native_front_before_it_is_refused(request: pytest.FixtureRequest, name: str) -> None:
    """So auto does not take it where strangers can reach it; who has a token may throw one."""
    door: Door = request.getfixturevalue(name)
    bomb()
    statuses: list[int | None] = []

    def throw() -> None:
        client = raw(door)
        statuses.append(drop_bomb(client, door.metadata))
        client.close()

    assert peak_growth_bytes(door, throw) > BOMB_BYTES // 2
    assert statuses == [8], "RESOURCE_EXHAUSTED, and it never came near the engine"
    answers(door)


def test_with_tokens_the_native_front_wants_one_for_health_too(operator: Operator, tmp_path: Path) -> None:
    with opened("envoy-l4", operator, tmp_path) as (server, token):
        health = health_pb2_grpc.HealthStub(server.channel)
        with pytest.raises(grpc.RpcError) as caught:
            health.Check(health_pb2.HealthCheckRequest())
        assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
        shown = (("authorization", f"Bearer {token}"),)
        assert health.Check(health_pb2.HealthCheckRequest(), metadata=shown).status


@pytest.mark.parametrize("name", ["grpcio", "native"])
def test_grpcio_leaves_a_call_without_a_message_to_its_deadline(request: pytest.FixtureRequest, name: str) -> None:
    door: Door = request.getfixturevalue(name)
    client = raw(door)
    reply = client.reply(client.request(more=(("grpc-timeout", "400m"),), end=True))
    client.close()
    if name == "native":
        assert reply.status == 13
    else:
        assert reply.status in (None, 4)


@pytest.mark.parametrize(
    ("name", "size", "single", "survives"),
    [
        ("grpcio", 250_000, True, True),
        ("native", 280_000, True, True),
        ("native", 600_000, True, False),
        ("envoy-l7", 80_000, False, True),
        ("envoy-l7", 80_000, True, False),
    ],
)
def test_a_header_block_far_too_large_may_end_the_connection(
    request: pytest.FixtureRequest, name: str, size: int, single: bool, survives: bool
) -> None:
    """Native: well over METADATA_BYTES_MAX. Envoy: one header over 64 KiB."""
    door: Door = request.getfixturevalue(name)
    client = raw(door)
    many = (
        (("x-large", "v" * size),) if single else tuple((f"x-large-{n}", "v" * 10_000) for n in range(size // 10_000))
    )
    outcome = contextlib.nullcontext() if survives else pytest.raises((ConnectionEndedError, OSError))
    with outcome:
        client.data(client.request(more=many), decide())
        assert client.call(decide()).status == 0
    client.close()


@pytest.mark.parametrize(("name", "taken"), [("grpcio", False), ("native", True)])
def test_native_takes_more_metadata(request: pytest.FixtureRequest, name: str, taken: bool) -> None:
    door: Door = request.getfixturevalue(name)
    client = raw(door)
    reply = client.call(decide(), more=(("x-large", "v" * 100_000),))
    assert reply.status == (0 if taken else grpc.StatusCode.RESOURCE_EXHAUSTED.value[0])
    client.close()


def test_envoy_at_layer_7_takes_nothing_compressed_and_no_administration(request: pytest.FixtureRequest) -> None:
    door: Door = request.getfixturevalue("envoy-l7")
    with door.channel() as channel:
        with pytest.raises(grpc.RpcError) as caught:
            DecisionServiceStub(channel).Decide(asking(1, dry_run=True), compression=grpc.Compression.Gzip)
        assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
        with pytest.raises(grpc.RpcError) as caught:
            AdminServiceStub(channel).GetStatus(admin.GetStatusRequest())
        assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    ("name", "compression", "code"),
    [
        ("grpcio", grpc.Compression.Gzip, grpc.StatusCode.OK),
        ("native", grpc.Compression.Gzip, grpc.StatusCode.OK),
        ("grpcio", grpc.Compression.Deflate, grpc.StatusCode.OK),
        ("native", grpc.Compression.Deflate, grpc.StatusCode.UNIMPLEMENTED),
    ],
)
def test_native_knows_gzip_alone(
    request: pytest.FixtureRequest, name: str, compression: grpc.Compression, code: grpc.StatusCode
) -> None:
    door: Door = request.getfixturevalue(name)
    with door.channel() as channel:
        batch = pb.DecideBatchRequest(items=[asking(1, dry_run=True)] * 50)
        call = DecisionServiceStub(channel).DecideBatch.future(batch, compression=compression)
        assert call.code() == code


@pytest.mark.parametrize("name", ["grpcio", "native"])
def test_native_does_not_count_pings(request: pytest.FixtureRequest, name: str) -> None:
    door: Door = request.getfixturevalue(name)
    client = raw(door)
    client.socket.sendall(frame(PING, 0, 0, b"12345678") * 50)
    if name == "native":
        while client.pongs < 50:
            client.read()
        assert client.call(decide()).status == 0
    else:
        client.read_until_ended()
        assert client.goaway_error in (ENHANCE_YOUR_CALM, None), "a reset may overtake it"
    client.close()


@pytest.mark.parametrize("name", ["grpcio", "native"])
def test_native_wants_an_authority_that_is_one(request: pytest.FixtureRequest, name: str) -> None:
    """What gRPC makes of a target with several addresses, unless told otherwise: clients/target.py does tell it."""
    door: Door = request.getfixturevalue(name)
    client = raw(door)
    client.authority = "127.0.0.1:1,127.0.0.1:2"
    reply = client.call(decide())
    assert reply.status == 0 if name == "grpcio" else reply.reset is not None
    client.close()


@pytest.mark.parametrize("name", ["grpcio", "native"])
def test_grpcio_tells_clients_to_go_while_it_ends_and_native_closes(
    operator: Operator, tmp_path: Path, name: str
) -> None:
    """grpcio: GOAWAY, and calls under way go on. Native: new calls get UNAVAILABLE until those under way are answered, then it closes."""
    with opened(name, operator, tmp_path, drain_notice_ms=0) as (server, _):
        client = raw(Door(name, server, server.serving.port))
        assert client.call(decide()).status == 0
        with server.busy() as release:
            under_way = client.request()
            client.data(under_way, decide())
            stopping = threading.Thread(target=lambda: server.on_loop(server.server.stop()))
            waited = threading.Event()
            while server.server.thread.load.waiting_items < 2:
                waited.wait(0.005)
            stopping.start()
            waited.wait(0.3)
            if name == "native":
                assert status_of(lambda: client.call(decide())) == grpc.StatusCode.UNAVAILABLE.value[0]
            else:
                while client.goaway_error is None:
                    client.read()
            release()
        assert status_of(lambda: client.reply(under_way)) == 0
        client.read_until_ended()
        client.close()
        stopping.join(PATIENCE_S)
        server.channel.close()
        server.close_loop()
