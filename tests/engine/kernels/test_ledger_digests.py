"""The ring and its index against an ordered dict."""

import random

import numpy as np

from engine.dtypes.ledger import MEMORY_COUNT, MEMORY_GRAINS_USED, MISS, Requests
from engine.jit import frozen
from engine.kernels.ledger_digests import (
    append_entry,
    find_digest,
    forget_digests,
    grains_of,
    recall_digests,
    reclaim_entries,
)
from engine.ledger.answers import new_memory


def test_grains_are_whole() -> None:
    assert [grains_of(length) for length in (0, 1, 256, 257, 512)] == [0, 1, 1, 2, 2]


def test_ring_agrees_with_a_dict_through_wraps_and_removals() -> None:
    chance = random.Random(13)
    memory = new_memory(7, ttl_us=20)
    model: dict[tuple[int, int], tuple[int, int]] = {}
    dropped: list[int] = []
    for now_us in range(2000):
        reclaim_entries(memory, now_us)
        model = {key: entry for key, entry in model.items() if now_us < entry[1] + 20}
        dropped = [at_us for at_us in dropped if now_us < at_us + 20]
        assert memory.state[MEMORY_COUNT] == len(model) + len(dropped)
        key = (chance.randrange(4), chance.randrange(5))
        position = find_digest(memory, np.uint64(key[0]), np.uint64(key[1]))
        assert (position >= 0) == (key in model)
        if position < 0 and memory.state[MEMORY_COUNT] < 7:
            owner = chance.randrange(3)
            high, low = np.uint64(key[0]), np.uint64(key[1])
            append_entry(memory, high, low, np.uint64(9), np.uint64(owner), now_us, 0)
            model[key] = (owner, now_us)
        if chance.random() < 0.05:
            gone = [key for key, entry in model.items() if entry[0] == 2]
            assert forget_digests(memory, np.uint64(2), np.zeros(0, np.int64)) == len(gone)
            dropped += [model.pop(key)[1] for key in gone]


def test_a_lookup_in_an_empty_memory_finds_nothing() -> None:
    memory = new_memory(1, ttl_us=1)
    found, position = np.full(2, 9, np.uint8), np.zeros(2, np.int64)
    zeros = np.zeros(2, np.uint64)
    requests = Requests(np.zeros((2, 2), np.uint64), zeros, zeros)
    assert recall_digests(memory, requests, frozen(np.arange(2)), 0, found, position) == 0
    assert found.tolist() == [MISS, MISS]
    assert position.tolist() == [-1, -1]
    assert memory.state[MEMORY_GRAINS_USED] == 0
