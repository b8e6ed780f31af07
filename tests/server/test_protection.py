"""Tokens and TLS over real sockets: who gets in, with what, and what the rest is told."""

from pathlib import Path
from typing import Final

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]  # it ships none
from touchpoint.v1 import admin_service_pb2 as admin
from touchpoint.v1 import subscriber_service_pb2 as subscribers
from touchpoint.v1.admin_service_pb2_grpc import AdminServiceStub
from touchpoint.v1.decision_service_pb2_grpc import DecisionServiceStub
from touchpoint.v1.subscriber_service_pb2_grpc import SubscriberServiceStub

from server.security import new_token
from tests.server.operator_fixture import Operator, msisdn
from tests.server.running import Running, asking, running, settings_for

CERTIFICATES: Final = Path(__file__).parent / "certificates"


def code_of(channel: grpc.Channel, token: str, what: str) -> grpc.StatusCode:
    """Return the status of one call of a service with a token."""
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    try:
        if what == "decide":
            DecisionServiceStub(channel).Decide(asking(1, dry_run=True), metadata=metadata)
        elif what == "batch":
            next(DecisionServiceStub(channel).DecideStream(iter([]), metadata=metadata), None)
        elif what == "subscriber":
            asked = subscribers.GetSubscriberRequest(subscriber=msisdn(1))
            SubscriberServiceStub(channel).GetSubscriber(asked, metadata=metadata)
        else:
            AdminServiceStub(channel).GetStatus(admin.GetStatusRequest(), metadata=metadata)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


@pytest.mark.parametrize("front", ["grpcio", "native"])
def test_each_token_opens_what_its_scopes_say(operator: Operator, tmp_path: Path, front: str) -> None:
    scopes = {
        "decide": ("decide",),
        "subscriber": ("subscriber",),
        "admin": ("admin",),
        "all": ("decide", "subscriber", "admin"),
    }
    tokens = {name: new_token() for name in scopes}
    file = tmp_path / "tokens.toml"
    file.write_text(
        "".join(
            f'[[tokens]]\nname = "{name}"\nsha256 = "{tokens[name][1]}"\nscopes = {list(scopes[name])}\n'
            for name in scopes
        )
    )
    file.chmod(0o600)
    with running(settings_for(operator, tokens_file=str(file), front=front)) as server:
        for name, allowed in scopes.items():
            for what, scope in (
                ("decide", "decide"),
                ("batch", "decide"),
                ("subscriber", "subscriber"),
                ("admin", "admin"),
            ):
                wanted = grpc.StatusCode.OK if scope in allowed else grpc.StatusCode.PERMISSION_DENIED
                assert code_of(server.channel, tokens[name][0], what) == wanted, (name, what)
        for wrong in ("", "x", tokens["all"][1]):
            for what in ("decide", "batch", "subscriber", "admin"):
                assert code_of(server.channel, wrong, what) == grpc.StatusCode.UNAUTHENTICATED
        # The native front checks tokens before it knows the method, so that there health needs one as well.
        shown = (("authorization", f"Bearer {tokens['decide'][0]}"),) if front == "native" else ()
        health = health_pb2_grpc.HealthStub(server.channel)
        answer = health.Check(health_pb2.HealthCheckRequest(), metadata=shown)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


def secure(server: Running, client: bool) -> grpc.Channel:
    read = [(CERTIFICATES / name).read_bytes() for name in ("ca.pem", "client.key", "client.pem")]
    credentials = grpc.ssl_channel_credentials(read[0], *(read[1:] if client else ()))
    return grpc.secure_channel(f"localhost:{server.serving.port}", credentials)


def test_tls_serves_those_who_trust_it_and_nobody_in_the_clear(operator: Operator) -> None:
    files = {"tls_certificate_file": str(CERTIFICATES / "server.pem"), "tls_key_file": str(CERTIFICATES / "server.key")}
    with running(settings_for(operator, listen="0.0.0.0:0", **files)) as server:
        with secure(server, client=False) as channel:
            assert DecisionServiceStub(channel).Decide(asking(1, dry_run=True)).offers
        with pytest.raises(grpc.RpcError) as caught:
            server.decisions.Decide(asking(1), timeout=5)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE


def test_mutual_tls_wants_a_certificate_of_its_authority(operator: Operator) -> None:
    files = {
        "tls_certificate_file": str(CERTIFICATES / "server.pem"),
        "tls_key_file": str(CERTIFICATES / "server.key"),
        "tls_client_ca_file": str(CERTIFICATES / "ca.pem"),
    }
    with running(settings_for(operator, **files)) as server:
        with secure(server, client=True) as channel:
            assert DecisionServiceStub(channel).Decide(asking(1, dry_run=True)).offers
        with secure(server, client=False) as channel, pytest.raises(grpc.RpcError) as caught:
            DecisionServiceStub(channel).Decide(asking(1), timeout=5)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
