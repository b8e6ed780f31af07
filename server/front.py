"""The seam's implementation: DecideRequest bytes in, DecideResponse bytes or failures out, for a batch of any size and with no grpc types."""

import time
from collections.abc import Iterator
from itertools import groupby
from typing import Final

import numpy as np
import numpy.typing as npt

from engine.batch import DRY_RUN, Batch, Decisions
from engine.deciding import NO_MEMORY, REPEATED
from engine.engine import Engine
from engine.jit import frozen
from engine.limits import BATCH_ITEMS_MAX, MICROSECONDS_PER_SECOND
from server.answers import Answers
from server.clock import Clock
from server.codec.dtypes import EXPLAIN
from server.codec.dtypes import Asked as AskedArrays
from server.codec.items import Items, items_of
from server.codec.leaving import Leaving
from server.content import Content
from server.decision_id import DecisionIds
from server.decision_thread import CallInfo, Outcomes
from server.explanations import Explanations
from server.failure import Code, Failure, RefusedError, Violation
from server.figures import Figures
from server.requests import Asked, Requests
from server.statuses import item_error
from server.subscriber_hashes import SubscriberHashes

_ID_USED: Final = "used within 24 hours for another request of this subscriber; give each request its own id"
CONFLICTS: Final = {
    REPEATED: Failure(Code.ALREADY_EXISTS, f"request_id: {_ID_USED}", (Violation("request_id", _ID_USED),)),
    NO_MEMORY: Failure(
        Code.RESOURCE_EXHAUSTED,
        "the memory of answers is full, nothing was decided; send again later, or raise answers_bytes_max",
    ),
}


