"""Writes a snapshot: sorted hashes, their directory, packed rows, dictionaries, manifest; complete in a folder of its own before it gets its name."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from engine.base.folder import set_current
from engine.base.keys import SubscriberKeys
from engine.base.layout import STRINGS_MAX, Counts, Field, Layout, layout_of
from engine.base.manifest import (
    DICTIONARIES,
    DIRECTORY,
    FORMAT,
    HASHES,
    MANIFEST,
    ROWS,
    ROWS_MAX,
    FileInfo,
    KeyInfo,
    Manifest,
    SnapshotError,
    encode_manifest,
)
from engine.base.schema import BaseSchema
from engine.limits import MICROSECONDS_PER_SECOND, ZONES_MAX

_ROWS_AT_ONCE: Final = 1 << 16
_BUCKET_ROWS: Final = 4
LANGUAGES_MAX: Final = 255


@dataclass(slots=True)
class Columns:
    """The rows to write, in any order; n rows, W label words. Hashes are unique: duplicates and collisions are the loader's to refuse."""

    hashes: npt.NDArray[np.uint64]
    labels: npt.NDArray[np.uint64]
    """(n, W)"""
    values: list[npt.NDArray[Any]]
    """By attribute, (n,) of `layout.stored_dtype`: value less bias; strings are indexes into `texts`."""
    texts: list[list[str]]
    """By attribute: the distinct strings in any order; empty for other types."""
    presence: npt.NDArray[np.uint8]
    """(n, ceil(attributes / 8)): bit k of byte j is attribute 8 j + k."""
    granted: npt.NDArray[np.uint64]
    refused: npt.NDArray[np.uint64]
    zone: npt.NDArray[np.uint16]
    """(n,): index into `zones` + 1; 0 unknown."""
    language: npt.NDArray[np.uint16]
    zones: list[str]
    languages: list[str]
    as_of_s: npt.NDArray[np.uint32] | None
    """(n,): seconds since 1970; None when all rows are as of the snapshot."""


