"""Tables of requests as any client would write them, and tables of answers as rows."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]  # it ships none
from touchpoint.v1 import decision_service_pb2 as pb
from touchpoint.v1 import reason_pb2

from server.failure import Failure

TEXTS: Final = ("request_id", "subscriber", "placement", "channel", "language", "tool", "agent", "outlet")
KINDS: Final = {
    "bool_value": pa.bool_(),
    "int_value": pa.int64(),
    "double_value": pa.float64(),
    "string_value": pa.utf8(),
}


def stream(table: pa.Table | pa.RecordBatch, **options: Any) -> bytes:
    """Return the table as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write(table)
    written: bytes = sink.getvalue().to_pybytes()
    return written


def table_of(requests: Sequence[pb.DecideRequest]) -> pa.Table:
    """Return the requests as a table of the plainest types; a field has one type in all of them."""
    columns: dict[str, pa.Array] = {}
    for name in TEXTS:
        columns[name] = pa.array([getattr(r, name) if _has_text(r, name) else None for r in requests], pa.utf8())
    events = [r.trigger if r.HasField("trigger") else None for r in requests]
    columns["trigger"] = pa.array([e.type if e else None for e in events], pa.utf8())
    columns["trigger_time"] = _instants([e.time if e and e.HasField("time") else None for e in events])
    columns["max_offers"] = pa.array([r.max_offers if r.HasField("max_offers") else None for r in requests], pa.int64())
    columns["dry_run"] = pa.array([r.dry_run or None for r in requests], pa.bool_())
    columns["assumed_now"] = _instants([r.assumed_now if r.HasField("assumed_now") else None for r in requests])
    for name in sorted({name for e in events if e for name in e.fields}):
        columns[f"field.{name}"] = _field([e.fields[name] if e and name in e.fields else None for e in events])
    return pa.table(columns)


def _has_text(request: pb.DecideRequest, name: str) -> bool:
    if name == "placement":
        return request.HasField("placement")
    return bool(getattr(request, name)) or name in ("request_id", "subscriber", "channel")


def _counted(held: list[Any], type_of: Callable[[str], pa.DataType]) -> pa.Array:
    """Return instants or durations in seconds where that is exact, else in nanoseconds."""
    exact = all(one is None or not one.nanos for one in held)
    per_second, unit = (1, "s") if exact else (1_000_000_000, "ns")
    found = [None if one is None else one.seconds * per_second + one.nanos for one in held]
    return pa.array(found, pa.int64()).cast(type_of(unit))


def _instants(held: list[Any]) -> pa.Array:
    return _counted(held, lambda unit: pa.timestamp(unit, "UTC"))


def _field(values: list[Any]) -> pa.Array:
    kinds = {value.WhichOneof("kind") for value in values if value is not None}
    assert len(kinds) == 1, "a column has one type"
    kind = kinds.pop()
    held = [None if value is None else getattr(value, kind) for value in values]
    if kind in ("timestamp_value", "duration_value"):
        return _instants(held) if kind == "timestamp_value" else _counted(held, pa.duration)
    return pa.array(held, KINDS[kind])


def read(response: pb.DecideColumnsResponse) -> pa.Table:
    """Return the answers, which must be right in every way."""
    table = pa.ipc.open_stream(response.table).read_all()
    table.validate(full=True)
    return table


def told(result: pb.DecideResponse | Failure | pb.DecideBatchResult, words: bool = True) -> dict[str, Any]:
    """Return an answer or failure as the row that a table has of it, but `replayed`."""
    if isinstance(result, pb.DecideBatchResult):
        if result.HasField("error"):
            field = result.error.violations[0].field if result.error.violations else None
            return _failed(result.error.code, result.error.message, field)
        result = result.answer
    if isinstance(result, Failure):
        return _failed(int(result.code), result.message, result.violations[0].field if result.violations else None)
    first = result.offers[0] if result.offers else None
    return {
        "reason": reason_pb2.Reason.Name(result.reason).removeprefix("REASON_"),
        "decision_id": result.decision_id or None,
        "offers": [_offer(offer, words) for offer in result.offers],
        "hold_until": _us(first, "hold_until"),
        "send_not_before": _us(first, "send_not_before"),
        "send_deadline": _us(first, "send_deadline"),
        "next_allowed": _us(result, "next_allowed"),
        "decided_at": _us(result, "decided_at"),
        "rulebook_generation": result.rulebook_generation,
        "base_version": result.base_version,
        "error_code": None,
        "error_message": None,
        "error_field": None,
        "error_shard": None,
    }


def _offer(offer: Any, words: bool) -> dict[str, Any]:
    found = {"rank": offer.rank, "offer": offer.offer, "campaign": offer.campaign, "score": offer.score}
    if words:
        found |= {"content": offer.content, "script": offer.script or None, "language": offer.language}
    return found


def _us(message: Any, name: str) -> int | None:
    return getattr(message, name).ToMicroseconds() if message is not None and message.HasField(name) else None


def _failed(code: int, message: str, field: str | None) -> dict[str, Any]:
    names = ("reason", "decision_id", "offers", "hold_until", "send_not_before", "send_deadline", "next_allowed")
    nothing: dict[str, Any] = dict.fromkeys((*names, "decided_at", "rulebook_generation", "base_version"))
    return nothing | {"error_code": code, "error_message": message, "error_field": field, "error_shard": None}


def rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows with instants as microseconds."""
    for number, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(number, field.name, table.column(number).cast(pa.int64()))
    found: list[dict[str, Any]] = table.to_pylist()
    return found
