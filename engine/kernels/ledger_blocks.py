"""Contacts by subscriber: the table of subscribers, the blocks of the pool, and the dropping of what matters no more."""

import numpy as np
import numpy.typing as npt
from numba import types

from engine.dtypes.contact import CONTACT, COUNTS, LIVE
from engine.dtypes.ledger import (
    ACCEPTED_FOR,
    BLOCK_SIZES,
    CONTACTS,
    COUNTED_FOR,
    DECIDED_FOR,
    FREE,
    LATE_FOR,
    NOT_NOW_FOR,
    NOW,
    POOL_TOP,
    REFUSED_FOR,
    STORE_TYPE,
    SUBSCRIBER,
    SUBSCRIBERS,
    SWEEP_NEXT,
    Integer,
    Store,
)
from engine.jit import kernel, read_only, writable
from engine.limits import NEVER_US

SMALLEST = BLOCK_SIZES[0]
ORDERS = len(BLOCK_SIZES)


@kernel(types.int64(types.uint64, types.int64))
def home_slot(key: np.uint64, slots: Integer) -> Integer:
    """Return where a keyed hash belongs in a table of 2^k slots; both halves count, because a shard may be chosen by either."""
    return np.int64((key ^ (key >> np.uint64(32))) & np.uint64(slots - 1))


