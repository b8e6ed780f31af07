"""Conditions of one list laid out by what subscribers have, so that most of them are ruled out without a look at each.

    list of conditions -> MATCHER; condition k of the list is bit k of a row of `words` words

BY_LABEL, for short lists and rare labels:
    each label that the subscriber has -> the conditions of which it is the rarest label needed, and those that need none
                                       -> evaluated term by term
SLICED, for long lists and common labels:
    four labels        -> the nibble that the subscriber has of them -> row of the conditions that it rules out
    a slot's value     -> the interval between two cuts that it lies in -> row of the conditions that it rules out
    what is left       -> evaluated where no row is certain; all of them when they are few

ACROSS, for many items at once: engine.dtypes.across. Each list is laid out for it beside one of the two.

Evaluated: the labels by masks, the plain ranges as CHECK records; a condition with other terms as a whole, by engine.kernels.condition.

engine.matching decides which. Rejected: a row for each label, which reads four times as much as one for each nibble; a row for each interval
however many there are, 50 MB for 10,000 conditions; every condition in turn, which costs 5 ns a condition even when one look at a label would do.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.dtypes.across import BLOCK_MATCHER, SCALE
from engine.jit import bundle, read_only

NIBBLE_BITS = 4
NIBBLE_VALUES = 16
WORD_NIBBLES = 16
BY_LABEL, SLICED, ACROSS = 0, 1, 2

MATCHER = np.dtype(
    [
        (
            "access_at",
            np.int64,
        ),  # BY_LABEL, bits: (label words,), labels with a list; (words,), conditions out of every list
        ("masks_at", np.int64),  # BY_LABEL, bits: (conditions, 2, label words), labels needed, labels forbidden
        (
            "nibbles_at",
            np.int64,
        ),  # SLICED, bits: (label words, WORD_NIBBLES, NIBBLE_VALUES, words), what fresh labels rule out
        ("labels_at", np.int64),  # SLICED, bits: (label words, 64, 2, words), who needs the label, then who forbids it
        ("used_at", np.int64),  # SLICED, bits: (label words,), the labels that conditions ask about
        (
            "fixed_at",
            np.int64,
        ),  # SLICED, bits: (4, words), false, unknown and in error whoever asks; those always evaluated
        ("whole_at", np.int64),  # bits: (words,), conditions that are evaluated as a whole
        ("conditions", np.int32),
        ("words", np.int32),
        ("numbers_at", np.int32),  # numbers: (conditions,), their numbers in ConditionTables
        ("checks_at", np.int32),  # numbers: (conditions + 1,), where each one's checks start
        ("label_word_at", np.int32),  # numbers: (label words,), which of View.present's words
        ("label_words", np.int32),
        ("lists_at", np.int32),  # BY_LABEL, numbers: (64 * label words + 1,), where each label's list starts
        ("column_at", np.int32),
        ("columns", np.int32),
        ("strategy", np.int32),
    ],
    align=True,
)

COLUMN = np.dtype(
    [
        ("base", np.int64),  # RANGE_TEXT: of its text table
        ("table_at", np.int64),  # bits: (cuts + 1, words) ruled out; KNOWN: (2, words), for not known and known
        ("uncertain_at", np.int64),  # bits: (cuts + 1, words) that the interval does not settle; -1 when it settles all
        ("unknown_at", np.int64),  # bits: (words,), conditions that are unknown when the slot is
        ("slot", np.int32),
        ("kind", np.int32),  # RANGE, RANGE_DOUBLE, RANGE_TEXT or KNOWN of engine.dtypes.condition
        ("cut_at", np.int32),
        ("cuts", np.int32),
    ],
    align=True,
)

CHECK = np.dtype(
    [
        ("low", np.int64),
        ("high", np.int64),
        ("slot", np.int32),
        ("double", np.uint8),  # compare in the order of doubles
        ("negated", np.uint8),
    ],
    align=True,
)
assert CHECK.itemsize == 24


class Matching(NamedTuple):
    """The laid-out lists of a rulebook's conditions against one base."""

    matchers: npt.NDArray[np.void]
    """MATCHER"""
    columns: npt.NDArray[np.void]
    """COLUMN"""
    checks: npt.NDArray[np.void]
    """CHECK"""
    bits: npt.NDArray[np.uint64]
    cuts: npt.NDArray[np.int64]
    """Of each column sorted: interval j holds the values from cuts[j - 1] on and below cuts[j]."""
    numbers: npt.NDArray[np.int32]
    across: npt.NDArray[np.void]
    """BLOCK_MATCHER"""
    scales: npt.NDArray[np.void]
    """SCALE"""


MATCHING_TYPE: Any = bundle(
    Matching,
    read_only(MATCHER),
    read_only(COLUMN),
    read_only(CHECK),
    read_only(np.uint64),
    read_only(np.int64),
    read_only(np.int32),
    read_only(BLOCK_MATCHER),
    read_only(SCALE),
)
