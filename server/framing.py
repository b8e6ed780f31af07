"""Batches and streams taken apart and put together without looking into their items.

Each message here is a twin, field number for field number, of one in touchpoint/v1 whose items are bytes: the same bytes on the wire, but
an item stays as it was sent, goes the same way as a single Decide, and spoils nobody else's when it is malformed.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from touchpoint.v1 import decision_service_pb2, error_pb2

from engine.limits import BATCH_ITEMS_MAX
from server.codec.items import Items, items_in, items_of
from server.failure import Code, Failure, RefusedError, Violation
from server.statuses import failure_of_item, item_error, item_error_bytes

if TYPE_CHECKING:
    from server.codec.answer_sheet import AnswerSheet
    from server.codec.rows import Rows

_NO_ARROW: Final = "tables need Arrow, which is not installed beside this server: pip install touchpoint[columns]"
_TABLE: Final = 1 << 3 | 2
"""Tag of DecideColumnsResponse.table: the only field, written as protobuf would, without copying the table twice."""
_PACKAGE: Final = "touchpoint.framing"
_Field = descriptor_pb2.FieldDescriptorProto


def _twins(**messages: dict[str, tuple[int, str]]) -> dict[str, Any]:
    """Return a class for each message; a field is (number, "bytes" | "repeated bytes" | "repeated <message>")."""
    file = descriptor_pb2.FileDescriptorProto(name="touchpoint/framing.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            label = _Field.LABEL_REPEATED if kind.startswith("repeated ") else _Field.LABEL_OPTIONAL
            element = kind.removeprefix("repeated ")
            if element == "bytes":
                message.field.add(name=field, number=number, label=label, type=_Field.TYPE_BYTES)
            else:
                type_name = f".{_PACKAGE}.{element}"
                message.field.add(name=field, number=number, label=label, type=_Field.TYPE_MESSAGE, type_name=type_name)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in messages
    }


_TWINS: Final = _twins(
    DecideBatchRequest={"items": (1, "repeated bytes")},
    DecideBatchResult={"answer": (1, "bytes"), "error": (2, "bytes")},
    DecideBatchResponse={"results": (1, "repeated DecideBatchResult")},
    DecideStreamRequest={"request": (1, "bytes")},
    DecideStreamResponse={"request_id": (1, "bytes"), "answer": (2, "bytes"), "error": (3, "bytes")},
    ExplainRequest={"request": (1, "bytes")},
    ExplainResponse={"decision": (1, "bytes")},
    DecideRequest={"request_id": (1, "bytes"), "subscriber": (2, "bytes")},
    EncodedResults={"results": (1, "repeated bytes")},
)
_ANSWER: Final = 1 << 3 | 2
"""Tag of DecideBatchResult.answer, the first byte of a result that is no error."""


def _parsed(name: str, payload: bytes) -> Any:
    try:
        return _TWINS[name].FromString(payload)
    except DecodeError:
        message = f"expected the bytes of a touchpoint.v1.{name}, were something else"
        raise RefusedError(Failure(Code.INVALID_ARGUMENT, message)) from None


def batch_items(payload: bytes) -> Items:
    """Return the items of a DecideBatchRequest; raises RefusedError when it is none, or has no items, or too many."""
    items = items_in(payload)
    if items is None:
        items = items_of(_parsed("DecideBatchRequest", payload).items)
    if not 1 <= len(items) <= BATCH_ITEMS_MAX:
        text = f"expected 1 to {BATCH_ITEMS_MAX:,} items, were {len(items):,}; send several batches"
        code = Code.RESOURCE_EXHAUSTED if len(items) else Code.INVALID_ARGUMENT
        raise RefusedError(Failure(code, f"items: {text}", (Violation("items", text),)))
    return items


def table_rows(payload: bytes) -> "tuple[Rows, AnswerSheet]":
    """Return the rows of a DecideColumnsRequest, and where their answers go; raises RefusedError when it is none, or Arrow is not installed."""
    try:
        from server.codec.answer_sheet import AnswerSheet
        from server.codec.rows import rows_of
    except ModuleNotFoundError:
        raise RefusedError(Failure(Code.UNIMPLEMENTED, _NO_ARROW)) from None
    try:
        request = decision_service_pb2.DecideColumnsRequest.FromString(payload)
    except DecodeError:
        message = "expected the bytes of a touchpoint.v1.DecideColumnsRequest, were something else"
        raise RefusedError(Failure(Code.INVALID_ARGUMENT, message)) from None
    rows = rows_of(request.table)
    return rows, AnswerSheet(len(rows), not request.omit_words)


def table_response(answers: "AnswerSheet") -> bytes:
    """Return the DecideColumnsResponse of rows whose answers are told."""
    table = answers.table()
    return b"".join((bytes([_TABLE]), _varint(len(table)), table))


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def stream_item(payload: bytes) -> tuple[bytes, bytes]:
    """Return the request id and the DecideRequest of a DecideStreamRequest; malformed ones come back as they are, to fail by themselves."""
    try:
        request = _parsed("DecideStreamRequest", payload).request
        return _TWINS["DecideRequest"].FromString(request).request_id.decode(errors="replace").encode(), request
    except (DecodeError, RefusedError):
        return b"", payload


def stream_response(request_id: bytes, outcome: bytes | Failure) -> bytes:
    """Return the DecideStreamResponse of one answer or failure."""
    response = _TWINS["DecideStreamResponse"](request_id=request_id)
    if isinstance(outcome, Failure):
        response.error = item_error(outcome).SerializeToString()
    else:
        response.answer = outcome
    payload: bytes = response.SerializeToString()
    return payload


def explained_request(payload: bytes) -> bytes:
    """Return the DecideRequest of an ExplainRequest as a dry run that explains; raises RefusedError when it is none.

    It is parsed here, so that its last field ends where the bytes end: what is appended then stands for itself.
    """
    request: bytes = _parsed("ExplainRequest", payload).request
    _parsed("DecideRequest", request)
    # Appended fields win over earlier ones: dry_run (11) and explain (12) set.
    return request + b"\x58\x01\x60\x01"


def explain_response(decision: bytes) -> bytes:
    """Return the ExplainResponse of a DecideResponse."""
    response: bytes = _TWINS["ExplainResponse"](decision=decision).SerializeToString()
    return response


def subscriber_of(payload: bytes) -> str | None:
    """Return the subscriber's key of a DecideRequest as it was sent; None when it is none or its key is no text."""
    try:
        key: str = _TWINS["DecideRequest"].FromString(payload).subscriber.decode()
    except (DecodeError, UnicodeDecodeError):
        return None
    return key


def batch_request(payloads: Sequence[bytes]) -> bytes:
    """Return the DecideBatchRequest of some DecideRequests."""
    request: bytes = _TWINS["DecideBatchRequest"](items=payloads).SerializeToString()
    return request


def batch_results(response: bytes) -> list[bytes]:
    """Return each DecideBatchResult of a DecideBatchResponse as bytes."""
    return list(_TWINS["EncodedResults"].FromString(response).results)


def joined_results(results: Sequence[bytes]) -> bytes:
    """Return the DecideBatchResponse of some DecideBatchResults."""
    response: bytes = _TWINS["EncodedResults"](results=results).SerializeToString()
    return response


def failed_result(failure: Failure) -> bytes:
    """Return the DecideBatchResult of a failure."""
    result: bytes = _TWINS["DecideBatchResult"](error=item_error_bytes(failure)).SerializeToString()
    return result


def outcome_of(result: bytes) -> bytes | Failure:
    """Return the answer or the failure that a DecideBatchResult holds."""
    parsed = _TWINS["DecideBatchResult"].FromString(result)
    if result[:1] == bytes([_ANSWER]):
        answer: bytes = parsed.answer
        return answer
    return failure_of_item(error_pb2.ItemError.FromString(parsed.error))
