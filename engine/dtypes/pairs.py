"""The candidates of each (trigger, channel) as kernels see them: positions in rank order, and rows of bits over them, one bit a position.

    (trigger, channel) -> PAIR record, number trigger * channels + channel
    position           -> candidate[first + position], equal_end[...], condition[...]
    row of bits        -> masks[at : at + words]: what is the same of the positions whoever asks
    purpose            -> GATE: its consent bit and the row of the positions that it stops
    control group      -> CONTROL: its salt and share, and the row of the positions that it withholds
    ledger code        -> TARGET, sorted by code within each scope -> places[start : start + count] = positions
    condition k        -> places[places[expand_at + k] : places[expand_at + k + 1]] = positions

Positions stand in static rank order (tier, score, then ids), so that the choice is one pass that ends when the seats are taken; only equals are
put in the subscriber's own order when they meet. Rejected: scoring and sorting every candidate for each decision; a reason for each candidate of
each item, where counts of bits tell as much unless somebody asks.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.jit import bundle, read_only

PAIR = np.dtype(
    [
        ("always_at", np.int64),  # positions without a condition
        ("anonymous_at", np.int64),  # positions that an unknown subscriber may be offered
        ("obeys_at", np.int64),  # positions that obey caps
        ("exhausted_at", np.int64),  # positions with a cap that allows nothing
        ("totals_at", np.int64),  # positions with a cap in total
        ("valid_at", np.int64),  # words of Work.valid
        ("first", np.int32),
        ("count", np.int32),
        ("words", np.int32),
        ("matcher", np.int32),
        ("expand_at", np.int32),  # -1: condition k is that of position k alone
        ("gate_at", np.int32),
        ("gates", np.int32),
        ("control_at", np.int32),
        ("controls", np.int32),
        ("offer_at", np.int32),
        ("offers", np.int32),
        ("campaign_at", np.int32),
        ("campaigns", np.int32),
        ("category_at", np.int32),
        ("categories", np.int32),
    ],
    align=True,
)

GATE = np.dtype([("bit", np.uint64), ("positions_at", np.int64), ("opt_in", np.uint8)], align=True)

CONTROL = np.dtype(
    [("salt", np.uint64), ("threshold", np.uint64), ("positions_at", np.int64), ("all", np.uint8)], align=True
)

TARGET = np.dtype([("code", np.int32), ("start", np.int32), ("count", np.int32)], align=True)


class Pairs(NamedTuple):
    """The candidates by trigger and channel."""

    pairs: npt.NDArray[np.void]
    """(triggers * channels,) PAIR"""
    gates: npt.NDArray[np.void]
    """GATE"""
    controls: npt.NDArray[np.void]
    """CONTROL"""
    targets: npt.NDArray[np.void]
    """TARGET"""
    candidate: npt.NDArray[np.int32]
    """(positions,)"""
    equal_end: npt.NDArray[np.int32]
    """(positions,): end, within the pair, of the positions whose tier and score equal this one's."""
    condition: npt.NDArray[np.int32]
    """(positions,): number within the pair's list of conditions; -1 for everybody."""
    places: npt.NDArray[np.int32]
    masks: npt.NDArray[np.uint64]


PAIRS_TYPE: Any = bundle(
    Pairs,
    read_only(PAIR),
    read_only(GATE),
    read_only(CONTROL),
    read_only(TARGET),
    *(read_only(np.int32),) * 4,
    read_only(np.uint64),
)
