"""Decisions become the bytes of touchpoint.v1.DecideResponse, field by field in the order of their numbers, all but candidates, withheld and server_us."""

from typing import Final

import numpy as np
import numpy.typing as npt
from numba import types

from engine.dtypes.ledger import Integer
from engine.dtypes.texts import TEXTS_TYPE, Texts
from engine.jit import kernel, read_only, writable
from engine.kernels.texts import copy_bytes
from engine.limits import NEVER_US, REQUEST_ID_BYTES_MAX
from engine.reasons import STAGE_COUNT, Reason
from server.codec.dtypes import (
    ASKED_TYPE,
    PIECES_TYPE,
    ROWS_TYPE,
    SHARED_MOST,
    STAMP_TYPE,
    WORDS_MOST,
    WRITTEN_NEEDED,
    WRITTEN_SAID,
    WRITTEN_TYPE,
    WRITTEN_USED,
    WRITTEN_VARYING,
    Asked,
    Pieces,
    Rows,
    Stamp,
    Written,
)
from server.codec.kernels.decision_ids import ID_BYTES_MAX, put_decision_id
from server.codec.kernels.writing import (
    TIME_BYTES_MAX,
    instant_bytes,
    put_bytes,
    put_instant,
    put_number,
    put_varint,
    varint_bytes,
)

REQUEST_ID, DECISION_ID, REASON, OFFERS = 1 << 3 | 2, 2 << 3 | 2, 3 << 3, 4 << 3 | 2
NEXT_ALLOWED, STAGES, DECIDED_AT = 5 << 3 | 2, 6 << 3 | 2, 7 << 3 | 2
RANK, SCORE, HOLD_UNTIL, SEND_NOT_BEFORE, SEND_DEADLINE = 1 << 3, 6 << 3 | 1, 12 << 3 | 2, 13 << 3 | 2, 14 << 3 | 2
_OFFERED: Final = int(Reason.OFFERED)
_STAGE_BYTES_MAX: Final = 2 + 2 + 6
_OFFER_BYTES_MAX: Final = 1 + 5 + 2 + 9 + 3 * TIME_BYTES_MAX
"""Beside its pieces and words."""
_ANSWER_BYTES_MAX: Final = (
    (3 + REQUEST_ID_BYTES_MAX) + (2 + ID_BYTES_MAX) + 3 + 2 * TIME_BYTES_MAX + STAGE_COUNT * _STAGE_BYTES_MAX
)
"""Beside its offers and the stamp."""
_TEXT = writable(np.uint8)
_INDEX = read_only(np.int64)


@kernel(types.int64(STAMP_TYPE, ROWS_TYPE, ASKED_TYPE, types.int64), inner=True)
def language_of(stamp: Stamp, rows: Rows, asked: Asked, row: Integer) -> Integer:
    """Return the language of an answer: the one asked for, else the subscriber's, else the catalogue's first."""
    language = np.int64(asked.language[row])
    if language < 0 and rows.language[row] >= 0:
        language = np.int64(stamp.languages[rows.language[row]])
    return language if language >= 0 else 0


@kernel(types.int64(PIECES_TYPE, TEXTS_TYPE, types.int64), inner=True)
def offer_bytes_max(pieces: Pieces, said: Texts, varying: Integer) -> Integer:
    """Return how many bytes an Offer takes at most, whichever it is, the first `varying` texts being those that were said."""
    words = pieces.most[WORDS_MOST]
    for i in range(varying):
        words = max(words, said.length_bytes[i])
    return np.int64(_OFFER_BYTES_MAX + pieces.most[SHARED_MOST] + words)


@kernel(types.int64(_TEXT, types.int64, ROWS_TYPE, types.int64, types.int64), inner=True)
def put_times(out: npt.NDArray[np.uint8], at: Integer, rows: Rows, row: Integer, push: Integer) -> Integer:
    """Write fields 12 to 14 of an Offer, the same for all offers of one answer; return where they end."""
    at = put_instant(out, at, HOLD_UNTIL, rows.expires_us[row])
    if push:
        at = put_instant(out, at, SEND_NOT_BEFORE, rows.not_before_us[row])
        at = put_instant(out, at, SEND_DEADLINE, rows.deadline_us[row])
    return at


@kernel(types.int64(ROWS_TYPE, types.int64, types.int64), inner=True)
def times_bytes(rows: Rows, row: Integer, push: Integer) -> Integer:
    """Return how many bytes `put_times` writes."""
    count = 2 + instant_bytes(rows.expires_us[row])
    if push:
        count += 4 + instant_bytes(rows.not_before_us[row]) + instant_bytes(rows.deadline_us[row])
    return count


