"""What was answered lately, as rendered, by request: a ring of bytes, a ring of entries in the same order, and a hash index over the entries.

    arena   [....|answer 7  |answer 8 |answer 9    |......]   whole grains of 256 bytes; an answer may run over the end and go on at the start
    ring    [....|7|8|9|..................................]   48 bytes an entry, as many as there are grains
    index   [..9....7.....8...............................]   4 bytes a slot, 2 to 4 slots an entry

An answer costs its length rounded up to 256, plus 56 to 64 bytes; the whole is at most 1.25 times the arena, and pages are touched only when used.
An entry lives for [t, t + ttl); entries leave oldest first, when their time is over, never before: full means refuse.
Rejected: a dict of bytes, whose memory nobody can state; evicting the oldest, which would let a retry count twice.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engine.bundles import reference
from engine.dtypes.ledger import (
    FOREVER_US,
    GRAIN_BYTES,
    HIT,
    MEMORY_COUNT,
    MEMORY_GRAIN_NEXT,
    MEMORY_GRAINS,
    MEMORY_GRAINS_USED,
    MEMORY_HEAD,
    MEMORY_TTL_US,
    MEMORY_WORDS,
    REMEMBERED,
    Memory,
    Requests,
)
from engine.dtypes.texts import Texts
from engine.jit import direct, frozen
from engine.kernels.ledger_answers import FITTED, NOT_NEW, read_texts, remember_texts, restore_entries, room_grains
from engine.kernels.ledger_digests import forget_digests, grains_of, recall_digests
from engine.ledger.port import Done, Recalled
from engine.limits import BATCH_ITEMS_MAX, MICROSECONDS_PER_DAY

_recall_digests: Final = direct(recall_digests)
_remember_texts: Final = direct(remember_texts)
_room_grains: Final = direct(room_grains)

ENTRIES_LIMIT: Final = 1 << 31
"""Ring positions and grains are 32-bit numbers in the index."""
_NO_TEXTS: Final = Texts(np.empty(0, np.uint8), np.empty(0, np.int64), np.empty(0, np.int64))


def new_memory(entries_max: int, ttl_us: int, grains: int = 0) -> Memory:
    """Return an empty memory of at most `entries_max` entries; raises ValueError when a bound is out of range."""
    if not 1 <= entries_max < ENTRIES_LIMIT:
        raise ValueError(
            f"ledger memory: expected 1 to {ENTRIES_LIMIT - 1} entries, was {entries_max}; change the configured size"
        )
    if ttl_us < 1:
        raise ValueError(
            f"ledger memory: expected a time to live of 1 microsecond or more, was {ttl_us}; change the configured time"
        )
    state = np.zeros(MEMORY_WORDS, np.int64)
    state[MEMORY_TTL_US] = ttl_us
    state[MEMORY_GRAINS] = grains
    return Memory(
        ring=np.zeros(entries_max, REMEMBERED),
        slots=np.zeros(1 << (2 * entries_max - 1).bit_length(), np.uint32),
        state=state,
    )


def memory_bytes(memory: Memory) -> int:
    """Return what a memory reserves, without an arena."""
    return memory.ring.nbytes + memory.slots.nbytes + memory.state.nbytes


def entries_of(memory: Memory) -> npt.NDArray[np.void]:
    """Return a memory's entries, oldest first."""
    head, count = int(memory.state[MEMORY_HEAD]), int(memory.state[MEMORY_COUNT])
    return memory.ring[(head + np.arange(count)) % len(memory.ring)]


