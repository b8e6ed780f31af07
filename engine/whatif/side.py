"""One rulebook in a scan: bound to the base, with an empty ledger, deciding through the engine's own path and counting what comes of it."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engine.base.overlay import Overlay
from engine.base.snapshot import Snapshot
from engine.batch import DRY_RUN, Batch, new_batch
from engine.bound import Bound
from engine.bundles import reference
from engine.deciding import Decider, drive
from engine.ledger.answers import RingAnswers
from engine.ledger.memory import MemoryLedger
from engine.limits import CONTACTS_PER_SUBSCRIBER_MAX, MICROSECONDS_PER_SECOND
from engine.rulebook import Rulebook
from engine.whatif.fields import given_fields
from engine.whatif.kernels.tallying import tally_run
from engine.whatif.question import Question
from engine.whatif.tallies import Pair, new_tally

ANSWERS_BYTES: Final = 1 << 16
CONTACTS_MAX: Final = CONTACTS_PER_SUBSCRIBER_MAX
"""Nothing is held, and yet a decision asks whether there would be room: as much as one subscriber may ever have."""


class Asker:
    """Asks one bound rulebook for decisions about runs of subscribers, all at one instant; `answer` is the kernel that decides a run."""

    def __init__(
        self, bound: Bound, ledger: MemoryLedger, question: Question, answer: Callable[[Any, Any], None]
    ) -> None:
        self.bound = bound
        self._decider = Decider(bound, ledger, answer)
        self._fields = given_fields(bound, question.fields)
        self._batch = self._new_batch(question)
        bound.set_policy(ledger, question.at_us)

    def ask(self, pair: Pair, subscribers: npt.NDArray[np.uint64], *, dry: bool) -> None:
        """Decide for each of these distinct subscribers; at most BATCH_ITEMS_MAX."""
        batch, count = self._batch, len(subscribers)
        trigger = self.bound.trigger_index[pair.trigger]
        batch.count = count
        batch.subscriber[:count] = subscribers
        batch.trigger[:] = trigger
        batch.channel[:] = self.bound.channel_index[pair.channel]
        batch.flags[:] = DRY_RUN if dry else 0
        for field in self._fields:
            batch.field_known[:, field.column] = trigger in field.triggers
        drive(self._decider.deciding(batch, None, False))

    def _new_batch(self, question: Question) -> Batch:
        batch = new_batch(len(self.bound.field_index))
        batch.now_us[:] = question.at_us
        batch.offers_max[:] = question.offers_max
        batch.field_values[:, 0], micros = divmod(question.at_us, MICROSECONDS_PER_SECOND)
        batch.field_nanos[:, 0], batch.field_known[:, 0] = micros * 1_000, 1
        for field in self._fields:
            batch.field_values[:, field.column], batch.field_nanos[:, field.column] = field.value, field.nanos
        return batch


def new_ledger(contacts_max: int, at_us: int) -> MemoryLedger:
    """Return an empty ledger."""
    return MemoryLedger(contacts_max, RingAnswers(ANSWERS_BYTES), outcomes_max=1, now_us=at_us)


class Side:
    """A rulebook's tallies."""

    def __init__(self, rulebook: Rulebook, snapshot: Snapshot, overlay: Overlay, question: Question) -> None:
        """Bind; raises SnapshotError when the base does not fit the rulebook."""
        ledger = new_ledger(CONTACTS_MAX, question.at_us)
        self.bound = Bound(rulebook, snapshot, overlay, ledger.names, question.at_us)
        self._asker = Asker(self.bound, ledger, question, self._answer)
        self._tally: Any = None
        self._before: Callable[[Any], None] | None = None

    def prepare(self, pairs: list[Pair], segment: npt.NDArray[np.int32], segments: int) -> None:
        """Begin a tally for each of the pairs; `segment` is written before items are counted."""
        self.tallies = {pair: new_tally(self.bound, pair, segment, segments) for pair in pairs}
        self._references = {pair: reference(tally) for pair, tally in self.tallies.items()}

    def has(self, pair: Pair) -> bool:
        """Return whether the rulebook knows both trigger and channel."""
        return pair.trigger in self.bound.trigger_index and pair.channel in self.bound.channel_index

    def count(
        self, pair: Pair, subscribers: npt.NDArray[np.uint64], before: Callable[[Any], None] | None = None
    ) -> None:
        """Decide for these subscribers, and count; `before` gets the run when its rows are gathered."""
        self._tally, self._before = self._references[pair], before
        self._asker.ask(pair, subscribers, dry=True)

    def _answer(self, run: Any, answers: Any) -> None:
        if self._before is not None:
            self._before(run)
        tally_run(run, answers, self._tally)
