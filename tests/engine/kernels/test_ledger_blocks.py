"""The table of subscribers against a dict, blocks against a list of who has them."""

import random
from itertools import pairwise

import numpy as np

from engine.dtypes.contact import CONTACT
from engine.dtypes.ledger import BLOCK_SIZES, HOLD, POOL_TOP, STATE_WORDS, SUBSCRIBER, Store
from engine.jit import frozen
from engine.kernels.ledger_blocks import (
    block_order,
    find_subscriber,
    give_block,
    home_slot,
    obtainable_size,
    place_subscriber,
    rehash_subscribers,
    remove_subscriber,
    take_block,
)


def new_store(contacts: int) -> Store:
    return Store(
        table=np.zeros(64, SUBSCRIBER),
        pool=np.zeros(contacts, CONTACT),
        holds=np.zeros(1, HOLD),
        state=np.zeros(STATE_WORDS, np.int64),
        retention=frozen(np.zeros(6, np.int64)),
    )


def test_home_slot_folds_both_halves() -> None:
    for key in (0, 1, 63, 64, 1 << 32, (1 << 64) - 1, 0x0123456789ABCDEF):
        assert home_slot(np.uint64(key), 64) == (key ^ key >> 32) % 64


def test_table_agrees_with_a_dict_through_removals() -> None:
    chance = random.Random(7)
    table = np.zeros(16, SUBSCRIBER)
    model: dict[int, int] = {}
    keys = [0, 1, 15, 16, 17, 31, 32, 33, 47, 63, 5 << 40, (1 << 64) - 1]
    for step in range(3000):
        key = chance.choice(keys)
        slot = find_subscriber(table, np.uint64(key))
        assert (slot >= 0) == (key in model)
        if slot >= 0:
            assert table[slot]["start"] == model.pop(key)
            remove_subscriber(table, slot)
        else:
            place_subscriber(table, np.uint64(key), step, 4)
            model[key] = step
        assert {int(e["key"]): int(e["start"]) for e in table if e["size"]} == model


def test_a_full_table_is_searched_once_round() -> None:
    table = np.zeros(4, SUBSCRIBER)
    for key in range(4):
        place_subscriber(table, np.uint64(key), key, 4)
    assert find_subscriber(table, np.uint64(9)) == -1


def test_rehash_keeps_all() -> None:
    old, new = np.zeros(64, SUBSCRIBER), np.zeros(128, SUBSCRIBER)
    for key in range(0, 64 * 48, 64):
        slot = place_subscriber(old, np.uint64(key), key, 8)
        old[slot]["count"] = key % 8
    rehash_subscribers(old, new)
    for key in range(0, 64 * 48, 64):
        slot = find_subscriber(new, np.uint64(key))
        assert new[slot].item() == (key, key, key % 8, 8)


def test_block_order_at_each_size() -> None:
    for order, size in enumerate(BLOCK_SIZES):
        assert block_order(size) == order
        assert block_order(size + 1) == (order + 1 if size < BLOCK_SIZES[-1] else -1)
    assert block_order(1) == 0


def test_blocks_never_overlap_and_all_come_back() -> None:
    chance = random.Random(11)
    store = new_store(600)
    taken: list[tuple[int, int]] = []
    refused = 0
    for _ in range(3000):
        if chance.random() < 0.55:
            order = chance.randrange(len(BLOCK_SIZES))
            most = obtainable_size(store)
            start = int(take_block(store, order))
            assert (start >= 0) == (BLOCK_SIZES[order] <= most)
            refused += start < 0
            if start >= 0:
                taken.append((start, order))
        elif taken:
            give_block(store, *taken.pop(chance.randrange(len(taken))))
        ranges = sorted((start, start + BLOCK_SIZES[order]) for start, order in taken)
        assert all(end <= start for (_, end), (start, _) in pairwise(ranges))
        assert all(end <= store.state[POOL_TOP] <= 600 for _, end in ranges)
    assert refused
