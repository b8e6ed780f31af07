"""Batches and streams are taken apart and put together as the contract's own messages would be."""

import sys

import pytest
from touchpoint.v1 import decision_service_pb2 as pb

from engine.limits import BATCH_ITEMS_MAX
from server import framing
from server.failure import Code, Failure, RefusedError, Violation

FAILED = Failure(Code.INVALID_ARGUMENT, "channel: unknown", (Violation("channel", "expected one of desk"),))


def payloads(message: bytes) -> list[bytes]:
    items = framing.batch_items(message)
    return [items.payload(item) for item in range(len(items))]


def test_a_batch_keeps_its_items_as_sent() -> None:
    items = [pb.DecideRequest(request_id=f"r{n}", subscriber="ünïcode", max_offers=n) for n in range(1, 4)]
    payload = pb.DecideBatchRequest(items=items).SerializeToString()
    assert payloads(payload) == [item.SerializeToString() for item in items]


def test_one_malformed_item_spoils_no_other() -> None:
    good = pb.DecideRequest(request_id="a").SerializeToString()
    payload = b"\x0a\x02\xff\xff" + b"\x0a" + bytes([len(good)]) + good
    assert payloads(payload) == [b"\xff\xff", good]


def test_what_is_no_batch_is_refused() -> None:
    with pytest.raises(RefusedError, match="DecideBatchRequest"):
        framing.batch_items(b"\x0a\x7f")


@pytest.mark.parametrize(
    ("items", "code"), [(0, Code.INVALID_ARGUMENT), (BATCH_ITEMS_MAX + 1, Code.RESOURCE_EXHAUSTED)]
)
def test_a_batch_of_no_items_or_too_many_is_refused(items: int, code: Code) -> None:
    with pytest.raises(RefusedError, match=f"expected 1 to 4,096 items, were {items:,}") as caught:
        framing.batch_items(b"\x0a\x00" * items)
    assert caught.value.failure.code == code


def test_a_stream_carries_the_request_id() -> None:
    request = pb.DecideRequest(request_id="é1", channel="desk")
    payload = pb.DecideStreamRequest(request=request).SerializeToString()
    assert framing.stream_item(payload) == ("é1".encode(), request.SerializeToString())
    assert framing.stream_item(b"\xff") == (b"", b"\xff")
    response = pb.DecideStreamResponse.FromString(framing.stream_response("é1".encode(), FAILED))
    assert response.request_id == "é1"
    assert response.error.message == FAILED.message
    answer = pb.DecideResponse(request_id="é1").SerializeToString()
    assert pb.DecideStreamResponse.FromString(framing.stream_response(b"x", answer)).answer.request_id == "é1"


def test_an_explanation_that_would_swallow_what_is_appended_is_refused() -> None:
    """Explain sets dry_run by appending bytes: a last field that is cut short would take them for its own, and hold offers."""
    cut = pb.DecideRequest(request_id="x").SerializeToString() + b"\x42\x04"
    payload = pb.ExplainRequest().SerializeToString() + b"\x0a" + bytes([len(cut)]) + cut
    with pytest.raises(RefusedError, match="DecideRequest"):
        framing.explained_request(payload)


def test_an_explanation_wraps_a_decision() -> None:
    request = pb.DecideRequest(request_id="x", dry_run=False)
    payload = pb.ExplainRequest(request=request).SerializeToString()
    asked = pb.DecideRequest(request_id="x", dry_run=True, explain=True)
    assert pb.DecideRequest.FromString(framing.explained_request(payload)) == asked
    decision = pb.DecideResponse(request_id="x")
    assert pb.ExplainResponse.FromString(framing.explain_response(decision.SerializeToString())).decision == decision


def test_tables_without_arrow_are_unimplemented(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "server.codec.rows", None)
    with pytest.raises(RefusedError) as caught:
        framing.table_rows(b"")
    assert caught.value.failure.code is Code.UNIMPLEMENTED
    assert "pip install touchpoint[columns]" in caught.value.failure.message
