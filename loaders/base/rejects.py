"""The report of a build: how many rows were read, kept and rejected, and why the first were; never a subscriber's key or a cell's content."""

from collections import Counter
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

REASONS_MAX: Final = 20
"""Rejected rows that are reported one by one; all are counted by column and reason."""


class Rejection(msgspec.Struct, frozen=True):
    """One rejected row: its number in the file (a CSV's heading is row 1), the column, and what was expected there."""

    row: int
    column: str
    expected: str

    def __str__(self) -> str:
        return f"row {self.row}, column {self.column}: expected {self.expected}"


class Tally(msgspec.Struct, frozen=True):
    """How many rows were rejected for one reason."""

    column: str
    expected: str
    rows: int


class BuildReport(msgspec.Struct, frozen=True):
    """What a build did."""

    version: str
    rows_read: int
    rows_kept: int
    rows_rejected: int
    reasons: tuple[Rejection, ...]
    """The first REASONS_MAX."""
    tallies: tuple[Tally, ...]
    bytes: int
    """All files of the snapshot."""
    seconds: float
    rows_resumed: int = 0
    """Rows that an earlier build of the same had read before it was stopped."""
    note: str = ""
    """Why an unfinished build was not gone on with."""

    @property
    def rows_per_s(self) -> float:
        """Rows read a second, reading and writing included."""
        return (self.rows_read - self.rows_resumed) / max(self.seconds, 1e-9)

    @property
    def bytes_per_subscriber(self) -> float:
        """Bytes on disk, and mapped, for each subscriber kept."""
        return self.bytes / max(self.rows_kept, 1)


class RejectsState(msgspec.Struct, frozen=True):
    """A `Rejects` on disk."""

    count: int
    first: list[Rejection]
    tallies: list[tuple[str, str, int]]


class Rejects:
    """Collects rejected rows while a build runs; a row counts once, for the first column that is wrong."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[Rejection] = []
        self._tallies: Counter[tuple[str, str]] = Counter()

    def add(self, row: int, column: str, expected: str) -> None:
        """Note one rejected row."""
        self.count += 1
        self._tallies[column, expected] += 1
        if len(self._first) < REASONS_MAX:
            self._first.append(Rejection(row, column, expected))

    def add_many(self, rows: npt.NDArray[np.int64], column: str, expected: str, more: int = 0) -> None:
        """Note rejected rows that share a reason, and `more` that come after them."""
        for row in rows[:REASONS_MAX].tolist():
            self.add(row, column, expected)
        rest = max(len(rows) - REASONS_MAX, 0) + more
        self.count += rest
        if rest:
            self._tallies[column, expected] += rest

    def saved(self) -> RejectsState:
        """Return what `restore` takes."""
        return RejectsState(self.count, list(self._first), [(*reason, rows) for reason, rows in self._tallies.items()])

    def restore(self, state: RejectsState) -> None:
        """Become what was saved."""
        self.count, self._first = state.count, list(state.first)
        self._tallies = Counter({(column, expected): rows for column, expected, rows in state.tallies})

    def reasons(self) -> tuple[Rejection, ...]:
        """Return the first rejections, in order of row."""
        return tuple(sorted(self._first, key=lambda rejection: rejection.row))

    def tallies(self) -> tuple[Tally, ...]:
        """Return all reasons, the most frequent first."""
        counted = sorted(self._tallies.items(), key=lambda item: (-item[1], item[0]))
        return tuple(Tally(column, expected, rows) for (column, expected), rows in counted)