@kernel(types.int64(PIECES_TYPE, STAMP_TYPE, ROWS_TYPE, ASKED_TYPE, TEXTS_TYPE, types.int64, WRITTEN_TYPE), inner=True)
def put_offers(
    pieces: Pieces, stamp: Stamp, rows: Rows, asked: Asked, said: Texts, row: Integer, written: Written
) -> Integer:
    """Write field 4 of an answer from WRITTEN_USED on, an Offer for each seat; return where it ends."""
    out = written.texts.data
    at: Integer = written.state[WRITTEN_USED]
    channel = rows.channel[row]
    push = np.int64(pieces.push[channel])
    language = language_of(stamp, rows, asked, row)
    times, times_at = times_bytes(rows, row, push), at
    for seat in range(rows.chosen_count[row]):
        candidate = rows.chosen[row, seat]
        names, parts, end = (
            pieces.candidates[candidate, 0],
            pieces.candidates[candidate, 1],
            pieces.candidates[candidate, 2],
        )
        pair = pieces.pairs[candidate, channel]
        words, words_bytes = pieces.words[pair, language, 0], pieces.words[pair, language, 1]
        apart = written.state[WRITTEN_SAID]
        if words < 0:
            words_bytes = said.length_bytes[apart]
        score = rows.score[row, seat]
        scored = 9 if score != np.uint64(0) else 0
        out[at] = OFFERS
        at = put_varint(out, at + 1, np.uint64(2 + end - names + scored + words_bytes + times))
        out[at] = RANK
        out[at + 1] = seat + 1
        copy_bytes(out, at + 2, pieces.blob, names, parts - names)
        at += 2 + parts - names
        if scored:
            out[at] = SCORE
            for i in range(8):
                out[at + 1 + i] = (score >> np.uint64(8 * i)) & np.uint64(255)
            at += 9
        copy_bytes(out, at, pieces.blob, parts, end - parts)
        at += end - parts
        if words < 0:
            copy_bytes(out, at, said.data, said.start[apart], words_bytes)
            written.state[WRITTEN_SAID] += 1
        else:
            copy_bytes(out, at, pieces.blob, words, words_bytes)
        at += words_bytes
        if seat == 0:
            put_times(out, at, rows, row, push)
        else:
            copy_bytes(out, at, out, times_at, times)
        times_at = at
        at += times
    return at


@kernel(types.int64(_TEXT, types.int64, ROWS_TYPE, types.int64), inner=True)
def put_stages(out: npt.NDArray[np.uint8], at: Integer, rows: Rows, row: Integer) -> Integer:
    """Write field 6 of an answer, a StageCount for each stage that stopped a candidate; return where it ends."""
    for stage in range(STAGE_COUNT):
        count = rows.stages[row, stage]
        if count > 0:
            out[at] = STAGES
            out[at + 1] = 3 + varint_bytes(np.uint64(count))
            at = put_number(out, at + 2, 1 << 3, np.uint64(stage + 1))
            at = put_number(out, at, 2 << 3, np.uint64(count))
    return at


@kernel(types.void(PIECES_TYPE, STAMP_TYPE, ROWS_TYPE, ASKED_TYPE, TEXTS_TYPE, types.int64, WRITTEN_TYPE), inner=True)
def put_answer(
    pieces: Pieces, stamp: Stamp, rows: Rows, asked: Asked, said: Texts, row: Integer, written: Written
) -> None:
    """Write the answer to a row behind the others; there must be room."""
    texts, state = written.texts, written.state
    out, start = texts.data, state[WRITTEN_USED]
    at = put_bytes(out, start, REQUEST_ID, asked.text, asked.id_at[row], np.int64(asked.id_bytes[row]))
    if rows.decision[row] != np.uint64(0):
        out[at] = DECISION_ID
        end = put_decision_id(out, at + 2, stamp, rows.decision[row], rows.subscriber[row])
        out[at + 1] = end - at - 2
        at = end
    at = put_number(out, at, REASON, np.uint64(rows.reason[row]))
    state[WRITTEN_USED] = at
    at = put_offers(pieces, stamp, rows, asked, said, row, written)
    if rows.reason[row] != _OFFERED and rows.next_allowed_us[row] != NEVER_US:
        at = put_instant(out, at, NEXT_ALLOWED, rows.next_allowed_us[row])
    at = put_stages(out, at, rows, row)
    at = put_instant(out, at, DECIDED_AT, rows.now_us[row])
    copy_bytes(out, at, stamp.version, 0, len(stamp.version))
    at += len(stamp.version)
    texts.start[row] = start
    texts.length_bytes[row] = at - start
    state[WRITTEN_USED] = at


@kernel(
    types.int64(PIECES_TYPE, STAMP_TYPE, ROWS_TYPE, ASKED_TYPE, TEXTS_TYPE, _INDEX, types.int64, WRITTEN_TYPE),
    apart=True,
)
def write_answers(
    pieces: Pieces,
    stamp: Stamp,
    rows: Rows,
    asked: Asked,
    said: Texts,
    index: npt.NDArray[np.int64],
    first: int,
    written: Written,
) -> Integer:
    """Write the answers to rows index[first:]; return how many of `index` are done. The first WRITTEN_VARYING of `said` are words that vary, by row and seat.

    Fewer than all when there is not room for the next; WRITTEN_NEEDED then says how much it may take. Go on from there with more room.
    """
    state = written.state
    offer = offer_bytes_max(pieces, said, state[WRITTEN_VARYING])
    for i in range(first, len(index)):
        most = _ANSWER_BYTES_MAX + len(stamp.version) + rows.chosen_count[index[i]] * offer
        if state[WRITTEN_USED] + most > len(written.texts.data):
            state[WRITTEN_NEEDED] = most
            return np.int64(i)
        put_answer(pieces, stamp, rows, asked, said, index[i], written)
    return np.int64(len(index))
