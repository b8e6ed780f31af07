"""The arena of remembered answers: whole grains a text, and what runs over its end goes on at its start."""

import numpy as np
import numpy.typing as npt
from numba import types

from engine.dtypes.ledger import (
    GRAIN_BYTES,
    MEMORY_GRAINS,
    MEMORY_GRAINS_USED,
    MEMORY_TYPE,
    Integer,
    Memory,
)
from engine.dtypes.texts import TEXTS_TYPE, Texts
from engine.jit import kernel, read_only, writable
from engine.kernels.ledger_digests import append_entry, find_digest, grains_of
from engine.kernels.texts import copy_bytes

FITTED, NO_ROOM, NOT_NEW = 1, 0, -1
"""What `remember_texts` returns."""


@kernel(
    types.int64(
        MEMORY_TYPE,
        writable(np.uint8),
        read_only(np.uint64, 2),
        read_only(np.uint64),
        read_only(np.uint64),
        types.int64,
        TEXTS_TYPE,
    )
)
def remember_texts(
    memory: Memory,
    arena: npt.NDArray[np.uint8],
    digest: npt.NDArray[np.uint64],
    body: npt.NDArray[np.uint64],
    subscriber: npt.NDArray[np.uint64],
    at_us: Integer,
    texts: Texts,
) -> Integer:
    """Remember texts by their digests, which are new, and return FITTED; else nothing, and return NO_ROOM, or NOT_NEW for a known digest or no text."""
    grains = np.int64(0)
    for i in range(len(digest)):
        grains += grains_of(texts.length_bytes[i])
    if grains > memory.state[MEMORY_GRAINS] - memory.state[MEMORY_GRAINS_USED]:
        return NO_ROOM
    for i in range(len(digest)):
        if texts.length_bytes[i] < 1 or find_digest(memory, digest[i, 0], digest[i, 1]) >= 0:
            return NOT_NEW
    for i in range(len(digest)):
        count = texts.length_bytes[i]
        position = append_entry(memory, digest[i, 0], digest[i, 1], body[i], subscriber[i], at_us, count)
        at = np.int64(memory.ring[position]["grain"]) * GRAIN_BYTES
        kept = min(count, len(arena) - at)
        copy_bytes(arena, at, texts.data, texts.start[i], kept)
        copy_bytes(arena, 0, texts.data, texts.start[i] + kept, count - kept)
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
