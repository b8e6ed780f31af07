"""The arrays behind the in-memory ledger, and the codes that its kernels share with the port.

SUBSCRIBER  key 8 | start 4 | count 2 | size 2                                       16 bytes, one a table slot; size 0 is an empty slot
HOLD        expires 8 | decision 8 | subscriber 8                                    24 bytes, one a decision, a binary heap
REMEMBERED  digest 16 | body 8 | subscriber 8 | at 8 | grain 4 | length 4            48 bytes, a ring in order of time
"""

from itertools import pairwise
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from engine.dtypes.contact import CONTACT
from engine.jit import bundle, read_only, writable
from engine.limits import CONTACTS_PER_SUBSCRIBER_MAX

Integer: TypeAlias = int | np.integer[Any]
"""What kernels take for an int64."""

HANDED_OFF_KIND, SEEN_KIND, CLICKED_KIND, ACCEPTED_KIND = 1, 2, 3, 4
FULFILLED_KIND, REFUSED_KIND, NOT_NOW_KIND, FAILED_KIND = 5, 6, 7, 8
"""What an outcome reports; engine.ledger.port.OutcomeKind names them."""

RECORDED, RECORDED_LATE, DUPLICATE, CONFLICT, UNKNOWN_DECISION, INVALID = 1, 2, 3, 4, 5, 6
"""What became of an outcome; engine.ledger.port.OutcomeResult names them."""

MISS, HIT, OTHER_BODY = 0, 1, 2
"""What the memory of answers says of a request."""

CLOSED = 16
"""Contact flag beside LIVE, PUSH, COUNTS, LATE: an outcome closed the hold, so a further outcome is not late."""

OUTCOME_SKEW_US: Final = 5 * 60 * 1_000_000
"""How far an event time may lie before the grant or after ledger time; then it is clamped between them."""

LIFETIME: Final = -(1 << 63)
"""As `since_day` of a total check: all events ever, not only those in the daily buckets."""

FOREVER_US: Final = (1 << 63) - 1
"""As a retention: the event never stops to matter."""

BLOCK_SIZES: Final = (4, 8, 16, 32, 64, 128, 256)
"""How many contacts a block can hold; each size has its own list of free blocks."""
assert BLOCK_SIZES[-1] == CONTACTS_PER_SUBSCRIBER_MAX
assert all(larger == 2 * smaller for smaller, larger in pairwise(BLOCK_SIZES))

SUBSCRIBER = np.dtype([("key", np.uint64), ("start", np.uint32), ("count", np.uint16), ("size", np.uint16)], align=True)
assert SUBSCRIBER.itemsize == 16

HOLD = np.dtype([("expires_us", np.int64), ("decision", np.uint64), ("subscriber", np.uint64)], align=True)
assert HOLD.itemsize == 24

REMEMBERED = np.dtype(
    [
        ("high", np.uint64),  # the 128-bit digest of an id, in two halves
        ("low", np.uint64),
        ("body", np.uint64),
        ("subscriber", np.uint64),
        ("at_us", np.int64),
        ("grain", np.uint32),  # where the answer's bytes start, in grains; 0 when there are none
        ("length_bytes", np.uint32),
    ],
    align=True,
)
assert REMEMBERED.itemsize == 48

NOW, TODAY, DECISION_NEXT, POOL_TOP, HOLDS, SUBSCRIBERS, CONTACTS, LIVE_CONTACTS, SWEEP_NEXT, FIRST_DAY, DAYS, FREE = (
    range(12)
)
"""Where `state` keeps: ledger time and its day; the next sequence number; used prefix of the pool and of the heap; counts; the sweep's next table
slot; the day table's first day; from FREE on, for each block size, 1 + the first record of its first free block, or 0."""
STATE_WORDS: Final = FREE + len(BLOCK_SIZES)

COUNTED_FOR, DECIDED_FOR, REFUSED_FOR, NOT_NOW_FOR, ACCEPTED_FOR, LATE_FOR = range(6)
"""The words of `retention`."""


class Store(NamedTuple):
    """Contacts by subscriber, and the queue of holds."""

    table: npt.NDArray[np.void]
    """(2^k,) SUBSCRIBER: open addressing, linear probing, no tombstones."""
    pool: npt.NDArray[np.void]
    """(contacts_max,) CONTACT: blocks of BLOCK_SIZES records; a free block's first `decision` is 1 + the next free one's start."""
    holds: npt.NDArray[np.void]
    """(contacts_max,) HOLD: a binary heap by (expires_us, decision)."""
    state: npt.NDArray[np.int64]
    """(STATE_WORDS,)"""
    retention: npt.NDArray[np.int64]
    """(6,)"""


class Counters(NamedTuple):
    """Totals, and what finds their slot and day."""

    slot_of: npt.NDArray[np.int32]
    """(3, codes): of offers, campaigns, categories."""
    live: npt.NDArray[np.int64]
    lifetime: npt.NDArray[np.int64]
    daily: npt.NDArray[np.int64]
    day: npt.NDArray[np.int64]
    day_starts_us: npt.NDArray[np.int64]
    """(days,)"""


