"""A usual batch in one call: decided, held, rendered and remembered."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from engine.jit import Pointer, bundle, kernel, writable
from engine.kernels.at_once import AT_ONCE_TYPE, HELD, SETTLED, AtOnce, decide_at_once
from engine.kernels.ledger_answers import FITTED, remember_texts
from server.codec.dtypes import (
    ASKED_TYPE,
    PIECES_TYPE,
    ROWS_TYPE,
    STAMP_TYPE,
    WRITTEN_OFFERS,
    WRITTEN_TYPE,
    WRITTEN_VARYING,
    Asked,
    Pieces,
    Rows,
    Stamp,
    Written,
)
from server.codec.kernels.answers import write_answers
from server.codec.kernels.saying import say_varying
from server.codec.sayings import FIELDS_TYPE, SAID_LEFT, SAID_TEXTS, SPEAKER_TYPE, Fields, Speaker

LEFT = 1
"""What `answer_at_once` returns when the rest is to be done step by step: `done` says how far it is."""


class Telling(NamedTuple):
    """All that the answers to a batch take: what is kept, by pointers, and what is of this batch."""

    pieces: Pieces
    stamp: Stamp
    rows: Rows
    asked: Asked
    fields: Fields
    speaker: Speaker
    written: Written
    reasons: npt.NDArray[np.int64]
    """(256,): decisions by reason, counted up."""
    varies: int
    """1: words may vary by subscriber or trigger."""


TELLING_TYPE: Any = bundle(
    Telling,
    Pointer(PIECES_TYPE),
    Pointer(STAMP_TYPE),
    Pointer(ROWS_TYPE),
    Pointer(ASKED_TYPE),
    Pointer(FIELDS_TYPE),
    Pointer(SPEAKER_TYPE),
    Pointer(WRITTEN_TYPE),
    writable(np.int64),
    types.int64,
)


@kernel(types.boolean(AT_ONCE_TYPE, TELLING_TYPE), inner=True)
def tell(step: AtOnce, telling: Telling) -> bool:
    """Write the answers to all rows of the batch; return whether there was room for all and the kernel could say all words."""
    items, said = step.run.moment.items, telling.speaker.said
    index = step.rows[:items]
    pieces, stamp, rows, asked = telling.pieces, telling.stamp, telling.rows, telling.asked
    if telling.varies:
        whole = say_varying(pieces, stamp, rows, asked, index, telling.fields, telling.speaker)
        if not whole or said.state[SAID_LEFT] > 0:
            return False
    telling.written.state[WRITTEN_VARYING] = said.state[SAID_TEXTS] if telling.varies else 0
    done = write_answers(pieces, stamp, rows, asked, said.texts, index, 0, telling.written)
    return bool(done == items)


@kernel(types.int64(AT_ONCE_TYPE, TELLING_TYPE))
def answer_at_once(step: AtOnce, telling: Telling) -> int:
    """Decide as `decide_at_once` does, then write the answers and remember those that hold something; return 0, LEFT, or what that returns.

    With 0 the decisions are counted. LEFT: nothing is remembered; not all items may be settled, not all answers written.
    """
    stopped = decide_at_once(step)
    if stopped:
        return stopped
    items, ledger, decisions = step.run.moment.items, step.ledger, step.decisions
    if step.done[SETTLED] < items or not tell(step, telling):
        return LEFT
    held = ledger.position[: step.done[HELD]]
    count = offers = 0
    for row in range(items):
        if decisions.decision[row] != np.uint64(0):
            held[count] = row
            count += 1
        offers += decisions.chosen_count[row]
    now_us, texts = step.run.moment.now_us, telling.written.texts
    if remember_texts(ledger.memory, ledger.arena, step.requests, held, now_us, texts) != FITTED:
        return LEFT
    for row in range(items):
        telling.reasons[decisions.reason[row]] += 1
    telling.written.state[WRITTEN_OFFERS] = offers
    return 0
