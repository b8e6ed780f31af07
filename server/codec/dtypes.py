"""What the codec knows of a batch's requests beside what the engine decides by: where each lies in the bytes, and how it wants to be answered."""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.dtypes.texts import TEXTS_TYPE, Texts
from engine.jit import bundle, read_only, writable

EXPLAIN: Final = 1
"""Asked.flags: the answer also says what became of every candidate. Such an item is decided alone."""


class Asked(NamedTuple):
    """The requests of a batch, row for row with engine.batch.Batch, whose `count` says how many rows are filled; n rows or more.

    A request's span holds the bytes of one touchpoint.v1.DecideRequest, valid, each singular field at most once; its id's span lies within it.
    A row of a table that kernels have read has no such bytes: `item_bytes` is 0, and `item_at` its number in the table.
    """

    text: npt.NDArray[np.uint8]
    """(bytes,): the messages of the batch, or what held them, end to end."""
    item_at: npt.NDArray[np.int64]
    """(n,): first byte of the DecideRequest in `text`; a row's number."""
    item_bytes: npt.NDArray[np.int32]
    id_at: npt.NDArray[np.int64]
    """(n,): first byte of request_id in `text`: UTF-8."""
    id_bytes: npt.NDArray[np.int32]
    """(n,): 1 to REQUEST_ID_BYTES_MAX."""
    language: npt.NDArray[np.int32]
    """(n,): index among the catalogue's languages of the one that was asked for, -1 when none was."""
    flags: npt.NDArray[np.uint8]
    """(n,): EXPLAIN or 0."""


ASKED_TYPE: Any = bundle(
    Asked,
    read_only(np.uint8),
    read_only(np.int64),
    read_only(np.int32),
    read_only(np.int64),
    read_only(np.int32),
    read_only(np.int32),
    read_only(np.uint8),
)


class Pieces(NamedTuple):
    """What of an Offer's bytes is the same whoever gets it, made when a rulebook is bound. m pairs of candidate and channel have content; L languages.

    Candidate c: blob[candidates[c, 0] : candidates[c, 1]] are its fields 2 to 5 (names), up to candidates[c, 2] its fields 7 and 8 (score).
    Its words on channel h in language l, fields 9 to 11, are where words[pairs[c, h], l] says.
    """

    blob: npt.NDArray[np.uint8]
    candidates: npt.NDArray[np.int64]
    """(candidates, 3)"""
    pairs: npt.NDArray[np.int32]
    """(candidates, channels): 0 to m - 1; -1 without content."""
    words: npt.NDArray[np.int64]
    """(m, L, 2): first byte and how many; (-1 - v, 0) where the words, number v of Sayings.words, say something of the subscriber or the trigger."""
    push: npt.NDArray[np.uint8]
    """(channels,)"""
    most: npt.NDArray[np.int64]
    """(2,): the bytes of the longest candidate's names and parts, SHARED_MOST, and of the longest words, WORDS_MOST."""


class Stamp(NamedTuple):
    """What of an answer's bytes is the same for all answers of one generation of a shard."""

    version: npt.NDArray[np.uint8]
    """Fields 8 and 9: the rulebook's generation and the base's version."""
    id_key: npt.NDArray[np.uint64]
    """(2,): of the tags of decision ids."""
    shard: npt.NDArray[np.int64]
    """(1,)"""
    languages: npt.NDArray[np.int32]
    """(Binding.language_names,): the catalogue's index of each of the base's languages; -1 for one that it does not write in."""


class Rows(NamedTuple):
    """The columns of engine.batch.Batch and Decisions that answers say."""

    subscriber: npt.NDArray[np.uint64]
    channel: npt.NDArray[np.int32]
    reason: npt.NDArray[np.uint8]
    decision: npt.NDArray[np.uint64]
    chosen_count: npt.NDArray[np.int32]
    chosen: npt.NDArray[np.int32]
    score: npt.NDArray[np.uint64]
    """(n, k): the float64s' bits."""
    expires_us: npt.NDArray[np.int64]
    not_before_us: npt.NDArray[np.int64]
    deadline_us: npt.NDArray[np.int64]
    next_allowed_us: npt.NDArray[np.int64]
    stages: npt.NDArray[np.int32]
    language: npt.NDArray[np.int16]
    now_us: npt.NDArray[np.int64]


class Written(NamedTuple):
    """Where answers go: those of the rows written so far, one behind the other."""

    texts: Texts
    """Of Decisions: room for the bytes, and each row's span."""
    state: npt.NDArray[np.int64]
    """(WRITTEN_WORDS,)"""


SHARED_MOST, WORDS_MOST = range(2)
WRITTEN_USED, WRITTEN_NEEDED, WRITTEN_SAID, WRITTEN_VARYING, WRITTEN_OFFERS = range(5)
"""Where Written.state keeps: how many bytes are used; how many the next row may take, when there is no room for it; how many of the words that
were rendered apart have been written, of how many; how many offers there are in a batch that was answered at once."""
WRITTEN_WORDS: Final = 5

PIECES_TYPE: Any = bundle(
    Pieces,
    read_only(np.uint8),
    read_only(np.int64, 2),
    read_only(np.int32, 2),
    read_only(np.int64, 3),
    read_only(np.uint8),
    read_only(np.int64),
)
STAMP_TYPE: Any = bundle(Stamp, read_only(np.uint8), read_only(np.uint64), read_only(np.int64), read_only(np.int32))
ROWS_TYPE: Any = bundle(
    Rows,
    writable(np.uint64),
    writable(np.int32),
    writable(np.uint8),
    writable(np.uint64),
    writable(np.int32),
    writable(np.int32, 2),
    writable(np.uint64, 2),
    *(writable(np.int64),) * 4,
    writable(np.int32, 2),
    writable(np.int16),
    writable(np.int64),
)
WRITTEN_TYPE: Any = bundle(Written, TEXTS_TYPE, writable(np.int64))
