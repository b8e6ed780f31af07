"""Sets of int64 as sorted, disjoint, non-adjacent intervals with both ends included."""

from typing import Final

Intervals = tuple[tuple[int, int], ...]

LOWEST: Final = -(1 << 63)
HIGHEST: Final = (1 << 63) - 1
EVERYTHING: Final[Intervals] = ((LOWEST, HIGHEST),)
NOTHING: Final[Intervals] = ()


def interval(low: int, high: int) -> Intervals:
    """Return the set from `low` to `high`; nothing when `low` is above."""
    return ((low, high),) if low <= high else NOTHING


def complement(a: Intervals) -> Intervals:
    """Return every int64 that is not in `a`."""
    found, start = [], LOWEST
    for low, high in a:
        if start < low:
            found.append((start, low - 1))
        start = high + 1
    if start <= HIGHEST:
        found.append((start, HIGHEST))
    return tuple(found)


def intersection(a: Intervals, b: Intervals) -> Intervals:
    """Return what is in both."""
    found = []
    i = j = 0
    while i < len(a) and j < len(b):
        low, high = max(a[i][0], b[j][0]), min(a[i][1], b[j][1])
        if low <= high:
            found.append((low, high))
        if a[i][1] < b[j][1]:
            i += 1
        else:
            j += 1
    return tuple(found)


def is_subset(a: Intervals, b: Intervals) -> bool:
    """Return whether everything in `a` is in `b`."""
    return intersection(a, complement(b)) == NOTHING
