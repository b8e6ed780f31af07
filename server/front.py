"""The seam's implementation: DecideRequest bytes in, DecideResponse bytes or failures out, for a batch of any size and with no grpc types."""

import time
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from engine.batch import DRY_RUN, Batch, Decisions
from engine.deciding import NO_MEMORY, REPEATED
from engine.engine import Engine
from engine.limits import BATCH_ITEMS_MAX
from server.answers import Answers
from server.clock import Clock
from server.codec.dtypes import EXPLAIN, Asked
from server.codec.items import Items, items_of
from server.codec.leaving import Leaving
from server.codec.reader import Reader
from server.content import Content
from server.decision_id import DecisionIds
from server.decision_thread import CallInfo, Outcomes
from server.explanations import Explanations
from server.failure import Code, Failure, Violation
from server.figures import Figures
from server.statuses import item_error
from server.subscriber_hashes import SubscriberHashes

if TYPE_CHECKING:
    from server.codec.answer_sheet import AnswerSheet
    from server.codec.rows import Rows

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
        bound = self.engine.bound
        self._reader = Reader(bound, self.hashes, self.engine.new_batch())
        self._content = self._content_for(content)
        self._answers = Answers(bound, self._content, self.engine.generation.number, self.ids)
        self._explanations = Explanations(bound)

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
            failures = self._decide_some(items_of(payloads[start:end]), self._leaving)
            outcomes += self._leaving.singly(failures, self._taken_us([call.arrived_ns for call in calls[start:end]]))
        return outcomes

    def decide_message(self, items: Items, call: CallInfo) -> bytes:
        """Return the DecideBatchResponse of the items of one message or of a part of it; parts follow each other as their bytes do."""
        answers: list[bytes] = []
        for piece in items.pieces(BATCH_ITEMS_MAX):
            failures = self._decide_some(piece, self._leaving)
            answers.append(self._leaving.together(failures, self._taken_us([call.arrived_ns] * len(piece))))
        return b"".join(answers)

    def decide_rows(self, rows: "Rows", call: CallInfo, answers: "AnswerSheet") -> None:
        """Decide rows of a table, and tell `answers`, which expects them next."""
        for piece in rows.pieces(BATCH_ITEMS_MAX):
            answers.tell(self._decide_some(piece, answers))
            self._taken_us([call.arrived_ns] * len(piece))

    def _taken_us(self, arrived_ns: list[int]) -> npt.NDArray[np.int64]:
        """Return how long items took that arrived at these instants, and count it."""
        taken_us = np.maximum((time.monotonic_ns() - np.array(arrived_ns, np.int64)) // 1_000, 0)
        self.figures.took(taken_us)
        return taken_us

    def _decide_some(self, items: "Items | Rows", answers: "Leaving | AnswerSheet") -> dict[int, Failure]:
        """Decide, leaving the answers in `answers`; return the failures of the items that failed."""
        reading = self._reader.read(items, self.now_us())
        failures, rows = dict(reading.failures), reading.batch.count
        self.figures.failed += len(failures)
        places = np.arange(len(items))
        if failures:
            places = np.delete(places, list(failures))
        answers.begin(len(items))
        done = 0
        for batch, asked in reading.stretches():
            stretch = places[done : done + batch.count]
            self._answers.prepare(asked, None if isinstance(items, Items) else items.message)
            decisions = self._decide(batch, asked)
            answers.take(decisions, stretch, whole=batch.count == rows)
            for row in np.flatnonzero(decisions.conflict).tolist():
                failures[int(stretch[row])] = CONFLICTS[int(decisions.conflict[row])]
            done += batch.count
        return failures

    def _decide(self, batch: Batch, asked: Asked) -> Decisions:
        if asked.flags[0] & EXPLAIN:
            self._answers.explained = self._explanations.of(self.engine.explain(batch), int(batch.channel[0]))
        decisions = self.engine.decide(batch, self._answers.render)
        self._count(batch, decisions)
        return decisions

    def _count(self, batch: Batch, decisions: Decisions) -> None:
        n = batch.count
        repeated = decisions.replayed == 1
        fresh = ~repeated & (decisions.conflict == 0) & ((batch.flags[:n] & DRY_RUN) == 0)
        self.figures.decided(decisions.reason[fresh], int(decisions.chosen_count[fresh].sum()))
        self.figures.repeated += int(repeated.sum())
