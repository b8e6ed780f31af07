"""One offer shown, or held to be shown, to one subscriber: the record from which every cap, cool-down and re-offer rule is counted.

    bytes   0        8        16       24        32       40       48        56       64
            decision granted  expires  handed_off seen    accepted refused   not_now  offer campaign category channel rank flags

80 bytes each, one array of structures: what a rule asks of a contact lies within two cache lines. Rejected: counters by cap, which an
edited cap could not read back; columns, which cost a miss for each field of a random subscriber.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.jit import bundle, read_only

CONTACT = np.dtype(
    [
        ("decision", np.uint64),  # the decision's sequence number in its shard
        ("granted_us", np.int64),
        ("expires_us", np.int64),  # the hold's expiry
        ("handed_off_us", np.int64),  # NEVER_US until it happened; the same for the four below
        ("seen_us", np.int64),
        ("accepted_us", np.int64),
        ("refused_us", np.int64),
        ("not_now_us", np.int64),
        ("offer", np.uint16),  # codes of the ledger's own name table, stable across rulebooks
        ("campaign", np.uint16),
        ("category", np.uint16),
        ("channel", np.uint16),
        ("rank", np.uint8),  # 1 is the first offer of its answer
        ("flags", np.uint8),
    ],
    align=True,
)
assert CONTACT.itemsize == 80

LIVE = 1
"""The hold is open: neither confirmed to its end, nor released, nor processed as expired."""
PUSH = 2
"""The channel is push: an expired hold counts as handed off and seen at its expiry; an expired pull hold is released."""
COUNTS = 4
"""The contact counts toward caps; clear for traffic that is exempt from counting."""
LATE = 8
"""An outcome arrived after the hold was no longer live."""

DECIDED, HANDED_OFF, SEEN, ACCEPTED = 0, 1, 2, 3
"""The events that a cap can count, and the first axis of totals."""
EVENT_COUNT = 4


class Contacts(NamedTuple):
    """The contacts of a batch's subscribers: item i owns records[start[i] : start[i] + count[i]], oldest first."""

    records: npt.NDArray[np.void]
    """(slots,) CONTACT"""
    start: npt.NDArray[np.int64]
    """(n,)"""
    count: npt.NDArray[np.int32]  # type: ignore[assignment]  # tuple.count is not needed here
    """(n,)"""
    room: npt.NDArray[np.int32]
    """(n,): how many more contacts this subscriber may be given before its ledger is full."""


CONTACTS_TYPE: Any = bundle(Contacts, read_only(CONTACT), read_only(np.int64), read_only(np.int32), read_only(np.int32))

TOTAL_DAYS = 40
"""Daily buckets kept of each total: enough for a calendar month and its neighbours; day d lies in bucket d % TOTAL_DAYS."""


class Totals(NamedTuple):
    """Counts over all subscribers by entity slot (an offer, a campaign or a category): for caps in total, such as stock."""

    live: npt.NDArray[np.int64]
    """(EVENT_COUNT, slots): open holds that have not had the event; they count."""
    lifetime: npt.NDArray[np.int64]
    """(EVENT_COUNT, slots): events ever."""
    daily: npt.NDArray[np.int64]
    """(EVENT_COUNT, slots, TOTAL_DAYS): events by local day of the catalogue's home zone."""
    day: npt.NDArray[np.int64]
    """(TOTAL_DAYS,): which day (days since 1970-01-01, local) each bucket holds now; -1 when empty."""


TOTALS_TYPE: Any = bundle(
    Totals, read_only(np.int64, 2), read_only(np.int64, 2), read_only(np.int64, 3), read_only(np.int64)
)
