"""The runs of one bound rulebook: their items, what kernels read and write for them, all in arrays that are made once."""

from operator import is_not
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.batch import Batch, DecisionRows
from engine.bound import Bound, Clock
from engine.breathing import breathe
from engine.bundles import reference, replaced
from engine.dtypes.ledger import FOREVER_US, Requests
from engine.dtypes.rules import Answers, Asking, Items, Moment, Run
from engine.jit import direct, frozen
from engine.kernels.at_once import DONE_WORDS, AtOnce
from engine.kernels.gather import CONTACT, MATCHED
from engine.kernels.grants import Asks, ask, held_together
from engine.kernels.runs import run_end, take_items
from engine.ledger.port import Grants, Reading, columns_of
from engine.limits import BATCH_ITEMS_MAX, NEVER_US, OFFERS_PER_ANSWER_MAX
from engine.reasons import STAGE_COUNT

_run_end: Final = direct(run_end)
_take_items: Final = direct(take_items)
_held_together: Final = direct(held_together)
_ask: Final = direct(ask)

SEEN_SLOTS: Final = 2 * BATCH_ITEMS_MAX
ROWS: Final = frozen(np.arange(BATCH_ITEMS_MAX))
"""The rows of a batch in their order."""


class Prepared(NamedTuple):
    """A run whose items are gathered."""

    parts: Run
    """The run, but for its moment."""
    moment: Moment
    reference: Any
    """What kernels take."""

    @property
    def run(self) -> Run:
        """The run."""
        return self.parts._replace(moment=self.moment)


