"""Builds a base: reads the file in batches, rejects bad rows, sorts the others on disk, writes a snapshot, makes it current. All or nothing.

Memory does not grow with the rows. A build that is killed goes on where it was when the same is built again: `runs.py` says how.
"""

import dataclasses
import errno
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from engine.base.keys import SubscriberKeys
from engine.base.manifest import MANIFEST, Manifest, SnapshotError
from engine.base.records import hashes_of, numbers_of, order_of, record_bytes, taken, twins_of
from engine.base.schema import BaseSchema
from engine.base.write import SnapshotWriter, check_texts, sole_writer
from loaders.base.batch import BatchReader, text_columns, used_columns
from loaders.base.identity import IDENTITY, Identity, file_mark, identity_of, read_identity
from loaders.base.keys import hash_keys
from loaders.base.labels import LabelPlan
from loaders.base.mapping import Mapping
from loaders.base.rejects import REASONS_MAX, BuildReport, Rejects
from loaders.base.rows import Codes
from loaders.base.runs import Runs, RunState, bucket_bits, forget
from loaders.base.source import SourceError, Wanted, read_batches, rows_about, source_columns
from loaders.msisdn import parse_number

DUPLICATE: Final = "a key that no earlier row has; the first row of a key is kept"
BUILDING: Final = ".building"
"""The folder, in that of the snapshots, of a build that is not ended."""


class Progress(msgspec.Struct, frozen=True):
    """How far a build is: `done` from 0 to 1, first of reading the file, then of writing the snapshot."""

    rows_read: int
    rows_rejected: int
    done: float
    stage: Literal["reading", "writing"] = "reading"


