"""Writes a snapshot: sorted hashes, their directory, packed rows, dictionaries, manifest; complete in a folder of its own before it gets its name."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from engine.base.blocks import BlockFile, FileInfo
from engine.base.folder import set_current
from engine.base.keys import SubscriberKeys
from engine.base.layout import STRINGS_MAX
from engine.base.manifest import (
    DICTIONARIES,
    DIRECTORY,
    FORMAT,
    HASHES,
    MANIFEST,
    ROWS,
    ROWS_MAX,
    KeyInfo,
    Manifest,
    SnapshotError,
    encode_manifest,
)
from engine.base.records import PACK_ROWS, Packing, Records, Texts, hashes_of, order_of, taken
from engine.base.schema import BaseSchema
from engine.limits import MICROSECONDS_PER_SECOND, ZONES_MAX

LANGUAGES_MAX: Final = 255
_BUCKET_ROWS: Final = 4
_ROWS_AT_ONCE: Final = 1 << 16
_BUILDING: Final = ".writing"


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Make the folder and be the only one who writes snapshots into it; raises SnapshotError when somebody else does. Ends with the process."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SnapshotError(
                f"{folder}: another build is writing into this folder; wait until it has ended, or stop it"
            ) from None
        yield
    finally:
        os.close(descriptor)


class SnapshotWriter:
    """Writes the files of one snapshot below `folder` from records that come sorted by hash; `publish` gives it its name."""

    def __init__(
        self, folder: Path, schema: BaseSchema, texts: Texts, keys: SubscriberKeys, *, as_of_us: int, has_as_of: bool
    ) -> None:
        """Raises SnapshotError when there are more texts than a base can hold."""
        check_texts(schema, texts)
        self.rows = 0
        self._folder = folder
        self._work = folder / _BUILDING
        self._schema = schema.checked()
        self._keys = keys
        self._as_of_us = as_of_us
        self._packing = Packing(schema, texts, has_as_of)
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir(mode=0o750)
        self._hashes, self._packed = BlockFile(self._work / HASHES), BlockFile(self._work / ROWS)

    def add(self, records: npt.NDArray[np.uint8]) -> None:
        """Append records, (n, record bytes), sorted by hash and all above those before."""
        self.rows += len(records)
        if self.rows > ROWS_MAX:
            raise SnapshotError(f"expected at most {ROWS_MAX} subscribers in a base, was more; split it into shards")
        self._hashes.write(hashes_of(records))
        for start in range(0, len(records), PACK_ROWS):
            self._packed.write(self._packing.pack(records[start : start + PACK_ROWS]))

    def publish(self) -> Manifest:
        """End the files, name the snapshot after its content, make it the current one, and return its manifest."""
        hashes, rows = self._hashes.close(), self._packed.close()
        bits = max(1, (max(self.rows, 1) // _BUCKET_ROWS).bit_length())
        manifest = self._manifest(bits, self._others(bits) | {HASHES: hashes, ROWS: rows})
        _write(self._work / MANIFEST, encode_manifest(manifest))
        final = self._folder / manifest.version
        if final.exists():
            shutil.rmtree(final)
        self._work.rename(final)
        _sync_folder(self._folder)
        set_current(self._folder, manifest.version)
        return manifest

    def abandon(self) -> None:
        """Remove what was written and not published."""
        for file in (self._hashes, self._packed):
            file.abandon()
        shutil.rmtree(self._work, ignore_errors=True)

    def _others(self, bits: int) -> dict[str, FileInfo]:
        named = {a.id: t for a, t in zip(self._schema.attributes, self._packing.strings, strict=True) if t}
        raw = msgspec.json.encode(named, order="sorted")
        hashes = np.memmap(self._work / HASHES, np.uint64, "r") if self.rows else np.empty(0, np.uint64)
        directory = BlockFile(self._work / DIRECTORY)
        for part in directory_parts(hashes, bits):
            directory.write(part)
        return {DICTIONARIES: _write(self._work / DICTIONARIES, raw), DIRECTORY: directory.close()}

    def _manifest(self, bits: int, files: dict[str, FileInfo]) -> Manifest:
        said = [files, self._schema, self._as_of_us, self._keys.check]
        content = blake2b(msgspec.json.encode(said, order="sorted"), digest_size=6)
        stamp = datetime.fromtimestamp(self._as_of_us // MICROSECONDS_PER_SECOND, UTC).strftime("%Y%m%dT%H%M%SZ")
        packing = self._packing
        return Manifest(
            FORMAT,
            f"{stamp}-{content.hexdigest()}",
            self._schema.digest(),
            self._schema,
            self._as_of_us,
            self.rows,
            bits,
            KeyInfo(self._keys.kind, self._keys.region, self._keys.check),
            packing.counts,
            packing.layout,
            tuple(packing.zones),
            tuple(packing.languages),
            files,
        )


def write_snapshot(
    folder: Path, records: Records, texts: Texts, keys: SubscriberKeys, *, as_of_us: int, has_as_of: bool
) -> str:
    """Write records in any order, whose hashes are unique, as a snapshot below `folder`, make it the current one, and return its version.

    The version is the same for the same content. Raises SnapshotError when a bound is exceeded; nothing is then left behind, and the current snapshot stays.
    """
    with sole_writer(folder):
        writer = SnapshotWriter(folder, records.schema, texts, keys, as_of_us=as_of_us, has_as_of=has_as_of)
        try:
            hashes = hashes_of(records.array)
            order = order_of(hashes, 0)
            assert len(np.unique(hashes)) == len(hashes), "hashes must be unique"
            writer.add(taken(records.array, order))
            return writer.publish().version
        except BaseException:
            writer.abandon()
            raise


def check_texts(schema: BaseSchema, texts: Texts) -> None:
    """Raise SnapshotError when there are more distinct texts than a base can hold."""
    for attribute, strings in zip(schema.attributes, texts.strings, strict=True):
        if len(strings) > STRINGS_MAX:
            raise SnapshotError(
                f"attribute {attribute.id}: expected at most {STRINGS_MAX} distinct strings, was {len(strings)}; "
                "free text does not belong in the base"
            )
    for what, names, most in (("zones", texts.zones, ZONES_MAX), ("languages", texts.languages, LANGUAGES_MAX)):
        if len(names) > most:
            raise SnapshotError(
                f"expected at most {most} distinct {what}, was {len(names)}; check the mapping's column"
            )


def directory_parts(hashes: npt.NDArray[np.uint64], bits: int) -> Iterator[npt.NDArray[np.uint32]]:
    """Yield, for each prefix of `bits` bits and one beyond, the first row whose hash is not below it; 2**bits + 1 uint32 in all, some at a time."""
    shift = np.uint64(64 - bits)
    done = 0
    for start in range(0, len(hashes), _ROWS_AT_ONCE):
        prefixes = (hashes[start : start + _ROWS_AT_ONCE] >> shift).astype(np.int64)
        last = int(prefixes[-1])
        smaller = np.cumsum(np.bincount(prefixes - (done - 1)))
        yield (start + smaller[: last - done + 1]).astype(np.uint32)
        done = last + 1
    yield np.full((1 << bits) + 1 - done, len(hashes), np.uint32)


def _write(path: Path, raw: bytes) -> FileInfo:
    """Write a small file, on disk when this returns."""
    file = BlockFile(path)
    file.write(np.frombuffer(raw, np.uint8))
    return file.close()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
