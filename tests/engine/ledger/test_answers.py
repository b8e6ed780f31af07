"""The memory of answers against a plain dict, and at its edges."""

from collections import Counter, OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.dtypes.ledger import GRAIN_BYTES, HIT, MEMORY_COUNT, MISS, OTHER_BODY
from engine.ledger.answers import RingAnswers
from engine.ledger.port import Recalled, Requests
from engine.limits import BATCH_ITEMS_MAX
from engine.texts import text_at, texts_of

TTL_US = 100


def request(*numbers: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint64]]:
    """Digests that share few homes in the index."""
    return np.array([(number, number % 3) for number in numbers], np.uint64).reshape(-1, 2)


def words(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.array(numbers, np.uint64)


def text_of(recalled: Recalled, item: int) -> bytes:
    return text_at(recalled.answers, item) if recalled.known else b""


def remembered(ring: RingAnswers, rows: list[tuple[int, int, int]], now_us: int, answers: list[bytes]) -> bool:
    """Have (request, body, subscriber) remembered as the odd rows of a batch."""
    n = len(rows)
    asked = Requests(np.zeros((2 * n, 2), np.uint64), np.zeros(2 * n, np.uint64), np.zeros(2 * n, np.uint64))
    asked.request[1::2] = request(*(row[0] for row in rows))
    asked.body[1::2], asked.subscriber[1::2] = words(*(row[1] for row in rows)), words(*(row[2] for row in rows))
    texts = texts_of([text for answer in answers for text in (b"not this", answer)])
    return ring.remember(asked, np.arange(1, 2 * n, 2), now_us, texts).result()


def recalled_of(ring: RingAnswers, rows: list[tuple[int, int]], now_us: int) -> Recalled:
    """Look (request, body) up, the last row first."""
    asked = Requests(request(*(row[0] for row in rows[::-1])), words(*(row[1] for row in rows[::-1])), words())
    recalled = ring.recall(asked, np.arange(len(rows))[::-1].copy(), now_us).result()
    assert recalled.known == np.count_nonzero(recalled.state != MISS)
    return recalled


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
        assert remembered(self.ring, [row[:3] for row in rows], self.now_us, answers) == fits
        if fits:
            for number, body, subscriber, answer in rows:
                self.model.pop(number, None)
                self.model[number] = (body, subscriber, self.now_us, answer, -(-len(answer) // GRAIN_BYTES))
        return fits

    def recall(self, number: int, body: int) -> tuple[int, bytes | None]:
        recalled = recalled_of(self.ring, [(number, body)], self.now_us)
        entry = self.model.get(number)
        if entry is None or entry[3] is None or entry[2] + TTL_US <= self.now_us:
            expected: tuple[int, bytes | None] = (MISS, None)
        else:
            expected = (HIT, entry[3]) if entry[0] == body else (OTHER_BODY, None)
        assert (int(recalled.state[0]), text_of(recalled, 0) or None) == expected
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


def test_each_row_is_recalled_by_its_own_request_and_body() -> None:
    ring = RingAnswers(1024, TTL_US)
    remembered(ring, [(1, 1, 1), (3, 1, 1)], 0, [b"a", b"bc"])
    recalled = recalled_of(ring, [(1, 1), (1, 2), (2, 1), (3, 1)], TTL_US - 1)
    assert recalled.state.tolist() == [HIT, OTHER_BODY, MISS, HIT]
    assert [text_of(recalled, item) for item in range(4)] == [b"a", b"", b"", b"bc"]
    assert recalled_of(ring, [(1, 1), (3, 1)], TTL_US).known == 0


def test_more_rows_than_a_batch_has_are_recalled() -> None:
    ring = RingAnswers(1024, TTL_US)
    remembered(ring, [(BATCH_ITEMS_MAX, 1, 1)], 0, [b"a"])
    recalled = recalled_of(ring, [(number, 1) for number in range(BATCH_ITEMS_MAX + 2)], 0)
    assert recalled.known == 1
    assert text_of(recalled, BATCH_ITEMS_MAX) == b"a"


def test_forgetting_zeroes_the_bytes_and_keeps_the_order() -> None:
    ring = RingAnswers(4 * GRAIN_BYTES, TTL_US)
    for number in (1, 2, 3):
        remembered(ring, [(number, 1, number)], number, [bytes([number]) * 10])
    assert ring.forget(2) == 1
    assert ring.forget(2) == 0
    assert sorted(set(ring._arena.tolist())) == [0, 1, 3]
    recalled = recalled_of(ring, [(1, 1), (2, 1), (3, 1)], 3)
    assert recalled.state.tolist() == [HIT, MISS, HIT]
    assert not np.any(ring._memory.ring["subscriber"] == 2)
    assert ring.room_bytes(2 + TTL_US) == 3 * GRAIN_BYTES
    assert ring._memory.state[MEMORY_COUNT] == 1


def test_nothing_at_all_is_remembered_at_once() -> None:
    ring = RingAnswers(GRAIN_BYTES, TTL_US)
    assert remembered(ring, [], 0, [])
    assert recalled_of(ring, [], 0).known == 0


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
