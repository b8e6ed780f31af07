"""Records on disk while a base is built: a run at a time, each split by the hash's leading bits, so that memory is bounded and a kill loses one run.

    run-00007.records   the run's records, bucket after bucket
    run-00007.json      the state of the build after it; written last, so that a run without it is not there

Buckets are read back one after the other, each from all runs, in the order of the file's rows. The last run stays in memory.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from engine.base.records import hashes_of, taken
from loaders.base.rejects import RejectsState

RUN_ROWS: Final = 1 << 19
BUCKET_ROWS: Final = 1 << 17
"""Rows that a bucket has at most on average: they are sorted in memory."""
_BUCKET_BITS_MAX: Final = 14


class RunState(msgspec.Struct, frozen=True):
    """A build after a run: where it goes on, and what it knows."""

    rows_taken: int
    """Rows of whole batches that were read."""
    rows_read: int
    """The same with malformed rows that were passed over."""
    bad_row_last: int
    """Up to this row malformed ones are counted already."""
    latest_us: int
    counts: list[int]
    """Records in each bucket of the run."""
    news: list[list[str]]
    """Texts that this run brought."""
    rejects: RejectsState


def bucket_bits(rows: int) -> int:
    """Return by how many leading bits `rows` are split."""
    return min(max((max(rows, 1) - 1) // BUCKET_ROWS, 0).bit_length(), _BUCKET_BITS_MAX)


class Runs:
    """The runs of one build in a folder of its own; goes on after those that are there."""

    def __init__(self, folder: Path, record_bytes: int, bits: int) -> None:
        self.states: list[RunState] = []
        """Of the runs on disk, in order."""
        self._folder = folder
        self.bits = bits
        self._buffer, self._sorted = (np.empty((RUN_ROWS, record_bytes), np.uint8) for _ in range(2))
        self._rows = 0
        self._last: tuple[npt.NDArray[np.uint8], list[int]] | None = None
        folder.mkdir(exist_ok=True)
        while (path := self._path(len(self.states), "json")).exists():
            self.states.append(msgspec.json.decode(path.read_bytes(), type=RunState))
        self._starts = [_starts(state.counts) for state in self.states]

    @property
    def buckets(self) -> int:
        """How many buckets there are."""
        return 1 << self.bits

    @property
    def rows(self) -> int:
        """Records of all runs."""
        return sum(sum(state.counts) for state in self.states) + self._rows

    def room_for(self, rows: int) -> bool:
        """Return whether so many more records go into this run."""
        return self._rows + rows <= len(self._buffer)

    def room(self) -> npt.NDArray[np.uint8]:
        """Return where the run's next records are to be written, (n, record bytes)."""
        return self._buffer[self._rows :]

    def add(self, rows: int) -> None:
        """Take as many records as were written into the room."""
        self._rows += rows

    def save(self, state: RunState) -> None:
        """Write the run, on disk when this returns; `state` without its counts. Begins the next one."""
        records, counts = self._split()
        number = len(self.states)
        path = self._path(number, "records")
        try:
            _write(path, records.reshape(-1).data)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        state = msgspec.structs.replace(state, counts=counts)
        work = self._path(number, "work")
        _write(work, msgspec.json.encode(state))
        work.replace(self._path(number, "json"))
        descriptor = os.open(self._folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
        self.states.append(state)
        self._starts.append(_starts(counts))
        self._rows = 0

    def read(self) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield the records of each bucket, (n, record bytes), each in the order of the rows; good until the next is asked for."""
        last, counts = self._split()
        room = self._buffer
        start = 0
        for bucket, count in enumerate(counts):
            sizes = [state.counts[bucket] for state in self.states]
            if sum(sizes) + count > len(room):
                room = np.empty((sum(sizes) + count, last.shape[1]), np.uint8)
            records = room[: sum(sizes) + count]
            at = 0
            for number, size in enumerate(sizes):
                self._read_into(records[at : at + size], number, bucket)
                at += size
            records[at:] = last[start : start + count]
            start += count
            yield records

    def _read_into(self, records: npt.NDArray[np.uint8], number: int, bucket: int) -> None:
        path = self._path(number, "records")
        with path.open("rb", buffering=0) as file:
            file.seek(self._starts[number][bucket] * records.shape[1])
            data, at = records.reshape(-1).data, 0
            while at < len(data):
                found = file.readinto(data[at:])
                if not found:
                    raise OSError(5, "shorter than it was written; remove this folder and build again", str(path))
                at += found

    def _split(self) -> tuple[npt.NDArray[np.uint8], list[int]]:
        """Return this run's records bucket after bucket, and how many are in each."""
        records = self._buffer[: self._rows]
        buckets = (hashes_of(records) >> np.uint64(48)).astype(np.uint16) >> np.uint16(16 - self.bits)
        counts = np.bincount(buckets, minlength=self.buckets)
        return taken(records, np.argsort(buckets, kind="stable"), self._sorted), counts.tolist()

    def _path(self, number: int, kind: str) -> Path:
        return self._folder / f"run-{number:05}.{kind}"


def _starts(counts: list[int]) -> list[int]:
    starts: list[int] = np.cumsum([0, *counts]).tolist()
    return starts


def _write(path: Path, raw: bytes | memoryview) -> None:
    with path.open("wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())


def forget(folder: Path) -> None:
    """Remove the runs and their folder."""
    shutil.rmtree(folder, ignore_errors=True)
