"""The decision path: a batch cut into runs, each run screened, chosen, held and remembered. Every door comes through here.

A run has one instant and no subscriber twice, so that its items cannot see each other's holds but through totals. An item that brings a
total near its limit ends what is held together, as does one that a shared ledger refuses; the rest of the run is then decided anew.
"""

from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from engine.batch import DRY_RUN, Batch, Decisions, new_decisions
from engine.bound import Bound
from engine.dtypes.ledger import FOREVER_US, HIT, MISS, OTHER_BODY
from engine.dtypes.rules import Answers, Items, Moment, Run
from engine.dtypes.texts import Texts
from engine.dtypes.view import View
from engine.jit import frozen
from engine.kernels.answering import answer_run
from engine.kernels.grants import Asks, ask, held_together
from engine.kernels.runs import run_end
from engine.kernels.screening import screen_run
from engine.ledger.port import Grants, Ledger, LedgerFullError, OutcomeKind, Outcomes, Pending
from engine.limits import BATCH_ITEMS_MAX, MICROSECONDS_PER_SECOND, OFFERS_PER_ANSWER_MAX
from engine.texts import TextArena

T = TypeVar("T")
T_scalar = TypeVar("T_scalar", bound=np.generic)
Steps = Generator[Pending[Any], None, T]
"""Work that yields whatever it must wait for, and returns its result."""

Render = Callable[[Batch, Decisions, npt.NDArray[np.int64]], None]
"""Called as render(batch, decisions, index) for settled items, each once: writes their answers to `decisions`, to be remembered if they hold something."""

SEEN_SLOTS: Final = 2 * BATCH_ITEMS_MAX
ANSWER_BYTES_MAX: Final = 64 * 1024
REPEATED, NO_MEMORY = 1, 2
"""Decisions.conflict: the request id was used with another body; the memory of answers is full."""


