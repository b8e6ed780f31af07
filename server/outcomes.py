"""RecordOutcomes: each outcome by itself, checked here, recorded by the ledger in order."""

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final

import numpy as np
from google.protobuf.message import DecodeError
from touchpoint.v1 import outcome_service_pb2 as pb

from engine.ledger.port import OutcomeResult, Outcomes
from engine.limits import BATCH_ITEMS_MAX, OFFERS_PER_ANSWER_MAX, REQUEST_ID_BYTES_MAX
from engine.shard import Shard
from server.codec.bounds import NOTE_BYTES_MAX
from server.decision_id import DecisionIds, DecisionName
from server.elsewhere import elsewhere, made_elsewhere
from server.failure import Code, Failure, RefusedError, Violation, invalid
from server.statuses import item_error
from server.values import checked_text, instant_us

Digest = Callable[[str, int], tuple[int, int]]
"""(id, subscriber hash) to the keyed 128-bit digest in two halves."""
Record = Callable[[Outcomes], Any]
"""Records outcomes; returns an (n,) OutcomeResult."""

_WORDS: Final = {
    status.number: status.name.removeprefix("OUTCOME_STATUS_") for status in pb.OutcomeStatus.DESCRIPTOR.values
}
_MESSAGES: Final = {
    OutcomeResult.CONFLICT: "outcome_id: used before for another outcome; give each outcome its own id",
    OutcomeResult.UNKNOWN_DECISION: "decision_id: no such decision, or no such rank in it, or too long ago",
    OutcomeResult.INVALID: "time: more than 5 minutes ahead of the server's clock, or before the decision",
}


class OutcomeReader:
    """Turns RecordOutcomes requests into the ledger's arrays and its results into responses."""

    def __init__(self, ids: DecisionIds, shard: Shard, digest: Digest, *, shared: bool = False) -> None:
        """`shared`: decisions of everybody are taken, since replicas share a ledger."""
        self._ids = ids
        self._shard = shard
        self._shared = shared
        self._digest = digest

    def record(self, payload: bytes, now_us: int, record: Record) -> tuple[bytes, list[str]]:
        """Return the response's bytes and what became of each, in a word; raises RefusedError for the request as a whole."""
        outcomes = parsed_outcomes(payload)
        names: list[DecisionName | None] = []
        results = [pb.OutcomeResult(outcome_id=outcome.outcome_id) for outcome in outcomes]
        for outcome, result in zip(outcomes, results, strict=True):
            names.append(self._checked(outcome, result))
        rows = [row for row, name in enumerate(names) if name is not None]
        if rows:
            found = [name for name in names if name is not None]
            recorded = record(self._columns([outcomes[row] for row in rows], found, now_us))
            for row, code in zip(rows, recorded.tolist(), strict=True):
                results[row].status = code
                results[row].message = _MESSAGES.get(OutcomeResult(code), "")
        response = pb.RecordOutcomesResponse(results=results)
        return response.SerializeToString(), [_WORDS[result.status] for result in results]

    def _checked(self, outcome: Any, result: Any) -> DecisionName | None:
        """Return the decision; None, with the result saying why, when the outcome cannot be recorded."""
        try:
            _check(outcome)
            name = self._ids.read(outcome.decision_id)
        except RefusedError as error:
            result.status, result.message = int(OutcomeResult.INVALID), error.failure.message
            return None
        except ValueError as error:
            result.status, result.message = int(OutcomeResult.UNKNOWN_DECISION), f"decision_id: {error}"
            return None
        if self._shared:
            return name
        if (owner := self._shard.owner(name.subscriber)) != self._shard.number:
            refused = item_error(elsewhere(self._shard, owner))
            result.status, result.message = pb.OUTCOME_STATUS_OTHER_SHARD, f"decision_id: {refused.message}"
            result.other_shard.CopyFrom(refused.other_shard)
            return None
        if name.shard != self._shard.number:
            result.status = int(OutcomeResult.UNKNOWN_DECISION)
            result.message = f"decision_id: {made_elsewhere(name.shard, self._shard)}"
            return None
        return name

    def _columns(self, outcomes: list[Any], names: list[DecisionName], now_us: int) -> Outcomes:
        digests = [
            self._digest(outcome.outcome_id, name.subscriber) for outcome, name in zip(outcomes, names, strict=True)
        ]
        bodies = [
            blake2b(outcome.SerializeToString(deterministic=True), digest_size=8).digest() for outcome in outcomes
        ]
        times = [instant_us(o.time, "time") if o.HasField("time") else now_us for o in outcomes]
        return Outcomes(
            outcome=np.array(digests, np.uint64).reshape(-1, 2),
            body=np.frombuffer(b"".join(bodies), "<u8").astype(np.uint64),
            subscriber=np.array([name.subscriber for name in names], np.uint64),
            decision=np.array([name.sequence for name in names], np.uint64),
            rank=np.array([outcome.rank for outcome in outcomes], np.uint8),
            kind=np.array([outcome.kind for outcome in outcomes], np.uint8),
            event_us=np.array(times, np.int64),
        )


def parsed_outcomes(payload: bytes) -> list[Any]:
    """Return the outcomes of a RecordOutcomesRequest; raises RefusedError when it is none, or has none, or too many."""
    try:
        outcomes = list(pb.RecordOutcomesRequest.FromString(payload).outcomes)
    except DecodeError:
        raise invalid("", "expected the bytes of a touchpoint.v1.RecordOutcomesRequest, were something else") from None
    if not 1 <= len(outcomes) <= BATCH_ITEMS_MAX:
        text = f"expected 1 to {BATCH_ITEMS_MAX:,} outcomes, were {len(outcomes):,}; send several requests"
        code = Code.RESOURCE_EXHAUSTED if outcomes else Code.INVALID_ARGUMENT
        raise RefusedError(Failure(code, f"outcomes: {text}", (Violation("outcomes", text),)))
    return outcomes


def _check(outcome: Any) -> None:
    if not 1 <= len(outcome.outcome_id.encode()) <= REQUEST_ID_BYTES_MAX:
        raise invalid(
            "outcome_id", f"expected 1 to {REQUEST_ID_BYTES_MAX} bytes, were {len(outcome.outcome_id.encode()):,}"
        )
    if not 1 <= outcome.rank <= OFFERS_PER_ANSWER_MAX:
        raise invalid("rank", f"expected 1 to {OFFERS_PER_ANSWER_MAX}, was {outcome.rank:,}")
    if outcome.kind not in pb.OutcomeKind.values() or not outcome.kind:
        raise invalid("kind", f"expected one of OutcomeKind, was {outcome.kind}")
    for note in ("refusal_reason", "tool", "agent"):
        checked_text(getattr(outcome, note), note, NOTE_BYTES_MAX)
    if outcome.HasField("time"):
        instant_us(outcome.time, "time")
