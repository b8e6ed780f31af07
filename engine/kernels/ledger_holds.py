"""Time: the queue of holds, and what becomes of a hold at its expiry."""

import numpy as np
import numpy.typing as npt
from numba import types

from engine.dtypes.contact import HANDED_OFF, LIVE, PUSH, SEEN
from engine.dtypes.ledger import (
    COUNTERS_TYPE,
    FIRST_DAY,
    HOLD,
    HOLDS,
    LIVE_CONTACTS,
    NOW,
    STORE_TYPE,
    TODAY,
    Counters,
    Integer,
    Store,
)
from engine.jit import kernel, writable
from engine.kernels.ledger_blocks import find_subscriber, sweep_blocks
from engine.kernels.ledger_totals import close_contact, day_of, set_event

SWEEP_SLOTS = 16
"""Table slots looked at by each advance of the clock: a table of two million is gone round in 131,072 advances."""


@kernel(types.int64(writable(HOLD), types.int64, types.int64), inner=True)
def hold_before(holds: npt.NDArray[np.void], i: Integer, j: Integer) -> Integer:
    """Return 1 when hold i ends before hold j; at the same instant the earlier decision goes first."""
    if holds[i]["expires_us"] != holds[j]["expires_us"]:
        return np.int64(holds[i]["expires_us"] < holds[j]["expires_us"])
    return np.int64(holds[i]["decision"] < holds[j]["decision"])


@kernel(types.void(writable(HOLD), types.int64, types.int64), inner=True)
def swap_holds(holds: npt.NDArray[np.void], i: Integer, j: Integer) -> None:
    """Exchange two holds."""
    expires_us, decision, subscriber = holds[i]["expires_us"], holds[i]["decision"], holds[i]["subscriber"]
    holds[i] = holds[j]
    holds[j]["expires_us"] = expires_us
    holds[j]["decision"] = decision
    holds[j]["subscriber"] = subscriber


@kernel(types.void(writable(HOLD), types.int64, types.int64))
def sift_down(holds: npt.NDArray[np.void], count: Integer, i: Integer) -> None:
    """Move hold i towards the leaves of a heap of `count` until its children come after it."""
    while 2 * i + 1 < count:
        child = 2 * i + 1
        if child + 1 < count and hold_before(holds, child + 1, child):
            child += 1
        if not hold_before(holds, child, i):
            return
        swap_holds(holds, i, child)
        i = child


@kernel(types.void(STORE_TYPE, types.int64, types.uint64, types.uint64))
def push_hold(store: Store, expires_us: Integer, decision: np.uint64, subscriber: np.uint64) -> None:
    """Queue a hold. The heap has room: it never holds more decisions than the pool holds contacts."""
    holds = store.holds
    i = store.state[HOLDS]
    store.state[HOLDS] = i + 1
    holds[i]["expires_us"] = expires_us
    holds[i]["decision"] = decision
    holds[i]["subscriber"] = subscriber
    while i > 0 and hold_before(holds, i, (i - 1) // 2):
        swap_holds(holds, i, (i - 1) // 2)
        i = (i - 1) // 2


@kernel(types.void(STORE_TYPE, types.int64))
def remove_hold(store: Store, i: Integer) -> None:
    """Take the last hold of the array out, into place `i`, and zero its old place; the caller restores the heap."""
    last = store.state[HOLDS] - 1
    if i != last:
        store.holds[i] = store.holds[last]
    store.holds[last]["expires_us"] = 0
    store.holds[last]["decision"] = 0
    store.holds[last]["subscriber"] = 0
    store.state[HOLDS] = last


@kernel(types.void(STORE_TYPE, types.uint64))
def remove_holds(store: Store, subscriber: np.uint64) -> None:
    """Take all of a subscriber's holds out of the queue; looks at the whole queue."""
    for i in range(store.state[HOLDS] - 1, -1, -1):
        if store.holds[i]["subscriber"] == subscriber:
            remove_hold(store, i)
    count = store.state[HOLDS]
    for i in range(count // 2 - 1, -1, -1):
        sift_down(store.holds, count, i)


@kernel(types.void(STORE_TYPE, COUNTERS_TYPE, types.uint64, types.uint64), inner=True)
def expire_decision(store: Store, counters: Counters, subscriber: np.uint64, decision: np.uint64) -> None:
    """Expire a decision's live holds: push counts as handed off and seen at the expiry, pull is released."""
    slot = find_subscriber(store.table, subscriber)
    if slot < 0:
        return
    pool = store.pool
    start = np.int64(store.table[slot]["start"])
    for i in range(start, start + np.int64(store.table[slot]["count"])):
        if pool[i]["decision"] == decision and np.int64(pool[i]["flags"]) & LIVE:
            if np.int64(pool[i]["flags"]) & PUSH:
                set_event(counters, store.state, pool, i, HANDED_OFF, pool[i]["expires_us"])
                set_event(counters, store.state, pool, i, SEEN, pool[i]["expires_us"])
            close_contact(counters, pool, i, 0)
            store.state[LIVE_CONTACTS] -= 1


@kernel(types.void(STORE_TYPE, COUNTERS_TYPE, types.int64), apart=True)
def advance_time(store: Store, counters: Counters, now_us: Integer) -> None:
    """Set ledger time to the larger of itself and `now_us`, and expire what is due at or before it, in order of (expiry, decision)."""
    state, holds = store.state, store.holds
    state[NOW] = max(state[NOW], now_us)
    state[TODAY] = day_of(counters.day_starts_us, state[FIRST_DAY], state[NOW])
    while state[HOLDS] > 0 and holds[0]["expires_us"] <= state[NOW]:
        subscriber, decision = holds[0]["subscriber"], holds[0]["decision"]
        remove_hold(store, 0)
        sift_down(holds, state[HOLDS], 0)
        expire_decision(store, counters, subscriber, decision)
    sweep_blocks(store, SWEEP_SLOTS)
