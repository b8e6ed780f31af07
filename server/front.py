"""The seam's implementation: DecideRequest bytes in, DecideResponse bytes or failures out, for a batch of any size and with no grpc types."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.base.changes import Change
from engine.base.describe import Description
from engine.base.snapshot import Snapshot
from engine.batch import DRY_RUN, Batch, Decisions, new_batch
from engine.bound import Bound
from engine.breathing import breathe
from engine.deciding import NO_MEMORY, REPEATED, AtOnce
from engine.engine import Engine, Replacement
from engine.handing_off import HandOff
from engine.journal.journal import Journal
from engine.ledger.names import Kind
from engine.ledger.port import Outcomes as Recorded
from engine.limits import BATCH_ITEMS_MAX
from engine.rulebook import Rulebook
from engine.shard import WHOLE, Shard
from server.answers import Answers
from server.around import Around
from server.clock import Clock
from server.codec.dtypes import EXPLAIN, Asked
from server.codec.items import Items, items_of
from server.codec.leaving import Leaving
from server.codec.reader import Reader, Reading
from server.content import Content
from server.decision_id import DecisionIds
from server.explanations import Explanations
from server.failure import UNSAFE, Code, Failure, RefusedError, Violation
from server.figures import Figures
from server.noting import Noting
from server.statuses import item_error_bytes
from server.subscriber_hashes import SubscriberHashes
from server.work import CallInfo, Outcomes

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
        self,
        engine: Engine,
        hashes: SubscriberHashes,
        ids: DecisionIds,
        clock: Clock,
        figures: Figures,
        *,
        journal: Journal | None = None,
        around: Around | None = None,
        shard: Shard = WHOLE,
    ) -> None:
        """`shard`: whose subscribers are decided for."""
        self.engine = engine
        self.around = around
        self.clock = clock
        self.figures = figures
        self.hashes = hashes
        self.ids = ids
        self.journal = journal
        self._shard = shard
        self._noting = Noting(journal, engine) if journal is not None else None
        self._repeating = 0
        """Batches that repeated an answer, which may not be on disk yet."""
        self._leaving = Leaving(item_error_bytes)
        self._speaking = self._speaking_by(engine.bound, Content(engine.rulebook), engine.generation.number)

    def successor(self, rulebook: Rulebook, snapshot: Snapshot, now_us: int) -> Successor:
        """Return what `take_over` wants, of a rulebook that was admitted to the engine; raises SnapshotError.

        For another thread than the one that decides, while that goes on; one at a time.
        """
        replacement = self.engine.replacement(rulebook, snapshot, now_us)
        breathe()
        content = self._speaking.content
        if content.rulebook is not rulebook:
            content = Content(rulebook, content)
        generation = self.engine.generation.number + 1
        return Successor(replacement, self._speaking_by(replacement.bound, content, generation))

    def take_over(self, successor: Successor) -> Successor:
        """Decide, read and render by the successor from the next call on; return what did so before, for whoever has the time to let it go."""
        before = Successor(self.engine.replace(successor.replacement, self.now_us()), self._speaking)
        self._speaking = successor.speaking
        return before

    def _speaking_by(self, bound: Bound, content: Content, generation: int) -> Speaking:
        reader = Reader(bound, self.hashes, new_batch(len(bound.field_index), BATCH_ITEMS_MAX), self._shard)
        breathe()
        reasons = self.figures.reasons if self.around is None else None  # a batch may be decided several times
        answers = Answers(bound, content, generation, self.ids, reasons)
        breathe()
        return Speaking(reader, content, answers, Explanations(bound))

    def tick(self) -> None:
        """Do what time alone brings."""
        self.engine.tick(self.now_us())
        if self.around is not None:
            self.around.tick()

    @property
    def changes(self) -> int:
        """A number that grows with everything that is to be on disk before its callers may know."""
        return 0 if self.journal is None else self.journal.next + self._repeating

    def settle(self) -> bool:
        """Return whether what was done since the last call is as safe as durability says, so that its answers may go."""
        return self.journal is None or self.journal.commit() or not self.journal.promised

    def now_us(self) -> int:
        """Return the wall clock, having stopped push when it cannot be trusted."""
        now_us = self.clock.now_us()
        self.engine.push_stopped = not self.clock.trusted
        return now_us

    def decide_batch(self, payloads: list[bytes], calls: list[CallInfo]) -> Outcomes:
        """Return for each DecideRequest its DecideResponse or its failure, in order."""
        if len(payloads) > BATCH_ITEMS_MAX:
            outcomes = self.decide_batch(payloads[:BATCH_ITEMS_MAX], calls[:BATCH_ITEMS_MAX])
            return outcomes + self.decide_batch(payloads[BATCH_ITEMS_MAX:], calls[BATCH_ITEMS_MAX:])
        failures = self._decide_some(items_of(payloads), self._leaving)
        arrived_ns = np.array([call.arrived_ns for call in calls], np.int64)
        return self._leaving.singly(failures, self.figures.took(arrived_ns, time.monotonic_ns()))

    def decide_message(self, items: Items, call: CallInfo) -> bytes:
        """Return the DecideBatchResponse of the items of one message or of a part of it; parts follow each other as their bytes do."""
        answers: list[bytes] = []
        for piece in items.pieces(BATCH_ITEMS_MAX):
            failures = self._decide_some(piece, self._leaving)
            arrived_ns = np.full(len(piece), call.arrived_ns)
            answers.append(self._leaving.together(failures, self.figures.took(arrived_ns, time.monotonic_ns())))
        return b"".join(answers)

    def decide_rows(self, rows: "Rows", call: CallInfo, answers: "AnswerSheet") -> None:
        """Decide rows of a table, at most BATCH_ITEMS_MAX, and tell `answers`, which expects them next."""
        answers.tell(self._decide_some(rows, answers))
        self.figures.took(np.full(len(rows), call.arrived_ns), time.monotonic_ns())

    def _decide_some(self, items: "Items | Rows", answers: "Leaving | AnswerSheet") -> dict[int, Failure]:
        """Decide, leaving the answers in `answers`; return the failures of the items that failed."""
        reading = self._speaking.reader.read(items, self.now_us())
        if reading.odd or reading.failures or not reading.batch.count:
            return self._decide_odd(reading, items, answers)
        decisions, conflicts = self._decide(reading.batch, reading.asked, _table(items))
        answers.take_all(decisions)
        if not conflicts:
            return {}
        return {row: CONFLICTS[int(decisions.conflict[row])] for row in np.flatnonzero(decisions.conflict).tolist()}

    def _decide_odd(
        self, reading: Reading, items: "Items | Rows", answers: "Leaving | AnswerSheet"
    ) -> dict[int, Failure]:
        """Do so when some of the items have no row, or want to be decided alone."""
        failures, rows = dict(reading.failures), reading.batch.count
        self.figures.failed += len(failures) - reading.foreign
        self.figures.foreign += reading.foreign
        places, table = np.arange(len(items)), _table(items)
        if failures:
            places = np.delete(places, list(failures))
        answers.begin(len(items))
        done = 0
        for batch, asked in reading.stretches():
            stretch = places[done : done + batch.count]
            decisions, _ = self._decide(batch, asked, table)
            answers.take(decisions, stretch, whole=batch.count == rows)
            for row in np.flatnonzero(decisions.conflict).tolist():
                failures[int(stretch[row])] = CONFLICTS[int(decisions.conflict[row])]
            done += batch.count
        return failures

    def _decide(self, batch: Batch, asked: Asked, table: "Rows | None") -> tuple[Decisions, int]:
        """Return the decisions, and how many of them are conflicts; `table`: what the batch is rows of."""
        answers = self._speaking.answers
        if self.around is None:
            decisions = self._decide_here(batch, asked, table)
            if answers.counted:
                self.figures.offers += answers.offers
                return decisions, 0
        else:
            decisions = self.around.decide(batch, lambda: self._decide_here(batch, asked, table))
        self._repeating += bool(decisions.replayed[: batch.count].any())
        return decisions, self.figures.decided(batch, decisions)

    def read(self, items: Items, now_us: int) -> Reading:
        """Return what the items ask at this instant, for whoever decides again what was decided once (`decide_again`)."""
        return self._speaking.reader.read(items, now_us)

    def decide_again(self, batch: Batch, asked: Asked, withheld: bool) -> Decisions:
        """Return the decisions of a batch as it was decided then; `withheld`: push answered STATE_UNAVAILABLE."""
        if withheld:
            self._withhold(batch, whole=False)
        return self._decide_here(batch, asked, None)

    def _decide_here(self, batch: Batch, asked: Asked, table: "Rows | None") -> Decisions:
        answers = self._speaking.answers
        if self.journal is not None and self.journal.failure is not None:
            self._withhold(batch, whole=self.journal.full)
        answers.prepare(asked, None if table is None else table.message)
        at_once: AtOnce | None = answers.at_once
        if asked.flags[0] & EXPLAIN:
            at_once = None
            explained = self.engine.explain(batch)
            answers.explained = self._speaking.explanations.of(explained, int(batch.channel[0]))
        decisions = self.engine.decide(batch, answers.render, at_once)
        if self._noting is not None and not self._noting.full:
            self._noting.decided(batch, answers.asked_reference, decisions, table)
        return decisions

    def _withhold(self, batch: Batch, *, whole: bool) -> None:
        """Have push answer STATE_UNAVAILABLE, while the journal cannot be written, and everything when no more can be kept for it."""
        count, push = batch.count, self.engine.bound.rules.channels["push"]
        stopped = np.ones(count, np.bool_) if whole else push[batch.channel[:count]] != 0
        batch.offers_max[:count][stopped & (batch.flags[:count] & DRY_RUN == 0)] = 0

    def check_kept(self) -> None:
        """Raise RefusedError when what is about to change could not be kept."""
        if self.journal is not None and self.journal.full:
            raise RefusedError(UNSAFE)

    def record(self, outcomes: Recorded, now_us: int) -> npt.NDArray[np.uint8]:
        """Record outcomes; return an (n,) OutcomeResult. Raises LedgerFullError with nothing recorded, RefusedError when that is not sure."""
        self.check_kept()
        if self.around is None:
            return self.engine.record(outcomes, now_us)
        results: npt.NDArray[np.uint8] = self.around.record(outcomes, lambda some: self.engine.record(some, now_us))
        return results

    def check_hand_off(self, hold: tuple[int, int, int], now_us: int) -> HandOff | None:
        """Return whether the hold (subscriber hash, decision, rank) may go out now; None when nothing can be known of it."""
        if self.journal is not None and self.journal.failure is not None:
            return None
        if self.around is None:
            return self.engine.check_hand_off(hold, now_us)
        return self.around.check_hand_off(hold[0], lambda: self.engine.check_hand_off(hold, now_us))

    def update(self, subscriber: int, change: Change) -> None:
        """Apply a live change; raises what engine.base.changes.apply_change raises, and RefusedError."""
        if self.around is None:
            self.engine.update(subscriber, change)
        else:
            self.around.update(subscriber, change.at_us, lambda: self.engine.update(subscriber, change))

    def describe(self, subscriber: int, now_us: int) -> Description:
        """Return what is known of the subscriber at this instant."""
        if self.around is None:
            return self.engine.describe(subscriber, now_us)
        return self.around.describe(subscriber, lambda: self.engine.describe(subscriber, now_us))

    def forget(self, subscriber: int) -> None:
        """Erase a subscriber; raises OverlayFullError, RefusedError."""
        self.check_kept()
        if self.around is None:
            self.engine.forget(subscriber)
        else:
            self.around.forget(subscriber, lambda: self.engine.forget(subscriber))

    def statistics(self) -> dict[str, int]:
        """Return the ledger's figures; those of what is shared, not of where it is worked in."""
        return self.engine.ledger.statistics() if self.around is None else self.around.statistics()

    def admit(self, named: Sequence[tuple[Kind, str]]) -> None:
        """Give names their codes; raises LedgerFullError, RefusedError."""
        if self.around is not None:
            self.around.admit(named)
        self.engine.admit(named)


def let_go(left: list[Successor]) -> None:
    """Free what served before, the only one in the list, which nobody else may have: an item of its rulebook at a time."""
    replaced = left.pop()
    rulebook, said = replaced.replacement.bound.rulebook, replaced.speaking.content.items()
    catalogue, conditions = rulebook.catalogue, rulebook.conditions.conditions
    items = (catalogue.products, catalogue.offers, catalogue.campaigns, conditions, rulebook.terms, said)
    kept: list[Any] = [item for each in (*items, rulebook.candidates) for item in each]
    kept += [replaced.replacement.bound, replaced.replacement.decider, *replaced.speaking]
    del replaced, rulebook, said, catalogue, conditions, items
    while kept:
        breathe()
        kept.pop()


def _table(items: "Items | Rows") -> "Rows | None":
    return None if isinstance(items, Items) else items
