"""The arena of remembered answers: whole grains a text, and what runs over its end goes on at its start."""

import numpy as np
import numpy.typing as npt
from numba import types

from engine.dtypes.ledger import (
    GRAIN_BYTES,
    MEMORY_COUNT,
    MEMORY_GRAIN_NEXT,
    MEMORY_GRAINS,
    MEMORY_GRAINS_USED,
    MEMORY_TYPE,
    REMEMBERED,
    REQUESTS_TYPE,
    Integer,
    Memory,
    Requests,
)
from engine.dtypes.texts import TEXTS_TYPE, Texts
from engine.jit import kernel, read_only, writable
from engine.kernels.ledger_digests import append_entry, find_digest, grains_of, reclaim_entries
from engine.kernels.texts import copy_bytes

FITTED, NO_ROOM, NOT_NEW = 1, 0, -1
"""What `remember_texts` returns."""


@kernel(types.int64(MEMORY_TYPE, writable(np.uint8), types.int64), apart=True)
def room_grains(memory: Memory, arena: npt.NDArray[np.uint8], now_us: Integer) -> Integer:
    """Drop what is over at `now_us`, and zero its bytes, so that an erasure need not look for them; return how many grains are free."""
    state = memory.state
    oldest = (state[MEMORY_GRAIN_NEXT] - state[MEMORY_GRAINS_USED]) % max(state[MEMORY_GRAINS], 1) * GRAIN_BYTES
    freed_bytes = reclaim_entries(memory, now_us) * GRAIN_BYTES
    for at in range(oldest, min(oldest + freed_bytes, len(arena))):
        arena[at] = 0
    for at in range(oldest + freed_bytes - len(arena)):
        arena[at] = 0
    return np.int64(state[MEMORY_GRAINS] - state[MEMORY_GRAINS_USED])


@kernel(
    types.int64(
        MEMORY_TYPE,
        writable(np.uint8),
        REQUESTS_TYPE,
        read_only(np.int64),
        types.int64,
        TEXTS_TYPE,
    ),
    apart=True,
)
def remember_texts(
    memory: Memory,
    arena: npt.NDArray[np.uint8],
    requests: Requests,
    index: npt.NDArray[np.int64],
    at_us: Integer,
    texts: Texts,
) -> Integer:
    """Remember the texts of rows `index` by their digests, which are new, and return FITTED; else nothing, and return NO_ROOM, or NOT_NEW.

    NOT_NEW is for a digest that is known, and for no text. What is over at `at_us` is dropped first.
    """
    digest, grains = requests.request, np.int64(0)
    for i in range(len(index)):
        grains += grains_of(texts.length_bytes[index[i]])
    if grains > room_grains(memory, arena, at_us):
        return NO_ROOM
    for i in range(len(index)):
        row = index[i]
        if texts.length_bytes[row] < 1 or find_digest(memory, digest[row, 0], digest[row, 1]) >= 0:
            return NOT_NEW
    for i in range(len(index)):
        row = index[i]
        count = texts.length_bytes[row]
        position = append_entry(
            memory, digest[row, 0], digest[row, 1], requests.body[row], requests.subscriber[row], at_us, count
        )
        at = np.int64(memory.ring[position]["grain"]) * GRAIN_BYTES
        kept = min(count, len(arena) - at)
        copy_bytes(arena, at, texts.data, texts.start[row], kept)
        copy_bytes(arena, 0, texts.data, texts.start[row] + kept, count - kept)
    return FITTED


@kernel(types.void(MEMORY_TYPE, writable(np.uint8), writable(np.int64), TEXTS_TYPE))
def read_texts(memory: Memory, arena: npt.NDArray[np.uint8], position: npt.NDArray[np.int64], texts: Texts) -> None:
    """Write the remembered texts of (n,) ring positions to their places in `texts`; those of no bytes are passed over."""
    for i in range(len(position)):
        count = texts.length_bytes[i]
        if count > 0:
            at = np.int64(memory.ring[position[i]]["grain"]) * GRAIN_BYTES
            kept = min(count, len(arena) - at)
            copy_bytes(texts.data, texts.start[i], arena, at, kept)
            copy_bytes(texts.data, texts.start[i] + kept, arena, 0, count - kept)


@kernel(types.int64(MEMORY_TYPE, writable(np.uint8), read_only(REMEMBERED), read_only(np.uint8)))
def restore_entries(
    memory: Memory, arena: npt.NDArray[np.uint8], entries: npt.NDArray[np.void], data: npt.NDArray[np.uint8]
) -> Integer:
    """Remember entries again, oldest first, each as it was, its bytes in `data` from the next whole grain on; return how many there was room for.

    An entry of zeros is one that was forgotten; it takes no room any more.
    """
    at = np.int64(0)
    for i in range(len(entries)):
        entry = entries[i]
        length, state = np.int64(entry["length_bytes"]), memory.state
        if entry["high"] != np.uint64(0) or entry["low"] != np.uint64(0):
            if state[MEMORY_COUNT] == len(memory.ring):
                return np.int64(i)
            if state[MEMORY_GRAINS_USED] + grains_of(length) > state[MEMORY_GRAINS]:
                return np.int64(i)
            subscriber, body = entry["subscriber"], entry["body"]
            position = append_entry(
                memory, entry["high"], entry["low"], body, subscriber, np.int64(entry["at_us"]), length
            )
            start = np.int64(memory.ring[position]["grain"]) * GRAIN_BYTES
            kept = min(length, len(arena) - start)
            copy_bytes(arena, start, data, at, kept)
            copy_bytes(arena, 0, data, at + kept, length - kept)
        at += grains_of(length) * GRAIN_BYTES
    return np.int64(len(entries))
