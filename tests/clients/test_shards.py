"""The client of shards against real ones: it finds owners, splits batches and keeps their order, and finds a shard that went elsewhere."""

import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack

import grpc
import pytest
from touchpoint.v1 import outcome_service_pb2 as outcomes

from clients.columns import decide_columns
from clients.decisions import Question
from clients.outcomes import outcome
from clients.owners import Owners
from clients.shards import ShardsClient
from clients.target import CallError, Target
from tests.server.fronts.doors import free_port
from tests.server.operator_fixture import CUSTOMERS, Operator, msisdn, write_operator
from tests.server.running import Running, running, settings_for
from tests.server.sharing import customers_by_owner, shards

OF = 3


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    return write_operator(tmp_path_factory.mktemp("shards"))


@pytest.fixture(scope="module")
def three(operator: Operator) -> Iterator[list[Running]]:
    with shards(operator, OF) as started:
        yield started


@pytest.fixture
def client(three: list[Running]) -> Iterator[ShardsClient]:
    with ShardsClient([Target(server.address) for server in reversed(three)]) as made:
        yield made


def about(number: int, request_id: str = "") -> Question:
    return Question(msisdn(number), "desk_open", "desk", placement=True, request_id=request_id)


def foreign(three: list[Running]) -> int:
    """Return how many requests were refused so far for their shard."""
    return sum(server.server.decisions.figures.foreign for server in three)


def test_every_subscriber_is_found_and_remembered(
    three: list[Running], operator: Operator, client: ShardsClient
) -> None:
    owner = {number: shard for shard, own in enumerate(customers_by_owner(operator, OF)) for number in own}
    before = foreign(three)
    first = [client.decide(about(number)).decision_id for number in range(CUSTOMERS)]
    learnt = foreign(three) - before
    assert 0 < learnt < CUSTOMERS
    assert [int(held[1]) for held in first if held] == [owner[number] for number, held in enumerate(first) if held]
    for number in range(CUSTOMERS):
        client.explain(about(number))
        assert client.subscriber(msisdn(number)).base_version
    assert foreign(three) - before == learnt


def test_a_batch_is_split_and_comes_back_in_order(
    three: list[Running], operator: Operator, client: ShardsClient
) -> None:
    owner = {number: shard for shard, own in enumerate(customers_by_owner(operator, OF)) for number in own}
    asked = [about(number, request_id=f"batch-{number}") for number in range(CUSTOMERS)]
    asked[5] = Question(msisdn(5), "nosuch", "desk", placement=True)
    results = client.decide_batch(asked)
    for number, result in enumerate(results):
        if number == 5:
            assert result.error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
        else:
            assert result.answer.request_id == f"batch-{number}"
            assert not result.answer.decision_id or result.answer.decision_id.startswith(f"s{owner[number]}-")
    before = foreign(three)
    again = client.decide_batch(asked)
    assert foreign(three) - before <= 1, "only the item that failed is not remembered"
    assert [result.answer.decision_id for result in again] == [result.answer.decision_id for result in results]


def test_outcomes_go_where_the_decision_was_made(client: ShardsClient) -> None:
    held = [held for number in range(30) if (held := client.decide(about(number)).decision_id)]
    assert len({name[:2] for name in held}) == OF
    results = client.record([*(outcome(name, 1, "seen") for name in held), outcome("no decision", 1, "seen")])
    assert [result.status for result in results] == [
        *[outcomes.OUTCOME_STATUS_RECORDED] * len(held),
        outcomes.OUTCOME_STATUS_UNKNOWN_DECISION,
    ]


def test_a_shard_that_restarts_elsewhere_is_found_again(operator: Operator) -> None:
    own = customers_by_owner(operator, 2)
    standby = free_port()
    with shards(operator, 2, drain_notice_ms=0) as (first, second):
        targets = [
            Target(address, deadline_ms=10_000) for address in (first.address, second.address, f"127.0.0.1:{standby}")
        ]
        with ShardsClient(targets) as client:
            assert client.decide(about(own[1][0])).decision_id.startswith("s1-")
            second.on_loop(second.server.grpc.abandon())
            results = client.decide_batch([about(own[0][0]), about(own[1][1])])
            assert results[0].answer.decision_id.startswith("s0-")
            assert results[1].error.code == grpc.StatusCode.UNAVAILABLE.value[0]
            with pytest.raises(CallError, match="UNAVAILABLE"):
                client.decide(about(own[1][0]))
            with running(settings_for(operator, shard="1/2", listen=f"127.0.0.1:{standby}")):
                assert client.decide(about(own[1][0])).decision_id.startswith("s1-")
                results = client.decide_batch([about(own[0][0]), about(own[1][1])])
                assert [result.answer.decision_id[:3] for result in results] == ["s0-", "s1-"]


