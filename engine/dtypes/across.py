"""A list of conditions laid out to be evaluated for up to 64 items at once: every operand is a word with a bit for each item.

    a label            -> the word of the items that have it; of those whose label is fresh; of those whose label is past its age:
                          a label word's bytes are turned, and each asked label's bit taken from 64 bytes at once
    a slot's value     -> compared with few cuts, or ranked among many -> for each cut the word of the items at or above it:
                          as the base stores it, so that a byte is compared for 64 items in two instructions of 32
    condition          -> ANDed operands, then ANDed complements: what is not ruled out; ORed operands: what is unknown
    64 conditions      -> 64 words of 64 items, transposed -> one word for each item

Conditions stand by shape (how many operands of each of the three sorts), so that the loop over one shape never mispredicts. Programs and fixed
terms are evaluated item by item, for the items that the other terms leave.

Operands, by number:
    0                               no item
    held_at + 64 * word + bit       items that have the label, by label word of the matcher
    ... + 64 * label words          items that have it fresh
    ... + 2 * 64 * label words      items that have it past its age
    low_at + 1 + low, of a SCALE    items at or above the low, and those whose value is not known
    high_at + 1 + high              items at or above the high, none whose value is not known
    unknown_at, unknown_at + 1      items whose value is not known, items whose value is
    derived_at + number             one operand without another: negated ranges

Rejected: 256 items at once, whose operands leave the second cache where cuts are many; comparing ranks item by item, 20 instructions where two
words do.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.jit import bundle, writable

BLOCK_ITEMS = 64
"""Items of a word."""
HELD_AT = 1
COMPARED_MAX = 48
"""Cuts that are each compared with all values, 9 ns for a block; beyond, ranking the values among them is faster, 400 ns for a block."""
NEVER = 1 << 30
"""BLOCK_MATCHER `from_items` of a list that is never evaluated across items."""

BLOCK_MATCHER = np.dtype(
    [
        ("from_items", np.int32),  # evaluated so from this many items of one block on
        ("operands", np.int32),
        ("label_word_at", np.int32),  # numbers: (label words,), which of View.present's words
        ("label_words", np.int32),
        ("asked_at", np.int32),  # numbers: (label words + 1,), where each word's asked labels start there, by bit
        ("scale_at", np.int32),
        ("scales", np.int32),
        ("derived_at", np.int32),
        ("derived", np.int32),
        ("pair_at", np.int32),  # numbers: (derived, 2): an operand, and what it is without
        ("shape_at", np.int32),  # numbers: (shapes, 4): conditions, operands ANDed, complements ANDed, operands ORed
        ("shapes", np.int32),
        ("place_at", np.int32),  # numbers: (conditions,): which condition of the list, by shape
        ("operand_at", np.int32),  # numbers: the operands of each condition, by shape
        ("whole_at", np.int32),  # numbers: (whole,): conditions with terms that are evaluated item by item
        ("whole", np.int32),
    ],
    align=True,
)
"""One record for each MATCHER."""

SCALE = np.dtype(
    [
        ("base", np.int64),  # RANGE_TEXT: of its text table
        ("slot", np.int32),
        ("kind", np.int32),  # RANGE, RANGE_DOUBLE, RANGE_TEXT or KNOWN of engine.dtypes.condition
        ("cut_at", np.int32),  # cuts: lows and highs together; where they are compared, its lows, then its highs
        ("cuts", np.int32),
        ("rank_at", np.int32),  # numbers: (cuts + 1, 2): by interval, how many lows and highs are below; -1: compared
        ("low_at", np.int32),
        ("lows", np.int32),
        ("high_at", np.int32),
        ("highs", np.int32),
        ("unknown_at", np.int32),
    ],
    align=True,
)
"""What one slot (and text table) is compared with."""


class Block(NamedTuple):
    """Up to BLOCK_ITEMS items of one (trigger, channel) that are matched together, and scratch for it."""

    item: npt.NDArray[np.int64]
    """(BLOCK_ITEMS,): the item of each bit."""
    lane: npt.NDArray[np.int64]
    """(1,): bit of the item that is being decided; -1 when its conditions were matched for it alone."""
    operands: npt.NDArray[np.uint64]
    holds: npt.NDArray[np.uint64]
    """(conditions + 1,): the items for which each condition of the list holds; last, every item."""
    unsettled: npt.NDArray[np.uint64]
    """(conditions + 1,): the items for which it is unknown or in error; last, those of any condition."""
    value: npt.NDArray[np.int64]
    """(BLOCK_ITEMS,): what a scale's cuts divide."""
    interval: npt.NDArray[np.int64]
    """(BLOCK_ITEMS,): how many of the cuts are not above it."""
    stored32: npt.NDArray[np.uint32]
    """(BLOCK_ITEMS,): what the base stores of it, where that has four bytes; then two, then one."""
    stored16: npt.NDArray[np.uint16]
    stored8: npt.NDArray[np.uint8]
    presence: npt.NDArray[np.uint8]
    """(BLOCK_ITEMS,): a byte of presence bits of the item's row."""
    presence_at: npt.NDArray[np.int64]
    """(1,): which byte of the row that is; -1 for none."""
    row_at: npt.NDArray[np.int64]
    """(BLOCK_ITEMS,): byte of the base at which the item's row starts."""
    square: npt.NDArray[np.uint64]
    """(2, 64): a square of bits while it is transposed."""
    turned: npt.NDArray[np.uint8]
    """(512,): the first byte of each item's word, then the second of each, and so on."""
    rows: npt.NDArray[np.uint64]
    """(BLOCK_ITEMS, words): the positions whose condition holds, by bit."""
    next_item: npt.NDArray[np.int32]
    """(items,): the next item of the same (trigger, channel), -1 after the last."""
    first: npt.NDArray[np.uint8]
    """(items,): 1 for the first item of a (trigger, channel)."""
    last_item: npt.NDArray[np.int32]
    """(pairs,): -1 but while items are put in order."""


BLOCK_TYPE: Any = bundle(
    Block,
    writable(np.int64),
    writable(np.int64),
    *(writable(np.uint64),) * 3,
    *(writable(np.int64),) * 2,
    writable(np.uint32),
    writable(np.uint16),
    *(writable(np.uint8),) * 2,
    *(writable(np.int64),) * 2,
    writable(np.uint64, 2),
    writable(np.uint8),
    writable(np.uint64, 2),
    writable(np.int32),
    writable(np.uint8),
    writable(np.int32),
)
