"""Envoy before four shards, as its checked-in configuration has it: exact by `touchpoint-shard`, consistent by `touchpoint-route`."""

import time
from collections import Counter
from collections.abc import Iterator
from typing import Final

import grpc
import pytest
from touchpoint.v1 import admin_service_pb2 as admin
from touchpoint.v1 import decision_service_pb2 as pb
from touchpoint.v1 import outcome_service_pb2 as outcomes
from touchpoint.v1.admin_service_pb2_grpc import AdminServiceStub
from touchpoint.v1.decision_service_pb2_grpc import DecisionServiceStub

from clients.decisions import Question
from clients.outcomes import outcome
from clients.shards import ShardsClient
from clients.target import Target, other_shard
from tests.server.fronts.doors import CERTIFICATES, NO_RETRIES, PATIENCE_S, envoy_before, free_port
from tests.server.operator_fixture import CUSTOMERS, Operator, msisdn
from tests.server.running import Running, asking, running, settings_for
from tests.server.sharing import customers_by_owner, shards

OF: Final = 4
STANDBY: Final = 2
"""The shard whose second server has its ports ready."""


@pytest.fixture(scope="module")
def four(operator: Operator) -> Iterator[list[Running]]:
    with shards(operator, OF, front="native") as started:
        yield started


@pytest.fixture(scope="module")
def standby_ports() -> tuple[int, int]:
    return free_port(), free_port()


@pytest.fixture(scope="module")
def port(
    four: list[Running], standby_ports: tuple[int, int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[int]:
    ports = {}
    for shard, server in enumerate(four):
        first = 7720 + 10 * shard
        ports[first], ports[first + 1] = server.serving.port, server.serving.management_port
        ports[first + 5], ports[first + 6] = standby_ports if shard == STANDBY else (free_port(), free_port())
    with envoy_before("shards", tmp_path_factory.mktemp("shards"), ports) as (found, _):
        yield found


@pytest.fixture(scope="module")
def channel(port: int) -> Iterator[grpc.Channel]:
    credentials = grpc.ssl_channel_credentials((CERTIFICATES / "ca.pem").read_bytes())
    with grpc.secure_channel(f"localhost:{port}", credentials, [NO_RETRIES]) as opened:
        decisions = DecisionServiceStub(opened)
        for shard in range(OF):
            until_answered(decisions, shard)
        yield opened


def until_answered(decisions: DecisionServiceStub, shard: int) -> None:
    """Wait until Envoy found the shard to be ready."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            decisions.GetShard(pb.GetShardRequest(), metadata=to(shard))
            return
        except grpc.RpcError:
            assert time.monotonic() < end
            time.sleep(0.05)


def to(shard: object) -> tuple[tuple[str, str], ...]:
    return (("touchpoint-shard", str(shard)),)


def test_a_call_goes_to_the_shard_that_it_names(channel: grpc.Channel) -> None:
    decisions = DecisionServiceStub(channel)
    for number in range(100):
        metadata = (*to(number % OF), ("touchpoint-route", f"{number:04x}"))
        assert decisions.GetShard(pb.GetShardRequest(), metadata=metadata).number == number % OF


@pytest.mark.parametrize("named", [4, "x"])
def test_a_shard_that_there_is_not_is_unavailable(channel: grpc.Channel, named: object) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        DecisionServiceStub(channel).GetShard(pb.GetShardRequest(), metadata=to(named))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_without_a_name_the_route_leads_to_the_same_shard_each_time(channel: grpc.Channel) -> None:
    decisions = DecisionServiceStub(channel)
    found: Counter[int] = Counter()
    for number in range(200):
        metadata = (("touchpoint-route", f"{number * 331 % 65536:04x}"),)
        same = {decisions.GetShard(pb.GetShardRequest(), metadata=metadata).number for _ in range(3)}
        assert len(same) == 1
        found.update(same)
    assert set(found) == set(range(OF))
    assert min(found.values()) > 200 / OF / 3


def test_a_refusal_leads_to_the_right_shard_with_certainty(channel: grpc.Channel, operator: Operator) -> None:
    decisions = DecisionServiceStub(channel)
    for shard, own in enumerate(customers_by_owner(operator, OF)):
        for number in own[:5]:
            request, metadata = asking(number), Target().metadata(msisdn(number))
            try:
                answer = decisions.Decide(request, metadata=metadata)
            except grpc.RpcError as error:
                found = other_shard(error)
                answer = decisions.Decide(request, metadata=(*metadata, *to(found.owner if found else "none")))
            assert answer.decision_id.startswith(f"s{shard}-")


def test_the_client_finds_every_shard_behind_one_address(
    channel: grpc.Channel, port: int, operator: Operator, four: list[Running]
) -> None:
    owner = {number: shard for shard, own in enumerate(customers_by_owner(operator, OF)) for number in own}
    asked = [Question(msisdn(number), "desk_open", "desk", placement=True) for number in range(CUSTOMERS)]
    with ShardsClient([Target(f"localhost:{port}", CERTIFICATES / "ca.pem")]) as client:
        for number in range(0, CUSTOMERS, 5):
            held = client.decide(asked[number]).decision_id
            assert not held or held.startswith(f"s{owner[number]}-")
        ids = [result.answer.decision_id for result in client.decide_batch(asked)]
        assert all(not one or one.startswith(f"s{owner[number]}-") for number, one in enumerate(ids))
        made = [one for one in ids if one]
        recorded = client.record([outcome(one, 1, "seen") for one in made])
        before = sum(server.server.decisions.figures.foreign for server in four)
        assert all(result.HasField("answer") for result in client.decide_batch(asked))
        assert sum(server.server.decisions.figures.foreign for server in four) == before
    assert {result.status for result in recorded} == {outcomes.OUTCOME_STATUS_RECORDED}


def test_admin_service_stays_inside(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        AdminServiceStub(channel).GetStatus(admin.GetStatusRequest(), metadata=to(0))
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_a_second_server_of_a_shard_takes_over(
    channel: grpc.Channel, operator: Operator, four: list[Running], standby_ports: tuple[int, int]
) -> None:
    """The last of this module: it ends a shard that the others ask."""
    decisions = DecisionServiceStub(channel)
    own = customers_by_owner(operator, OF)
    listen, management = (f"127.0.0.1:{each}" for each in standby_ports)
    settings = settings_for(
        operator, shard=f"{STANDBY}/{OF}", front="native", listen=listen, management_listen=management
    )
    with running(settings):
        time.sleep(1)
        four[STANDBY].on_loop(four[STANDBY].server.grpc.drain())
        four[STANDBY].server._unready = "drained"
        until_answered(decisions, STANDBY)
        held = decisions.Decide(asking(own[STANDBY][0]), metadata=to(STANDBY)).decision_id
        assert held.startswith(f"s{STANDBY}-")
        assert decisions.Decide(asking(own[0][0]), metadata=to(0)).decision_id.startswith("s0-")
    with pytest.raises(grpc.RpcError) as caught:
        decisions.GetShard(pb.GetShardRequest(), metadata=to(STANDBY))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
