"""Recording outcomes, and forgetting a subscriber."""

import numpy as np
import numpy.typing as npt
from numba import types

from engine.dtypes.contact import ACCEPTED, HANDED_OFF, LATE, LIVE, SEEN
from engine.dtypes.ledger import (
    ACCEPTED_KIND,
    CLOSED,
    CONFLICT,
    COUNTERS_TYPE,
    DUPLICATE,
    FAILED_KIND,
    FULFILLED_KIND,
    HANDED_OFF_KIND,
    INVALID,
    LIVE_CONTACTS,
    MEMORY_TYPE,
    NOT_NOW_KIND,
    NOW,
    OUTCOME_SKEW_US,
    OUTCOMES_TYPE,
    RECORDED,
    RECORDED_LATE,
    REFUSED_KIND,
    STORE_TYPE,
    UNKNOWN_DECISION,
    Counters,
    Integer,
    Memory,
    OutcomeColumns,
    Store,
)
from engine.jit import kernel, writable
from engine.kernels.ledger_blocks import drop_block, find_subscriber, matters
from engine.kernels.ledger_digests import append_entry, find_digest
from engine.kernels.ledger_holds import remove_holds
from engine.kernels.ledger_totals import close_contact, set_event
from engine.limits import NEVER_US


@kernel(types.int64(STORE_TYPE, types.uint64, types.uint64, types.int64))
def find_contact(store: Store, subscriber: np.uint64, decision: np.uint64, rank: Integer) -> Integer:
    """Return the record of a contact, or -1 when it is unknown or matters no more (pruned or not: the answer is the same)."""
    slot = find_subscriber(store.table, subscriber)
    if slot < 0:
        return -1
    start = np.int64(store.table[slot]["start"])
    for i in range(start, start + np.int64(store.table[slot]["count"])):
        if store.pool[i]["decision"] == decision and np.int64(store.pool[i]["rank"]) == rank:
            return i if matters(store.pool, i, store.state[NOW], store.retention) else np.int64(-1)
    return -1


@kernel(types.void(STORE_TYPE, COUNTERS_TYPE, types.int64, types.int64, types.int64), inner=True)
def apply_outcome(store: Store, counters: Counters, i: Integer, kind: Integer, at_us: Integer) -> None:
    """Set the events that an outcome of this kind sets, and close the hold if it closes it."""
    pool, state = store.pool, store.state
    if kind != FAILED_KIND:
        set_event(counters, state, pool, i, HANDED_OFF, at_us)
    if kind not in (FAILED_KIND, HANDED_OFF_KIND):
        set_event(counters, state, pool, i, SEEN, at_us)
    if kind in (ACCEPTED_KIND, FULFILLED_KIND):
        set_event(counters, state, pool, i, ACCEPTED, at_us)
    if kind == REFUSED_KIND and pool[i]["refused_us"] == NEVER_US:
        pool[i]["refused_us"] = at_us
    if kind == NOT_NOW_KIND and pool[i]["not_now_us"] == NEVER_US:
        pool[i]["not_now_us"] = at_us
    if kind >= ACCEPTED_KIND and np.int64(pool[i]["flags"]) & LIVE:
        close_contact(counters, pool, i, 1)
        state[LIVE_CONTACTS] -= 1


@kernel(types.int64(STORE_TYPE, COUNTERS_TYPE, types.int64, types.int64, types.int64), inner=True)
def record_outcome(store: Store, counters: Counters, i: Integer, kind: Integer, event_us: Integer) -> Integer:
    """Record one outcome on contact `i`; return RECORDED, RECORDED_LATE or INVALID."""
    pool = store.pool
    now_us = store.state[NOW]
    granted_us = np.int64(pool[i]["granted_us"])
    if kind < HANDED_OFF_KIND or kind > FAILED_KIND:
        return INVALID
    if event_us > now_us + OUTCOME_SKEW_US or event_us < granted_us - OUTCOME_SKEW_US:
        return INVALID
    flags = np.int64(pool[i]["flags"])
    apply_outcome(store, counters, i, kind, min(max(event_us, granted_us), now_us))
    if flags & (LIVE | CLOSED):
        return RECORDED
    pool[i]["flags"] = flags | LATE
    return RECORDED_LATE


@kernel(types.void(STORE_TYPE, COUNTERS_TYPE, MEMORY_TYPE, OUTCOMES_TYPE, types.int64, writable(np.uint8)), apart=True)
def record_outcomes(
    store: Store,
    counters: Counters,
    memory: Memory,
    outcomes: OutcomeColumns,
    count: Integer,
    results: npt.NDArray[np.uint8],
) -> None:
    """Record so many outcomes in order and write what became of each; `memory` has room for all their ids and holds none that is over."""
    for row in range(count):
        high, low, body = outcomes.outcome[row, 0], outcomes.outcome[row, 1], outcomes.body[row]
        known = find_digest(memory, high, low)
        if known >= 0:
            results[row] = DUPLICATE if memory.ring[known]["body"] == body else CONFLICT
            continue
        subscriber = outcomes.subscriber[row]
        i = find_contact(store, subscriber, outcomes.decision[row], np.int64(outcomes.rank[row]))
        if i < 0:
            results[row] = UNKNOWN_DECISION
            continue
        results[row] = record_outcome(store, counters, i, np.int64(outcomes.kind[row]), outcomes.event_us[row])
        if results[row] != INVALID:
            append_entry(memory, high, low, body, subscriber, store.state[NOW], 0)


@kernel(types.void(STORE_TYPE, COUNTERS_TYPE, types.uint64))
def forget_contacts(store: Store, counters: Counters, subscriber: np.uint64) -> None:
    """Drop a subscriber's contacts and queued holds; totals lose its live holds and keep its events."""
    slot = find_subscriber(store.table, subscriber)
    if slot < 0:
        return
    queued = False
    start = np.int64(store.table[slot]["start"])
    for i in range(start, start + np.int64(store.table[slot]["count"])):
        if np.int64(store.pool[i]["flags"]) & LIVE:
            close_contact(counters, store.pool, i, 0)
            store.state[LIVE_CONTACTS] -= 1
        if store.pool[i]["expires_us"] > store.state[NOW]:
            queued = True
    drop_block(store, slot)
    if queued:
        remove_holds(store, subscriber)
