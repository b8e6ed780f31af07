"""What is remembered by a 128-bit digest for a time: a ring of entries, oldest first, and a hash index over it."""

import numpy as np
import numpy.typing as npt
from numba import types

from engine.dtypes.ledger import (
    GRAIN_BYTES,
    HIT,
    MEMORY_COUNT,
    MEMORY_GRAIN_NEXT,
    MEMORY_GRAINS,
    MEMORY_GRAINS_USED,
    MEMORY_HEAD,
    MEMORY_TTL_US,
    MEMORY_TYPE,
    MISS,
    OTHER_BODY,
    REQUESTS_TYPE,
    Integer,
    Memory,
    Requests,
)
from engine.intrinsics import prefetch
from engine.jit import kernel, read_only, writable
from engine.kernels.ledger_blocks import home_slot


@kernel(types.int64(types.int64))
def grains_of(length_bytes: Integer) -> Integer:
    """Return how many grains of the arena so many bytes take."""
    return (length_bytes + GRAIN_BYTES - 1) // GRAIN_BYTES


@kernel(types.int64(MEMORY_TYPE, types.uint64, types.uint64))
def find_digest(memory: Memory, high: np.uint64, low: np.uint64) -> Integer:
    """Return the ring position of a digest, or -1."""
    ring, slots = memory.ring, memory.slots
    mask = len(slots) - 1
    slot = home_slot(low, len(slots))
    for _ in range(len(slots)):
        position = np.int64(slots[slot]) - 1
        if position < 0:
            return -1
        if ring[position]["low"] == low and ring[position]["high"] == high:
            return position
        slot = (slot + 1) & mask
    return -1


@kernel(types.void(MEMORY_TYPE, types.int64), inner=True)
def index_entry(memory: Memory, position: Integer) -> None:
    """Enter a ring position into the index."""
    slots = memory.slots
    mask = len(slots) - 1
    slot = home_slot(memory.ring[position]["low"], len(slots))
    for _ in range(len(slots)):
        if slots[slot] == 0:
            slots[slot] = position + 1
            return
        slot = (slot + 1) & mask


@kernel(types.void(MEMORY_TYPE, types.int64), inner=True)
def unindex_entry(memory: Memory, position: Integer) -> None:
    """Take a ring position out of the index, if it is there; those behind it that would be lost move back."""
    ring, slots = memory.ring, memory.slots
    mask = len(slots) - 1
    hole = home_slot(ring[position]["low"], len(slots))
    for _ in range(len(slots)):
        if slots[hole] == 0:
            return
        if np.int64(slots[hole]) == position + 1:
            break
        hole = (hole + 1) & mask
    probe = hole
    for _ in range(len(slots)):
        probe = (probe + 1) & mask
        if slots[probe] == 0:
            break
        home = home_slot(ring[np.int64(slots[probe]) - 1]["low"], len(slots))
        if ((probe - home) & mask) >= ((probe - hole) & mask):
            slots[hole] = slots[probe]
            hole = probe
    slots[hole] = 0


@kernel(types.void(MEMORY_TYPE, types.int64), inner=True)
def clear_entry(memory: Memory, position: Integer) -> None:
    """Take an entry out of the index and zero what tells whose it was; its time and its bytes' place stay until it is reclaimed."""
    unindex_entry(memory, position)
    entry = memory.ring[position]
    entry["high"] = 0
    entry["low"] = 0
    entry["body"] = 0
    entry["subscriber"] = 0


@kernel(types.int64(MEMORY_TYPE, types.int64), apart=True)
def reclaim_entries(memory: Memory, now_us: Integer) -> Integer:
    """Drop the entries whose time is over at `now_us`, which are the oldest; return how many grains that frees."""
    ring, state = memory.ring, memory.state
    freed = np.int64(0)
    while state[MEMORY_COUNT] > 0:
        position = state[MEMORY_HEAD]
        if now_us - ring[position]["at_us"] < state[MEMORY_TTL_US]:
            break
        clear_entry(memory, position)
        freed += grains_of(np.int64(ring[position]["length_bytes"]))
        state[MEMORY_HEAD] = (position + 1) % len(ring)
        state[MEMORY_COUNT] -= 1
    state[MEMORY_GRAINS_USED] -= freed
    return freed


