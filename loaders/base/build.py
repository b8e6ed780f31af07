"""Builds a base: reads the file in batches, rejects bad rows, packs the others, writes a snapshot, makes it current. All or nothing."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from engine.base.keys import SubscriberKeys
from engine.base.manifest import SnapshotError, read_manifest
from engine.base.schema import BaseSchema
from engine.base.write import write_snapshot
from loaders.base.batch import BatchReader, used_columns
from loaders.base.keys import hash_keys
from loaders.base.labels import LabelPlan
from loaders.base.mapping import Mapping
from loaders.base.rejects import BuildReport, Rejects
from loaders.base.rows import Accumulated
from loaders.base.source import SourceError, read_batches, source_columns
from loaders.msisdn import parse_number

DUPLICATE: Final = "a key that no earlier row has; the first row of a key is kept"


class Progress(msgspec.Struct, frozen=True):
    """How far a build is: `done` from 0 to 1 of the file."""

    rows_read: int
    rows_rejected: int
    done: float


def build_base(
    source: Path,
    mapping: Mapping,
    schema: BaseSchema,
    secret: bytes,
    out: Path,
    *,
    as_of_us: int | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> BuildReport:
    """Load `source` into a new snapshot below `out`, make it current, and return what was read, kept and rejected.

    `as_of_us` is the instant that the file describes; it may be left out when the mapping has one. Memory: about 50 bytes a row
    more than the row on disk. Raises SourceError (the file, or not one row of it can be kept), CatalogueErrors (label expressions),
    SnapshotError (bounds, two keys with one hash); then nothing is written and the current snapshot stays.
    """
    began = time.monotonic()
    keys = SubscriberKeys(secret, mapping.key_kind, mapping.region, parse_number)
    types = source_columns(source, mapping.csv)
    _check_columns(source, mapping, schema, list(types))
    plan = LabelPlan(mapping, schema, types)
    reader = BatchReader(mapping, schema, plan, as_of_us)
    rejects, gathered, read = Rejects(), Accumulated(schema), 0

    def on_bad_row(row: int, wanted: int, found: int) -> None:
        nonlocal read
        read += 1
        rejects.add(row, "(whole row)", f"{wanted} columns, as the heading has, was {found}")

    for batch in read_batches(source, mapping.csv, used_columns(mapping, plan), on_bad_row):
        found = hash_keys(batch.table.column(mapping.key_column), keys)
        chunk, kept = reader.read(batch, found.readable, gathered, rejects)
        gathered.add(chunk, found.hashes[kept], found.twins[kept], batch.rows[kept])
        read += len(batch.rows)
        if progress is not None:
            progress(Progress(read, rejects.count, batch.done))
    keep = _first_of_each_key(gathered, rejects, mapping.key_column)
    if not keep.any():
        why = f"the first reason is {rejects.reasons()[0]}; mend the file, or the mapping" if read else "it has none"
        raise SourceError(f"{source}: none of its {read:,} rows can be kept, so nothing was built; {why}")
    columns = gathered.columns(keep, reader.has_as_of)
    version = write_snapshot(out, schema, columns, keys, reader.snapshot_as_of_us())
    size = sum(info.bytes for info in read_manifest(out / version).files.values())
    size += (out / version / "manifest.json").stat().st_size
    seconds = time.monotonic() - began
    return BuildReport(
        version, read, int(keep.sum()), rejects.count, rejects.reasons(), rejects.tallies(), size, seconds
    )


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


def _first_of_each_key(gathered: Accumulated, rejects: Rejects, column: str) -> npt.NDArray[np.bool_]:
    """Return which rows to keep: of each key the first; raises SnapshotError when two keys have one hash."""
    hashes, twins, rows = (
        np.concatenate([*parts, np.empty(0, dtype)])
        for parts, dtype in ((gathered.hashes, np.uint64), (gathered.twins, np.uint64), (gathered.rows, np.int64))
    )
    order = np.argsort(hashes, kind="stable")
    same = np.flatnonzero(hashes[order][1:] == hashes[order][:-1]) + 1
    keep: npt.NDArray[np.bool_] = np.ones(len(hashes), np.bool_)
    if len(same):
        later, earlier = order[same], order[same - 1]
        if (twins[later] != twins[earlier]).any():
            row: Any = rows[later[twins[later] != twins[earlier]][0]]
            raise SnapshotError(
                f"two different keys have the same hash (one is in row {row}); build the base with a new secret"
            )
        keep[later] = False
        rejects.add_many(np.sort(rows[later]), column, DUPLICATE)
    return keep
