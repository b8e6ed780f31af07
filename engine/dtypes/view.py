"""The gathered rows of a batch: for each item, what conditions and gates may ask about its subscriber, its trigger and its instant.

    item i -> present[i, w], fresh[i, w]     64 labels a word, in the base's bit order
              values[i, s], nanos[i, s], known[i, s]   one slot for each attribute, then `now`, then each trigger field
              zone[i], granted[i], refused[i], found[i], aged[i]

A label is true when present and fresh, unknown when present and not fresh (a dynamic label past its age), false when absent.
A slot holds an int64 whose meaning is its type's: bool 0/1; int; decimal, the scaled integer; double, the bits of the float64; string, the
code in the slot's dictionary; timestamp and duration, whole seconds (floored) with `nanos` in [0, 999_999_999].
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.jit import bundle, writable


class View(NamedTuple):
    """What the gather writes and everything after it reads; n items, W label words, S slots."""

    present: npt.NDArray[np.uint64]
    """(n, W): the subscriber has the label."""
    fresh: npt.NDArray[np.uint64]
    """(n, W): the label is static, or not older than its maximum age at the item's instant."""
    values: npt.NDArray[np.int64]
    """(n, S)"""
    nanos: npt.NDArray[np.int32]
    """(n, S): zero but for timestamps and durations."""
    known: npt.NDArray[np.uint8]
    """(n, S): 1 when the slot has a value."""
    zone: npt.NDArray[np.int32]
    """(n,): index into the bound zone tables; -1 when the subscriber's zone is unknown."""
    granted: npt.NDArray[np.uint64]
    """(n,): bit (purpose * channels + channel) is set when consent was granted."""
    refused: npt.NDArray[np.uint64]
    """(n,): the same bits for refusals; a refusal wins over a grant."""
    found: npt.NDArray[np.uint8]
    """(n,): 0 unknown subscriber, 1 found, 2 erased."""
    row: npt.NDArray[np.int64]
    """(n,): the base's row whose attributes are still to be read; -1 when none are."""
    aged: npt.NDArray[np.uint8]
    """(n,): 0 when every label that the subscriber has is fresh, so that nobody need look; 1 when one may not be."""


VIEW_TYPE: Any = bundle(
    View,
    writable(np.uint64, 2),
    writable(np.uint64, 2),
    writable(np.int64, 2),
    writable(np.int32, 2),
    writable(np.uint8, 2),
    writable(np.int32),
    writable(np.uint64),
    writable(np.uint64),
    writable(np.uint8),
    writable(np.int64),
    writable(np.uint8),
)

UNKNOWN, FOUND, ERASED = 0, 1, 2


def new_view(items: int, label_words: int, slots: int) -> View:
    """Return a zeroed view for `items` rows; a worker keeps one of the largest batch and passes slices of it."""
    return View(
        present=np.zeros((items, label_words), np.uint64),
        fresh=np.zeros((items, label_words), np.uint64),
        values=np.zeros((items, slots), np.int64),
        nanos=np.zeros((items, slots), np.int32),
        known=np.zeros((items, slots), np.uint8),
        zone=np.full(items, -1, np.int32),
        granted=np.zeros(items, np.uint64),
        refused=np.zeros(items, np.uint64),
        found=np.zeros(items, np.uint8),
        row=np.full(items, -1, np.int64),
        aged=np.ones(items, np.uint8),
    )
