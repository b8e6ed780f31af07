"""The decision path: a batch cut into runs, each run decided, held and remembered. Every door comes through here.

A run has one instant and no subscriber twice, so that its items cannot see each other's holds but through totals. An item that brings a
total near its limit ends what is held together, as does one that a shared ledger refuses; the rest of the run is then decided anew.
"""

from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from engine.batch import DRY_RUN, Batch, DecisionRows, Decisions
from engine.bound import Bound
from engine.dtypes.ledger import GRAIN_BYTES, HIT, MISS, OTHER_BODY
from engine.dtypes.rules import Moment
from engine.jit import direct, frozen
from engine.kernels.answering import answer_run
from engine.kernels.at_once import HELD, NOT_HELD, NOT_USUAL, SETTLED, decide_at_once
from engine.kernels.storing import store_answers
from engine.ledger.port import Ledger, LedgerFullError, OutcomeKind, Outcomes, Pending, Reading
from engine.limits import BATCH_ITEMS_MAX
from engine.runs import ROWS, Prepared, Runs
from engine.texts import TextArena

T = TypeVar("T")
Steps = Generator[Pending[Any], None, T]
"""Work that yields whatever it must wait for, and returns its result."""

Render = Callable[[Batch, Decisions, npt.NDArray[np.int64]], None]
"""Called as render(batch, decisions, index) for settled items, each once: writes their answers to `decisions`, to be remembered if they hold something."""

AtOnce = Callable[[Any, Batch, Decisions], int]
"""Called as at_once(step, batch, decisions), `step` being what engine.kernels.at_once takes: decides the batch in one call. Returns 0 when its answers are
there and remembered, NOT_USUAL when nothing is decided, else something else: the answers that were settled are then to be rendered and remembered."""

ANSWER_BYTES_MAX: Final = 64 * 1024
REPEATED, NO_MEMORY = 1, 2
"""Decisions.conflict: the request id was used with another body; the memory of answers is full."""
SETTLED_AT_ONCE: Final = 1
_store_answers: Final = direct(store_answers)
_decide_at_once: Final = direct(decide_at_once)
_NO_DECISIONS: Final = frozen(np.zeros(BATCH_ITEMS_MAX, np.uint64))
"""Of a run that holds nothing."""


def settle_at_once(step: Any, _batch: Batch, _decisions: Decisions) -> int:
    """Decide a usual batch in one call, and leave its answers to the renderer: AtOnce."""
    return _decide_at_once(step) or SETTLED_AT_ONCE


class Instant(NamedTuple):
    """When a run is decided."""

    raw_us: int
    now_us: int
    """Ledger time."""
    push_stopped: bool
    dry: bool


def waited(pending: Pending[T]) -> Steps[T]:
    """Yield until the answer is there, and return it."""
    while not pending.ready():
        yield pending
    return pending.result()


def drive(steps: Steps[T]) -> T:
    """Run the steps to their end, waiting wherever they wait."""
    while True:
        try:
            next(steps).result()
        except StopIteration as end:
            result: T = end.value
            return result


