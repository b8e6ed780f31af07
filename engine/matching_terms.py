"""Lists of conditions while they are laid out: the arrays that grow, and the terms of a list with what they ask for."""

from typing import Any

import numpy as np
import numpy.typing as npt

from engine.dtypes.condition import LABELS_ALL, LABELS_NONE, ConditionTables

Bools = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint64]


class Layout:
    """The arrays while they grow."""

    def __init__(self) -> None:
        self.matchers: list[tuple[int, ...]] = []
        self.columns: list[tuple[int, ...]] = []
        self.across: list[tuple[int, ...]] = []
        self.scales: list[tuple[int, ...]] = []
        self.checks: list[npt.NDArray[np.void]] = []
        self.bits: list[Words] = []
        self.cuts: list[npt.NDArray[np.int64]] = []
        self.numbers: list[npt.NDArray[np.int32]] = []
        self.checks_end = self.bits_end = self.cuts_end = self.numbers_end = 0

    def add_bits(self, rows: Words) -> int:
        at, self.bits_end = self.bits_end, self.bits_end + rows.size
        self.bits.append(rows.ravel())
        return at

    def add_cuts(self, cuts: npt.NDArray[np.int64]) -> int:
        at, self.cuts_end = self.cuts_end, self.cuts_end + cuts.size
        self.cuts.append(cuts)
        return at

    def add_numbers(self, numbers: npt.NDArray[Any]) -> int:
        at, self.numbers_end = self.numbers_end, self.numbers_end + numbers.size
        self.numbers.append(numbers.astype(np.int32))
        return at


class Terms:
    """The terms of a list of conditions, each with the place of its condition in the list."""

    def __init__(
        self, tables: ConditionTables, numbers: npt.NDArray[np.int64], density: npt.NDArray[np.float64]
    ) -> None:
        start, end = tables.start[numbers], tables.start[numbers + 1]
        self.numbers = numbers
        self.count = len(numbers)
        self.density = density
        self.owner = np.repeat(np.arange(len(numbers)), end - start)
        self.rows = tables.terms[spans_of(start, end)]
        self.tables = tables
        self.needed = self._labels(LABELS_ALL)
        """(labels, count): which conditions need the label."""
        self.forbidden = self._labels(LABELS_NONE)

    def of(self, *kinds: int) -> npt.NDArray[np.int64]:
        """Return which terms are of these kinds."""
        return np.flatnonzero(np.isin(self.rows["kind"], kinds))

    def rarest(self) -> npt.NDArray[np.int64]:
        """Return for each condition the rarest label that it needs, -1 for none."""
        if not self.count or not len(self.density):
            return np.full(self.count, -1, np.int64)
        rarity = np.where(self.needed, self.density[:, None], np.inf)
        return np.where(self.needed.any(axis=0), rarity.argmin(axis=0), -1)

    def survivors(self) -> float:
        """Return how many conditions labels leave to the average subscriber, were labels independent."""
        density = self.density[:, None]
        left = np.where(self.needed, density, 1.0) * np.where(self.forbidden, 1.0 - density, 1.0)
        return float(left.prod(axis=0).sum())

    def _labels(self, kind: int) -> Bools:
        """Return (labels, count): which conditions have a term of this kind with the label."""
        members = np.zeros((len(self.density), self.count), np.bool_)
        of_kind = self.of(kind)
        first, sizes = self.rows["base"][of_kind], self.rows["count"][of_kind]
        masks = self.tables.masks[spans_of(first, first + sizes)]
        owner = np.repeat(self.owner[of_kind], sizes)
        for bit in range(64):
            has = masks["bits"] >> np.uint64(bit) & np.uint64(1) != 0
            members[masks["word"][has] * 64 + bit, owner[has]] = True
        return members


def spans_of(start: npt.NDArray[np.int64], end: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the numbers of all spans [start, end), one span after the other."""
    sizes = end - start
    offsets = np.repeat(start - np.concatenate([[0], np.cumsum(sizes)[:-1]]) if len(sizes) else start, sizes)
    numbers: npt.NDArray[np.int64] = np.arange(int(sizes.sum())) + offsets
    return numbers
