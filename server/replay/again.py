"""A decided record's requests asked again, of the subscribers and at the instant that the record says."""

from typing import Final, NamedTuple

import numpy as np
from touchpoint.v1 import decision_service_pb2 as pb

from engine.batch import Batch, Decisions
from engine.journal.records import Decided
from engine.journal.segments import JournalError
from server.codec.dtypes import Asked
from server.codec.items import items_of
from server.front import DecisionFront
from server.noting import PUSH_STOPPED, PUSH_WITHHELD

ANY_KEY: Final = "0000000000"
"""In place of a subscriber's key, which a journal does not hold: of a form that is its own normal form, whatever keys are."""


class Again(NamedTuple):
    """What a record's requests were answered by now, row for row."""

    batch: Batch
    decisions: Decisions


def askable(front: DecisionFront, decided: Decided) -> list[int]:
    """Return which of the record's requests can be read by what answers in this front."""
    payloads = [_with_any_key(row.message) for row in decided.rows]
    failures = front.read(items_of(payloads), decided.raw_us).failures
    return [row for row in range(len(decided.rows)) if row not in failures]


def decide_again(front: DecisionFront, decided: Decided) -> Again:
    """Decide the record's requests by what answers in this front; raises JournalError when they cannot be read by it."""
    engine = front.engine
    engine.push_stopped = bool(decided.stopped & PUSH_STOPPED)
    # What left no record, a repeated request or a tick, may have advanced it before the clock was set back.
    engine.ledger.advance(decided.now_us)
    reading = front.read(items_of([row.message for row in decided.rows]), decided.raw_us)
    if reading.odd:
        reading = front.read(items_of([_with_any_key(row.message) for row in decided.rows]), decided.raw_us)
    if reading.failures:
        row, failure = next(iter(reading.failures.items()))
        raise JournalError(f"request {row} cannot be asked of this rulebook: {failure.message}")
    batch, asked = reading.batch, reading.asked
    for row, noted in enumerate(decided.rows):
        batch.request[row] = np.frombuffer(noted.request, ">u8")
        batch.body[row], batch.subscriber[row], batch.now_us[row] = noted.body, noted.subscriber, decided.raw_us
    return Again(batch, _decided(front, batch, asked, bool(decided.stopped & PUSH_WITHHELD)))


def _decided(front: DecisionFront, batch: Batch, asked: Asked, withheld: bool) -> Decisions:
    return front.decide_again(batch, asked, withheld)


def _with_any_key(message: bytes) -> bytes:
    request = pb.DecideRequest.FromString(message)
    request.subscriber = ANY_KEY
    payload: bytes = request.SerializeToString(deterministic=True)
    return payload