def write_snapshot(folder: Path, schema: BaseSchema, columns: Columns, keys: SubscriberKeys, as_of_us: int) -> str:
    """Write a snapshot below `folder`, make it the current one, and return its version, which is the same for the same content.

    Raises SnapshotError when a bound is exceeded; nothing is then left behind, and the current snapshot stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".building-", dir=folder))
    try:
        manifest = _write_files(work, schema.checked(), columns, keys, as_of_us)
        raw = encode_manifest(manifest)
        _write(work / MANIFEST, iter([raw]))
        work.chmod(0o750)
        final = folder / manifest.version
        if final.exists():
            shutil.rmtree(final)
        work.rename(final)
        _sync_folder(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    set_current(folder, manifest.version)
    return manifest.version


def _write_files(work: Path, schema: BaseSchema, columns: Columns, keys: SubscriberKeys, as_of_us: int) -> Manifest:
    rows = len(columns.hashes)
    _check_bounds(schema, columns)
    order = np.argsort(columns.hashes, kind="stable")
    hashes = columns.hashes[order]
    assert rows < 2 or bool((hashes[1:] > hashes[:-1]).all()), "hashes must be unique"
    zones, zone = _recode(columns.zones, columns.zone)
    languages, language = _recode(columns.languages, columns.language)
    counts = Counts(tuple(map(len, columns.texts)), len(zones), len(languages), columns.as_of_s is not None)
    layout = layout_of(schema, counts)
    bits = max(1, (max(rows, 1) // _BUCKET_ROWS).bit_length())
    dictionaries = [sorted(texts) for texts in columns.texts]
    named = {a.id: texts for a, texts in zip(schema.attributes, dictionaries, strict=True) if texts}
    files = {
        HASHES: _write(work / HASHES, iter([_bytes_of(hashes)])),
        DIRECTORY: _write(work / DIRECTORY, iter([_bytes_of(directory_of(hashes, bits))])),
        ROWS: _write(work / ROWS, _packed(layout, columns, order, [zone, language])),
        DICTIONARIES: _write(work / DICTIONARIES, iter([msgspec.json.encode(named, order="sorted")])),
    }
    content = blake2b(msgspec.json.encode([files, schema, as_of_us, keys.check], order="sorted"), digest_size=6)
    stamp = datetime.fromtimestamp(as_of_us // MICROSECONDS_PER_SECOND, UTC).strftime("%Y%m%dT%H%M%SZ")
    return Manifest(
        FORMAT,
        f"{stamp}-{content.hexdigest()}",
        schema.digest(),
        schema,
        as_of_us,
        rows,
        bits,
        KeyInfo(keys.kind, keys.region, keys.check),
        counts,
        layout,
        tuple(zones),
        tuple(languages),
        files,
    )


def _check_bounds(schema: BaseSchema, columns: Columns) -> None:
    if len(columns.hashes) > ROWS_MAX:
        raise SnapshotError(
            f"expected at most {ROWS_MAX} subscribers in a base, was {len(columns.hashes)}; split it into shards"
        )
    for attribute, texts in zip(schema.attributes, columns.texts, strict=True):
        if len(texts) > STRINGS_MAX:
            raise SnapshotError(
                f"attribute {attribute.id}: expected at most {STRINGS_MAX} distinct strings, was {len(texts)}; "
                "free text does not belong in the base"
            )
    for what, names, most in (("zones", columns.zones, ZONES_MAX), ("languages", columns.languages, LANGUAGES_MAX)):
        if len(names) > most:
            raise SnapshotError(
                f"expected at most {most} distinct {what}, was {len(names)}; check the mapping's column"
            )


def directory_of(hashes: npt.NDArray[np.uint64], bits: int) -> npt.NDArray[np.uint32]:
    """Return, for each prefix of `bits` bits and one beyond, the first row whose hash is not below it; (2**bits + 1,) uint32."""
    counts = np.bincount((hashes >> np.uint64(64 - bits)).astype(np.int64), minlength=1 << bits)
    directory = np.zeros((1 << bits) + 1, np.uint32)
    np.cumsum(counts, out=directory[1:], dtype=np.uint32)
    return directory


def _recode(names: list[str], codes: npt.NDArray[np.uint16]) -> tuple[list[str], npt.NDArray[np.uint16]]:
    """Return the names sorted, and the codes (index + 1; 0 unknown) that go with that order."""
    order = sorted(range(len(names)), key=names.__getitem__)
    mapping = np.zeros(len(names) + 1, np.uint16)
    mapping[1 + np.array(order, np.int64)] = np.arange(1, len(names) + 1)
    return [names[k] for k in order], mapping[codes]


def _packed(
    layout: Layout, columns: Columns, order: npt.NDArray[np.int64], codes: list[npt.NDArray[np.uint16]]
) -> Iterator[memoryview]:
    """Yield the rows in order of hash, packed, some at a time."""
    recodings = [_string_recoding(texts) for texts in columns.texts]
    for start in range(0, len(order), _ROWS_AT_ONCE):
        chosen = order[start : start + _ROWS_AT_ONCE]
        packed = np.zeros((len(chosen), layout.stride), np.uint8)
        if layout.words:
            packed[:, : 8 * layout.words] = columns.labels[chosen].view(np.uint8).reshape(len(chosen), -1)
        for field, values, recoding in zip(layout.attributes, columns.values, recodings, strict=True):
            taken = values[chosen]
            if recoding is not None:
                known = columns.presence[chosen, field.bit >> 3] >> (field.bit & 7) & 1
                taken = recoding[taken] * known
            _store(packed, field, taken)
        for field, values in zip((layout.zone, layout.language), codes, strict=True):
            _store(packed, field, values[chosen])
        if columns.as_of_s is not None:
            _store(packed, Field(layout.as_of, 4), columns.as_of_s[chosen])
        packed[:, layout.presence : layout.granted] = columns.presence[chosen]
        for offset, words in ((layout.granted, columns.granted), (layout.refused, columns.refused)):
            consent = words[chosen].astype("<u8").view(np.uint8).reshape(len(chosen), 8)
            packed[:, offset : offset + layout.pair_bytes] = consent[:, : layout.pair_bytes]
        yield _bytes_of(packed)


def _store(packed: npt.NDArray[np.uint8], field: Field, values: npt.NDArray[Any]) -> None:
    if field.width:
        kind = values.dtype.kind if values.dtype.kind == "f" else "u"
        narrowed = values.astype(f"<{kind}{field.width}", copy=False)
        packed[:, field.offset : field.offset + field.width] = narrowed.view(np.uint8).reshape(len(values), field.width)


def _string_recoding(texts: list[str]) -> npt.NDArray[np.uint32] | None:
    """Return the sorted code of each provisional one; None for an attribute that has no strings."""
    if not texts:
        return None
    recoding = np.empty(len(texts), np.uint32)
    recoding[sorted(range(len(texts)), key=texts.__getitem__)] = np.arange(len(texts), dtype=np.uint32)
    return recoding


def _bytes_of(array: npt.NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def _write(path: Path, parts: Iterator[memoryview] | Iterator[bytes]) -> FileInfo:
    """Write the parts to a new file, on disk when this returns."""
    digest, size = blake2b(digest_size=32), 0
    with path.open("xb") as file:
        for part in parts:
            digest.update(part)
            size += file.write(part)
        file.flush()
        os.fsync(file.fileno())
    path.chmod(0o440)
    return FileInfo(size, digest.hexdigest())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
