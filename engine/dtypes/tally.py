"""What a scan of the base counts for one (trigger, channel) of one rulebook, and how it divides subscribers into segments.

    counts[segment, row, position]      subscribers, by what became of the candidate: row = its reason's code, or a row from REACHED on
    groups[segment, kind, thing]        subscribers whom a campaign or an offer reached, or was chosen for, by any of its candidates
    reasons[segment, code]              decisions, by reason
    takers[winner, loser]               subscribers for whom the winner had a seat before the loser, by position

Segments of all splits stand one after another, so that an item adds to one of each split; without splits everybody is segment 0. A row of `counts` is
as long as the pair has candidates: the few rows that are hot stay in the first cache. What most candidates meet is not counted one by one: of
NOT_ELIGIBLE a row holds nothing until the scan's end, when it is what is left of `judged`.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.jit import bundle, read_only, writable
from engine.reasons import Reason

REACHED: Final = int(Reason.OFFERED) + 1
"""Candidates that passed validity, consent and eligibility, those that a control group withholds too."""
FIRST: Final = REACHED + 1
"""Candidates that came first in the answer."""
WOULD_BE: Final = REACHED + 2
"""Candidates that a control group withheld and that would have been in the answer."""
TIED: Final = REACHED + 3
"""Candidates whose place among equals, of which the choice looked at one, the tie hash decided."""
TIE_WON: Final = REACHED + 4
"""Of those: an offer, while an equal was left without a seat."""
TIE_LOST: Final = REACHED + 5
"""Of those: no seat left, while an equal had one."""
ROWS: Final = REACHED + 6

GROUP_REACHED, GROUP_CHOSEN = 0, 1

LABEL, VALUES, RANGES, DOUBLE_RANGES, ZONE = 0, 1, 2, 3, 4
"""Kinds of splits: has, has not, unknown; values by code, others, unknown; ranges between cuts, unknown; the same of doubles; zones, unknown."""

SPLIT: Final = np.dtype(
    [
        ("kind", np.int64),
        ("at", np.int64),  # LABEL: bit of the base's label words; else slot
        ("first", np.int64),  # number of the first segment
        ("segments", np.int64),  # the last is that of whoever is not known
        (
            "list_at",
            np.int64,
        ),  # VALUES: segment of code c at lists[list_at + c]; RANGES: cuts lists[list_at : list_at + list_count]
        ("list_count", np.int64),
    ],
    align=True,
)


class Splits(NamedTuple):
    """How subscribers are divided, and the segments that the last run's items fall into; D splits."""

    splits: npt.NDArray[np.void]
    """(D,) SPLIT"""
    lists: npt.NDArray[np.int64]
    segment: npt.NDArray[np.int32]
    """(n, max(1, D)), written"""


SPLITS_TYPE: Any = bundle(Splits, read_only(SPLIT), read_only(np.int64), writable(np.int32, 2))


class Tally(NamedTuple):
    """The counts of one (trigger, channel); S segments, P positions, T campaigns and offers, n items, W words of positions."""

    segment: npt.NDArray[np.int32]
    """(n, max(1, D)): of each item, by split."""
    group_of: npt.NDArray[np.int32]
    """(P, 2): numbers of the position's campaign and offer among the pair's things."""
    position_of: npt.NDArray[np.int32]
    """(candidates,): the candidate's position; -1 when it has none in this pair."""
    looked: npt.NDArray[np.int64]
    """(S,): subscribers."""
    judged: npt.NDArray[np.int64]
    """(S,): those whose request had candidates."""
    reasons: npt.NDArray[np.int64]
    """(S, OFFERED + 1)"""
    counts: npt.NDArray[np.int64]
    """(S, ROWS, P)"""
    groups: npt.NDArray[np.int64]
    """(S, 2, T)"""
    takers: npt.NDArray[np.int32]
    """(P, P), or (0, 0) when it is not counted."""
    stamp: npt.NDArray[np.int64]
    """(2, T): scratch."""
    serial: npt.NDArray[np.int64]
    """(1,): scratch."""
    first: npt.NDArray[np.int32]
    """(n,), written: the position that came first in the item's answer; -1."""
    reached: npt.NDArray[np.uint64]
    """(n, W), written: positions that reached the item."""


TALLY_TYPE: Any = bundle(
    Tally,
    read_only(np.int32, 2),
    read_only(np.int32, 2),
    read_only(np.int32),
    writable(np.int64),
    writable(np.int64),
    writable(np.int64, 2),
    writable(np.int64, 3),
    writable(np.int64, 3),
    writable(np.int32, 2),
    writable(np.int64, 2),
    writable(np.int64),
    writable(np.int32),
    writable(np.uint64, 2),
)

CHANGED, GAINED, LOST = 0, 1, 2
"""Columns of Changes.moved: another first offer, an offer where there was none, none where there was one."""


class Side(NamedTuple):
    """What the last run of one rulebook left behind, in things that both know; P positions of its pair."""

    first: npt.NDArray[np.int32]
    """(n,): Tally.first"""
    reached: npt.NDArray[np.uint64]
    """(n, W): Tally.reached"""
    things: npt.NDArray[np.int32]
    """(P, 3): the position's candidate, campaign and offer."""


SIDE_TYPE: Any = bundle(Side, read_only(np.int32), read_only(np.uint64, 2), read_only(np.int32, 2))


class Changes(NamedTuple):
    """What differs between two rulebooks, before and after; T things of either: candidates, campaigns, offers."""

    before: Side
    after: Side
    segment: npt.NDArray[np.int32]
    """(n, max(1, D))"""
    moved: npt.NDArray[np.int64]
    """(S, 3): subscribers whose first offer changed."""
    kept: npt.NDArray[np.int64]
    """(T,): subscribers whom the thing reaches both before and after."""
    flow: npt.NDArray[np.int64]
    """(positions before + 1, positions after + 1): subscribers by first offer before and after; row and column 0 stand for none. (0, 0): not counted."""
    stamp: npt.NDArray[np.int64]
    """(2, T): scratch."""
    serial: npt.NDArray[np.int64]
    """(1,): scratch."""


CHANGES_TYPE: Any = bundle(
    Changes,
    SIDE_TYPE,
    SIDE_TYPE,
    read_only(np.int32, 2),
    writable(np.int64, 2),
    writable(np.int64),
    writable(np.int64, 2),
    writable(np.int64, 2),
    writable(np.int64),
)


class Rounds(NamedTuple):
    """What caps did in each of R rounds of one (trigger, channel); C caps."""

    decisions: npt.NDArray[np.int64]
    """(R, 4): subscribers with an offer, offers made, subscribers of whom a cap stopped a candidate, subscribers left without an offer by a cap."""
    caps: npt.NDArray[np.int64]
    """(R, C): subscribers of whom the cap, at its limit, stopped a candidate."""
    round: npt.NDArray[np.int64]
    """(1,): the present one."""


ROUNDS_TYPE: Any = bundle(Rounds, writable(np.int64, 2), writable(np.int64, 2), writable(np.int64))
