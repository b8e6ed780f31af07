"""Lists of conditions while they are laid out: the arrays that grow, and the terms of a list with what they ask for."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engine.breathing import breathe
from engine.dtypes.condition import (
    KNOWN,
    LABELS_ALL,
    LABELS_NONE,
    RANGE,
    RANGE_DOUBLE,
    RANGE_TEXT,
    ConditionTables,
)

Bools = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint64]
RANGES: Final = (RANGE, RANGE_DOUBLE, RANGE_TEXT, KNOWN)


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
        breathe()
        return at

    def add_cuts(self, cuts: npt.NDArray[np.int64]) -> int:
        at, self.cuts_end = self.cuts_end, self.cuts_end + cuts.size
        self.cuts.append(cuts)
        breathe()
        return at

    def add_numbers(self, numbers: npt.NDArray[Any]) -> int:
        at, self.numbers_end = self.numbers_end, self.numbers_end + numbers.size
        self.numbers.append(numbers.astype(np.int32))
        breathe()
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
        breathe()
        self.needed_at = self._labels(LABELS_ALL)
        """Labels, and for each a condition that needs it; by label, then condition."""
        self.forbidden_at = self._labels(LABELS_NONE)
        self.needed = self._members(self.needed_at)
        """(labels, count): which conditions need the label."""
        self.forbidden = self._members(self.forbidden_at)
        self.used = np.unique(np.concatenate([self.needed_at[0], self.forbidden_at[0]]) >> 6)
        """The label words that conditions ask about."""

    def of(self, *kinds: int) -> npt.NDArray[np.int64]:
        """Return which terms are of these kinds."""
        return np.flatnonzero(np.isin(self.rows["kind"], kinds))

    def rarest(self) -> npt.NDArray[np.int64]:
        """Return for each condition the rarest label that it needs, -1 for none."""
        label, owner = self.needed_at
        order = np.lexsort((label, self.density[label], owner))
        asking, first = np.unique(owner[order], return_index=True)
        rarest = np.full(self.count, -1, np.int64)
        rarest[asking] = label[order[first]]
        return rarest

    def survivors(self) -> float:
        """Return how many conditions labels leave to the average subscriber, were labels independent."""
        left = np.ones(self.count)
        for (label, owner), held in ((self.needed_at, self.density), (self.forbidden_at, 1.0 - self.density)):
            np.multiply.at(left, owner, held[label])
        return float(left.sum())

    def columns(self) -> list[tuple[Any, npt.NDArray[np.int64]]]:
        """Return for each slot (and text table) that ranges ask about its kind, slot and base, and which terms do."""
        ranges = self.of(*RANGES)
        kind, slot, base = (self.rows[name][ranges] for name in ("kind", "slot", "base"))
        order = np.lexsort((base, slot, kind))
        kind, slot, base = kind[order], slot[order], base[order]
        differs = (kind[1:] != kind[:-1]) | (slot[1:] != slot[:-1]) | (base[1:] != base[:-1])
        parts = np.split(ranges[order], np.flatnonzero(differs) + 1) if len(ranges) else []
        return [(self.rows[part[0]][["kind", "slot", "base"]], part) for part in parts]

    def _members(self, at: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]) -> Bools:
        members = np.zeros((len(self.density), self.count), np.bool_)
        members[at] = True
        breathe()
        return members

    def _labels(self, kind: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Return labels and conditions: each label of each term of this kind, once."""
        of_kind = self.of(kind)
        first, sizes = self.rows["base"][of_kind], self.rows["count"][of_kind]
        masks = self.tables.masks[spans_of(first, first + sizes)]
        owner = np.repeat(self.owner[of_kind], sizes)
        held = np.unpackbits(masks["bits"].copy().view(np.uint8), bitorder="little").reshape(-1, 64)
        mask, bit = np.nonzero(held)
        label, owner = masks["word"][mask] * 64 + bit, owner[mask]
        breathe()
        found = np.sort(label * self.count + owner)
        found = found[np.append(True, found[1:] != found[:-1])] if len(found) else found
        label, owner = np.divmod(found, max(1, self.count))
        breathe()
        return label, owner


def spans_of(start: npt.NDArray[np.int64], end: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the numbers of all spans [start, end), one span after the other."""
    sizes = end - start
    offsets = np.repeat(start - np.concatenate([[0], np.cumsum(sizes)[:-1]]) if len(sizes) else start, sizes)
    numbers: npt.NDArray[np.int64] = np.arange(int(sizes.sum())) + offsets
    return numbers
