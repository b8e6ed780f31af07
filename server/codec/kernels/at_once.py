"""A usual batch in one call: decided, held, rendered and remembered."""

import numpy as np
import numpy.typing as npt
from numba import types

from engine.dtypes.base import Asked as Sought
from engine.dtypes.base import Live
from engine.dtypes.decisions import DecisionColumns
from engine.dtypes.ledger import GrantColumns, InMemory, Requests
from engine.dtypes.rules import Answers, Asking, Run
from engine.jit import kernel, writable
from engine.kernels.at_once import HELD, SETTLED, TAKES, decide_at_once
from engine.kernels.grants import Asks
from engine.kernels.ledger_answers import FITTED, remember_texts
from server.codec.dtypes import (
    ASKED_TYPE,
    PIECES_TYPE,
    ROWS_TYPE,
    STAMP_TYPE,
    WRITTEN_OFFERS,
    WRITTEN_TYPE,
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


@kernel(
    types.int64(
        *TAKES,
        PIECES_TYPE,
        STAMP_TYPE,
        ROWS_TYPE,
        ASKED_TYPE,
        FIELDS_TYPE,
        SPEAKER_TYPE,
        types.boolean,
        WRITTEN_TYPE,
        writable(np.int64),
    )
)
def answer_at_once(
    asking: Asking,
    requests: Requests,
    index: npt.NDArray[np.int64],
    serial: int,
    seen: npt.NDArray[np.int64],
    slots: npt.NDArray[np.int64],
    answer_grains: int,
    totals: bool,
    live: Live,
    sought: Sought,
    run: Run,
    answers: Answers,
    asks: Asks,
    grants: GrantColumns,
    ledger: InMemory,
    decisions: DecisionColumns,
    done: npt.NDArray[np.int64],
    pieces: Pieces,
    stamp: Stamp,
    rows: Rows,
    asked: Asked,
    fields: Fields,
    speaker: Speaker,
    varies: bool,
    written: Written,
    reasons: npt.NDArray[np.int64],
) -> int:
    """Decide as `decide_at_once` does, then write the answers and remember those that hold something; return 0, LEFT, or what that returns.

    `varies`: whether words may vary by subscriber or trigger. LEFT: nothing is remembered; not all items may be settled, not all answers written.
    Else the decisions are counted in (256,) `reasons`, and the offers in `written`.
    """
    stopped = decide_at_once(
        asking, requests, index, serial, seen, slots, answer_grains, totals, live, sought, run, answers, asks, grants,
        ledger, decisions, done,
    )  # fmt: skip
    if stopped:
        return stopped
    if done[SETTLED] < len(index):
        return LEFT
    said = speaker.said
    if varies and (not say_varying(pieces, stamp, rows, asked, index, fields, speaker) or said.state[SAID_LEFT] > 0):
        return LEFT
    if write_answers(pieces, stamp, rows, asked, said.texts, said.state[SAID_TEXTS], index, 0, written) < len(index):
        return LEFT
    held = ledger.position[: done[HELD]]
    count = 0
    for row in index:
        if decisions.decision[row] != np.uint64(0):
            held[count] = row
            count += 1
    if remember_texts(ledger.memory, ledger.arena, requests, held, run.moment.now_us, written.texts) != FITTED:
        return LEFT
    written.state[WRITTEN_OFFERS] = 0
    for row in index:
        reasons[decisions.reason[row]] += 1
        written.state[WRITTEN_OFFERS] += decisions.chosen_count[row]
    return 0