def test_shards_that_changed_places_are_found_again(operator: Operator) -> None:
    ports = [free_port(), free_port()]
    own = customers_by_owner(operator, 2)
    with ShardsClient([Target(f"127.0.0.1:{port}", deadline_ms=10_000) for port in ports]) as client:
        for order in ((0, 1), (1, 0)):
            settings = [
                settings_for(operator, shard=f"{shard}/2", listen=f"127.0.0.1:{port}", drain_notice_ms=0)
                for shard, port in zip(order, ports, strict=True)
            ]
            with running(settings[0]), running(settings[1]):
                assert client.decide(about(own[0][0])).decision_id.startswith("s0-")
                results = client.decide_batch([about(own[0][1]), about(own[1][1])])
                assert [result.answer.decision_id[:3] for result in results] == ["s0-", "s1-"]


def test_one_server_and_one_shard_that_is_missing(operator: Operator, three: list[Running]) -> None:
    own = customers_by_owner(operator, OF)
    with running(settings_for(operator)) as alone, ShardsClient([Target(alone.address)]) as client:
        assert client.decide(about(own[0][0])).decision_id.startswith("s0-")
    with (
        ShardsClient([Target(three[0].address), Target(three[1].address)]) as client,
        pytest.raises(CallError, match=r"none of .* answers as shard 2 of 3"),
    ):
        client.decide(about(own[2][0]))
    with ShardsClient([Target(three[0].address)]) as client, pytest.raises(CallError, match="shard 2 of 3 owns"):
        client.decide(about(own[2][0]))


def test_nobody_answers() -> None:
    targets = [Target(f"127.0.0.1:{free_port()}", deadline_ms=2_000) for _ in range(2)]
    with ShardsClient(targets) as client, pytest.raises(CallError, match="no answer from any of"):
        client.decide(about(0))


def columns(numbers: list[int]) -> dict[str, list[str]]:
    count = len(numbers)
    return {
        "subscriber": [msisdn(n) for n in numbers],
        "placement": ["desk_open"] * count,
        "channel": ["desk"] * count,
    }


def test_an_outcome_of_a_shard_that_there_is_no_more_fails_alone(client: ShardsClient) -> None:
    held = next(held for n in range(30) if (held := client.decide(about(n)).decision_id))
    results = client.record([outcome(held, 1, "seen"), outcome(f"s{OF}{held[2:]}", 1, "seen")])
    assert [result.status for result in results] == [
        outcomes.OUTCOME_STATUS_RECORDED,
        outcomes.OUTCOME_STATUS_UNKNOWN_DECISION,
    ]


def test_a_target_that_says_nothing_does_not_take_the_whole_deadline(three: list[Running], operator: Operator) -> None:
    own = customers_by_owner(operator, OF)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        addresses = [f"127.0.0.1:{silent.getsockname()[1]}", *(server.address for server in three[:2])]
        with ShardsClient([Target(address, deadline_ms=1_000) for address in addresses]) as client:
            assert client.decide(about(own[1][0])).decision_id.startswith("s1-")
            began_s = time.monotonic()
            results = client.decide_batch([about(own[shard][1]) for shard in range(OF)])
            assert time.monotonic() - began_s < 1.5
            assert [result.error.code for result in results] == [0, 0, grpc.StatusCode.UNAVAILABLE.value[0]]


def test_targets_that_do_not_belong_together_are_refused(operator: Operator, three: list[Running]) -> None:
    for settings in (settings_for(operator), settings_for(operator, shard="1/2")):
        with running(settings) as other:
            targets = [Target(server.address) for server in (*three, other)]
            with ShardsClient(targets) as client, pytest.raises(CallError, match="shards of one installation, were"):
                client.decide(about(0))


