"""Interval sets against sets of numbers at both ends of int64 and around zero."""

from hypothesis import given
from hypothesis import strategies as st

from engine.lint.intervals import EVERYTHING, HIGHEST, LOWEST, NOTHING, complement, intersection, interval, is_subset

POINTS = [*range(LOWEST, LOWEST + 5), *range(-5, 6), *range(HIGHEST - 4, HIGHEST + 1)]


def points(a: tuple[tuple[int, int], ...]) -> set[int]:
    return {point for point in POINTS if any(low <= point <= high for low, high in a)}


SETS = st.lists(st.tuples(st.sampled_from(POINTS), st.sampled_from(POINTS), st.booleans()), max_size=4)


def made(parts: list[tuple[int, int, bool]]) -> tuple[tuple[int, int], ...]:
    """An intersection of intervals and complements of intervals, as conditions make them."""
    found = EVERYTHING
    for low, high, negated in parts:
        found = intersection(found, complement(interval(low, high)) if negated else interval(low, high))
    return found


@given(SETS, SETS)
def test_sets_of_intervals_are_sets(a_parts: list[tuple[int, int, bool]], b_parts: list[tuple[int, int, bool]]) -> None:
    a, b = made(a_parts), made(b_parts)
    assert points(complement(a)) == set(POINTS) - points(a)
    assert points(intersection(a, b)) == points(a) & points(b)
    assert complement(complement(a)) == a
    assert is_subset(a, b) == (intersection(a, complement(b)) == NOTHING)
    assert not is_subset(a, b) or points(a) <= points(b)
    for low, high in a:
        assert low <= high