class RingAnswers:
    """The memory of answers of an in-memory ledger (engine.ledger.port.Answers)."""

    def __init__(self, capacity_bytes: int, ttl_us: int = MICROSECONDS_PER_DAY) -> None:
        """Reserve an arena of `capacity_bytes`, rounded down to whole grains; raises ValueError when that is none, or too many."""
        grains = capacity_bytes // GRAIN_BYTES
        self._memory = new_memory(grains, ttl_us, grains)
        self._reference: Any = reference(self._memory)
        self._arena = np.zeros(grains * GRAIN_BYTES, np.uint8)
        self._found, self._position = np.zeros(BATCH_ITEMS_MAX, np.uint8), np.zeros(BATCH_ITEMS_MAX, np.int64)

    def in_memory(self, items: int) -> dict[str, Any]:
        """Return its part of engine.dtypes.ledger.InMemory, for so many items."""
        self._reserve_found(items)
        return {"memory": self._memory, "arena": self._arena, "found": self._found, "position": self._position}

    def recall(self, requests: Requests, index: npt.NDArray[np.int64], now_us: int) -> Done[Recalled]:
        """Look up the requests of rows `index`, (n,)."""
        n = len(index)
        self._reserve_found(n)
        known = int(_recall_digests(self._reference, requests, frozen(index), now_us, self._found, self._position))
        if not known:
            return Done(Recalled(0, self._found[:n], _NO_TEXTS))
        found, position = self._found[:n], self._position[:n]
        length = np.where(found == HIT, self._memory.ring["length_bytes"][position], 0).astype(np.int64)
        ends = np.cumsum(length)
        texts = Texts(np.empty(int(ends[-1]), np.uint8), ends - length, length)
        read_texts(self._reference, self._arena, position, texts)
        return Done(Recalled(known, found, texts))

    def room_bytes(self, now_us: int) -> int:
        """Return how many bytes of `cost_bytes` fit, after reclaiming what is over at `now_us`."""
        return int(_room_grains(self._reference, self._arena, now_us)) * GRAIN_BYTES

    def cost_bytes(self, answer_bytes: int) -> int:
        """Return what an answer of this length takes of the room: whole grains."""
        return int(grains_of(answer_bytes)) * GRAIN_BYTES

    def remember(self, requests: Requests, index: npt.NDArray[np.int64], now_us: int, answers: Texts) -> Done[bool]:
        """Remember the answers of rows `index`, none of them empty, all of them to new requests; False, with nothing remembered, when they do not all fit."""
        done = _remember_texts(self._reference, self._arena, requests, frozen(index), now_us, answers)
        assert done != NOT_NEW, "recall before remembering; an answer has at least one byte"
        return Done(done == FITTED)

    def forget(self, subscriber: int) -> int:
        """Zero and drop this subscriber's answers, those whose time is over too; return how many. Their room comes back when their time is over."""
        memory = self._memory
        position = np.zeros(int(memory.state[MEMORY_COUNT]), np.int64)
        forgotten = int(forget_digests(memory, np.uint64(subscriber), position))
        for place in position[:forgotten]:
            start, end, rest = self._span(int(place))
            self._arena[start:end] = 0
            self._arena[:rest] = 0
        return forgotten

    def state(self) -> tuple[npt.NDArray[np.void], npt.NDArray[np.uint8]]:
        """Return the entries, oldest first, and their bytes in whole grains, as `restore` takes them."""
        state, arena = self._memory.state, self._arena
        used_bytes = int(state[MEMORY_GRAINS_USED]) * GRAIN_BYTES
        end = int(state[MEMORY_GRAIN_NEXT]) * GRAIN_BYTES
        parts = [arena[end - used_bytes : end]] if used_bytes <= end else [arena[end - used_bytes :], arena[:end]]
        return entries_of(self._memory), np.concatenate(parts)

    def restore(self, entries: npt.NDArray[np.void], data: npt.NDArray[np.uint8]) -> bool:
        """Remember what `state` returned, in an empty memory; False when it does not fit."""
        return int(restore_entries(self._memory, self._arena, frozen(entries), frozen(data))) == len(entries)

    def clear(self) -> None:
        """Zero and drop every answer."""
        _room_grains(self._reference, self._arena, FOREVER_US)
        self._memory.state[MEMORY_HEAD] = self._memory.state[MEMORY_GRAIN_NEXT] = 0

    def statistics(self) -> dict[str, int]:
        """Return entries, used and reserved bytes."""
        state = self._memory.state
        return {
            "answers": int(state[MEMORY_COUNT]),
            "answers_used_bytes": int(state[MEMORY_GRAINS_USED]) * GRAIN_BYTES,
            "answers_reserved_bytes": self._arena.nbytes + memory_bytes(self._memory),
        }

    def reserved(self) -> list[npt.NDArray[Any]]:
        """Return the arrays whose memory is reserved and taken only as it is touched."""
        return [self._arena, self._memory.ring, self._memory.slots]

    def _reserve_found(self, items: int) -> None:
        if items > len(self._found):
            self._found, self._position = np.zeros(items, np.uint8), np.zeros(items, np.int64)

    def _span(self, position: int) -> tuple[int, int, int]:
        """Return where an entry's bytes start, where they end before the arena's end, and how many lie at its start."""
        entry = self._memory.ring[position]
        start = int(entry["grain"]) * GRAIN_BYTES
        end = start + int(entry["length_bytes"])
        over = max(0, end - len(self._arena))
        return start, end - over, over
