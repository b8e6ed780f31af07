"""The seam's implementation: DecideRequest bytes in, DecideResponse bytes or failures out, for a batch of any size and with no grpc types."""

import time
from collections.abc import Iterator
from itertools import groupby
from typing import Final

import numpy as np

from engine.batch import DRY_RUN, Batch, Decisions
from engine.deciding import NO_MEMORY, REPEATED
from engine.engine import Engine
from engine.limits import BATCH_ITEMS_MAX, MICROSECONDS_PER_SECOND
from server.answers import Answers, with_time
from server.clock import Clock
from server.codec.items import Items
from server.decision_id import DecisionIds
from server.decision_thread import CallInfo, Outcomes
from server.explanations import Explanations
from server.failure import Code, Failure, RefusedError, Violation
from server.figures import Figures
from server.framing import batch_response
from server.requests import Asked, Requests
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
        self.rebind()

    def rebind(self) -> None:
        """Read and render by the engine's present rulebook and base; call it after every swap."""
        bound, interner = self.engine.bound, self.engine.bound.conditions.interner
        first = bound.field_slot
        self._requests = Requests(bound, self.hashes, lambda column, text: interner.intern(first + column, text))
        self._answers = Answers(bound, self.engine.generation.number, self.ids)
        self._explanations = Explanations(bound)
        self._batch = self.engine.new_batch()

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
            outcomes += self._decide_some(payloads[start : start + BATCH_ITEMS_MAX])
        ended_ns = time.monotonic_ns()
        taken_us = [(ended_ns - call.arrived_ns) // 1_000 for call in calls]
        self.figures.took(np.array(taken_us, np.int64))
        return [
            outcome if isinstance(outcome, Failure) else with_time(outcome, us)
            for outcome, us in zip(outcomes, taken_us, strict=True)
        ]

    def decide_message(self, items: Items, call: CallInfo) -> bytes:
        """Return the DecideBatchResponse of the items of one message or of a part of it; parts follow each other as their bytes do."""
        payloads = [items.payload(item) for item in range(len(items))]
        return batch_response(self.decide_batch(payloads, [call] * len(payloads)))

    def _decide_some(self, payloads: list[bytes]) -> Outcomes:
        now_us = self.now_us()
        self.engine.bound.conditions.interner.reset_if_needed(len(payloads))
        outcomes: list[bytes | Failure | None] = [None] * len(payloads)
        asked: list[Asked] = []
        places: list[int] = []
        for place, payload in enumerate(payloads):
            try:
                asked.append(self._requests.read(payload))
                places.append(place)
            except RefusedError as error:
                outcomes[place] = error.failure
        self.figures.failed += len(payloads) - len(asked)
        self._requests.hash_subscribers(asked)
        decided = (outcome for stretch in _stretches(asked) for outcome in self._decide(stretch, now_us))
        for place, outcome in zip(places, decided, strict=True):
            outcomes[place] = outcome
        return [outcome for outcome in outcomes if outcome is not None]

    def _decide(self, asked: list[Asked], now_us: int) -> Outcomes:
        batch = self._fill(asked, now_us)
        self._answers.prepare(asked, batch)
        if asked[0].message.explain:
            self._answers.explained = self._explanations.of(self.engine.explain(batch), asked[0].channel)
        decisions = self.engine.decide(batch, self._answers.render)
        self._count(batch, decisions)
        return [self._outcome(batch, decisions, item) for item in range(batch.count)]

    def _outcome(self, batch: Batch, decisions: Decisions, item: int) -> bytes | Failure:
        if conflict := int(decisions.conflict[item]):
            return CONFLICTS[conflict]
        answer = decisions.replay[item] or decisions.rendered[item]
        return answer if answer is not None else self._answers.render(batch, decisions, item)

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
        repeated = np.array([answer is not None for answer in decisions.replay], np.bool_)
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