class Decider:
    """Decides batches with one rulebook, base and ledger."""

    def __init__(self, bound: Bound, ledger: Ledger, answer: Callable[[Any, Any], None] = answer_run) -> None:
        """`answer` decides a run, given references to a Run and its Answers: `answer_run`, or for a scan a kernel that counts besides."""
        self._bound = bound
        self._ledger = ledger
        self._answer = direct(answer)
        self.runs = Runs(bound)
        self._texts = TextArena()
        self._rows = DecisionRows(self._texts)
        self._answer_cost_bytes = ledger.answers.cost_bytes(ANSWER_BYTES_MAX)
        self._answer_grains = self._answer_cost_bytes // GRAIN_BYTES

    @property
    def decision_columns(self) -> Any:
        """What kernels take for the rows of the batch that was decided last."""
        return self._rows.reference

    def deciding(
        self, batch: Batch, render: Render | None, push_stopped: bool, at_once: AtOnce | None = None
    ) -> Steps[Decisions]:
        """Decide the batch as its items one after the other; without `render` no answer is remembered or recalled.

        The decisions and the bytes of the answers stay until the next batch. `at_once` decides a usual batch in one call, to the same effect.
        """
        self._texts.clear()
        decisions = self._rows.begin(batch.count)
        if render is not None and at_once is not None and batch.count:
            took = self._at_once(batch, decisions, push_stopped, at_once)
            if took != NOT_USUAL:
                if took:
                    settled = int(self.runs.done[SETTLED]), int(self.runs.done[HELD])
                    yield from self._run(batch, ROWS[: batch.count], decisions, render, push_stopped, settled=settled)
                return decisions
        start = 0
        while start < batch.count:
            end = self.runs.end_of(batch, start)
            yield from self._run(batch, ROWS[start:end], decisions, render, push_stopped)
            start = end
        return decisions

    def _at_once(self, batch: Batch, decisions: Decisions, push_stopped: bool, at_once: AtOnce) -> int:
        """Return what `at_once` does; NOT_USUAL when the ledger is not in memory."""
        in_memory = self._ledger.in_memory(batch.count)
        if in_memory is None:
            return NOT_USUAL
        (ledger, reading), index, raw_us = in_memory, ROWS[: batch.count], int(batch.now_us[0])
        instant = Instant(raw_us, max(raw_us, self._ledger.now_us), push_stopped, False)
        prepared = self._prepared(index, reading, instant, stuck=False)
        step = self.runs.step(batch, prepared, ledger, self._rows, self._answer_grains)
        took = at_once(step, batch, decisions)
        assert took != NOT_HELD, "a hold ends after it was granted"
        return took

    def _run(
        self,
        batch: Batch,
        index: npt.NDArray[np.int64],
        decisions: Decisions,
        render: Render | None,
        push_stopped: bool,
        *,
        settled: tuple[int, int] | None = None,
    ) -> Steps[None]:
        """Decide a run; `settled`: what `_attempt` would return first, when that has been done."""
        raw_us, dry = int(batch.now_us[index[0]]), bool(batch.flags[index[0]] & DRY_RUN)
        instant = self.instant(raw_us, dry, push_stopped)
        decisions.now_us[index[0] : index[-1] + 1] = instant.now_us
        if render is not None and not dry and settled is None:
            index = yield from self._recall(batch, index, decisions, instant)
        stuck = False
        while len(index):
            done, held = settled or (yield from self._attempt(batch, index, instant, stuck))
            if render is not None and done:
                render(batch, decisions, index[:done])
                if held:
                    yield from self._remember(batch, index[:done], held, decisions, instant)
            settled, stuck = None, done == 0
            index = index[done:]

    def instant(self, raw_us: int, dry: bool, push_stopped: bool) -> Instant:
        """Return the run's instant; unless it is a dry run, ledger time moves on to it."""
        return Instant(raw_us, raw_us if dry else self._ledger.advance(raw_us), push_stopped, dry)

    def _recall(
        self, batch: Batch, index: npt.NDArray[np.int64], decisions: Decisions, instant: Instant
    ) -> Steps[npt.NDArray[np.int64]]:
        """Return the items that must be decided: not those remembered, not those for whose answer there is no room."""
        answers = self._ledger.answers
        recalled = yield from waited(answers.recall(self.runs.requests_of(batch), index, instant.now_us))
        if recalled.known:
            hit = recalled.state == HIT
            decisions.text_start[index] = decisions.texts.add(recalled.answers)
            decisions.text_bytes[index] = recalled.answers.length_bytes
            decisions.replayed[index[hit]] = 1
            decisions.conflict[index[recalled.state == OTHER_BODY]] = REPEATED
            index = frozen(index[recalled.state == MISS])
        room = answers.room_bytes(instant.now_us) // self._answer_cost_bytes
        if room < len(index):
            decisions.conflict[index[room:]] = NO_MEMORY
        return index[:room]

    def _attempt(
        self, batch: Batch, index: npt.NDArray[np.int64], instant: Instant, stuck: bool
    ) -> Steps[tuple[int, int]]:
        """Decide these items and hold what they chose; return how many, from the first on, are settled, and how many of those hold something."""
        prepared = yield from self.prepare(batch, index, instant, stuck)
        self._answer(prepared.reference, self.runs.answers_reference)
        settled, decision = len(index), _NO_DECISIONS
        if not instant.dry:
            settled = self.runs.held_together(prepared)
            grants = self.runs.grants(prepared, settled)
            if grants is not None:
                granted = yield from waited(self._ledger.reserve(grants))
                settled, decision = granted.items, granted.decision
        return settled, self.store(self._rows, index, settled, decision)

    def store(
        self,
        rows: DecisionRows,
        index: npt.NDArray[np.int64],
        settled: int,
        decision: npt.NDArray[np.uint64] = _NO_DECISIONS,
    ) -> int:
        """Write the run's first answers to rows `index`; return how many hold something."""
        languages = self._bound.binding.languages
        return int(_store_answers(self.runs.answers_reference, languages, decision, rows.reference, index, settled))

    def prepare(
        self, batch: Batch, index: npt.NDArray[np.int64], instant: Instant, stuck: bool = False
    ) -> Steps[Prepared]:
        """Gather and read what the choice for these items needs; `stuck`: the first item has no room in the ledger, whatever it says."""
        subscribers = self.runs.gather(batch, index, instant.now_us)
        reading = yield from waited(self._ledger.read(subscribers))
        return self._prepared(index, reading, instant, stuck)

    def _prepared(self, index: npt.NDArray[np.int64], reading: Reading, instant: Instant, stuck: bool) -> Prepared:
        bound = self._bound
        clock = bound.clock_at(min(instant.raw_us, instant.now_us))
        if bound.total_caps:
            bound.work.since_day[:] = bound.since_days(clock, instant.now_us)
        moment = Moment(
            len(index), instant.raw_us, instant.now_us, int(instant.push_stopped), clock.horizon.end_us, int(stuck)
        )
        return self.runs.prepared(clock, reading, moment)

    def _remember(
        self, batch: Batch, index: npt.NDArray[np.int64], held: int, decisions: Decisions, instant: Instant
    ) -> Steps[None]:
        """Remember the answers of those rows, `held` of them, that hold something."""
        if held < len(index):
            index = frozen(index[decisions.decision[index] != 0])
        pending = self._ledger.answers.remember(
            self.runs.requests_of(batch), index, instant.now_us, decisions.answers()
        )
        if not (yield from waited(pending)):
            yield from self._take_back(batch, index, decisions)

    def _take_back(self, batch: Batch, held: npt.NDArray[np.int64], decisions: Decisions) -> Steps[None]:
        """Close the holds of answers that turned out too long for the memory: nobody saw them, so they count as decided and nothing else."""
        rows = np.repeat(held, decisions.chosen_count[held])
        rank = np.concatenate([np.arange(1, count + 1) for count in decisions.chosen_count[held]]).astype(np.uint8)
        outcomes = Outcomes(
            outcome=batch.request[rows] + np.stack([rank, rank], axis=1).astype(np.uint64),
            body=batch.body[rows],
            subscriber=batch.subscriber[rows],
            decision=decisions.decision[rows],
            rank=rank,
            kind=np.full(len(rows), OutcomeKind.FAILED, np.uint8),
            event_us=decisions.now_us[rows],
        )
        with suppress(LedgerFullError):  # the holds then end at their expiry
            yield from waited(self._ledger.record(outcomes))
        decisions.conflict[held], decisions.chosen_count[held], decisions.decision[held] = NO_MEMORY, 0, 0
        decisions.text_bytes[held] = 0