class GrantColumns(NamedTuple):
    """The columns of engine.ledger.port.Grants."""

    subscriber: npt.NDArray[np.uint64]
    seats: npt.NDArray[np.int32]
    offer: npt.NDArray[np.uint16]
    campaign: npt.NDArray[np.uint16]
    category: npt.NDArray[np.uint16]
    channel: npt.NDArray[np.uint16]
    flags: npt.NDArray[np.uint8]
    expires_us: npt.NDArray[np.int64]
    total_start: npt.NDArray[np.int64]
    total_slot: npt.NDArray[np.int64]
    total_event: npt.NDArray[np.int64]
    total_since_day: npt.NDArray[np.int64]
    total_limit: npt.NDArray[np.int64]


class OutcomeColumns(NamedTuple):
    """The columns of engine.ledger.port.Outcomes."""

    outcome: npt.NDArray[np.uint64]
    body: npt.NDArray[np.uint64]
    subscriber: npt.NDArray[np.uint64]
    decision: npt.NDArray[np.uint64]
    rank: npt.NDArray[np.uint8]
    kind: npt.NDArray[np.uint8]
    event_us: npt.NDArray[np.int64]


MEMORY_HEAD, MEMORY_COUNT, MEMORY_TTL_US, MEMORY_GRAINS, MEMORY_GRAINS_USED, MEMORY_GRAIN_NEXT = range(6)
"""Where a Memory's `state` keeps: the oldest entry's ring position; how many entries there are; how long each lives; and, in grains, the
arena's size, how much of it is used, and where the next answer goes."""
MEMORY_WORDS: Final = 6

GRAIN_BYTES: Final = 256
"""An answer takes whole grains of the arena."""


class Memory(NamedTuple):
    """What is remembered by a 128-bit digest, oldest first."""

    ring: npt.NDArray[np.void]
    """(entries_max,) REMEMBERED"""
    slots: npt.NDArray[np.uint32]
    """(2^k,): 1 + a ring position, or 0; linear probing, at most half full, no tombstones."""
    state: npt.NDArray[np.int64]
    """(MEMORY_WORDS,)"""


class Requests(NamedTuple):
    """Who asks, and what, by rows of a batch."""

    request: npt.NDArray[np.uint64]
    """(rows, 2): keyed digest of the request's id and subscriber."""
    body: npt.NDArray[np.uint64]
    """(rows,): digest of everything else that the request says."""
    subscriber: npt.NDArray[np.uint64]


STORE_TYPE: Any = bundle(
    Store, writable(SUBSCRIBER), writable(CONTACT), writable(HOLD), writable(np.int64), read_only(np.int64)
)
COUNTERS_TYPE: Any = bundle(
    Counters,
    read_only(np.int32, 2),
    writable(np.int64, 2),
    writable(np.int64, 2),
    writable(np.int64, 3),
    writable(np.int64),
    read_only(np.int64),
)
_INT64: Any = read_only(np.int64)
_SEATS: Any = read_only(np.uint16, 2)
GRANTS_TYPE: Any = bundle(
    GrantColumns,
    read_only(np.uint64),
    read_only(np.int32),
    *(_SEATS,) * 4,
    read_only(np.uint8, 2),
    *(_INT64,) * 6,
)
OUTCOMES_TYPE: Any = bundle(
    OutcomeColumns,
    read_only(np.uint64, 2),
    *(read_only(np.uint64),) * 3,
    read_only(np.uint8),
    read_only(np.uint8),
    _INT64,
)
REQUESTS_TYPE: Any = bundle(Requests, read_only(np.uint64, 2), read_only(np.uint64), read_only(np.uint64))
MEMORY_TYPE: Any = bundle(Memory, writable(REMEMBERED), writable(np.uint32), writable(np.int64))


class InMemory(NamedTuple):
    """A ledger in this process's memory, for a kernel that recalls, reads and holds by itself; n is how many items it may do so for at once."""

    store: Store
    counters: Counters
    memory: Memory
    """Of answers."""
    arena: npt.NDArray[np.uint8]
    """Their bytes."""
    found: npt.NDArray[np.uint8]
    """(n,), scratch as the next"""
    position: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    """(n,): where Contacts says that each item's contacts are; the two next as there"""
    count: npt.NDArray[np.int32]  # type: ignore[assignment]  # tuple.count is not needed here
    room: npt.NDArray[np.int32]
    decision: npt.NDArray[np.uint64]
    """(n,): what is held for each item, or 0."""


IN_MEMORY_TYPE: Any = bundle(
    InMemory,
    STORE_TYPE,
    COUNTERS_TYPE,
    MEMORY_TYPE,
    writable(np.uint8),
    writable(np.uint8),
    writable(np.int64),
    writable(np.int64),
    writable(np.int32),
    writable(np.int32),
    writable(np.uint64),
)
