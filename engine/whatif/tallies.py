"""The tallies of one rulebook: one for each (trigger, channel) that is looked at, and what is read off them at the end."""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.bound import Bound
from engine.dtypes.tally import FIRST, REACHED, ROWS, Tally
from engine.jit import frozen
from engine.limits import BATCH_ITEMS_MAX
from engine.reasons import Reason

TAKERS_POSITIONS_MAX: Final = 2_896
"""Candidates of one trigger and channel up to which it is counted who takes whose place: 32 MiB."""


class Pair(NamedTuple):
    """A trigger and a channel, by id."""

    trigger: str
    channel: str


def positions_of(bound: Bound, pair: Pair) -> npt.NDArray[np.int32]:
    """Return (P,): the candidates of the pair in rank order; none when the rulebook has not both."""
    if pair.trigger not in bound.trigger_index or pair.channel not in bound.channel_index:
        return np.empty(0, np.int32)
    record = bound.pairs.pairs[number_of(bound, pair)]
    candidates: npt.NDArray[np.int32] = bound.pairs.candidate[record["first"] : record["first"] + record["count"]]
    return candidates


def number_of(bound: Bound, pair: Pair) -> int:
    """Return the pair's number in Bound.pairs."""
    return bound.trigger_index[pair.trigger] * len(bound.rules.channels) + bound.channel_index[pair.channel]


def things_of(bound: Bound, positions: npt.NDArray[np.int32]) -> tuple[list[str], list[str], npt.NDArray[np.int32]]:
    """Return the pair's campaigns and offers by id, and (P, 2): each position's campaign and offer, numbered through both lists."""
    names = [(bound.candidates[n].campaign.id, bound.candidates[n].offer.id) for n in positions.tolist()]
    campaigns, offers = (sorted({name[kind] for name in names}) for kind in range(2))
    numbers = (
        {name: n for n, name in enumerate(campaigns)},
        {name: n for n, name in enumerate(offers, len(campaigns))},
    )
    groups = [[numbers[kind][name[kind]] for kind in range(2)] for name in names]
    return campaigns, offers, np.array(groups, np.int32).reshape(-1, 2)


def tally_bytes(positions: int, segments: int) -> int:
    """Return about what a tally takes."""
    takers = 4 * positions * positions if positions <= TAKERS_POSITIONS_MAX else 0
    return 8 * segments * positions * (ROWS + 4) + takers


def new_tally(bound: Bound, pair: Pair, segment: npt.NDArray[np.int32], segments: int) -> Tally:
    """Return a tally of nothing yet."""
    positions = positions_of(bound, pair)
    campaigns, offers, groups = things_of(bound, positions)
    count, things = len(positions), len(campaigns) + len(offers)
    position_of = np.full(max(1, len(bound.candidates)), -1, np.int32)
    position_of[positions] = np.arange(count)
    takers = count if count <= TAKERS_POSITIONS_MAX else 0
    return Tally(
        segment=frozen(segment),
        group_of=frozen(groups),
        position_of=frozen(position_of),
        looked=np.zeros(segments, np.int64),
        judged=np.zeros(segments, np.int64),
        reasons=np.zeros((segments, Reason.OFFERED + 1), np.int64),
        counts=np.zeros((segments, ROWS, count), np.int64),
        groups=np.zeros((segments, 2, things), np.int64),
        takers=np.zeros((takers, takers), np.int32),
        stamp=np.zeros((2, things), np.int64),
        serial=np.zeros(1, np.int64),
        first=np.full(BATCH_ITEMS_MAX, -1, np.int32),
        reached=np.zeros((BATCH_ITEMS_MAX, (count + 63) // 64), np.uint64),
    )


class Counts(NamedTuple):
    """A tally's counts of some segments together; P positions, T campaigns and offers."""

    looked: int
    reasons: dict[str, int]
    """Decisions by reason."""
    rows: npt.NDArray[np.int64]
    """(ROWS, P), NOT_ELIGIBLE too"""
    groups: npt.NDArray[np.int64]
    """(2, T)"""

    def of(self, position: int) -> dict[str, int]:
        """Return the position's subscribers by reason, OFFERED left out."""
        stopped = self.rows[: Reason.OFFERED, position]
        return {Reason(int(code)).name: int(stopped[code]) for code in np.flatnonzero(stopped)}

    def reach(self, position: int) -> int:
        """Return whom the position reached."""
        return int(self.rows[REACHED, position])

    def first(self, position: int) -> int:
        """Return for whom it came first."""
        return int(self.rows[FIRST, position])

    def chosen(self, position: int) -> int:
        """Return in whose answer it was."""
        return int(self.rows[Reason.OFFERED, position])


def counts_of(tally: Tally, start: int, stop: int) -> Counts:
    """Return the counts of segments [start, stop) together."""
    rows = tally.counts[start:stop].sum(axis=0)
    rows[Reason.NOT_ELIGIBLE] = 0
    rows[Reason.NOT_ELIGIBLE] = tally.judged[start:stop].sum() - rows[: Reason.OFFERED + 1].sum(axis=0)
    reasons = tally.reasons[start:stop].sum(axis=0)
    by_reason = {Reason(int(code)).name: int(reasons[code]) for code in np.flatnonzero(reasons)}
    return Counts(int(tally.looked[start:stop].sum()), by_reason, rows, tally.groups[start:stop].sum(axis=0))
