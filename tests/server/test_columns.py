"""DecideColumns over real sockets: answers that DecideBatch and Decide repeat and the other way round, and what bad tables get."""

import time
from typing import Any

import grpc
import pyarrow as pa  # type: ignore[import-untyped]  # it ships none
import pytest
from touchpoint.v1 import decision_service_pb2 as pb

from tests.server.operator_fixture import CUSTOMERS, Operator, msisdn
from tests.server.running import Running, asking, running, settings_for, timeless
from tests.server.tables import read, rows, stream, table_of, told
from tests.server.test_decisions import typed, usage, violations


def call(server: Running, table: bytes, **options: Any) -> pb.DecideColumnsResponse:
    return server.decisions.DecideColumns(pb.DecideColumnsRequest(table=table, **options))


def decide(server: Running, requests: list[pb.DecideRequest], **options: Any) -> list[dict[str, Any]]:
    return rows(read(call(server, stream(table_of(requests)), **options)))


def refused(server: Running, table: bytes, code: grpc.StatusCode, path: str) -> str:
    with pytest.raises(grpc.RpcError) as caught:
        call(server, table)
    assert (caught.value.code(), violations(caught.value)) == (code, [path])
    return str(caught.value.details())


def test_what_a_table_was_answered_a_batch_and_a_call_repeat(server: Running) -> None:
    requests = [asking(20 + n, max_offers=1 + n % 3) for n in range(8)]
    found = decide(server, requests)
    assert [row.pop("replayed") for row in found] == [False] * 8
    repeated = server.decisions.DecideBatch(pb.DecideBatchRequest(items=requests)).results
    assert found == [told(result) for result in repeated]
    assert all(row["decision_id"] for row in found)
    assert timeless(server.decisions.Decide(requests[3])) == timeless(repeated[3].answer)


def test_what_a_call_was_answered_a_table_repeats(server: Running) -> None:
    requests = [asking(30 + n, trigger=usage(**typed()), language=("es", "en")[n % 2]) for n in range(4)]
    answers = [server.decisions.Decide(request) for request in requests]
    found = decide(server, requests)
    assert [row.pop("replayed") for row in found] == [True] * 4
    assert found == [told(answer) for answer in answers]


def test_a_request_id_with_another_body_fails_alone(server: Running) -> None:
    requests = [asking(40), asking(41)]
    decide(server, requests)
    requests[1].max_offers = 1
    found = decide(server, requests)
    assert [row["replayed"] for row in found] == [True, None]
    assert (found[1]["error_code"], found[1]["error_field"]) == (6, "request_id")
    batch = server.decisions.DecideBatch(pb.DecideBatchRequest(items=requests)).results
    assert found[1].items() >= told(batch[1]).items()


def test_bad_rows_fail_alone_as_items_do(server: Running) -> None:
    requests = [
        asking(42),
        asking(42, channel="dsk"),
        asking(42, language="fr"),
        asking(42, subscriber=""),
        asking(42, trigger=usage(**typed() | {"nosuch": typed()["calls"]})),
        asking(43, max_offers=13),
        asking(CUSTOMERS + 1),
        asking(42),
    ]
    found = decide(server, requests)
    batch = server.decisions.DecideBatch(pb.DecideBatchRequest(items=requests)).results
    assert [row["error_code"] for row in found] == [None, 3, 3, 3, 3, 3, None, None]
    assert [row["error_field"] for row in found[1:6]] == [
        *("channel", "language", "subscriber", "trigger.fields[nosuch]", "max_offers")
    ]
    for row, result in zip(found[1:6], batch[1:6], strict=True):
        assert row.items() >= told(result).items()
    assert found[6]["reason"] == "UNKNOWN_SUBSCRIBER"
    assert found[6]["offers"] == []


def test_dry_runs_are_the_same_by_every_door_and_hold_nothing(server: Running) -> None:
    requests = [asking(n, dry_run=True) for n in range(CUSTOMERS)]
    for request in requests:
        request.assumed_now.FromSeconds(1_795_000_000)
    found = decide(server, requests)
    assert [row.pop("replayed") for row in found] == [False] * CUSTOMERS
    batch = server.decisions.DecideBatch(pb.DecideBatchRequest(items=requests)).results
    assert found == [told(result) for result in batch]
    assert {row["decision_id"] for row in found} == {None}


def test_push_says_when_it_may_be_sent_in_words_of_the_trigger(server: Running) -> None:
    request = asking(44, channel="sms", trigger=usage(**typed()))
    (found,) = decide(server, [request])
    assert found["send_not_before"] < found["send_deadline"] < found["hold_until"]
    assert found["offers"][0]["content"] == "Çelik, 901.5 MB in vidéo for 1m30s"
    assert found | {"replayed": True} == told(server.decisions.Decide(request)) | {"replayed": True}


