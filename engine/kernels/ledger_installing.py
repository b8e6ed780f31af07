"""Contacts that come from elsewhere: entered into an empty ledger as they are, each checked, since a ledger finds its totals by a contact's codes."""

import numpy as np
import numpy.typing as npt
from numba import types

from engine.dtypes.contact import CONTACT, COUNTS, LIVE
from engine.dtypes.ledger import (
    ACCEPTED_FOR,
    CONTACTS,
    COUNTED_FOR,
    DECIDED_FOR,
    FOREVER_US,
    LATE_FOR,
    LIVE_CONTACTS,
    NOT_NOW_FOR,
    NOW,
    REFUSED_FOR,
    STORE_TYPE,
    Integer,
    Store,
)
from engine.jit import kernel, read_only, writable
from engine.kernels.ledger_blocks import matters, new_block
from engine.kernels.ledger_holds import push_hold
from engine.limits import CONTACTS_PER_SUBSCRIBER_MAX, NEVER_US, OFFERS_PER_ANSWER_MAX

NOT_CONTACTS = -1
"""As an end: what came for the subscriber is no list of contacts of this ledger, and was not entered."""


@kernel(types.boolean(writable(CONTACT), types.int64, read_only(np.int64)), inner=True)
def is_contact(records: npt.NDArray[np.void], i: Integer, codes: npt.NDArray[np.int64]) -> bool:
    """Return whether record `i` can be a contact: each code is from 1 to what (4,) `codes` says for offers, campaigns, categories, channels."""
    contact = records[i]
    return bool(
        contact["decision"] != 0
        and contact["rank"] != 0
        and 1 <= np.int64(contact["offer"]) <= codes[0]
        and 1 <= np.int64(contact["campaign"]) <= codes[1]
        and 1 <= np.int64(contact["category"]) <= codes[2]
        and 1 <= np.int64(contact["channel"]) <= codes[3]
    )


@kernel(types.int64(types.int64, types.int64), inner=True)
def over_us(at_us: Integer, retention_us: Integer) -> Integer:
    """Return when what happened at `at_us` matters no more; 0 when it did not happen."""
    if at_us == NEVER_US:
        return 0
    return np.int64(FOREVER_US if retention_us > FOREVER_US - max(at_us, 0) else at_us + retention_us)


@kernel(types.int64(writable(CONTACT), types.int64, read_only(np.int64)), inner=True)
def contact_end_us(records: npt.NDArray[np.void], i: Integer, retention: npt.NDArray[np.int64]) -> Integer:
    """Return when record `i` matters no more if nothing else happens to it, at the latest."""
    contact = records[i]
    end = over_us(contact["expires_us"], retention[LATE_FOR])
    end = max(end, over_us(contact["refused_us"], retention[REFUSED_FOR]))
    end = max(end, over_us(contact["not_now_us"], retention[NOT_NOW_FOR]))
    end = max(end, over_us(contact["accepted_us"], retention[ACCEPTED_FOR]))
    if np.int64(contact["flags"]) & COUNTS:
        end = max(end, over_us(contact["granted_us"], retention[DECIDED_FOR]))
        end = max(end, over_us(contact["handed_off_us"], retention[COUNTED_FOR]))
        end = max(end, over_us(contact["seen_us"], retention[COUNTED_FOR]))
        end = max(end, over_us(contact["accepted_us"], retention[COUNTED_FOR]))
        if np.int64(contact["flags"]) & LIVE:
            end = max(end, over_us(contact["expires_us"], retention[COUNTED_FOR]))
    return np.int64(end)


@kernel(types.void(STORE_TYPE, types.uint64, writable(CONTACT), types.int64, types.int64, types.int64), inner=True)
def enter_contacts(
    store: Store, subscriber: np.uint64, records: npt.NDArray[np.void], first: Integer, end: Integer, slot: Integer
) -> None:
    """Copy what matters of records[first:end] to the subscriber's block, and queue its live holds, which expire at the next advance of the clock."""
    state, to, count = store.state, np.int64(store.table[slot]["start"]), np.int64(0)
    queued = np.uint64(0)
    for i in range(first, end):
        if not matters(records, i, state[NOW], store.retention):
            continue
        store.pool[to + count] = records[i]
        count += 1
        if np.int64(records[i]["flags"]) & LIVE:
            state[LIVE_CONTACTS] += 1
            if records[i]["decision"] != queued:
                queued = records[i]["decision"]
                push_hold(store, np.int64(records[i]["expires_us"]), queued, subscriber)
    store.table[slot]["count"] = count
    state[CONTACTS] += count


@kernel(
    types.void(
        STORE_TYPE,
        read_only(np.uint64),
        read_only(np.int64),
        writable(CONTACT),
        read_only(np.int64),
        writable(np.int64),
    ),
    apart=True,
)
def install_contacts(
    store: Store,
    subscribers: npt.NDArray[np.uint64],
    count: npt.NDArray[np.int64],
    records: npt.NDArray[np.void],
    codes: npt.NDArray[np.int64],
    end_us: npt.NDArray[np.int64],
) -> None:
    """Enter (n,) subscribers that the table has not and has room for, count[i] contacts each, behind one another in `records`, but what matters no more.

    Writes (n,) `end_us`: when nothing of the subscriber's matters any more, 0 when it has no contacts, or NOT_CONTACTS. Totals are left as they are.
    """
    end = np.int64(0)
    for i in range(len(subscribers)):
        first, end = end, end + count[i]
        end_us[i] = 0
        if first == end:
            continue
        sound = end - first <= CONTACTS_PER_SUBSCRIBER_MAX
        for at in range(first, end):
            sound = sound and is_contact(records, at, codes)
        room = min(end - first + OFFERS_PER_ANSWER_MAX, CONTACTS_PER_SUBSCRIBER_MAX)
        slot = new_block(store, subscribers[i], room) if sound else np.int64(-1)
        if slot < 0:
            end_us[i] = NOT_CONTACTS
            continue
        for at in range(first, end):
            end_us[i] = max(end_us[i], contact_end_us(records, at, store.retention))
        enter_contacts(store, subscribers[i], records, first, end, slot)
