"""What the engine has the journal keep: every input that changes state, in the order in which it did."""

from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.base.overlay import PAIR, Write
from engine.journal.journal import Journal
from engine.journal.records import Began, Changed, Clock, Ended, Forgot, Named, Policy, Recorded, Swapped
from engine.ledger.names import Kind
from engine.ledger.port import LedgerPolicy, Outcomes


class Keeping:
    """Adds records of what the engine did; nothing is written before the journal commits."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._policy: LedgerPolicy | None = None

    def began(self, now_us: int, boot: str, lost_since_us: int) -> None:
        """A process begins to write."""
        self.journal.add(Began(now_us, boot, lost_since_us))

    def ended(self, now_us: int) -> None:
        """The process ends in order."""
        self.journal.add(Ended(now_us))

    def named(self, names: Sequence[tuple[Kind, str]]) -> None:
        """Codes were given, in this order."""
        if names:
            self.journal.add(Named(list(names)))

    def swapped(self, now_us: int, generation: int, digest: str, base: str) -> None:
        """Another rulebook or base answers from here on."""
        self.journal.add(Swapped(now_us, generation, digest, base))

    def policy(self, now_us: int, policy: LedgerPolicy) -> None:
        """The ledger was told how long events matter, and the days ahead; said once as long as it is the same."""
        before, self._policy = self._policy, policy
        if before is not None and before.retention == policy.retention and before.day_starts_us is policy.day_starts_us:
            return
        words = list(astuple(policy.retention))
        self.journal.add(Policy(now_us, words, policy.first_day, policy.day_starts_us.tolist()))

    def recorded(self, outcomes: Outcomes, now_us: int, results: npt.NDArray[np.uint8]) -> None:
        """Outcomes were recorded."""
        self.journal.add(
            Recorded(
                now_us=now_us,
                outcome=_little(outcomes.outcome),
                body=_little(outcomes.body),
                subscriber=_little(outcomes.subscriber),
                decision=_little(outcomes.decision),
                rank=outcomes.rank.tobytes(),
                kind=outcomes.kind.tobytes(),
                event_us=_little(outcomes.event_us),
                results=results.tobytes(),
            )
        )

    def changed(self, subscriber: int, at_us: int, writes: Sequence[Write]) -> None:
        """A subscriber was changed."""
        rows = [(w.kind, w.family, w.name, w.value, w.value_family, w.value_name) for w in writes]
        self.journal.add(Changed(subscriber, at_us, rows), urgent=any(w.family == PAIR for w in writes))

    def forgot(self, subscriber: int, now_us: int) -> None:
        """A subscriber was erased."""
        self.journal.erased = self.journal.next
        self.journal.add(Forgot(subscriber, now_us), urgent=True)
        self.journal.erasures += 1

    def confirmed(self, now_us: int) -> None:
        """The clock was confirmed."""
        self.journal.add(Clock(now_us))


def _little(column: npt.NDArray[Any]) -> bytes:
    return column.astype(column.dtype.newbyteorder("<")).tobytes()
