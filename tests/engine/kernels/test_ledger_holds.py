"""The queue of holds against a sorted list."""

import random

import numpy as np

from engine.dtypes.contact import CONTACT
from engine.dtypes.ledger import HOLD, HOLDS, STATE_WORDS, SUBSCRIBER, Store
from engine.jit import frozen
from engine.kernels.ledger_holds import push_hold, remove_hold, remove_holds, sift_down


def new_store(holds: int) -> Store:
    return Store(
        table=np.zeros(64, SUBSCRIBER),
        pool=np.zeros(1, CONTACT),
        holds=np.zeros(holds, HOLD),
        state=np.zeros(STATE_WORDS, np.int64),
        retention=frozen(np.zeros(6, np.int64)),
    )


def pop(store: Store) -> tuple[int, int, int]:
    first = tuple(int(value) for value in store.holds[0].item())
    remove_hold(store, 0)
    sift_down(store.holds, store.state[HOLDS], 0)
    return first  # type: ignore[return-value]


def test_holds_leave_in_order_of_expiry_then_decision() -> None:
    chance = random.Random(3)
    store = new_store(500)
    model: list[tuple[int, int, int]] = []
    for decision in range(1, 501):
        hold = (chance.randrange(20), decision, chance.randrange(9))
        model.append(hold)
        push_hold(store, hold[0], np.uint64(hold[1]), np.uint64(hold[2]))
        if chance.random() < 0.3:
            model.sort()
            assert pop(store) == model.pop(0)
    assert [pop(store) for _ in range(len(model))] == sorted(model)
    assert not store.holds["decision"].any()


def test_a_subscribers_holds_leave_the_queue_and_the_rest_keeps_its_order() -> None:
    chance = random.Random(5)
    for count in (1, 2, 7, 64):
        store = new_store(count)
        holds = [(chance.randrange(9), decision, chance.randrange(3)) for decision in range(count)]
        for expires_us, decision, subscriber in holds:
            push_hold(store, expires_us, np.uint64(decision), np.uint64(subscriber))
        remove_holds(store, np.uint64(1))
        rest = sorted(hold for hold in holds if hold[2] != 1)
        assert store.state[HOLDS] == len(rest)
        assert [pop(store) for _ in rest] == rest
