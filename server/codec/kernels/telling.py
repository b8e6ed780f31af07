"""DecideResponses as they were rendered, or are remembered, become rows of columns: the same row whichever door the decision came by first.

Answers are our own bytes, as server.codec.kernels.answers writes them; so they are well-formed, and nothing here says otherwise.
"""

import numpy as np
import numpy.typing as npt
from numba import types

from engine.dtypes.texts import TEXTS_TYPE, Texts
from engine.jit import kernel, read_only, writable
from engine.kernels.siphash import Int, byte_at, whole_word
from engine.kernels.texts import copy_bytes
from engine.limits import NEVER_US
from server.codec.answer_tables import (
    BASE,
    CAMPAIGN,
    CONTENT,
    DECIDED_AT,
    HOLD_UNTIL,
    INSTANTS,
    LANGUAGE,
    LEXICON_TYPE,
    NEXT_ALLOWED,
    OFFER,
    SEATS_TYPE,
    TOLD_TYPE,
    Lexicon,
    Seats,
    Told,
)
from server.codec.kernels.decision_ids import ID_BYTES_MAX
from server.codec.kernels.lexicon import number_of
from server.codec.kernels.wire import PAIR

_TEXT = read_only(np.uint8)
_WORDS_WANTED = 1


@kernel(PAIR(_TEXT, types.int64), inner=True)
def _varint(data: npt.NDArray[np.uint8], at: Int) -> tuple[Int, Int]:
    """Return (value, next) of the number at `at`."""
    byte = np.int64(byte_at(data, at))
    value, at, shift = byte & 127, at + 1, 7
    while byte >= 128:
        byte = np.int64(byte_at(data, at))
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
    return value, at


@kernel(types.int64(_TEXT, types.int64, types.int64), inner=True)
def _instant_us(data: npt.NDArray[np.uint8], at: Int, size: Int) -> Int:
    """Return the microseconds of a google.protobuf.Timestamp in bytes [at, at + size)."""
    us: Int = 0
    end = at + size
    while at < end:
        tag = np.int64(byte_at(data, at))
        value, at = _varint(data, at + 1)
        us += value * 1_000_000 if tag == 8 else value // 1_000
    return us


@kernel(
    types.int64(_TEXT, types.int64, types.int64, TOLD_TYPE, SEATS_TYPE, LEXICON_TYPE, types.int64, types.int64),
    inner=True,
)
def _take_offer(
    data: npt.NDArray[np.uint8], at: Int, end: Int, told: Told, seats: Seats, lexicon: Lexicon, row: Int, words: Int
) -> Int:
    """Take the Offer in bytes [at, end) as the row's next seat; return whether there was room."""
    seat = np.int64(told.seats_end[row + 1])
    if seat >= len(seats.rank):
        return 0
    seats.rank[seat], seats.score[seat] = 0, 0
    for place in range(LANGUAGE + 1):
        seats.words[seat, place] = -1
    while at < end:
        tag = np.int64(byte_at(data, at))
        field, wire, at = tag >> 3, tag & 7, at + 1
        if wire == 1:
            if field == 6:
                seats.score[seat] = whole_word(data, at)
            at += 8
            continue
        size, at = _varint(data, at)
        if field == 1:
            seats.rank[seat] = size
        if wire != 2:
            continue
        column: Int = OFFER if field == 2 else CAMPAIGN if field == 3 else -1
        if words == _WORDS_WANTED and field >= 9 and field <= 11:
            column = CONTENT + field - 9
        if column >= 0:
            number = number_of(lexicon, column, data, at, size)
            if number < 0:
                return 0
            seats.words[seat, column] = number
        elif field >= 12 and field <= 14:
            told.instants[HOLD_UNTIL + field - 12, row] = _instant_us(data, at, size)
        at += size
    told.seats_end[row + 1] = seat + 1
    return 1


@kernel(
    types.int64(_TEXT, types.int64, types.int64, TOLD_TYPE, SEATS_TYPE, LEXICON_TYPE, types.int64, types.int64),
    inner=True,
)
def _take_answer(
    data: npt.NDArray[np.uint8], at: Int, end: Int, told: Told, seats: Seats, lexicon: Lexicon, row: Int, words: Int
) -> Int:
    """Take the DecideResponse in bytes [at, end) as the row; return whether there was room."""
    while at < end:
        tag = np.int64(byte_at(data, at))
        field, wire, at = tag >> 3, tag & 7, at + 1
        if wire != 2:
            value, after = _varint(data, at)
            if field == 3:
                told.reason[row] = value
            elif field == 8:
                told.generation[row] = np.uint64(value)
            at = after
            continue
        size, at = _varint(data, at)
        if field == 2:
            start, id_bytes = np.int64(told.ids_end[row]), min(size, ID_BYTES_MAX)
            copy_bytes(told.ids, start, data, at, id_bytes)
            told.ids_end[row + 1] = start + id_bytes
        elif field == 4:
            if not _take_offer(data, at, at + size, told, seats, lexicon, row, words):
                return 0
        elif field == 5:
            told.instants[NEXT_ALLOWED, row] = _instant_us(data, at, size)
        elif field == 7:
            told.instants[DECIDED_AT, row] = _instant_us(data, at, size)
        elif field == 9:
            number = number_of(lexicon, BASE, data, at, size)
            if number < 0:
                return 0
            told.base[row] = number
        at += size
    return 1


@kernel(
    types.int64(
        TEXTS_TYPE, writable(np.uint8), types.int64, types.int64, TOLD_TYPE, SEATS_TYPE, LEXICON_TYPE, types.int64
    )
)
def take_answers(
    answers: Texts,
    replayed: npt.NDArray[np.uint8],
    first: int,
    start: int,
    told: Told,
    seats: Seats,
    lexicon: Lexicon,
    words: int,
) -> int:
    """Take answers[first:] as the rows from `start` + first on; return how many of the answers are done.

    Fewer than all when there is not room for the next one's seats or texts: go on from there with more. `words` says whether content, script and
    language are wanted. An answer of no bytes leaves its row without one.
    """
    data = answers.data
    for i in range(first, len(answers.start)):
        row = np.int64(start + i)
        told.reason[row], told.replayed[row], told.generation[row], told.base[row] = 0, replayed[i], 0, -1
        told.ids_end[row + 1], told.seats_end[row + 1] = told.ids_end[row], told.seats_end[row]
        for instant in range(INSTANTS):
            told.instants[instant, row] = NEVER_US
        at = answers.start[i]
        if not _take_answer(data, at, at + answers.length_bytes[i], told, seats, lexicon, row, np.int64(words)):
            return i
    return len(answers.start)
