"""The seam's implementation: DecideRequest bytes in, DecideResponse bytes or failures out, for a batch of any size and with no grpc types."""

import time
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.base.snapshot import Snapshot
from engine.batch import DRY_RUN, Batch, Decisions, new_batch
from engine.bound import Bound
from engine.deciding import NO_MEMORY, REPEATED
from engine.engine import Engine, Replacement
from engine.limits import BATCH_ITEMS_MAX
from engine.rulebook import Rulebook
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

_ID_USED: Final = "used within 24 hours for another request of this subscriber; give each request its own id"
CONFLICTS: Final = {
    REPEATED: Failure(Code.ALREADY_EXISTS, f"request_id: {_ID_USED}", (Violation("request_id", _ID_USED),)),
    NO_MEMORY: Failure(
        Code.RESOURCE_EXHAUSTED,
        "the memory of answers is full, nothing was decided; send again later, or raise answers_bytes_max",
    ),
}


class Speaking(NamedTuple):
    """What reads and renders by one rulebook bound to a base."""

    reader: Reader
    content: Content
    answers: Answers
    explanations: Explanations


class Successor(NamedTuple):
    """A rulebook and a base ready to take over, and what reads and renders by them."""

    replacement: Replacement
    speaking: Speaking


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
        self._speaking = self._speaking_by(engine.bound, Content(engine.rulebook), engine.generation.number)

    def admit(self, rulebook: Rulebook) -> int:
        """Give what the rulebook names its codes in the ledger, and return the instant; raises LedgerFullError."""
        self.engine.admit(rulebook)
        return self.now_us()

    def successor(self, rulebook: Rulebook, snapshot: Snapshot, now_us: int) -> Successor:
        """Return what `take_over` wants, of a rulebook that was admitted at that instant; raises SnapshotError.

        For another thread than the one that decides, while that goes on; one at a time.
        """
        replacement = self.engine.replacement(rulebook, snapshot, now_us)
        content = self._speaking.content
        if content.rulebook is not rulebook:
            content = Content(rulebook)
        generation = self.engine.generation.number + 1
        return Successor(replacement, self._speaking_by(replacement.bound, content, generation))

    def take_over(self, successor: Successor) -> None:
        """Decide, read and render by the successor from the next call on."""
        self.engine.replace(successor.replacement, self.now_us())
        self._speaking = successor.speaking

    def _speaking_by(self, bound: Bound, content: Content, generation: int) -> Speaking:
        return Speaking(
            Reader(bound, self.hashes, new_batch(len(bound.field_index), BATCH_ITEMS_MAX)),
            content,
            Answers(bound, content, generation, self.ids),
            Explanations(bound),
        )

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
            failures = self._decide_some(items_of(payloads[start:end]))
            outcomes += self._leaving.singly(failures, self._taken_us([call.arrived_ns for call in calls[start:end]]))
        return outcomes

    def decide_message(self, items: Items, call: CallInfo) -> bytes:
        """Return the DecideBatchResponse of the items of one message or of a part of it; parts follow each other as their bytes do."""
        answers: list[bytes] = []
        for piece in items.pieces(BATCH_ITEMS_MAX):
            failures = self._decide_some(piece)
            answers.append(self._leaving.together(failures, self._taken_us([call.arrived_ns] * len(piece))))
        return b"".join(answers)

    def _taken_us(self, arrived_ns: list[int]) -> npt.NDArray[np.int64]:
        """Return how long items took that arrived at these instants, and count it."""
        taken_us = np.maximum((time.monotonic_ns() - np.array(arrived_ns, np.int64)) // 1_000, 0)
        self.figures.took(taken_us)
        return taken_us

    def _decide_some(self, items: Items) -> dict[int, Failure]:
        """Decide, leaving the answers in `_leaving`; return the failures of the items that failed."""
        reading = self._speaking.reader.read(items, self.now_us())
        failures, rows = dict(reading.failures), reading.batch.count
        self.figures.failed += len(failures)
        places = np.arange(len(items))
        if failures:
            places = np.delete(places, list(failures))
        self._leaving.begin(len(items))
        done = 0
        for batch, asked in reading.stretches():
            stretch = places[done : done + batch.count]
            decisions = self._decide(batch, asked)
            self._leaving.take(decisions, stretch, whole=batch.count == rows)
            for row in np.flatnonzero(decisions.conflict).tolist():
                failures[int(stretch[row])] = CONFLICTS[int(decisions.conflict[row])]
            done += batch.count
        return failures

    def _decide(self, batch: Batch, asked: Asked) -> Decisions:
        answers = self._speaking.answers
        answers.prepare(asked)
        if asked.flags[0] & EXPLAIN:
            explained = self.engine.explain(batch)
            answers.explained = self._speaking.explanations.of(explained, int(batch.channel[0]))
        decisions = self.engine.decide(batch, answers.render)
        self._count(batch, decisions)
        return decisions

    def _count(self, batch: Batch, decisions: Decisions) -> None:
        n = batch.count
        repeated = decisions.replayed == 1
        fresh = ~repeated & (decisions.conflict == 0) & ((batch.flags[:n] & DRY_RUN) == 0)
        self.figures.decided(decisions.reason[fresh], int(decisions.chosen_count[fresh].sum()))
        self.figures.repeated += int(repeated.sum())
