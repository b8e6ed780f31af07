"""The memory of answers against a plain dict, and at its edges."""

from collections import Counter, OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.dtypes.ledger import GRAIN_BYTES, HIT, MEMORY_COUNT, MISS, OTHER_BODY
from engine.ledger.answers import RingAnswers
from engine.texts import text_at, texts_of

TTL_US = 100


def request(*numbers: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint64]]:
    """Digests that share few homes in the index."""
    return np.array([(number, number % 3) for number in numbers], np.uint64).reshape(-1, 2)


def words(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.array(numbers, np.uint64)


class CheckedAnswers:
    """A ring and an ordered dict, side by side."""

    def __init__(self, grains: int) -> None:
        self.ring = RingAnswers(grains * GRAIN_BYTES, TTL_US)
        self.grains = grains
        self.now_us = 0
        self.forgotten = 0
        self.model: OrderedDict[int, tuple[int, int, int, bytes | None, int]] = OrderedDict()
        """request -> body, subscriber, when, answer (None when forgotten), grains"""

    def room(self) -> int:
        while self.model and next(iter(self.model.values()))[2] + TTL_US <= self.now_us:
            self.model.popitem(last=False)
        return (self.grains - sum(entry[4] for entry in self.model.values())) * GRAIN_BYTES

    def remember(self, rows: list[tuple[int, int, int, bytes]]) -> bool:
        """Rows are (request, body, subscriber, answer)."""
        rows = [row for row in rows if self.recall(row[0], row[1])[0] == MISS]
        rows = list({row[0]: row for row in rows}.values())
        cost = sum(-(-len(row[3]) // GRAIN_BYTES) for row in rows)
        fits = cost * GRAIN_BYTES <= self.room()
        assert self.ring.room_bytes(self.now_us) == self.room()
        answers = [row[3] for row in rows]
        requests, bodies, subscribers = (
            request(*(r[0] for r in rows)),
            words(*(r[1] for r in rows)),
            words(*(r[2] for r in rows)),
        )
        done = self.ring.remember(requests, bodies, subscribers, self.now_us, texts_of(answers)).result()
        assert done == fits
        if fits:
            for number, body, subscriber, answer in rows:
                self.model.pop(number, None)
                self.model[number] = (body, subscriber, self.now_us, answer, -(-len(answer) // GRAIN_BYTES))
        return fits

    def recall(self, number: int, body: int) -> tuple[int, bytes | None]:
        recalled = self.ring.recall(request(number), words(body), np.array([self.now_us])).result()
        entry = self.model.get(number)
        if entry is None or entry[3] is None or entry[2] + TTL_US <= self.now_us:
            expected: tuple[int, bytes | None] = (MISS, None)
        else:
            expected = (HIT, entry[3]) if entry[0] == body else (OTHER_BODY, None)
        assert (int(recalled.state[0]), text_at(recalled.answers, 0) or None) == expected
        return expected

    def forget(self, subscriber: int) -> None:
        """The room comes back with time, so the entry keeps its place, under a number that no request has."""
        entries = list(self.model.items())
        self.model.clear()
        for number, (body, owner, at_us, answer, grains) in entries:
            if owner == subscriber:
                self.forgotten += 1
                self.model[-self.forgotten] = (body, 0, at_us, None, grains)
            else:
                self.model[number] = (body, owner, at_us, answer, grains)
        self.ring.forget(subscriber)

    def check(self) -> None:
        assert self.ring.room_bytes(self.now_us) == self.room()
        kept = Counter(byte for entry in self.model.values() for byte in entry[3] or b"")
        assert Counter(self.ring._arena[self.ring._arena > 0].tolist()) == kept


operations = st.one_of(
    st.tuples(
        st.just("remember"),
        st.lists(st.tuples(st.integers(1, 9), st.integers(1, 2), st.integers(1, 5), st.integers(1, 700)), max_size=3),
    ),
    st.tuples(st.just("recall"), st.tuples(st.integers(1, 9), st.integers(1, 2))),
    st.tuples(st.just("advance"), st.sampled_from([1, TTL_US // 4, TTL_US - 1, TTL_US])),
    st.tuples(st.just("forget"), st.integers(1, 5)),
)


@given(st.sampled_from([1, 3, 8, 11]), st.lists(operations, max_size=40))
@settings(max_examples=100, deadline=None)
def test_any_interleaving_agrees_with_a_dict(grains: int, steps: list[tuple[str, object]]) -> None:
    pair = CheckedAnswers(grains)
    for name, value in steps:
        if name == "remember":
            assert isinstance(value, list)
            pair.remember([(r, body, s, bytes([s]) * length) for r, body, s, length in value])
        elif name == "recall":
            assert isinstance(value, tuple)
            pair.recall(*value)
        elif name == "advance":
            assert isinstance(value, int)
            pair.now_us += value
        else:
            assert isinstance(value, int)
            pair.forget(value)
        pair.check()
    for number in range(1, 10):
        pair.recall(number, 1)


def test_an_exact_fit_leaves_no_room() -> None:
    pair = CheckedAnswers(2)
    assert not pair.remember([(1, 1, 1, b"x" * (2 * GRAIN_BYTES + 1))])
    assert pair.remember([(1, 1, 1, b"x" * (2 * GRAIN_BYTES))])
    assert pair.ring.room_bytes(0) == 0
    assert not pair.remember([(2, 1, 1, b"y")])
    assert pair.recall(1, 1) == (HIT, b"x" * (2 * GRAIN_BYTES))


def test_an_answer_over_the_end_comes_back_whole() -> None:
    pair = CheckedAnswers(4)
    pair.remember([(1, 1, 1, b"a" * 3 * GRAIN_BYTES)])
    pair.now_us = TTL_US
    answer = bytes(1 + i % 255 for i in range(3 * GRAIN_BYTES))
    assert pair.remember([(2, 1, 2, answer)])
    assert pair.recall(2, 1) == (HIT, answer)
    pair.ring.forget(2)
    assert not pair.ring._arena.any()


def test_an_answer_is_gone_at_its_time_and_not_before() -> None:
    pair = CheckedAnswers(4)
    pair.remember([(1, 1, 1, b"a")])
    pair.now_us = TTL_US - 1
    assert pair.recall(1, 1) == (HIT, b"a")
    assert pair.ring.room_bytes(pair.now_us) == 3 * GRAIN_BYTES
    pair.now_us = TTL_US
    assert pair.recall(1, 1) == (MISS, None)
    assert pair.ring.room_bytes(pair.now_us) == 4 * GRAIN_BYTES


def test_each_item_is_recalled_at_its_own_instant() -> None:
    ring = RingAnswers(1024, TTL_US)
    ring.remember(request(1), words(1), words(1), 0, texts_of([b"a"]))
    recalled = ring.recall(request(1, 1, 1, 2), words(1, 1, 2, 1), np.array([TTL_US - 1, TTL_US, 0, 0])).result()
    assert recalled.state.tolist() == [HIT, MISS, OTHER_BODY, MISS]
    assert [text_at(recalled.answers, row) for row in range(4)] == [b"a", b"", b"", b""]


def test_forgetting_zeroes_the_bytes_and_keeps_the_order() -> None:
    ring = RingAnswers(4 * GRAIN_BYTES, TTL_US)
    for number in (1, 2, 3):
        ring.remember(request(number), words(1), words(number), number, texts_of([bytes([number]) * 10]))
    assert ring.forget(2) == 1
    assert ring.forget(2) == 0
    assert sorted(set(ring._arena.tolist())) == [0, 1, 3]
    recalled = ring.recall(request(1, 2, 3), words(1, 1, 1), np.array([3, 3, 3])).result()
    assert recalled.state.tolist() == [HIT, MISS, HIT]
    assert not np.any(ring._memory.ring["subscriber"] == 2)
    assert ring.room_bytes(2 + TTL_US) == 3 * GRAIN_BYTES
    assert ring._memory.state[MEMORY_COUNT] == 1


def test_nothing_at_all_is_remembered_at_once() -> None:
    ring = RingAnswers(GRAIN_BYTES, TTL_US)
    assert ring.remember(request(), words(), words(), 0, texts_of([])).result()
    assert ring.recall(request(), words(), np.zeros(0, np.int64)).result().answers.start.tolist() == []


@pytest.mark.parametrize("capacity_bytes", [0, GRAIN_BYTES - 1])
def test_an_arena_without_room_is_refused(capacity_bytes: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to 2147483647 entries, was 0"):
        RingAnswers(capacity_bytes)


def test_a_time_to_live_is_positive() -> None:
    with pytest.raises(ValueError, match="1 microsecond or more"):
        RingAnswers(1024, 0)


def test_memory_stays_within_what_is_stated() -> None:
    for grains in (1, 5, 1000, 4096, 5000):
        reserved = RingAnswers(grains * GRAIN_BYTES).statistics()["answers_reserved_bytes"]
        assert reserved <= 1.26 * grains * GRAIN_BYTES + 100