def build_base(
    source: Path,
    mapping: Mapping,
    schema: BaseSchema,
    secret: bytes,
    out: Path,
    *,
    as_of_us: int | None = None,
    as_of_assumed: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> BuildReport:
    """Load `source` into a new snapshot below `out`, make it current, and return what was read, kept and rejected.

    `as_of_us` is the instant that the file describes; it may be left out when the mapping has one. When it is `as_of_assumed`, an unfinished
    build keeps the one that it began with. Raises SourceError (the file, or not one row of it can be kept), CatalogueErrors (label expressions),
    SnapshotError (bounds, two keys with one hash, another build into `out`): nothing is then written and the current snapshot stays. After an
    OSError (no room) or a kill the same call goes on with what was read.
    """
    began = time.monotonic()
    keys = SubscriberKeys(secret, mapping.key_kind, mapping.region, parse_number)
    types = source_columns(source, mapping.csv)
    _check_columns(source, mapping, schema, list(types))
    plan = LabelPlan(mapping, schema, types)
    BatchReader(mapping, schema, plan, as_of_us)
    with _building(out), _room(source, out):
        identity = identity_of(source, mapping, schema, keys, as_of_us=as_of_us, bits=bucket_bits(rows_about(source)))
        identity, note = _begin(out / BUILDING, identity, as_of_assumed)
        reader = BatchReader(mapping, schema, plan, identity.as_of)
        wanted = Wanted(used_columns(mapping, plan), text_columns(mapping, schema, plan, types))
        build = _Build(
            reader, keys, Runs(out / BUILDING, record_bytes(schema, reader.has_as_of), identity.bits), progress
        )
        resumed = build.rows_read
        build.read(source, wanted)
        if file_mark(source) != identity.file:
            raise SourceError(f"{source}: was changed while it was read; load it again")
        manifest = build.write(source, out)
    size = sum(info.bytes for info in manifest.files.values()) + (out / manifest.version / MANIFEST).stat().st_size
    rejects, seconds = build.rejects, time.monotonic() - began
    return BuildReport(
        manifest.version, build.rows_read, manifest.rows, rejects.count, rejects.reasons(), rejects.tallies(),
        size, seconds, resumed, note,
    )  # fmt: skip


@contextmanager
def _building(out: Path) -> Iterator[None]:
    """Be the only build into `out`; whatever the file or its content is to blame for leaves nothing behind."""
    made = not out.exists()
    try:
        with sole_writer(out):
            try:
                yield
            except (SourceError, SnapshotError):
                forget(out / BUILDING)
                raise
            forget(out / BUILDING)
    except (SourceError, SnapshotError):
        if made:
            with suppress(OSError):
                out.rmdir()
        raise


@contextmanager
def _room(source: Path, out: Path) -> Iterator[None]:
    """Say what to do when the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise OSError(
            error.errno,
            f"no room left on the disk; the base in use stays. Make room and run the same again: it goes on with what was read of {source}",
            str(out),
        ) from None


def _begin(folder: Path, identity: Identity, as_of_assumed: bool) -> tuple[Identity, str]:
    """Return the identity to build with, that of the unfinished build if it is the same, else with the reason why it is not gone on with."""
    before, note = read_identity(folder), ""
    if before is not None:
        if as_of_assumed:
            identity = msgspec.structs.replace(identity, as_of=before.as_of)
        difference = identity.difference(before)
        if not difference:
            return before, note
        note = f"an unfinished build was begun anew, because {difference} is another"
    forget(folder)
    folder.mkdir(parents=True)
    (folder / IDENTITY).write_bytes(msgspec.json.encode(identity))
    return identity, note


class _Build:
    """One build: reads what is not read yet, then writes all."""

    def __init__(
        self, reader: BatchReader, keys: SubscriberKeys, runs: Runs, progress: Callable[[Progress], None] | None
    ) -> None:
        self.rejects = Rejects()
        self.rows_read = 0
        self._reader = reader
        self._keys = keys
        self._runs = runs
        self._progress = progress
        self._codes = Codes(reader.schema)
        self._rows_taken = 0
        self._bad_row_last = 0
        for state in runs.states:
            self._codes.learn(state.news)
        for state in runs.states[-1:]:
            self.rejects.restore(state.rejects)
            self.rows_read, self._rows_taken = state.rows_read, state.rows_taken
            self._bad_row_last, reader.latest_us = state.bad_row_last, state.latest_us

    def read(self, source: Path, wanted: Wanted) -> None:
        """Read the file on from where the last run on disk ended."""
        mapping = self._reader.mapping
        wanted = dataclasses.replace(wanted, skip_rows=self._rows_taken)
        for batch in read_batches(source, mapping.csv, wanted, self._bad_row):
            if not self._runs.room_for(len(batch.rows)):
                self._runs.save(self._state())
            found = hash_keys(batch.table.column(mapping.key_column), self._keys)
            self._runs.add(self._reader.read(batch, found, self._codes, self.rejects, self._runs.room()))
            check_texts(self._reader.schema, self._codes.texts())
            self._rows_taken += len(batch.rows)
            self.rows_read += len(batch.rows)
            self._tell(batch.done, "reading")

    def _bad_row(self, row: int, wanted: int, found: int) -> None:
        if row > self._bad_row_last:
            self._bad_row_last = row
            self.rows_read += 1
            self.rejects.add(row, "(whole row)", f"{wanted} columns, as the heading has, was {found}")

    def _state(self) -> RunState:
        return RunState(
            self._rows_taken, self.rows_read, self._bad_row_last, self._reader.latest_us, [],
            self._codes.news(), self.rejects.saved(),
        )  # fmt: skip

    def write(self, source: Path, out: Path) -> Manifest:
        """Write the first row of each key as a snapshot; raises SourceError when there is none, SnapshotError when two keys have one hash."""
        reader, duplicates, rows = self._reader, _Duplicates(self._runs.bits), max(self._runs.rows, 1)
        writer = SnapshotWriter(
            out, reader.schema, self._codes.texts(), self._keys,
            as_of_us=reader.snapshot_as_of_us(), has_as_of=reader.has_as_of,
        )  # fmt: skip
        try:
            done = 0
            for records in self._runs.read():
                writer.add(duplicates.removed(records))
                done += len(records)
                self._tell(done / rows, "writing")
            self.rejects.add_many(duplicates.first, reader.mapping.key_column, DUPLICATE, duplicates.more)
            if not writer.rows:
                reasons = self.rejects.reasons()
                why = f"the first reason is {reasons[0]}; mend the file, or the mapping" if reasons else "it has none"
                raise SourceError(
                    f"{source}: none of its {self.rows_read:,} rows can be kept, so nothing was built; {why}"
                )
            return writer.publish()
        except BaseException:
            writer.abandon()
            raise

    def _tell(self, done: float, stage: Literal["reading", "writing"]) -> None:
        if self._progress is not None:
            self._progress(Progress(self.rows_read, self.rejects.count, done, stage))


class _Duplicates:
    """Later rows of keys that came before."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._room: npt.NDArray[np.uint8] = np.empty((0, 0), np.uint8)
        self.first: npt.NDArray[np.int64] = np.empty(0, np.int64)
        """The smallest numbers of such rows."""
        self.more = 0
        """How many others there are."""

    def removed(self, records: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return the first record of each hash, sorted by hash, good until the next call; raises SnapshotError when two keys have one hash."""
        hashes = hashes_of(records)
        order = order_of(hashes, self._bits)
        hashes = hashes[order]
        same = np.flatnonzero(hashes[1:] == hashes[:-1]) + 1
        if len(same):
            self._note(records, order[same], order[same - 1])
            order = np.delete(order, same)
        if self._room.shape < records.shape:
            self._room = np.empty(records.shape, np.uint8)
        return taken(records, order, self._room)

    def _note(
        self, records: npt.NDArray[np.uint8], repeated: npt.NDArray[np.int64], before: npt.NDArray[np.int64]
    ) -> None:
        later, earlier = taken(records, repeated), taken(records, before)
        numbers = numbers_of(later)
        collided = numbers[twins_of(later) != twins_of(earlier)]
        if len(collided):
            raise SnapshotError(
                f"two different keys have the same hash (one is in row {collided[0]}); build the base with a new secret"
            )
        known = np.sort(np.concatenate([self.first, numbers]))
        self.first = known[:REASONS_MAX]
        self.more += len(known) - len(self.first)


def _check_columns(source: Path, mapping: Mapping, schema: BaseSchema, columns: list[str]) -> None:
    """Raise SourceError when the file lacks a column, or the mapping has not all that the schema asks for."""
    wanted = {mapping.key_column, *mapping.attributes.values(), *(rule.column for rule in mapping.consent.values())}
    wanted |= {
        part.column for part in (mapping.as_of, mapping.zone, mapping.language) if part is not None and part.column
    }
    missing = sorted(wanted - set(columns))
    problems = [f"{source}: has no column {', '.join(missing)}; it has {', '.join(columns)[:500]}"] if missing else []
    for what, names, mapped in (
        ("attribute", [attribute.id for attribute in schema.attributes], mapping.attributes.keys()),
        ("label", [label.id for label in schema.labels], mapping.labels.keys()),
    ):
        absent = [name for name in names if name not in mapped]
        if absent:
            problems.append(
                f"{mapping.file}: says nothing of {what} {', '.join(absent)}; map it, or take it out of the catalogue"
            )
    if problems:
        raise SourceError("; ".join(problems))