@pytest.mark.parametrize("of", [1, 2])
def test_servers_that_all_went_elsewhere_are_found_again(operator: Operator, of: int) -> None:
    own = customers_by_owner(operator, of)
    ports = [free_port() for _ in range(2 * of)]
    with ShardsClient([Target(f"127.0.0.1:{port}", deadline_ms=10_000) for port in ports]) as client:
        for place, some in enumerate((ports[:of], ports[of:])):
            with ExitStack() as stack:
                for shard, port in enumerate(some):
                    settings = settings_for(operator, shard=f"{shard}/{of}", listen=f"127.0.0.1:{port}")
                    stack.enter_context(running(settings))
                for shard in range(of):
                    assert client.decide(about(own[shard][place])).decision_id.startswith(f"s{shard}-")
                results = client.decide_batch([about(own[shard][2 + place]) for shard in range(of)])
                assert [result.error.code for result in results] == [0] * of
                assert decide_columns(client, columns([own[0][4], own[-1][4]])).column("error_code").null_count == 2


def test_a_table_goes_by_a_shard_that_is_gone_and_may_be_all_of_one_other(operator: Operator) -> None:
    own = customers_by_owner(operator, 2)
    with shards(operator, 2, drain_notice_ms=0) as (first, second):
        targets = [Target(first.address), Target(second.address)]
        with ShardsClient(targets) as client:
            assert decide_columns(client, columns(own[1][:3])).column("error_code").null_count == 3
        with ShardsClient(targets) as client:
            client.decide(about(own[0][0]))
            first.on_loop(first.server.grpc.abandon())
            assert decide_columns(client, columns(own[1][3:6])).column("error_code").null_count == 3


def test_rows_of_a_shard_that_does_not_answer_fail_alone_and_as_a_server_would_say_so(operator: Operator) -> None:
    own = customers_by_owner(operator, 2)
    with (
        shards(operator, 2, drain_notice_ms=0) as (first, second),
        ShardsClient([Target(first.address), Target(second.address)]) as client,
    ):
        asked = columns([own[0][0], own[1][0], own[0][1], own[1][1]])
        asked["channel"][0] = "smoke"
        whole = decide_columns(client, asked)
        assert whole.column("error_code").to_pylist() == [3, None, None, None]
        second.on_loop(second.server.grpc.abandon())
        asked["request_id"] = [str(uuid.uuid4()) for _ in range(4)]
        answers = decide_columns(client, asked)
        refused, missing, answered, _ = answers.to_pylist()
        assert answers.schema == whole.schema
        assert answers.column("request_id").to_pylist() == asked["request_id"]
        assert answers.column("error_code").to_pylist() == [3, 14, None, 14]
        assert missing["error_message"].startswith("UNAVAILABLE: ")
        assert answered["decision_id"].startswith("s0-")
        for name in ("request_id", "error_code", "error_message", "error_field"):
            del missing[name], refused[name]
        assert missing == refused
        first.on_loop(first.server.grpc.abandon())
        with pytest.raises(CallError, match="UNAVAILABLE"):
            decide_columns(client, columns([own[0][2], own[1][2]]))


def test_owners_are_remembered_in_bounded_room() -> None:
    owners = Owners(slots=8)
    assert owners.get("a") is None
    for number in range(1_000):
        owners.learn(str(number), number % 7)
    assert owners.get("999") == 999 % 7
    assert len(owners._owners) == 8


def test_a_table_is_split_and_comes_back_in_order(operator: Operator, client: ShardsClient) -> None:
    owner = {number: shard for shard, own in enumerate(customers_by_owner(operator, OF)) for number in own}
    numbers = [*range(CUSTOMERS), *reversed(range(20))]
    asked = {
        "request_id": [f"table-{place}" for place in range(len(numbers))],
        "subscriber": [msisdn(number) for number in numbers],
        "placement": ["desk_open"] * len(numbers),
        "channel": ["desk"] * len(numbers),
    }
    for _ in range(2):
        answers = decide_columns(client, asked)
        assert answers.column("request_id").to_pylist() == asked["request_id"]
        assert answers.column("error_code").null_count == len(numbers)
        ids = answers.column("decision_id").to_pylist()
        assert sum(held is not None for held in ids) > len(numbers) // 2
        assert all(held is None or held.startswith(f"s{owner[n]}-") for n, held in zip(numbers, ids, strict=True))