class DecisionFront:
    """Decides for whichever front brings the bytes; owned by the decision thread."""

    def __init__(
        self, engine: Engine, hashes: SubscriberHashes, ids: DecisionIds, clock: Clock, figures: Figures
    ) -> None:
        self.engine = engine
        self.clock = clock
        self.figures = figures
        self.hashes = hashes
        self.ids = ids
        self._leaving = Leaving(lambda failure: item_error(failure).SerializeToString())
        self._content: Content | None = None
        self.rebind()

    def rebind(self, content: Content | None = None) -> None:
        """Read and render by the engine's present rulebook and base; call it after every swap, with the rulebook's content if it is there already."""
        bound, interner = self.engine.bound, self.engine.bound.conditions.interner
        first = bound.field_slot
        self._requests = Requests(bound, self.hashes, lambda column, text: interner.intern(first + column, text))
        self._content = self._content_for(content)
        self._answers = Answers(bound, self._content, self.engine.generation.number, self.ids)
        self._explanations = Explanations(bound)
        self._batch = self.engine.new_batch()

    def _content_for(self, content: Content | None) -> Content:
        """Return the content of the engine's rulebook: the given one, or what is at hand, or made anew."""
        for known in (content, self._content):
            if known is not None and known.rulebook is self.engine.rulebook:
                return known
        return Content(self.engine.rulebook)

    def tick(self) -> None:
        """Do what time alone brings."""
        self.engine.tick(self.now_us())

    def now_us(self) -> int:
        """Return the wall clock, having stopped push when it cannot be trusted."""
        now_us = self.clock.now_us()
        self.engine.push_stopped = not self.clock.trusted
        return now_us

    def decide_batch(self, payloads: list[bytes], calls: list[CallInfo]) -> Outcomes:
        """Return for each DecideRequest its DecideResponse or its failure, in order."""
        outcomes: Outcomes = []
        for start in range(0, len(payloads), BATCH_ITEMS_MAX):
            end = start + BATCH_ITEMS_MAX
            failures = self._decide_some(payloads[start:end])
            outcomes += self._leaving.singly(failures, self._taken_us([call.arrived_ns for call in calls[start:end]]))
        return outcomes

    def decide_message(self, items: Items, call: CallInfo) -> bytes:
        """Return the DecideBatchResponse of the items of one message or of a part of it; parts follow each other as their bytes do."""
        answers: list[bytes] = []
        for piece in items.pieces(BATCH_ITEMS_MAX):
            failures = self._decide_some([piece.payload(item) for item in range(len(piece))])
            answers.append(self._leaving.together(failures, self._taken_us([call.arrived_ns] * len(piece))))
        return b"".join(answers)

    def _taken_us(self, arrived_ns: list[int]) -> npt.NDArray[np.int64]:
        """Return how long items took that arrived at these instants, and count it."""
        taken_us = np.maximum((time.monotonic_ns() - np.array(arrived_ns, np.int64)) // 1_000, 0)
        self.figures.took(taken_us)
        return taken_us

    def _decide_some(self, payloads: list[bytes]) -> dict[int, Failure]:
        """Decide, leaving the answers in `_leaving`; return the failures of the items that failed."""
        now_us = self.now_us()
        self.engine.bound.conditions.interner.reset_if_needed(len(payloads))
        failures: dict[int, Failure] = {}
        asked: list[Asked] = []
        for place, payload in enumerate(payloads):
            try:
                asked.append(self._requests.read(payload))
            except RefusedError as error:
                failures[place] = error.failure
        self.figures.failed += len(failures)
        self._requests.hash_subscribers(asked)
        places = np.delete(np.arange(len(payloads)), list(failures)) if failures else np.arange(len(payloads))
        self._leaving.begin(len(payloads))
        done = 0
        for stretch in _stretches(asked):
            items = places[done : done + len(stretch)]
            decisions = self._decide(stretch, now_us)
            self._leaving.take(decisions, items, whole=len(stretch) == len(asked))
            for row in np.flatnonzero(decisions.conflict).tolist():
                failures[int(items[row])] = CONFLICTS[int(decisions.conflict[row])]
            done += len(stretch)
        return failures

    def _decide(self, asked: list[Asked], now_us: int) -> Decisions:
        batch = self._fill(asked, now_us)
        self._answers.prepare(_arrays_of(asked))
        if asked[0].message.explain:
            self._answers.explained = self._explanations.of(self.engine.explain(batch), asked[0].channel)
        decisions = self.engine.decide(batch, self._answers.render)
        self._count(batch, decisions)
        return decisions

    def _fill(self, asked: list[Asked], now_us: int) -> Batch:
        batch, n = self._batch, len(asked)
        batch.count = n
        batch.request[:n] = np.array([each.request for each in asked], np.uint64)
        batch.body[:n] = np.array([each.body for each in asked], np.uint64)
        batch.subscriber[:n] = np.array([each.subscriber for each in asked], np.uint64)
        batch.trigger[:n] = [each.trigger for each in asked]
        batch.channel[:n] = [each.channel for each in asked]
        batch.offers_max[:n] = [each.offers_max for each in asked]
        batch.flags[:n] = [DRY_RUN if each.message.dry_run else 0 for each in asked]
        batch.now_us[:n] = nows = [now_us if each.assumed_now_us is None else each.assumed_now_us for each in asked]
        batch.field_known[:n] = 0
        for item, each in enumerate(asked):
            time_us = nows[item] if each.time_us is None else each.time_us
            self._field(batch, item, (0, time_us // MICROSECONDS_PER_SECOND, time_us % MICROSECONDS_PER_SECOND * 1_000))
            for field in each.fields:
                self._field(batch, item, field)
        return batch

    @staticmethod
    def _field(batch: Batch, item: int, field: tuple[int, int, int]) -> None:
        column, value, nanos = field
        batch.field_values[item, column] = value
        batch.field_nanos[item, column] = nanos
        batch.field_known[item, column] = 1

    def _count(self, batch: Batch, decisions: Decisions) -> None:
        n = batch.count
        repeated = decisions.replayed == 1
        fresh = ~repeated & (decisions.conflict == 0) & ((batch.flags[:n] & DRY_RUN) == 0)
        self.figures.decided(decisions.reason[fresh], int(decisions.chosen_count[fresh].sum()))
        self.figures.repeated += int(repeated.sum())


def _stretches(asked: list[Asked]) -> Iterator[list[Asked]]:
    """Cut where an item wants an explanation, which must see the state at its own place: it goes alone."""
    for explain, stretch in groupby(asked, key=lambda each: bool(each.message.explain)):
        if explain:
            yield from ([each] for each in stretch)
        else:
            yield list(stretch)


def _arrays_of(asked: list[Asked]) -> AskedArrays:
    payloads = [each.message.SerializeToString() for each in asked]
    items = items_of(payloads)
    ids = np.array([len(each.message.request_id.encode()) for each in asked], np.int32)
    return AskedArrays(
        text=frozen(np.frombuffer(items.text, np.uint8)),
        item_at=frozen(items.item_at),
        item_bytes=frozen(items.item_bytes),
        id_at=frozen(items.item_at + np.where(ids < 128, 2, 3)),
        id_bytes=frozen(ids),
        language=frozen(np.array([each.language for each in asked], np.int32)),
        flags=frozen(np.array([EXPLAIN if each.message.explain else 0 for each in asked], np.uint8)),
    )
