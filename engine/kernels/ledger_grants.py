"""Reading contacts and holding offers."""

import numpy as np
import numpy.typing as npt
from numba import types

from engine.dtypes.contact import COUNTS, LIVE, PUSH
from engine.dtypes.ledger import (
    CONTACTS,
    COUNTERS_TYPE,
    DECISION_NEXT,
    GRANTS_TYPE,
    LIVE_CONTACTS,
    NOW,
    POOL_TOP,
    STORE_TYPE,
    Counters,
    GrantColumns,
    Integer,
    Store,
)
from engine.intrinsics import prefetch
from engine.jit import kernel, read_only, writable
from engine.kernels.ledger_blocks import (
    find_subscriber,
    home_slot,
    new_block,
    obtainable_size,
    prune_block,
    sweep_blocks,
    widen_block,
)
from engine.kernels.ledger_holds import push_hold
from engine.kernels.ledger_totals import open_contact, total_count
from engine.limits import NEVER_US, OFFERS_PER_ANSWER_MAX

SUBSCRIBERS_AHEAD = 16
"""How far ahead of the look-up a subscriber's slot of the table is asked for: far enough to be there, near enough to be there still."""
SWEEP_WHEN_SCARCE = 8
"""Slots swept for each item once half of the pool has been used. The table has at most 8 slots for every 3 blocks of the pool, so that what
matters no more and is not yet swept takes a third of the pool at most; below that one slot for each item does."""


@kernel(
    types.void(STORE_TYPE, read_only(np.uint64), writable(np.int64), writable(np.int32), writable(np.int32)),
    apart=True,
)
def read_contacts(
    store: Store,
    subscribers: npt.NDArray[np.uint64],
    start: npt.NDArray[np.int64],
    count: npt.NDArray[np.int32],
    room: npt.NDArray[np.int32],
) -> None:
    """Write where each subscriber's contacts are, how many, and how many more there may be; prunes those near their bound, so that room is exact there."""
    obtainable, table = obtainable_size(store), store.table
    for i in range(min(SUBSCRIBERS_AHEAD, len(subscribers))):
        prefetch(table, home_slot(subscribers[i], len(table)))
    for i in range(len(subscribers)):
        if i + SUBSCRIBERS_AHEAD < len(subscribers):
            prefetch(table, home_slot(subscribers[i + SUBSCRIBERS_AHEAD], len(table)))
        slot = find_subscriber(store.table, subscribers[i])
        if slot < 0:
            start[i] = 0
            count[i] = 0
            room[i] = obtainable
            continue
        most = max(np.int64(store.table[slot]["size"]), obtainable)
        if most - np.int64(store.table[slot]["count"]) < OFFERS_PER_ANSWER_MAX:
            prune_block(store, slot)
        start[i] = np.int64(store.table[slot]["start"])
        prefetch(store.pool, start[i])
        count[i] = np.int32(store.table[slot]["count"])
        room[i] = most - np.int64(store.table[slot]["count"])


@kernel(types.int64(COUNTERS_TYPE, GRANTS_TYPE, types.int64), inner=True)
def totals_allow(counters: Counters, grants: GrantColumns, item: Integer) -> Integer:
    """Return 1 when every total check of the item passes."""
    for c in range(grants.total_start[item], grants.total_start[item + 1]):
        count = total_count(counters, grants.total_event[c], grants.total_slot[c], grants.total_since_day[c])
        if count >= grants.total_limit[c]:
            return 0
    return 1


@kernel(types.void(STORE_TYPE, GRANTS_TYPE, types.int64, types.int64, types.int64), inner=True)
def write_contact(store: Store, grants: GrantColumns, item: Integer, seat: Integer, i: Integer) -> None:
    """Write the contact of one seat, with a live hold granted now, to record `i`."""
    pool = store.pool
    pool[i]["decision"] = np.uint64(store.state[DECISION_NEXT])
    pool[i]["granted_us"] = store.state[NOW]
    pool[i]["expires_us"] = grants.expires_us[item]
    pool[i]["handed_off_us"] = NEVER_US
    pool[i]["seen_us"] = NEVER_US
    pool[i]["accepted_us"] = NEVER_US
    pool[i]["refused_us"] = NEVER_US
    pool[i]["not_now_us"] = NEVER_US
    pool[i]["offer"] = grants.offer[item, seat]
    pool[i]["campaign"] = grants.campaign[item, seat]
    pool[i]["category"] = grants.category[item, seat]
    pool[i]["channel"] = grants.channel[item, seat]
    pool[i]["rank"] = seat + 1
    pool[i]["flags"] = LIVE | (np.int64(grants.flags[item, seat]) & (PUSH | COUNTS))


@kernel(types.int64(STORE_TYPE, COUNTERS_TYPE, GRANTS_TYPE, types.int64), inner=True)
def grant_item(store: Store, counters: Counters, grants: GrantColumns, item: Integer) -> Integer:
    """Hold one item's offers; return its decision, or 0, with nothing changed, when its totals or its room do not allow it."""
    if not totals_allow(counters, grants, item):
        return 0
    seats = np.int64(grants.seats[item])
    subscriber = grants.subscriber[item]
    slot = find_subscriber(store.table, subscriber)
    if slot < 0:
        slot = new_block(store, subscriber, seats)
        if slot < 0:
            return 0
    elif not widen_block(store, slot, seats):
        return 0
    state = store.state
    first = np.int64(store.table[slot]["start"]) + np.int64(store.table[slot]["count"])
    for seat in range(seats):
        write_contact(store, grants, item, seat, first + seat)
        open_contact(counters, state, store.pool, first + seat)
    store.table[slot]["count"] = np.int64(store.table[slot]["count"]) + seats
    state[CONTACTS] += seats
    state[LIVE_CONTACTS] += seats
    decision = state[DECISION_NEXT]
    state[DECISION_NEXT] = decision + 1
    push_hold(store, grants.expires_us[item], np.uint64(decision), subscriber)
    return np.int64(decision)


@kernel(types.int64(STORE_TYPE, COUNTERS_TYPE, GRANTS_TYPE, types.int64, writable(np.uint64)), apart=True)
def grant_items(
    store: Store, counters: Counters, grants: GrantColumns, items: int, decision: npt.NDArray[np.uint64]
) -> Integer:
    """Hold the first `items` in order until one does not fit; return how many were granted, and write (items,) decisions, 0 where nothing is held.

    An item without offers passes. Returns -1, with nothing held, when a hold would be over at once. For each item some slots of the table are swept
    first, so that what matters no more goes as fast as contacts come, however large the batches.
    """
    for item in range(items):
        decision[item] = 0
        if grants.expires_us[item] <= store.state[NOW]:
            return np.int64(-1)
    scarce = 2 * store.state[POOL_TOP] > len(store.pool)
    sweep_blocks(store, items * (SWEEP_WHEN_SCARCE if scarce else 1))
    granted = np.int64(0)
    while granted < items:
        if grants.seats[granted] > 0:
            number = grant_item(store, counters, grants, granted)
            if number == 0:
                break
            decision[granted] = np.uint64(number)
        granted += 1
    return granted
