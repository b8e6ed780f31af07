"""Decided records of the journal taken back into the ledger in memory: what was held is held again, and its answers are remembered, without asking any cap."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from engine.dtypes.ledger import (
    DECISION_NEXT,
    GRANTS_TYPE,
    IN_MEMORY_TYPE,
    MEMORY_COUNT,
    MEMORY_TYPE,
    NOW,
    OUTCOMES_TYPE,
    REQUESTS_TYPE,
    GrantColumns,
    InMemory,
    Memory,
    OutcomeColumns,
    Requests,
)
from engine.dtypes.texts import TEXTS_TYPE, Texts
from engine.jit import Pointer, bundle, kernel, writable
from engine.kernels.frames import HEADER_BYTES, frame_end
from engine.kernels.grants import ASKS_TYPE, Asks
from engine.kernels.ledger_answers import FITTED, remember_texts
from engine.kernels.ledger_blocks import room_for_subscribers, sweep_blocks
from engine.kernels.ledger_digests import reclaim_entries
from engine.kernels.ledger_grants import grant_items
from engine.kernels.ledger_holds import advance_time
from engine.kernels.ledger_outcomes import record_outcomes
from engine.kernels.noted_rows import NOTED_ROWS_TYPE, NotedRows, is_noted, read_noted
from engine.kernels.recorded_rows import RECORDED_ROWS_TYPE, RESULT, RecordedRows, is_recorded, read_recorded
from engine.kernels.siphash import Int

RESTORED, NO_TABLE, NO_CONTACTS, NO_ANSWERS, OTHERWISE, MALFORMED, LEFT = range(7)
"""What `restore_noted` returns: done; nothing is done, the ledger's table must grow first; a row's contacts do not fit, with which it goes on when it is
called again; answers do not; what is held again would have another number, or end at once; no decided record. After these three the ledger is of no use.
Of outcomes: done; OTHERWISE when they become something else than they did; LEFT when they do not fit, or are no record of outcomes: nothing is recorded."""


class Restoring(NamedTuple):
    """What records are taken back with."""

    ledger: InMemory
    rows: NotedRows
    requests: Requests
    """Of the rows."""
    subscriber: npt.NDArray[np.uint64]
    """Of `grants`, as the next."""
    asks: Asks
    grants: GrantColumns
    """Room for as many as there may be rows, without checks of totals."""
    answers: Texts
    """Of the rows, in the segment."""
    chosen: npt.NDArray[np.int64]
    """(n,): scratch"""
    outcome_ids: Memory
    recorded: RecordedRows
    outcomes: OutcomeColumns
    """The same memory as `recorded`."""
    results: npt.NDArray[np.uint8]
    """(n,): what becomes of outcomes"""


RESTORING_TYPE: Any = bundle(
    Restoring,
    Pointer(IN_MEMORY_TYPE),
    Pointer(NOTED_ROWS_TYPE),
    Pointer(REQUESTS_TYPE),
    writable(np.uint64),
    Pointer(ASKS_TYPE),
    Pointer(GRANTS_TYPE),
    TEXTS_TYPE,
    writable(np.int64),
    Pointer(MEMORY_TYPE),
    Pointer(RECORDED_ROWS_TYPE),
    Pointer(OUTCOMES_TYPE),
    writable(np.uint8),
)


@kernel(types.boolean(RESTORING_TYPE, types.int64), inner=True)
def _names_known(restoring: Restoring, count: Int) -> bool:
    """Return whether totals have a place for every code that the rows hold."""
    rows, slot_of = restoring.rows, restoring.ledger.counters.slot_of
    for row in range(count):
        for seat in range(rows.seats[row]):
            for kind in range(len(slot_of)):
                if rows.codes[row, seat, kind] >= slot_of.shape[1]:
                    return False
    return True


@kernel(types.int64(RESTORING_TYPE, types.int64, types.int64), inner=True)
def _ask_again(restoring: Restoring, first: Int, count: Int) -> int:
    """Fill the grants from the rows that hold something, from row `first` on as long as their numbers follow each other; return how many, and write which."""
    rows, asks, held = restoring.rows, restoring.asks, 0
    for row in range(first, count):
        if rows.decision[row] == np.uint64(0):
            continue
        if held > 0 and rows.decision[row] != rows.decision[restoring.chosen[held - 1]] + np.uint64(1):
            break  # a number between was of what nobody saw
        restoring.chosen[held] = row
        restoring.subscriber[held] = rows.subscriber[row]
        asks.count[held], asks.expires_us[held] = rows.seats[row], rows.expires_us[row]
        for seat in range(rows.seats[row]):
            asks.offer[held, seat], asks.campaign[held, seat] = rows.codes[row, seat, 0], rows.codes[row, seat, 1]
            asks.category[held, seat], asks.channel[held, seat] = rows.codes[row, seat, 2], rows.codes[row, seat, 3]
            asks.flags[held, seat] = rows.flags[row, seat]
        held += 1
    return held


@kernel(types.int64(RESTORING_TYPE, types.int64, writable(np.int64)), inner=True)
def _hold_again(restoring: Restoring, count: Int, head: npt.NDArray[np.int64]) -> int:
    """Hold what the rows from head[5] on hold, and write there which does not fit.

    The ledger swept at other times when it was written, so before contacts are said not to fit, all of it is swept.
    """
    store, decision, chosen = restoring.ledger.store, restoring.rows.decision, restoring.chosen
    row, swept = head[5], False
    while True:
        held = _ask_again(restoring, row, count)
        if held == 0:
            return RESTORED
        store.state[DECISION_NEXT] = np.int64(decision[chosen[0]])
        granted = np.int64(
            grant_items(store, restoring.ledger.counters, restoring.grants, held, restoring.ledger.decision)
        )
        if granted < 0:
            return OTHERWISE
        for item in range(granted):
            if restoring.ledger.decision[item] != decision[chosen[item]]:
                return OTHERWISE
        if granted == held:
            row, swept = chosen[held - 1] + 1, False
        elif swept:
            head[5] = chosen[granted]
            return NO_CONTACTS
        else:
            sweep_blocks(store, 2 * len(store.table))
            row, swept = chosen[granted], True


@kernel(types.int64(RESTORING_TYPE, types.int64, types.int64, writable(np.int64)), apart=True)
def restore_noted(restoring: Restoring, start: Int, end: Int, head: npt.NDArray[np.int64]) -> int:
    """Take back the decided record [start, end) of the segment that the answers lie in.

    `head`, (6,): what `read_noted` writes, then how many rows there are, and with which it begins.
    """
    ledger, rows = restoring.ledger, restoring.rows
    count = read_noted(restoring.answers.data, start, end, rows, head)
    if count < 0:
        return MALFORMED
    if not _names_known(restoring, count):
        return OTHERWISE
    head[4] = count
    if not room_for_subscribers(ledger.store, count):
        return NO_TABLE
    advance_time(ledger.store, ledger.counters, head[1])
    status = _hold_again(restoring, count, head)
    if status != RESTORED:
        return status
    known = 0
    for row in range(count):  # an erased subscriber's answers are no more
        if rows.decision[row] != np.uint64(0) and rows.answer_bytes[row] > 0:
            restoring.chosen[known] = row
            known += 1
    if known == 0:
        return RESTORED
    index = restoring.chosen[:known]
    fitted = remember_texts(ledger.memory, ledger.arena, restoring.requests, index, head[1], restoring.answers)
    return RESTORED if fitted == FITTED else NO_ANSWERS


@kernel(types.int64(RESTORING_TYPE, types.int64, types.int64, writable(np.int64)), inner=True)
def _restore_recorded(restoring: Restoring, start: Int, end: Int, head: npt.NDArray[np.int64]) -> int:
    """Take back the outcomes of record [start, end), and write its instant into head[1]: RESTORED, OTHERWISE or LEFT."""
    ledger, ids, data = restoring.ledger, restoring.outcome_ids, restoring.answers.data
    count = read_recorded(data, start, end, restoring.recorded, head)
    if count < 0:
        return LEFT
    advance_time(ledger.store, ledger.counters, head[1])
    reclaim_entries(ids, ledger.store.state[NOW])
    if count > len(ids.ring) - ids.state[MEMORY_COUNT]:
        return LEFT
    record_outcomes(ledger.store, ledger.counters, ids, restoring.outcomes, count, restoring.results)
    for row in range(count):
        if restoring.results[row] != data[restoring.recorded.column_at[RESULT] + row]:
            return OTHERWISE
    return RESTORED


@kernel(types.int64(RESTORING_TYPE, types.int64, writable(np.int64), writable(np.int64)))
def restore_run(restoring: Restoring, following: Int, head: npt.NDArray[np.int64], place: npt.NDArray[np.int64]) -> int:
    """Take back decisions and outcomes of the segment that the answers lie in, record after record, until something else comes, or goes wrong.

    They begin at byte place[0] with number place[1], and record `following` is not taken back here. `place`, (6,): where it stopped, and the number
    there; then how many records were taken back, rows of decisions, records of outcomes among them, and the last instant. Returns why it stopped at
    what it began to take back there, with `head` as that left it; RESTORED when it did not begin.
    """
    data, status = restoring.answers.data, np.int64(RESTORED)
    place[2:5] = 0
    while place[0] < len(data) and place[1] != following:
        end = np.int64(frame_end(data, place[0], place[1]))
        if end < 0:
            break
        start = place[0] + HEADER_BYTES
        if is_noted(data, start, end):
            head[5] = 0
            status = np.int64(restore_noted(restoring, start, end, head))
            rows, outcomes, last_us = head[4], 0, head[1]
        elif is_recorded(data, start, end):
            status = np.int64(_restore_recorded(restoring, start, end, head))
            rows, outcomes, last_us = 0, 1, max(place[5], head[1])
        else:
            break
        if status != RESTORED:
            break
        place[0], place[1], place[5] = end, place[1] + 1, last_us
        place[2] += 1
        place[3] += rows
        place[4] += outcomes
    return int(status)
