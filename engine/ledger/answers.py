"""What was answered lately, as rendered, by request: a ring of bytes, a ring of entries in the same order, and a hash index over the entries.

    arena   [....|answer 7  |answer 8 |answer 9    |......]   whole grains of 256 bytes; an answer may run over the end and go on at the start
    ring    [....|7|8|9|..................................]   48 bytes an entry, as many as there are grains
    index   [..9....7.....8...............................]   4 bytes a slot, 2 to 4 slots an entry

An answer costs its length rounded up to 256, plus 56 to 64 bytes; the whole is at most 1.25 times the arena, and pages are touched only when used.
An entry lives for [t, t + ttl); entries leave oldest first, when their time is over, never before: full means refuse.
Rejected: a dict of bytes, whose memory nobody can state; evicting the oldest, which would let a retry count twice.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from engine.dtypes.ledger import (
    GRAIN_BYTES,
    HIT,
    MEMORY_COUNT,
    MEMORY_GRAIN_NEXT,
    MEMORY_GRAINS,
    MEMORY_GRAINS_USED,
    MEMORY_TTL_US,
    MEMORY_WORDS,
    REMEMBERED,
    Memory,
)
from engine.jit import frozen
from engine.kernels.ledger_digests import (
    find_digest,
    forget_digests,
    grains_of,
    recall_digests,
    reclaim_entries,
    remember_digests,
)
from engine.ledger.port import Done, Recalled
from engine.limits import MICROSECONDS_PER_DAY

ENTRIES_LIMIT: Final = 1 << 31
"""Ring positions and grains are 32-bit numbers in the index."""


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


class RingAnswers:
    """The memory of answers of an in-memory ledger (engine.ledger.port.Answers)."""

    def __init__(self, capacity_bytes: int, ttl_us: int = MICROSECONDS_PER_DAY) -> None:
        """Reserve an arena of `capacity_bytes`, rounded down to whole grains; raises ValueError when that is none, or too many."""
        grains = capacity_bytes // GRAIN_BYTES
        self._memory = new_memory(grains, ttl_us, grains)
        self._arena = np.zeros(grains * GRAIN_BYTES, np.uint8)
        self._bytes = self._arena.data

    def recall(
        self, request: npt.NDArray[np.uint64], body: npt.NDArray[np.uint64], now_us: npt.NDArray[np.int64]
    ) -> Done[Recalled]:
        """Look up (n, 2) request digests with their (n,) bodies, each at its own (n,) instant."""
        found = np.zeros(len(body), np.uint8)
        position = np.zeros(len(body), np.int64)
        recall_digests(self._memory, frozen(request), frozen(body), frozen(now_us), found, position)
        answers: list[bytes | None] = [None] * len(body)
        for i in np.flatnonzero(found == HIT):
            answers[i] = self._read(int(position[i]))
        return Done(Recalled(found, answers))

    def room_bytes(self, now_us: int) -> int:
        """Return how many bytes of `cost_bytes` fit, after reclaiming what is over at `now_us`."""
        self._reclaim(now_us)
        state = self._memory.state
        return int(state[MEMORY_GRAINS] - state[MEMORY_GRAINS_USED]) * GRAIN_BYTES

    def cost_bytes(self, answer_bytes: int) -> int:
        """Return what an answer of this length takes of the room: whole grains."""
        return int(grains_of(answer_bytes)) * GRAIN_BYTES

    def remember(
        self,
        request: npt.NDArray[np.uint64],
        body: npt.NDArray[np.uint64],
        subscriber: npt.NDArray[np.uint64],
        now_us: int,
        answers: Sequence[bytes],
    ) -> Done[bool]:
        """Remember n answers, none of them empty, all of them to new requests; False, with nothing remembered, when they do not all fit."""
        assert all(answers), "an answer has at least one byte"
        lengths = np.fromiter((len(answer) for answer in answers), np.int64, len(answers))
        if sum(self.cost_bytes(len(answer)) for answer in answers) > self.room_bytes(now_us):
            return Done(False)
        assert all(find_digest(self._memory, high, low) < 0 for high, low in request), "recall before remembering"
        position = np.zeros(len(answers), np.int64)
        remember_digests(
            self._memory, frozen(request), frozen(body), frozen(subscriber), now_us, frozen(lengths), position
        )
        for place, answer in zip(position, answers, strict=True):
            self._write(int(place), answer)
        return Done(True)

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

    def statistics(self) -> dict[str, int]:
        """Return entries, used and reserved bytes."""
        state = self._memory.state
        return {
            "answers": int(state[MEMORY_COUNT]),
            "answers_used_bytes": int(state[MEMORY_GRAINS_USED]) * GRAIN_BYTES,
            "answers_reserved_bytes": self._arena.nbytes + memory_bytes(self._memory),
        }

    def _span(self, position: int) -> tuple[int, int, int]:
        """Return where an entry's bytes start, where they end before the arena's end, and how many lie at its start."""
        entry = self._memory.ring[position]
        start = int(entry["grain"]) * GRAIN_BYTES
        end = start + int(entry["length_bytes"])
        over = max(0, end - len(self._arena))
        return start, end - over, over

    def _read(self, position: int) -> bytes:
        start, end, over = self._span(position)
        return bytes(self._bytes[start:end]) + bytes(self._bytes[:over])

    def _write(self, position: int, answer: bytes) -> None:
        start, end, over = self._span(position)
        kept = len(answer) - over
        self._bytes[start:end] = answer[:kept]
        self._bytes[:over] = answer[kept:]

    def _reclaim(self, now_us: int) -> None:
        """Drop what is over, and zero its bytes, so that an erasure need not look for them."""
        state = self._memory.state
        oldest = int(state[MEMORY_GRAIN_NEXT] - state[MEMORY_GRAINS_USED]) % int(state[MEMORY_GRAINS]) * GRAIN_BYTES
        freed_bytes = int(reclaim_entries(self._memory, now_us)) * GRAIN_BYTES
        self._arena[oldest : oldest + freed_bytes] = 0
        self._arena[: max(0, oldest + freed_bytes - len(self._arena))] = 0