def test_words_are_left_out_when_they_are_not_wanted(server: Running) -> None:
    requests = [asking(45), asking(46)]
    found = decide(server, requests, omit_words=True)
    assert [set(offer) for row in found for offer in row["offers"]] == [{"rank", "offer", "campaign", "score"}] * sum(
        len(row["offers"]) for row in found
    )
    batch = server.decisions.DecideBatch(pb.DecideBatchRequest(items=requests)).results
    assert [row | {"replayed": True} for row in found] == [told(r, words=False) | {"replayed": True} for r in batch]
    assert batch[0].answer.offers[0].content


def many(server: Running, count: int) -> pa.Table:
    """Return so many requests, of customers in turn."""
    first = asking().request_id
    return pa.table(
        {
            "request_id": [f"{first}-{number}" for number in range(count)],
            "subscriber": [msisdn(number % CUSTOMERS) for number in range(count)],
            "placement": pa.array(["desk_open"] * count).dictionary_encode(),
            "channel": pa.array(["desk"] * count).dictionary_encode(),
        }
    )


def test_the_most_rows_are_decided_in_their_order(operator: Operator) -> None:
    """On a server of its own, for every customer is offered all that caps allow."""
    with running(settings_for(operator)) as server:
        table = many(server, 4_096)
        found = rows(read(call(server, stream(table))))
        again = rows(read(call(server, stream(table.slice(1_000, 60)))))
    assert len(found) == 4_096
    held = [row for row in found[1_000:1_060] if row["decision_id"]]
    assert held
    assert [row | {"replayed": False} for row in again if row["replayed"]] == held


def test_too_many_rows_are_refused(server: Running) -> None:
    table = many(server, 4_097)
    said = refused(server, stream(table), grpc.StatusCode.RESOURCE_EXHAUSTED, "table")
    assert said == "table: expected at most 4,096 rows, were 4,097 or more; send several tables"


def test_several_record_batches_are_one_table(operator: Operator) -> None:
    with running(settings_for(operator)) as server:
        table = many(server, 50)
        parts = pa.concat_tables([table.slice(start, 7) for start in range(0, 50, 7)])
        found, again = (rows(read(call(server, stream(each)))) for each in (parts, table))
    held = [row for row in found if row["decision_id"]]
    assert held
    assert [row | {"replayed": True} for row in held] == [row for row in again if row["replayed"]]


@pytest.mark.parametrize(
    ("table", "path", "words"),
    [
        (b"", "table", "expected an Arrow IPC stream, was something else"),
        (b"ARROW1 no", "table", "expected an Arrow IPC stream, was something else"),
        (stream(pa.table({"request_id": [1]})), "table[request_id]", "was int64"),
        (
            stream(pa.table({"request_id": ["1"], "subscribr": ["1"]})),
            "table[subscribr]",
            "expected one of the columns",
        ),
    ],
)
def test_what_is_no_table_of_requests_is_refused(server: Running, table: bytes, path: str, words: str) -> None:
    assert words in refused(server, table, grpc.StatusCode.INVALID_ARGUMENT, path)


def test_bytes_that_are_no_message_are_refused(server: Running) -> None:
    ask: Any = server.channel.unary_unary("/touchpoint.v1.DecisionService/DecideColumns")
    with pytest.raises(grpc.RpcError) as caught:
        ask(b"\xff\xff")
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "touchpoint.v1.DecideColumnsRequest" in str(caught.value.details())


def test_the_receive_limit_holds(server: Running) -> None:
    table = many(server, 4_096).append_column("agent", pa.array(["x" * 300] * 4_096))
    with pytest.raises(grpc.RpcError) as caught:
        call(server, stream(table))
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("front", ["grpcio", "native"])
def test_more_rows_than_may_wait_are_shed_unless_alone(operator: Operator, front: str) -> None:
    with running(settings_for(operator, front=front, queue_items_max=8)) as server:
        table = stream(many(server, 20))
        assert len(rows(read(call(server, table)))) == 20
        with server.busy():
            waiting = server.decisions.Decide.future(asking())
            while not server.server.thread.load.waiting_items > 1:
                pass
            with pytest.raises(grpc.RpcError) as caught:
                call(server, table)
            assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert waiting.result().request_id


@pytest.mark.parametrize("front", ["grpcio", "native"])
def test_a_table_whose_deadline_has_passed_is_not_looked_at(operator: Operator, front: str) -> None:
    with running(settings_for(operator, front=front)) as server:
        table = stream(many(server, 3_000))
        with server.busy():
            with pytest.raises(grpc.RpcError) as caught:
                server.decisions.DecideColumns(pb.DecideColumnsRequest(table=table), timeout=0.1)
            time.sleep(0.3)  # the server's own clock passes the deadline too
        assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert not any(row["replayed"] for row in rows(read(call(server, table))))