class Instant(NamedTuple):
    """When a run is decided."""

    moment: Moment
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

    def __init__(self, bound: Bound, ledger: Ledger) -> None:
        self._bound = bound
        self._ledger = ledger
        self._seen = np.zeros(SEEN_SLOTS, np.int64)
        self._asks = _new_asks(bound)
        self._texts = TextArena()

    def deciding(self, batch: Batch, render: Render | None, push_stopped: bool) -> Steps[Decisions]:
        """Decide the batch as its items one after the other; without `render` no answer is remembered or recalled.

        The bytes of the answers stay until the next batch.
        """
        self._texts.clear()
        decisions = new_decisions(batch.count, self._texts)
        n = batch.count
        subscriber, now_us, flags = frozen(batch.subscriber[:n]), frozen(batch.now_us[:n]), frozen(batch.flags[:n])
        start = 0
        while start < batch.count:
            end = self._run_end(subscriber, now_us, flags, start)
            yield from self._run(batch, np.arange(start, end), decisions, render, push_stopped)
            start = end
        return decisions

    def _run_end(
        self,
        subscriber: npt.NDArray[np.uint64],
        now_us: npt.NDArray[np.int64],
        flags: npt.NDArray[np.uint8],
        start: int,
    ) -> int:
        if start + 1 == len(subscriber):
            return start + 1
        self._seen[:] = -1
        return min(run_end(subscriber, now_us, flags, start, self._seen), start + self._bound.items_max)

    def _run(
        self,
        batch: Batch,
        index: npt.NDArray[np.int64],
        decisions: Decisions,
        render: Render | None,
        push_stopped: bool,
    ) -> Steps[None]:
        instant = self.instant(int(batch.now_us[index[0]]), bool(batch.flags[index[0]] & DRY_RUN), push_stopped)
        decisions.now_us[index] = instant.moment.now_us
        if render is not None and not instant.dry:
            index = yield from self._recall(batch, index, decisions, instant)
        stuck = False
        while len(index):
            done = yield from self._attempt(batch, index, decisions, instant, stuck)
            if render is not None and done:
                render(batch, decisions, index[:done])
                yield from self._remember(batch, index[:done], decisions, instant)
            stuck = done == 0
            index = index[done:]

    def instant(self, raw_us: int, dry: bool, push_stopped: bool) -> Instant:
        """Return the run's instant; unless it is a dry run, ledger time moves on to it."""
        now_us = raw_us if dry else self._ledger.advance(raw_us)
        clock = self._bound.clock_at(min(raw_us, now_us))
        return Instant(Moment(raw_us, now_us, int(push_stopped), clock.horizon.end_us), dry)

    def _recall(
        self, batch: Batch, index: npt.NDArray[np.int64], decisions: Decisions, instant: Instant
    ) -> Steps[npt.NDArray[np.int64]]:
        """Return the items that must be decided: not those remembered, not those for whose answer there is no room."""
        now_us = np.full(len(index), instant.moment.now_us)
        recalled = yield from waited(
            self._ledger.answers.recall(rows(batch.request, index), rows(batch.body, index), now_us)
        )
        if recalled.state.any():
            hit = recalled.state == HIT
            decisions.text_start[index] = decisions.texts.add(recalled.answers)
            decisions.text_bytes[index] = recalled.answers.length_bytes
            decisions.replayed[index[hit]] = 1
            decisions.conflict[index[recalled.state == OTHER_BODY]] = REPEATED
            index = index[recalled.state == MISS]
        answers = self._ledger.answers
        room = answers.room_bytes(instant.moment.now_us) // answers.cost_bytes(ANSWER_BYTES_MAX)
        decisions.conflict[index[room:]] = NO_MEMORY
        return index[:room]

    def _attempt(
        self, batch: Batch, index: npt.NDArray[np.int64], decisions: Decisions, instant: Instant, stuck: bool
    ) -> Steps[int]:
        """Decide these items and hold what they chose; return how many, from the first on, are settled."""
        run = yield from self.prepare(batch, index, instant, stuck)
        answers = rows_of(decisions, index)
        answer_run(run, answers)
        settled = len(index)
        if not instant.dry and answers.chosen_count.any():
            if self._bound.total_caps:
                settled = held_together(run, answers)
                answers.chosen_count[settled:] = 0
            granted = yield from waited(self._ledger.reserve(self._grants(run, answers)))
            refused = np.flatnonzero((granted.mask == 0) & (answers.chosen_count > 0))
            settled = int(refused[0]) if len(refused) else settled
            decisions.decision[index[:settled]] = granted.decision[:settled]
        store_answers(decisions, index[:settled], answers, self._bound)
        decisions.language[index] = self._bound.binding.languages[: len(index)]
        return settled

    def prepare(self, batch: Batch, index: npt.NDArray[np.int64], instant: Instant, stuck: bool = False) -> Steps[Run]:
        """Gather, screen and read what the choice for these items needs; `stuck`: the first item has no room in the ledger, whatever it says."""
        bound, n, moment = self._bound, len(index), instant.moment
        items = Items(
            *(frozen(column[index]) for column in (batch.subscriber, batch.trigger, batch.channel, batch.offers_max))
        )
        view = View._make(array[:n] for array in bound.view)
        bound.binding.gather(items.subscriber, np.full(n, moment.now_us), view, 0, n)
        self._fill_request(batch, index, view, moment.now_us)
        screen_run(bound.rules, bound.conditions.tables, view, items, moment.now_us, bound.work)
        reading = yield from waited(self._ledger.read(items.subscriber))
        contacts = reading.contacts
        if stuck:
            room = contacts.room.copy()
            room[0] = 0
            contacts = contacts._replace(room=frozen(room))
        clock = bound.clock_at(min(moment.raw_us, moment.now_us))
        if bound.total_caps:
            bound.work.since_day[:] = bound.since_days(clock, moment.now_us)
        return Run(bound.rules, clock.tables, view, items, moment, contacts, reading.totals, bound.work)

    def _fill_request(self, batch: Batch, index: npt.NDArray[np.int64], view: View, now_us: int) -> None:
        now, fields = self._bound.now_slot, self._bound.field_slot
        view.values[:, now] = now_us // MICROSECONDS_PER_SECOND
        view.nanos[:, now] = now_us % MICROSECONDS_PER_SECOND * 1000
        view.known[:, now] = 1
        view.values[:, fields:] = batch.field_values[index]
        view.nanos[:, fields:] = batch.field_nanos[index]
        view.known[:, fields:] = batch.field_known[index]

    def _grants(self, run: Run, answers: Answers) -> Grants:
        n = len(run.items.subscriber)
        asks = Asks._make([*(array[:n] for array in self._asks[:5]), self._asks.total_start[: n + 1], *self._asks[6:]])
        ask(run.rules, run.items, answers, frozen(run.work.since_day), asks)
        checks = int(asks.total_start[n])
        return Grants(
            subscriber=run.items.subscriber,
            count=answers.chosen_count,
            offer=asks.offer,
            campaign=asks.campaign,
            category=asks.category,
            channel=asks.channel,
            flags=asks.flags,
            expires_us=np.where(answers.chosen_count > 0, answers.expires_us, FOREVER_US),
            total_start=asks.total_start,
            total_slot=asks.total_slot[:checks],
            total_event=asks.total_event[:checks],
            total_since_day=asks.total_since_day[:checks],
            total_limit=asks.total_limit[:checks],
        )

    def _remember(
        self, batch: Batch, index: npt.NDArray[np.int64], decisions: Decisions, instant: Instant
    ) -> Steps[None]:
        held = index[decisions.decision[index] != 0]
        if not len(held):
            return
        pending = self._ledger.answers.remember(
            rows(batch.request, held),
            rows(batch.body, held),
            rows(batch.subscriber, held),
            instant.moment.now_us,
            Texts(decisions.texts.data, rows(decisions.text_start, held), rows(decisions.text_bytes, held)),
        )
        if not (yield from waited(pending)):
            yield from self._take_back(batch, held, decisions)

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