@kernel(types.boolean(STORE_TYPE, types.int64), inner=True)
def room_for_subscribers(store: Store, subscribers: Integer) -> bool:
    """Return whether the table can take so many more subscribers, or as many as the pool can have blocks, and still is at most three quarters full."""
    most = min(store.state[SUBSCRIBERS] + subscribers, len(store.pool) // BLOCK_SIZES[0])
    return bool(len(store.table) * 3 // 4 >= most)


@kernel(types.int64(writable(SUBSCRIBER), types.uint64))
def find_subscriber(table: npt.NDArray[np.void], key: np.uint64) -> Integer:
    """Return the table slot of a subscriber, or -1."""
    mask = len(table) - 1
    slot = home_slot(key, len(table))
    for _ in range(len(table)):
        if table[slot]["size"] == 0:
            return -1
        if table[slot]["key"] == key:
            return slot
        slot = (slot + 1) & mask
    return -1


@kernel(types.int64(writable(SUBSCRIBER), types.uint64, types.int64, types.int64))
def place_subscriber(table: npt.NDArray[np.void], key: np.uint64, start: Integer, size: Integer) -> Integer:
    """Enter a subscriber that is not in the table, with an empty block; return its slot. The table must have a free one."""
    mask = len(table) - 1
    slot = home_slot(key, len(table))
    for _ in range(len(table)):
        if table[slot]["size"] == 0:
            break
        slot = (slot + 1) & mask
    table[slot]["key"] = key
    table[slot]["start"] = start
    table[slot]["count"] = 0
    table[slot]["size"] = size
    return slot


@kernel(types.void(writable(SUBSCRIBER), types.int64))
def remove_subscriber(table: npt.NDArray[np.void], slot: Integer) -> None:
    """Empty a slot, moving back those behind it that would otherwise no longer be found."""
    mask = len(table) - 1
    hole = slot
    probe = slot
    for _ in range(len(table)):
        probe = (probe + 1) & mask
        if table[probe]["size"] == 0:
            break
        home = home_slot(table[probe]["key"], len(table))
        if ((probe - home) & mask) >= ((probe - hole) & mask):
            table[hole] = table[probe]
            hole = probe
    table[hole]["key"] = 0
    table[hole]["start"] = 0
    table[hole]["count"] = 0
    table[hole]["size"] = 0


@kernel(types.void(read_only(SUBSCRIBER), writable(SUBSCRIBER)))
def rehash_subscribers(old: npt.NDArray[np.void], new: npt.NDArray[np.void]) -> None:
    """Enter all of `old` into the empty, larger table `new`."""
    for i in range(len(old)):
        if old[i]["size"] > 0:
            slot = place_subscriber(new, old[i]["key"], np.int64(old[i]["start"]), np.int64(old[i]["size"]))
            new[slot]["count"] = old[i]["count"]


@kernel(types.int64(types.int64))
def block_order(contacts: Integer) -> Integer:
    """Return the place in BLOCK_SIZES of the smallest block for so many contacts, or -1 when none is large enough."""
    for order in range(ORDERS):
        if contacts <= SMALLEST << order:
            return order
    return -1


@kernel(types.void(writable(CONTACT), types.int64), inner=True)
def clear_contact(pool: npt.NDArray[np.void], i: Integer) -> None:
    """Overwrite a record that holds no contact any more with zeros."""
    pool[i]["decision"] = 0
    pool[i]["granted_us"] = 0
    pool[i]["expires_us"] = 0
    pool[i]["handed_off_us"] = 0
    pool[i]["seen_us"] = 0
    pool[i]["accepted_us"] = 0
    pool[i]["refused_us"] = 0
    pool[i]["not_now_us"] = 0
    pool[i]["offer"] = 0
    pool[i]["campaign"] = 0
    pool[i]["category"] = 0
    pool[i]["channel"] = 0
    pool[i]["rank"] = 0
    pool[i]["flags"] = 0


@kernel(types.void(STORE_TYPE, types.int64, types.int64))
def give_block(store: Store, start: Integer, order: Integer) -> None:
    """Put a block, whose records are zero, on its list of free ones."""
    store.pool[start]["decision"] = np.uint64(store.state[FREE + order])
    store.state[FREE + order] = start + 1


@kernel(types.int64(STORE_TYPE, types.int64), inner=True)
def pop_block(store: Store, order: Integer) -> Integer:
    """Take the first free block of exactly this order, which must have one; its records are zero."""
    start = store.state[FREE + order] - 1
    store.state[FREE + order] = np.int64(store.pool[start]["decision"])
    store.pool[start]["decision"] = 0
    return np.int64(start)


@kernel(types.int64(STORE_TYPE, types.int64))
def take_block(store: Store, order: Integer) -> Integer:
    """Return the start of a block of this order: a free one, else from the untouched end of the pool, else split from a larger one; -1 when there is none."""
    if store.state[FREE + order] > 0:
        return pop_block(store, order)
    top = store.state[POOL_TOP]
    if top + (SMALLEST << order) <= len(store.pool):
        store.state[POOL_TOP] = top + (SMALLEST << order)
        return np.int64(top)
    for larger in range(order + 1, ORDERS):
        if store.state[FREE + larger] > 0:
            start = pop_block(store, larger)
            for half in range(larger - 1, order - 1, -1):
                give_block(store, start + (SMALLEST << half), half)
            return start
    return -1


@kernel(types.int64(STORE_TYPE))
def obtainable_size(store: Store) -> Integer:
    """Return the size of the largest block that `take_block` could give now, or 0."""
    for order in range(ORDERS - 1, -1, -1):
        if store.state[FREE + order] > 0 or store.state[POOL_TOP] + (SMALLEST << order) <= len(store.pool):
            return SMALLEST << order
    return 0


@kernel(types.int64(types.int64, types.int64, types.int64), inner=True)
def within(at_us: Integer, retention_us: Integer, now_us: Integer) -> Integer:
    """Return 1 when something happened at `at_us` and may still matter at `now_us`: in [at, at + retention)."""
    return np.int64(at_us != NEVER_US and now_us - at_us < retention_us)


@kernel(types.int64(writable(CONTACT), types.int64, types.int64, read_only(np.int64)), inner=True)
def matters(pool: npt.NDArray[np.void], i: Integer, now_us: Integer, retention: npt.NDArray[np.int64]) -> Integer:
    """Return 1 when a rule or an outcome may still ask about contact `i`."""
    if np.int64(pool[i]["flags"]) & LIVE or within(pool[i]["expires_us"], retention[LATE_FOR], now_us):
        return 1
    if within(pool[i]["refused_us"], retention[REFUSED_FOR], now_us):
        return 1
    if within(pool[i]["not_now_us"], retention[NOT_NOW_FOR], now_us):
        return 1
    if within(pool[i]["accepted_us"], retention[ACCEPTED_FOR], now_us):
        return 1
    if np.int64(pool[i]["flags"]) & COUNTS == 0:
        return 0
    if within(pool[i]["granted_us"], retention[DECIDED_FOR], now_us):
        return 1
    if within(pool[i]["handed_off_us"], retention[COUNTED_FOR], now_us):
        return 1
    if within(pool[i]["seen_us"], retention[COUNTED_FOR], now_us):
        return 1
    return within(pool[i]["accepted_us"], retention[COUNTED_FOR], now_us)


@kernel(types.int64(STORE_TYPE, types.int64), inner=True)
def prune_block(store: Store, slot: Integer) -> Integer:
    """Drop this subscriber's contacts that matter no more, keeping the order of the others; return how many are left."""
    pool, now_us = store.pool, store.state[NOW]
    start = np.int64(store.table[slot]["start"])
    count = np.int64(store.table[slot]["count"])
    kept = np.int64(0)
    for i in range(start, start + count):
        if matters(pool, i, now_us, store.retention):
            if i != start + kept:
                pool[start + kept] = pool[i]
            kept += 1
    for i in range(start + kept, start + count):
        clear_contact(pool, i)
    store.table[slot]["count"] = kept
    store.state[CONTACTS] -= count - kept
    return kept


@kernel(types.int64(STORE_TYPE, types.uint64, types.int64), inner=True)
def new_block(store: Store, key: np.uint64, extra: Integer) -> Integer:
    """Give a new subscriber a block for `extra` contacts; return its table slot, or -1, with nothing changed, when the pool has none."""
    order = block_order(extra)
    start = take_block(store, order) if order >= 0 else np.int64(-1)
    if start < 0:
        return -1
    store.state[SUBSCRIBERS] += 1
    return place_subscriber(store.table, key, start, SMALLEST << order)


@kernel(types.int64(STORE_TYPE, types.int64, types.int64), inner=True)
def widen_block(store: Store, slot: Integer, extra: Integer) -> Integer:
    """Make room for `extra` more contacts in a subscriber's block: as it is, by pruning, or by moving to a larger one; return 1, or 0 when it cannot."""
    entry, pool = store.table[slot], store.pool
    size = np.int64(entry["size"])
    if np.int64(entry["count"]) + extra <= size:
        return 1
    count = prune_block(store, slot)
    if count + extra <= size:
        return 1
    order = block_order(count + extra)
    start = take_block(store, order) if order >= 0 else np.int64(-1)
    if start < 0:
        return 0
    old = np.int64(entry["start"])
    for i in range(count):
        pool[start + i] = pool[old + i]
        clear_contact(pool, old + i)
    give_block(store, old, block_order(size))
    entry["start"] = start
    entry["size"] = SMALLEST << order
    return 1


@kernel(types.void(STORE_TYPE, types.int64), inner=True)
def drop_block(store: Store, slot: Integer) -> None:
    """Zero and free a subscriber's block and take the subscriber out of the table."""
    start = np.int64(store.table[slot]["start"])
    count = np.int64(store.table[slot]["count"])
    for i in range(start, start + count):
        clear_contact(store.pool, i)
    give_block(store, start, block_order(np.int64(store.table[slot]["size"])))
    remove_subscriber(store.table, slot)
    store.state[CONTACTS] -= count
    store.state[SUBSCRIBERS] -= 1


@kernel(types.void(STORE_TYPE, types.int64), inner=True)
def sweep_blocks(store: Store, slots: Integer) -> None:
    """Prune the next `slots` subscribers or empty slots of the table, and free the blocks that this empties; a slot so emptied may hold the next one."""
    mask = len(store.table) - 1
    for _ in range(slots):
        slot = store.state[SWEEP_NEXT] & mask
        if store.table[slot]["size"] > 0 and prune_block(store, slot) == 0:
            drop_block(store, slot)
        else:
            store.state[SWEEP_NEXT] = (slot + 1) & mask


@kernel(types.void(STORE_TYPE))
def prune_blocks(store: Store) -> None:
    """Prune every subscriber's block at once; the sweep frees those that this empties."""
    for slot in range(len(store.table)):
        if store.table[slot]["size"] > 0:
            prune_block(store, slot)