@kernel(types.int64(MEMORY_TYPE, types.uint64, types.uint64, types.uint64, types.uint64, types.int64, types.int64))
def append_entry(
    memory: Memory,
    high: np.uint64,
    low: np.uint64,
    body: np.uint64,
    subscriber: np.uint64,
    at_us: Integer,
    length_bytes: Integer,
) -> Integer:
    """Remember a digest that is not remembered, with so many bytes; there must be room for both. Return its ring position."""
    state = memory.state
    position = (state[MEMORY_HEAD] + state[MEMORY_COUNT]) % len(memory.ring)
    entry = memory.ring[position]
    entry["high"] = high
    entry["low"] = low
    entry["body"] = body
    entry["subscriber"] = subscriber
    entry["at_us"] = at_us
    entry["length_bytes"] = length_bytes
    entry["grain"] = state[MEMORY_GRAIN_NEXT]
    grains = grains_of(length_bytes)
    if grains > 0:
        state[MEMORY_GRAIN_NEXT] = (state[MEMORY_GRAIN_NEXT] + grains) % state[MEMORY_GRAINS]
        state[MEMORY_GRAINS_USED] += grains
    state[MEMORY_COUNT] += 1
    index_entry(memory, position)
    return np.int64(position)


@kernel(types.void(MEMORY_TYPE, REQUESTS_TYPE, read_only(np.int64)), inner=True)
def expect_digests(memory: Memory, requests: Requests, index: npt.NDArray[np.int64]) -> None:
    """Ask for the cache lines of the index where the rows' digests would be, all before any is waited for."""
    for i in range(len(index)):
        prefetch(memory.slots, home_slot(requests.request[index[i], 1], len(memory.slots)))


@kernel(
    types.int64(MEMORY_TYPE, REQUESTS_TYPE, read_only(np.int64), types.int64, writable(np.uint8), writable(np.int64)),
    apart=True,
)
def recall_digests(
    memory: Memory,
    requests: Requests,
    index: npt.NDArray[np.int64],
    now_us: Integer,
    found: npt.NDArray[np.uint8],
    position: npt.NDArray[np.int64],
) -> Integer:
    """Write MISS, HIT or OTHER_BODY for the digest of each row of `index`, and where its entry is (-1: nowhere); return how many are no MISS."""
    known = np.int64(0)
    expect_digests(memory, requests, index)
    for i in range(len(index)):
        row = index[i]
        position[i] = find_digest(memory, requests.request[row, 0], requests.request[row, 1])
        found[i] = MISS
        if position[i] >= 0:
            entry = memory.ring[position[i]]
            if now_us - entry["at_us"] < memory.state[MEMORY_TTL_US]:
                found[i] = HIT if entry["body"] == requests.body[row] else OTHER_BODY
                known += 1
    return known


@kernel(types.int64(MEMORY_TYPE, types.uint64, writable(np.int64)))
def forget_digests(memory: Memory, subscriber: np.uint64, position: npt.NDArray[np.int64]) -> Integer:
    """Clear all entries of a subscriber, looking at the whole ring; write the first len(position) of their places and return how many there were."""
    state = memory.state
    forgotten = np.int64(0)
    for i in range(state[MEMORY_COUNT]):
        place = (state[MEMORY_HEAD] + i) % len(memory.ring)
        if memory.ring[place]["subscriber"] == subscriber:
            clear_entry(memory, place)
            if forgotten < len(position):
                position[forgotten] = place
            forgotten += 1
    return forgotten
