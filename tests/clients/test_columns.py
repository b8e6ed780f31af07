"""Tables to a demo server and back by the client's call, and what makes no call at all."""

from typing import Any

import pyarrow as pa  # type: ignore[import-untyped]  # it ships none
import pytest

from clients import columns
from clients.columns import CALL_BYTES, ROWS_MAX, decide_columns
from clients.decisions import DecisionClient, Question
from clients.target import CallError, Target
from loaders.demo.places import msisdn_of


def asked(count: int, prefix: str = "", **more: Any) -> pa.Table:
    return pa.table(
        {
            **({"request_id": [f"{prefix}{number}" for number in range(count)]} if prefix else {}),
            "subscriber": [msisdn_of(number % 4_000) for number in range(count)],
            "placement": ["desk_open"] * count,
            "channel": ["desk"] * count,
            **{name: [value] * count for name, value in more.items()},
        }
    )


@pytest.fixture
def client(demo_address: str) -> Any:
    with DecisionClient(Target(demo_address, deadline_ms=60_000)) as opened:
        yield opened


def test_a_table_is_answered_row_for_row(client: DecisionClient) -> None:
    table = decide_columns(client, asked(5, "columns-a-", tool="test"))
    assert table.column("request_id").to_pylist() == [f"columns-a-{number}" for number in range(5)]
    for number, row in enumerate(table.to_pylist()):
        question = Question(
            msisdn_of(number), "desk_open", "desk", placement=True, request_id=f"columns-a-{number}", tool="test"
        )
        answer = client.decide(question)
        assert row["decision_id"] == (answer.decision_id or None)
        assert [(o["offer"], o["content"]) for o in row["offers"]] == [(o.offer, o.content) for o in answer.offers]


@pytest.mark.parametrize("form", ["batch", "lists"])
def test_batches_and_lists_are_tables_too(client: DecisionClient, form: str) -> None:
    table = asked(3)
    requests = table.to_batches()[0] if form == "batch" else table.to_pydict()
    found = decide_columns(client, requests, words=False)
    assert len(set(found.column("request_id").to_pylist())) == 3
    assert "content" not in {field.name for field in found.schema.field("offers").type.value_type}


def test_any_number_of_rows_goes_in_calls_that_a_server_takes(
    client: DecisionClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    ask = client.decide_table

    def counted(table: bytes, *, omit_words: bool) -> bytes:
        sizes.append((len(table), pa.ipc.open_stream(table).read_all().num_rows))
        return ask(table, omit_words=omit_words)

    monkeypatch.setattr(client, "decide_table", counted)
    wide = asked(ROWS_MAX + 900, "columns-b-", dry_run=True, agent="a" * 100, outlet="o" * 120)
    found = decide_columns(client, wide, words=False)
    assert found.column("request_id").to_pylist() == wide.column("request_id").to_pylist()
    assert found.column("error_code").null_count == found.num_rows == ROWS_MAX + 900
    assert [rows for _, rows in sizes] == [2_048, 2_048, 900]
    assert max(size for size, _ in sizes) <= CALL_BYTES


def test_a_row_that_is_too_large_alone_is_the_servers_to_refuse(client: DecisionClient) -> None:
    with pytest.raises(CallError, match="RESOURCE_EXHAUSTED"):
        decide_columns(client, asked(2, "columns-c-", agent="x" * 1_100_000))


def test_what_a_server_refuses_is_said(client: DecisionClient) -> None:
    with pytest.raises(CallError, match=r"table\[explain\]: expected one of the columns request_id"):
        decide_columns(client, asked(1, explain=True))


def test_no_rows_make_no_call(client: DecisionClient) -> None:
    with pytest.raises(ValueError, match="at least one row"):
        decide_columns(client, asked(0))
    assert columns.ROWS_MAX == 4_096
