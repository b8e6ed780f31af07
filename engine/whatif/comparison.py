"""Two rulebooks over the same subscribers: what the one before and the one after have in common, and where they part."""

from typing import Any, NamedTuple

import numpy as np

from engine.bundles import reference
from engine.dtypes.tally import Changes, Tally
from engine.dtypes.tally import Side as Seen
from engine.jit import frozen
from engine.whatif.kernels.comparing import compare_run
from engine.whatif.side import Side
from engine.whatif.tallies import Pair, positions_of

FLOWS_MAX = 1 << 22
"""Cells of the table of flows, up to which it is counted: 32 MiB."""

Thing = tuple[str, str]
"""(campaign, offer) of a candidate, (campaign, "") of a campaign, ("", offer) of an offer."""


class Comparison(NamedTuple):
    """What is counted for one pair."""

    changes: Changes
    reference: Any
    things: list[Thing]
    """By number; in `kept`'s order."""

    def add(self, items: int) -> None:
        """Add the run that both sides have just counted."""
        compare_run(self.reference, items)


def names_of(side: Side, pair: Pair) -> list[Thing]:
    """Return (campaign, offer) of the pair's positions."""
    candidates = side.bound.candidates
    return [(candidates[n].campaign.id, candidates[n].offer.id) for n in positions_of(side.bound, pair).tolist()]


def new_comparison(pair: Pair, before: Side, after: Side, tallies: tuple[Tally, Tally], segments: int) -> Comparison:
    """Return a comparison of nothing yet; `tallies`: the pair's, before and after."""
    names = [names_of(side, pair) for side in (before, after)]
    numbers: dict[Thing, int] = {}
    things = [
        [[numbers.setdefault(thing, len(numbers)) for thing in ((c, o), (c, ""), ("", o))] for c, o in positions]
        for positions in names
    ]
    seen = [
        Seen(frozen(tally.first), frozen(tally.reached), frozen(np.array(rows, np.int32).reshape(-1, 3)))
        for tally, rows in zip(tallies, things, strict=True)
    ]
    shape = tuple(len(positions) + 1 for positions in names)
    changes = Changes(
        before=seen[0],
        after=seen[1],
        segment=tallies[1].segment,
        moved=np.zeros((segments, 3), np.int64),
        kept=np.zeros(len(numbers), np.int64),
        flow=np.zeros(shape if shape[0] * shape[1] <= FLOWS_MAX else (0, 0), np.int64),
        stamp=np.zeros((2, len(numbers)), np.int64),
        serial=np.zeros(1, np.int64),
    )
    return Comparison(changes, reference(changes), list(numbers))
