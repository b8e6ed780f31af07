"""Contacts moved together: blocks of a ledger that is taken back lie otherwise than when the journal was written, and may leave no room for what had some."""

import numpy as np

from engine.dtypes.ledger import BLOCK_SIZES, FREE, POOL_TOP, Store

_SIZES = np.array(BLOCK_SIZES, np.int64)


def compact(store: Store, subscriber: int, extra: int) -> bool:
    """Give each subscriber the smallest block for its contacts, one behind the other, and `subscriber`, if it is known, one for `extra` more.

    Returns False, with nothing changed, when these do not fit.
    """
    table, pool, state = store.table, store.pool, store.state
    slots = np.flatnonzero(table["size"])
    counts, was = table["count"][slots].astype(np.int64), table["start"][slots].astype(np.int64)
    needed = counts + np.where(table["key"][slots] == np.uint64(subscriber), extra, 0)
    if len(slots) and int(needed.max()) > BLOCK_SIZES[-1]:
        return False
    sizes = _SIZES[np.searchsorted(_SIZES, needed)]
    if int(sizes.sum()) > len(pool):
        return False
    starts, within = (
        np.cumsum(sizes) - sizes,
        np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts),
    )
    contacts = pool[np.repeat(was, counts) + within]
    pool[: int(state[POOL_TOP])] = np.zeros((), pool.dtype)
    pool[np.repeat(starts, counts) + within] = contacts
    table["start"][slots], table["size"][slots] = starts, sizes
    state[POOL_TOP], state[FREE:] = int(sizes.sum()), 0
    return True