def rows(column: npt.NDArray[T_scalar], index: npt.NDArray[np.int64]) -> npt.NDArray[T_scalar]:
    """Return a column's rows: a view where they stand together, as they mostly do."""
    if len(index) and len(index) == index[-1] - index[0] + 1:
        return column[index[0] : index[-1] + 1]
    return column[index]


def rows_of(decisions: Decisions, index: npt.NDArray[np.int64]) -> Answers:
    """Return the decisions' rows of a stretch of items to be written in place, or rows of their own for scattered items."""
    columns = [getattr(decisions, name) for name in Answers._fields]
    if len(index) == index[-1] - index[0] + 1:
        return Answers(*(column[index[0] : index[-1] + 1] for column in columns))
    return Answers(*(np.zeros((len(index), *column.shape[1:]), column.dtype) for column in columns))


def store_answers(decisions: Decisions, index: npt.NDArray[np.int64], answers: Answers, bound: Bound) -> None:
    """Write the settled items' answers and scores."""
    n = len(index)
    if answers.reason.base is not decisions.reason:
        for name in Answers._fields:
            getattr(decisions, name)[index] = getattr(answers, name)[:n]
    if len(bound.rules.candidates):
        chosen = answers.chosen[:n]
        decisions.score[index] = np.where(chosen >= 0, bound.rules.candidates["score"][chosen], 0.0)


def _new_asks(bound: Bound) -> Asks:
    n, k = bound.items_max, OFFERS_PER_ANSWER_MAX
    totals = bound.rules.caps["total"].any() if len(bound.rules.caps) else False
    checks = n * k * int(bound.rules.candidates["cap_count"].max(initial=0)) if totals else 0
    return Asks._make(
        [
            *(np.zeros((n, k), np.uint16) for _ in range(4)),
            np.zeros((n, k), np.uint8),
            np.zeros(n + 1, np.int64),
            *(np.zeros(checks, np.int64) for _ in range(4)),
        ]
    )
