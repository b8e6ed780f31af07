"""Rounds: every subscriber has a trigger several times, and holds what was offered, so that caps by subscriber show where they bind.

All rounds are at one instant, so every hold of an earlier one is live, and counts toward every cap as if it had been handed off, seen and accepted: no
series of so many triggers can make a cap count more. Caps in total are left out: they would depend on the order of the subscribers. Each run of subscribers
has the ledger to itself, since no cap by subscriber looks at another: memory does not grow with the base.
"""

from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from engine.base.overlay import Overlay
from engine.base.snapshot import Snapshot
from engine.bound import Bound
from engine.bundles import reference
from engine.catalogue.terms import CapPer
from engine.dtypes.ledger import BLOCK_SIZES
from engine.dtypes.tally import Rounds
from engine.limits import BATCH_ITEMS_MAX
from engine.rulebook import Rulebook
from engine.whatif.kernels.capping import cap_run
from engine.whatif.question import Question
from engine.whatif.side import Asker, new_ledger
from engine.whatif.tallies import Pair

CONTACTS_MAX: Final = 1 << 18
"""Room of the ledger: 27 MB."""


def without_totals(rulebook: Rulebook) -> Rulebook:
    """Return the rulebook less its caps in total."""
    policy = rulebook.catalogue.contact_policy
    caps = tuple(cap for cap in policy.caps if cap.per != CapPer.TOTAL)
    catalogue = msgspec.structs.replace(rulebook.catalogue, contact_policy=msgspec.structs.replace(policy, caps=caps))
    return msgspec.structs.replace(rulebook, catalogue=catalogue)


class Rounding:
    """The rounds of one rulebook over each (trigger, channel)."""

    def __init__(self, rulebook: Rulebook, snapshot: Snapshot, overlay: Overlay, question: Question) -> None:
        self._ledger = new_ledger(CONTACTS_MAX, question.at_us)
        self.bound = Bound(without_totals(rulebook), snapshot, overlay, self._ledger.names, question.at_us)
        self._asker = Asker(
            self.bound, self._ledger, question, lambda run, answers: cap_run(run, answers, self._rounds)
        )
        self._question = question

    def prepare(self, pairs: list[Pair]) -> None:
        """Begin counting for these pairs."""
        shape = self._question.rounds
        self.rounds = {
            pair: Rounds(
                np.zeros((shape, 4), np.int64),
                np.zeros((shape, len(self.bound.cap_ids)), np.int64),
                np.zeros(1, np.int64),
            )
            for pair in pairs
        }
        self._references = {pair: reference(rounds) for pair, rounds in self.rounds.items()}

    def count(self, pair: Pair, subscribers: npt.NDArray[np.uint64]) -> None:
        """Have these subscribers go through all rounds."""
        self._rounds = self._references[pair]
        step = self._step(pair)
        for start in range(0, len(subscribers), step):
            self._ledger.clear()
            for number in range(self._question.rounds):
                self.rounds[pair].round[0] = number
                self._asker.ask(pair, subscribers[start : start + step], dry=False)

    def stopped(self, pair: Pair, cap: str) -> list[int]:
        """Return, by round, the subscribers of whom this cap stopped a candidate."""
        counts: list[int] = self.rounds[pair].caps[:, self.bound.cap_ids.index(cap)].tolist()
        return counts

    def _step(self, pair: Pair) -> int:
        """Return for how many subscribers there is room, whatever they are offered: a block grows by doubling, and leaves the smaller ones behind."""
        channel = self.bound.rules.channels[self.bound.channel_index[pair.channel]]
        contacts = self._question.rounds * min(self._question.offers_max, int(channel["max_offers"]))
        block = next(size for size in BLOCK_SIZES if size >= contacts)
        return min(BATCH_ITEMS_MAX, CONTACTS_MAX // (2 * block))
