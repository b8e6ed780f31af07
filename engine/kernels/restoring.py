"""A decided record of the journal taken back into the ledger in memory: what was held is held again, and its answers are remembered, without asking any cap."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from engine.dtypes.ledger import (
    DECISION_NEXT,
    GRANTS_TYPE,
    IN_MEMORY_TYPE,
    REQUESTS_TYPE,
    GrantColumns,
    InMemory,
    Requests,
)
from engine.dtypes.texts import TEXTS_TYPE, Texts
from engine.jit import Pointer, bundle, kernel, writable
from engine.kernels.grants import ASKS_TYPE, Asks
from engine.kernels.ledger_answers import FITTED, remember_texts
from engine.kernels.ledger_blocks import room_for_subscribers, sweep_blocks
from engine.kernels.ledger_grants import grant_items
from engine.kernels.ledger_holds import advance_time
from engine.kernels.noted_rows import NOTED_ROWS_TYPE, NotedRows, read_noted
from engine.kernels.siphash import Int

RESTORED, NO_TABLE, NO_CONTACTS, NO_ANSWERS, OTHERWISE, MALFORMED = range(6)
"""What `restore_noted` returns: done; nothing is done, the ledger's table must grow first; a row's contacts do not fit, with which it goes on when it is
called again; answers do not; what is held again would have another number, or end at once; no decided record. After the last three the ledger is of no use."""


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


@kernel(types.int64(RESTORING_TYPE, types.int64, types.int64, writable(np.int64)))
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
