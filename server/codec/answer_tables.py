"""Answers as columns, while they are gathered row by row: what the kernels that take answers apart write.

rows  | reason, times, ... one a row | ids_end: where the row's decision id ends | seats_end: where its offers end
seats | rank, score, and for each word column the number of its text
texts | every text of a word column once, in the order in which it came: entries over `data`, found by an open-addressed index
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.jit import bundle, writable

OFFER, CAMPAIGN, CONTENT, SCRIPT, LANGUAGE, BASE = range(6)
"""Columns of words: a seat's, and the base's version, which is the row's."""
WORD_COLUMNS: Final = 6
SEAT_WORDS: Final = 5


class Told(NamedTuple):
    """The rows of answers; n rows."""

    reason: npt.NDArray[np.uint8]
    """(n,): 0 where there is no answer; nothing else of the row then counts."""
    replayed: npt.NDArray[np.uint8]
    generation: npt.NDArray[np.uint64]
    base: npt.NDArray[np.int32]
    """(n,): number of the text in column BASE, -1 without one."""
    instants: npt.NDArray[np.int64]
    """(INSTANTS, n): microseconds; NEVER_US where there is none."""
    ids_end: npt.NDArray[np.int32]
    """(n + 1,)"""
    ids: npt.NDArray[np.uint8]
    """(n * ID_BYTES_MAX,): decision ids, one behind the other."""
    seats_end: npt.NDArray[np.int32]
    """(n + 1,)"""


DECIDED_AT, HOLD_UNTIL, SEND_NOT_BEFORE, SEND_DEADLINE, NEXT_ALLOWED = range(5)
"""Rows of Told.instants."""
INSTANTS: Final = 5

TOLD_TYPE: Any = bundle(
    Told,
    writable(np.uint8),
    writable(np.uint8),
    writable(np.uint64),
    writable(np.int32),
    writable(np.int64, 2),
    writable(np.int32),
    writable(np.uint8),
    writable(np.int32),
)


class Seats(NamedTuple):
    """Offers of answers, row after row."""

    rank: npt.NDArray[np.uint8]
    score: npt.NDArray[np.uint64]
    """Bits of float64."""
    words: npt.NDArray[np.int32]
    """(seats, SEAT_WORDS): numbers of texts in their columns, -1 without one."""


SEATS_TYPE: Any = bundle(Seats, writable(np.uint8), writable(np.uint64), writable(np.int32, 2))


class Lexicon(NamedTuple):
    """Texts by column, each once: entry e is data[at[e] : at[e] + size[e]] of `column[e]`, where it is the text `number[e]`."""

    slots: npt.NDArray[np.int32]
    """(power of two,): an entry's index where its hash sends it or after it; -1 where there is none. At most half are taken."""
    column: npt.NDArray[np.int32]
    number: npt.NDArray[np.int32]
    at: npt.NDArray[np.int64]
    size: npt.NDArray[np.int64]
    data: npt.NDArray[np.uint8]
    used: npt.NDArray[np.int64]
    """(2 + 2 * WORD_COLUMNS,): entries, bytes, then the texts of each column, then their bytes."""


LEXICON_TYPE: Any = bundle(
    Lexicon,
    writable(np.int32),
    writable(np.int32),
    writable(np.int32),
    writable(np.int64),
    writable(np.int64),
    writable(np.uint8),
    writable(np.int64),
)
