"""Texts keep what they hold while their arena grows, and the arena gives back what a large batch took."""

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.dtypes.texts import Texts
from engine.texts import KEPT_BYTES_MAX, TextArena, text_at, texts_of


@given(st.lists(st.lists(st.binary(max_size=80), max_size=5), max_size=8))
@settings(max_examples=100, deadline=None)
def test_an_arena_keeps_what_it_was_given(batches: list[list[bytes]]) -> None:
    arena = TextArena()
    starts: list[int] = []
    for batch in batches:
        texts = texts_of(batch)
        assert [text_at(texts, number) for number in range(len(batch))] == batch
        starts += arena.add(texts).tolist() if len(batch) % 2 else [arena.add_bytes(text) for text in batch]
    every = [text for batch in batches for text in batch]
    assert [arena.data[start : start + len(text)].tobytes() for start, text in zip(starts, every, strict=True)] == every
    assert arena.used_bytes == sum(map(len, every))


def test_texts_may_lie_anywhere_and_overlap() -> None:
    data = texts_of([b"abcdef"]).data
    ends = texts_of([b"", b"cde", b"ab", b"f"])
    ends.start[:] = (6, 2, 0, 5)
    arena = TextArena()
    arena.add_bytes(b"x")
    start = arena.add(Texts(data, ends.start, ends.length_bytes))
    assert start.tolist() == [1, 1, 4, 6]
    assert arena.data[: arena.used_bytes].tobytes() == b"xcdeabf"


def test_an_emptied_arena_keeps_a_bounded_room() -> None:
    arena = TextArena()
    arena.reserve(KEPT_BYTES_MAX)
    kept = arena.data
    arena.clear()
    assert arena.data is kept
    arena.reserve(KEPT_BYTES_MAX + 1)
    arena.clear()
    assert (len(arena.data), arena.used_bytes) == (0, 0)


def test_growing_is_in_proportion() -> None:
    arena, grown = TextArena(), 0
    for _ in range(10_000):
        before = arena.data
        arena.add_bytes(b"0123456789")
        grown += arena.data is not before
    assert grown < 20