class Runs:
    """Takes runs out of batches, one at a time: each overwrites the last."""

    def __init__(self, bound: Bound) -> None:
        n = BATCH_ITEMS_MAX
        self._bound = bound
        self._seen = np.zeros(SEEN_SLOTS, np.int64)
        self._serial = 0
        self._seen_at_once = np.zeros(SEEN_SLOTS, np.int64)
        self.items = Items(np.zeros(n, np.uint64), np.zeros(n, np.int64), *(np.zeros(n, np.int32) for _ in range(3)))
        self._items = reference(self.items)
        self._who: npt.NDArray[np.uint64] = frozen(self.items.subscriber)
        self._view = reference(bound.view)
        self._asked: Any = reference(bound.binding.asked(self.items.subscriber, self.items.now_us))
        breathe()
        self.answers: Answers = _new_answers(n)
        breathe()
        self._answers = reference(self.answers)
        self.asks: Asks = _new_asks(bound)
        self._asks = reference(self.asks)
        self._grants = Grants(subscriber=self.items.subscriber, **self.asks._asdict())
        self._grant_columns: Any = columns_of(self._grants)
        self._batch: Batch | None = None
        self._asking: Any = None
        self._requests: Any = None
        self.done = np.zeros(DONE_WORDS, np.int64)
        """What engine.kernels.at_once writes."""
        self._step: Any = None
        self._step_of: tuple[Any, ...] = ()
        self._parts: tuple[Clock, Reading] | None = None
        self._run: Run
        self._run_reference: Any = None

    def end_of(self, batch: Batch, start: int) -> int:
        """Return the end of the run of the batch that starts at item `start`."""
        if start + 1 == batch.count:
            return start + 1
        self._serial += BATCH_ITEMS_MAX
        return _run_end(self._asking_of(batch), start, batch.count, self._serial, self._seen)

    def _asking_of(self, batch: Batch) -> Any:
        if batch is not self._batch:
            self._batch, self._asking = batch, reference(Asking(*(getattr(batch, name) for name in Asking._fields)))
            self._requests = reference(Requests(batch.request, batch.body, batch.subscriber))
        return self._asking

    def requests_of(self, batch: Batch) -> Any:
        """Return what kernels take for who asks what in the batch."""
        self._asking_of(batch)
        return self._requests

    def gather(
        self, batch: Batch, index: npt.NDArray[np.int64], now_us: int, *, matched_alone: bool = False
    ) -> npt.NDArray[np.uint64]:
        """Take these items of the batch, all at `now_us`, and read their subscribers; return who they are.

        `matched_alone`: for `eligible_run` and nothing else, so that only what conditions ask about is read.
        """
        count = len(index)
        bound = self._bound
        _take_items(self._asking_of(batch), index, self._items, self._view, bound.asked_slots, count, now_us)
        bound.binding.gather_asked(self._asked, self._view, count, MATCHED if matched_alone else CONTACT)
        return self._who[:count]

    def prepared(self, clock: Clock, reading: Reading, moment: Moment) -> Prepared:
        """Return the gathered items with what the ledger holds of them."""
        bound = self._bound
        if self._parts is None or self._parts[0] is not clock or self._parts[1] is not reading:
            self._parts = clock, reading
            self._run = Run(
                bound.rules, bound.pairs, bound.matching, bound.conditions.tables, bound.binding.snapshot.rows,
                bound.binding.plan, clock.tables, bound.view, self.items, moment, reading.contacts, reading.totals, bound.work,
            )  # fmt: skip
            self._run_reference = reference(self._run)
        self._run_reference = replaced(self._run_reference, moment=moment)
        return Prepared(self._run, moment, self._run_reference)

    def step(self, batch: Batch, prepared: Prepared, ledger: Any, rows: DecisionRows, answer_grains: int) -> Any:
        """Return what engine.kernels.at_once takes for a batch, `prepared` but not gathered yet; `ledger`: what Ledger.in_memory gives to kernels."""
        bound = self._bound
        kept = self._asking_of(batch), bound.binding.changes(), prepared.reference, ledger, rows
        if len(self._step_of) != len(kept) or any(map(is_not, kept, self._step_of)):
            self._step_of = kept
            self._step = reference(
                AtOnce(
                    self._asking, self._requests, kept[1], self._asked, prepared.reference, self._answers, self._asks,
                    self._grant_columns, ledger, rows.reference, ROWS, self._seen_at_once, self.done, bound.asked_slots,
                    answer_grains, int(bound.total_caps),
                )
            )  # fmt: skip
        return self._step

    @property
    def answers_reference(self) -> Any:
        """What kernels take for `answers`."""
        return self._answers

    def held_together(self, prepared: Prepared) -> int:
        """Return how many of the decided items may be held together."""
        return (
            int(_held_together(prepared.reference, self._answers)) if self._bound.total_caps else prepared.moment.items
        )

    def grants(self, prepared: Prepared, items: int) -> Grants | None:
        """Return what the first `items` decided items ask the ledger to hold; None when that is nothing."""
        if not _ask(prepared.reference, self._answers, items, self._asks):
            return None
        self._grants.items = items
        return self._grants


def _new_answers(n: int) -> Answers:
    k = OFFERS_PER_ANSWER_MAX
    return Answers(
        reason=np.zeros(n, np.uint8),
        chosen_count=np.zeros(n, np.int32),
        chosen=np.full((n, k), -1, np.int32),
        score=np.zeros((n, k), np.float64),
        would_be_count=np.zeros(n, np.int32),
        would_be=np.full((n, k), -1, np.int32),
        stages=np.zeros((n, STAGE_COUNT), np.int32),
        not_before_us=np.zeros(n, np.int64),
        deadline_us=np.zeros(n, np.int64),
        expires_us=np.zeros(n, np.int64),
        next_allowed_us=np.full(n, NEVER_US, np.int64),
    )


def _new_asks(bound: Bound) -> Asks:
    n, k = BATCH_ITEMS_MAX, OFFERS_PER_ANSWER_MAX
    checks = n * k * int(bound.rules.candidates["cap_count"].max(initial=0)) if bound.total_caps else 0
    seats: dict[str, Any] = {name: np.zeros((n, k), np.uint16) for name in ("offer", "campaign", "category", "channel")}
    totals: dict[str, Any] = {name: np.zeros(checks, np.int64) for name in Asks._fields[8:]}
    return Asks(
        count=np.zeros(n, np.int32),
        expires_us=np.full(n, FOREVER_US, np.int64),
        flags=np.zeros((n, k), np.uint8),
        total_start=np.zeros(n + 1, np.int64),
        **seats,
        **totals,
    )
