"""The engine of one shard: base, overlay, rulebook and ledger behind the calls that every door uses. One thread owns it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.base.changes import Change, apply_change
from engine.base.describe import Description, describe
from engine.base.overlay import Overlay, Write
from engine.base.snapshot import Snapshot
from engine.batch import Batch, Decisions, new_batch
from engine.bound import Bound
from engine.bound_rules import uncoded
from engine.breathing import breathe
from engine.deciding import AtOnce, Decider, Render, Steps, drive, settle_at_once, waited
from engine.explaining import Explanation, explaining
from engine.handing_off import HandOff, checking
from engine.journal.keeping import Keeping
from engine.ledger.names import Kind
from engine.ledger.port import Ledger, Outcomes
from engine.limits import BATCH_ITEMS_MAX
from engine.rulebook import Rulebook


@dataclass(frozen=True, slots=True)
class Generation:
    """Which rulebook answers: a number that grows with each swap, and a digest that is the same for the same rules."""

    number: int
    digest: str


@dataclass(frozen=True, slots=True)
class Replacement:
    """A rulebook bound to a snapshot, ready to answer in place of what does."""

    bound: Bound
    decider: Decider
    digest: str


class Engine:
    """Decides, explains, records and changes; each call behaves as if it were alone, in the order of the calls.

    The `...ing` methods are the same work in steps: a generator that yields whenever a ledger must be waited for.
    """

    def __init__(
        self,
        rulebook: Rulebook,
        snapshot: Snapshot,
        overlay: Overlay,
        ledger: Ledger,
        now_us: int,
        *,
        keeping: Keeping | None = None,
    ) -> None:
        """Bind; raises SnapshotError when the base does not fit the rulebook, LedgerFullError when the ledger has no codes left.

        `keeping`: what is told of every input that changes state but for decisions, whose front tells it.
        """
        self.overlay = overlay
        self.ledger = ledger
        self.keeping = keeping
        self.push_stopped = False
        """True while the clock is not trusted: push answers CLOCK_UNCONFIRMED."""
        self.snapshot = snapshot
        self.rulebook = rulebook
        self.generation = Generation(0, "")
        overlay.on_new_base(snapshot)
        self.swap(rulebook, snapshot, now_us)

    def new_batch(self, capacity: int = BATCH_ITEMS_MAX) -> Batch:
        """Return an empty batch with the rulebook's field columns; a batch is of the rulebook for which it was made."""
        return new_batch(len(self.bound.field_index), capacity)

    def decide(self, batch: Batch, render: Render | None = None, at_once: AtOnce | None = settle_at_once) -> Decisions:
        """Decide the batch as its items one after the other, hold what is offered and, given a renderer, remember the answers.

        `at_once` does for a usual batch what `render` does, and more, in one call.
        """
        return drive(self.deciding(batch, render, at_once))

    def deciding(
        self, batch: Batch, render: Render | None = None, at_once: AtOnce | None = settle_at_once
    ) -> Steps[Decisions]:
        """Decide in steps."""
        return self._decider.deciding(batch, render, self.push_stopped, at_once)

    def columns_of(self, batch: Batch) -> tuple[Any, Any]:
        """Return what kernels take for who asks what in a batch (engine.dtypes.ledger.Requests), and for what was decided last (DecisionColumns)."""
        return self._decider.runs.requests_of(batch), self._decider.decision_columns

    def explain(self, batch: Batch) -> Explanation:
        """Explain the batch's only item; nothing is held."""
        return drive(explaining(self._decider, self.bound, batch, self.push_stopped))

    def record(self, outcomes: Outcomes, now_us: int) -> npt.NDArray[np.uint8]:
        """Record outcomes at this instant; return an (n,) OutcomeResult. Raises LedgerFullError, with nothing recorded."""
        self.ledger.advance(now_us)
        results = drive(waited(self.ledger.record(outcomes)))
        if self.keeping is not None:
            self.keeping.recorded(outcomes, self.ledger.now_us, results)
        return results

    def check_hand_off(self, hold: tuple[int, int, int], now_us: int) -> HandOff:
        """Return whether the hold (subscriber hash, decision, rank) may go out now."""
        return drive(checking(self._decider, self.bound, self.ledger, hold, now_us))

    def update(self, subscriber: int, change: Change) -> list[Write]:
        """Apply a live change and return what it wrote; the very next decision sees it. Raises what engine.base.changes.apply_change raises."""
        writes = apply_change(self.bound.binding, subscriber, change)
        if self.keeping is not None:
            self.keeping.changed(subscriber, change.at_us, writes)
        return writes

    def forget(self, subscriber: int) -> None:
        """Erase: every answer is SUBSCRIBER_ERASED from now on; contacts, holds and remembered answers are dropped. Raises OverlayFullError."""
        self.overlay.erase(subscriber)
        self.ledger.forget(subscriber)
        if self.keeping is not None:
            self.keeping.forgot(subscriber, self.ledger.now_us)

    def describe(self, subscriber: int, now_us: int) -> Description:
        """Return what is known of the subscriber at this instant."""
        return describe(self.bound.binding, subscriber, now_us)

    def tick(self, now_us: int) -> None:
        """Do what time alone brings: expire holds, and tell the ledger the days ahead."""
        self._set_policy(self.bound, self.ledger.advance(now_us))

    def swap(self, rulebook: Rulebook, snapshot: Snapshot, now_us: int) -> None:
        """Answer by another rulebook, another snapshot or both from the next call on; raises what __init__ raises, and then the old ones stay.

        Live changes that a new snapshot covers are dropped.
        """
        self.admit(self.unadmitted(rulebook))
        self._answer_by(self.replacement(rulebook, snapshot, now_us), now_us)

    def unadmitted(self, rulebook: Rulebook) -> list[tuple[Kind, str]]:
        """Return what the rulebook names and the ledger has no code for; for any thread, as `replacement` is."""
        return uncoded(rulebook.catalogue, self.ledger.names)

    def admit(self, named: Sequence[tuple[Kind, str]]) -> None:
        """Give these their codes in the ledger; raises LedgerFullError."""
        given: list[tuple[Kind, str]] = []
        try:
            for kind, name in named:
                self.ledger.names.code(kind, name)
                given.append((kind, name))
        finally:
            if self.keeping is not None:
                self.keeping.named(given)

    def replacement(self, rulebook: Rulebook, snapshot: Snapshot, now_us: int) -> Replacement:
        """Return an admitted rulebook bound to a snapshot; raises SnapshotError when they do not fit.

        For another thread than the engine's: it takes long, and changes nothing. Until it is over nothing else may be admitted.
        """
        bound = Bound(rulebook, snapshot, self.overlay, self.ledger.names, now_us)
        breathe()
        return Replacement(bound, Decider(bound, self.ledger), rulebook.digest)

    def replace(self, replacement: Replacement, now_us: int) -> Replacement:
        """Answer by the replacement from the next call on, and return what answered before. Live changes that a new snapshot covers are dropped."""
        before = Replacement(self.bound, self._decider, self.generation.digest)
        self._answer_by(replacement, now_us)
        return before

    def _answer_by(self, replacement: Replacement, now_us: int) -> None:
        bound = replacement.bound
        self._set_policy(bound, now_us)
        new_base = bound.binding.snapshot is not self.snapshot
        self.bound, self._decider = bound, replacement.decider
        self.rulebook, self.snapshot = bound.rulebook, bound.binding.snapshot
        self.generation = Generation(self.generation.number + 1, replacement.digest)
        if new_base:
            self.overlay.on_new_base(self.snapshot)
        if self.keeping is not None:
            self.keeping.swapped(now_us, self.generation.number, self.generation.digest, self.snapshot.version)

    def _set_policy(self, bound: Bound, now_us: int) -> None:
        policy = bound.set_policy(self.ledger, now_us)
        if self.keeping is not None:
            self.keeping.policy(self.ledger.now_us, policy)
