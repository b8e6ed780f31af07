"""Totals over all subscribers, kept in step with contacts: open holds, events ever, events by home-zone day."""

import numpy as np
import numpy.typing as npt
from numba import types

from engine.dtypes.contact import ACCEPTED, CONTACT, COUNTS, DECIDED, EVENT_COUNT, HANDED_OFF, LIVE, SEEN, TOTAL_DAYS
from engine.dtypes.ledger import CLOSED, COUNTERS_TYPE, FIRST_DAY, LIFETIME, TODAY, Counters, Integer
from engine.jit import kernel, read_only, writable
from engine.limits import MICROSECONDS_PER_DAY, NEVER_US


@kernel(types.int64(read_only(np.int64), types.int64, types.int64))
def day_of(day_starts_us: npt.NDArray[np.int64], first_day: Integer, at_us: Integer) -> Integer:
    """Return the home-zone day of an instant; outside of the table days have 24 hours."""
    last = len(day_starts_us) - 1
    if at_us < day_starts_us[0]:
        return np.int64(first_day + (at_us - day_starts_us[0]) // MICROSECONDS_PER_DAY)
    if at_us >= day_starts_us[last]:
        return np.int64(first_day + last + (at_us - day_starts_us[last]) // MICROSECONDS_PER_DAY)
    low, high = np.int64(0), np.int64(last)
    while high - low > 1:
        middle = (low + high) // 2
        if day_starts_us[middle] <= at_us:
            low = middle
        else:
            high = middle
    return first_day + low


@kernel(types.int64(COUNTERS_TYPE, types.int64, types.int64, types.int64))
def total_count(counters: Counters, event: Integer, slot: Integer, since_day: Integer) -> Integer:
    """Return open holds plus the events ever (LIFETIME), or from `since_day` on."""
    count = counters.live[event, slot]
    if since_day == LIFETIME:
        return np.int64(count + counters.lifetime[event, slot])
    for bucket in range(TOTAL_DAYS):
        if counters.day[bucket] >= since_day:
            count += counters.daily[event, slot, bucket]
    return np.int64(count)


@kernel(types.int64(COUNTERS_TYPE, writable(CONTACT), types.int64, types.int64), inner=True)
def entity_slot(counters: Counters, pool: npt.NDArray[np.void], i: Integer, row: Integer) -> Integer:
    """Return the total slot of contact `i`'s offer (row 0), campaign (1) or category (2)."""
    if row == 0:
        return np.int64(counters.slot_of[0, np.int64(pool[i]["offer"])])
    if row == 1:
        return np.int64(counters.slot_of[1, np.int64(pool[i]["campaign"])])
    return np.int64(counters.slot_of[2, np.int64(pool[i]["category"])])


@kernel(types.void(COUNTERS_TYPE, writable(CONTACT), types.int64, types.int64, types.int64), inner=True)
def add_live(counters: Counters, pool: npt.NDArray[np.void], i: Integer, event: Integer, amount: Integer) -> None:
    """Count contact `i`'s hold as one that may still come to `event` (amount 1), or no longer (-1)."""
    for row in range(3):
        counters.live[event, entity_slot(counters, pool, i, row)] += amount


@kernel(types.int64(COUNTERS_TYPE, types.int64, types.int64))
def day_bucket(counters: Counters, today: Integer, day: Integer) -> Integer:
    """Return the bucket of a day, emptied of an older one; -1 when the day's bucket is no longer kept."""
    if day <= today - TOTAL_DAYS or day > today:
        return -1
    bucket = day % TOTAL_DAYS
    if counters.day[bucket] != day:
        for event in range(EVENT_COUNT):
            for slot in range(counters.daily.shape[1]):
                counters.daily[event, slot, bucket] = 0
        counters.day[bucket] = day
    return bucket


@kernel(
    types.void(COUNTERS_TYPE, writable(np.int64), writable(CONTACT), types.int64, types.int64, types.int64), inner=True
)
def count_event(
    counters: Counters,
    state: npt.NDArray[np.int64],
    pool: npt.NDArray[np.void],
    i: Integer,
    event: Integer,
    at_us: Integer,
) -> None:
    """Count an event of contact `i` for its offer, campaign and category, ever and on its day."""
    day = day_of(counters.day_starts_us, state[FIRST_DAY], at_us)
    bucket = day_bucket(counters, state[TODAY], day)
    for row in range(3):
        slot = entity_slot(counters, pool, i, row)
        counters.lifetime[event, slot] += 1
        if bucket >= 0:
            counters.daily[event, slot, bucket] += 1


@kernel(types.int64(writable(CONTACT), types.int64, types.int64), inner=True)
def happened_us(pool: npt.NDArray[np.void], i: Integer, event: Integer) -> Integer:
    """Return when contact `i` had HANDED_OFF, SEEN or ACCEPTED, or NEVER_US."""
    if event == HANDED_OFF:
        return np.int64(pool[i]["handed_off_us"])
    if event == SEEN:
        return np.int64(pool[i]["seen_us"])
    return np.int64(pool[i]["accepted_us"])


@kernel(types.void(COUNTERS_TYPE, writable(np.int64), writable(CONTACT), types.int64), inner=True)
def open_contact(counters: Counters, state: npt.NDArray[np.int64], pool: npt.NDArray[np.void], i: Integer) -> None:
    """Count a contact just granted: decided for good, and held for every later event."""
    if np.int64(pool[i]["flags"]) & COUNTS:
        count_event(counters, state, pool, i, DECIDED, pool[i]["granted_us"])
        for event in range(HANDED_OFF, ACCEPTED + 1):
            add_live(counters, pool, i, event, 1)


@kernel(
    types.void(COUNTERS_TYPE, writable(np.int64), writable(CONTACT), types.int64, types.int64, types.int64), inner=True
)
def set_event(
    counters: Counters,
    state: npt.NDArray[np.int64],
    pool: npt.NDArray[np.void],
    i: Integer,
    event: Integer,
    at_us: Integer,
) -> None:
    """Let HANDED_OFF, SEEN or ACCEPTED happen to contact `i`, unless it has."""
    if happened_us(pool, i, event) != NEVER_US:
        return
    if event == HANDED_OFF:
        pool[i]["handed_off_us"] = at_us
    elif event == SEEN:
        pool[i]["seen_us"] = at_us
    else:
        pool[i]["accepted_us"] = at_us
    flags = np.int64(pool[i]["flags"])
    if flags & COUNTS:
        count_event(counters, state, pool, i, event, at_us)
        if flags & LIVE:
            add_live(counters, pool, i, event, -1)


@kernel(types.void(COUNTERS_TYPE, writable(CONTACT), types.int64, types.int64), inner=True)
def close_contact(counters: Counters, pool: npt.NDArray[np.void], i: Integer, by_outcome: Integer) -> None:
    """End the live hold of contact `i`: what has not happened no longer counts."""
    flags = np.int64(pool[i]["flags"])
    if flags & COUNTS:
        for event in range(HANDED_OFF, ACCEPTED + 1):
            if happened_us(pool, i, event) == NEVER_US:
                add_live(counters, pool, i, event, -1)
    pool[i]["flags"] = (flags & ~LIVE) | (CLOSED if by_outcome else 0)
