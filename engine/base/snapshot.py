"""An opened snapshot: its files memory-mapped, read-only, and checked; where a row is."""

import contextlib
import mmap
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from engine.base.blocks import Damage, FileInfo, damaged_blocks
from engine.base.folder import CURRENT, current_version
from engine.base.keys import SubscriberKeys
from engine.base.manifest import (
    DATA_FILES,
    DICTIONARIES,
    DIRECTORY,
    HASHES,
    ROWS,
    Manifest,
    SnapshotError,
    read_manifest,
)
from engine.catalogue.terms import ValueType
from engine.dtypes.base import Rows
from engine.jit import frozen
from engine.kernels.gather import find_row
from engine.shard import WHOLE, Shard

_PRELOAD_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One immutable base. Its arrays keep its files mapped; dropping the last reference unmaps them."""

    folder: Path
    manifest: Manifest
    rows: Rows
    dictionaries: dict[str, list[str]]
    """By string attribute: sorted; the stored code is the index."""
    shard: Shard = WHOLE
    """Whose subscribers are asked for. Rows lie in the order of their hashes, so they are one stretch of each file; nothing else is read."""

    @property
    def version(self) -> str:
        """The name of the snapshot, the same for the same content."""
        return self.manifest.version

    @property
    def bytes(self) -> int:
        """What is resident once every subscriber of the shard was asked for: all files together, or their part of each."""
        whole = sum(info.bytes for info in self.manifest.files.values())
        if self.shard.of == 1:
            return whole
        mapped = (self.rows.directory, self.rows.hashes, self.rows.r8)
        return whole - sum(array.nbytes for array in mapped) + sum(part.nbytes for _, part, _ in self._parts())

    @property
    def own_rows(self) -> range:
        """The rows of the shard's subscribers."""
        if self.shard.of == 1:
            return range(self.manifest.rows)
        return range(self._row_from(self.shard.first), self._row_from(self.shard.last + 1))

    def _row_from(self, subscriber: int) -> int:
        """Return the first row whose hash is at least that."""
        shift = 64 - self.manifest.directory_bits
        if subscriber >> shift >= len(self.rows.directory) - 1:
            return self.manifest.rows
        start, stop = (int(row) for row in self.rows.directory[subscriber >> shift :][:2])
        return start + int(np.searchsorted(self.rows.hashes[start:stop], np.uint64(subscriber)))

    def _parts(self) -> list[tuple[str, npt.NDArray[np.uint8], int]]:
        """Return the shard's part of each mapped file: the file's name, the bytes, and where they begin."""
        shift, own, stride = 64 - self.manifest.directory_bits, self.own_rows, self.manifest.layout.stride
        buckets = range(self.shard.first >> shift, (self.shard.last >> shift) + 2)
        return [
            (name, array[rows.start * size : rows.stop * size], rows.start * size)
            for name, array, rows, size in (
                (DIRECTORY, self.rows.directory.view(np.uint8), buckets, self.rows.directory.itemsize),
                (HASHES, self.rows.hashes.view(np.uint8), own, self.rows.hashes.itemsize),
                (ROWS, self.rows.r8, own, stride),
            )
        ]

    def preload(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Bring the shard's part of index and rows into memory, in order and some at a time, until `stopped` says so; the GIL is free meanwhile."""
        with contextlib.suppress(FileNotFoundError):  # removed since it was mapped: there is a newer one
            self._preload(stopped)

    def _preload(self, stopped: Callable[[], bool]) -> None:
        for name, raw, first in self._parts():
            with (self.folder / name).open("rb") as file:
                for start in range(0, len(raw), _PRELOAD_BYTES):
                    if stopped():
                        return
                    ahead = min(2 * _PRELOAD_BYTES, len(raw) - start)
                    os.posix_fadvise(file.fileno(), first + start, ahead, os.POSIX_FADV_WILLNEED)
                    raw[start : start + _PRELOAD_BYTES : mmap.PAGESIZE].max()

    def read_ahead(self, start: int, stop: int) -> None:
        """Have the system begin to read rows [start, stop), for whoever goes through them in order; mapped pages come one by one else."""
        with contextlib.suppress(FileNotFoundError):  # removed since it was mapped: there is a newer one
            for name, row_bytes in ((HASHES, self.rows.hashes.itemsize), (ROWS, self.manifest.layout.stride)):
                with (self.folder / name).open("rb") as file:
                    os.posix_fadvise(
                        file.fileno(), start * row_bytes, (stop - start) * row_bytes, os.POSIX_FADV_WILLNEED
                    )

    def find(self, subscriber: int) -> int:
        """Return the row of the subscriber's hash, or -1."""
        shift = np.uint64(64 - self.manifest.directory_bits)
        return int(find_row(self.rows, shift, np.uint64(subscriber)))

    def row_as_of_us(self, row: int) -> int:
        """Return the instant that the row describes."""
        layout = self.manifest.layout
        if layout.as_of < 0:
            return self.manifest.as_of_us
        return int(self.rows.r32[(row * layout.stride + layout.as_of) // 4]) * 1_000_000


def open_current(folder: Path, keys: SubscriberKeys | None, shard: Shard = WHOLE) -> Snapshot:
    """Open the folder's current snapshot; raises SnapshotError."""
    return open_snapshot(folder / current_version(folder), keys, shard)


def open_snapshot(folder: Path, keys: SubscriberKeys | None, shard: Shard = WHOLE) -> Snapshot:
    """Map the snapshot of this folder; raises SnapshotError naming the file when anything is missing or of a wrong size, or hashed with another secret.

    Manifest, sizes and dictionaries are checked. The rows are not read: `damage_of` reads everything. Who asks for nobody by key needs no `keys`.
    """
    manifest = read_manifest(folder)
    if keys is not None:
        _check_keys(folder, manifest, keys)
    mapped = {name: _map(folder / name, manifest.files[name]) for name in DATA_FILES}
    for damage in damaged_blocks(folder / DICTIONARIES, mapped[DICTIONARIES], manifest.files[DICTIONARIES]):
        if damage is not None:
            raise SnapshotError(f"{damage}; build the base again")
    dictionaries = _dictionaries(folder / DICTIONARIES, mapped[DICTIONARIES], manifest)
    data = mapped[ROWS]
    rows = Rows(
        mapped[HASHES].view(np.uint64),
        mapped[DIRECTORY].view(np.uint32),
        data,
        data.view(np.uint16),
        data.view(np.uint32),
        data.view(np.int64),
        data.view(np.float32),
    )
    return Snapshot(folder, manifest, rows, dictionaries, shard)


def _check_keys(folder: Path, manifest: Manifest, keys: SubscriberKeys) -> None:
    if (manifest.key.kind, manifest.key.region) != (keys.kind, keys.region):
        raise SnapshotError(
            f"{folder}: built for keys of kind {manifest.key.kind!r} region {manifest.key.region!r}, "
            f"but kind {keys.kind!r} region {keys.region!r} is configured; configure the former or build the base again"
        )
    if manifest.key.check != keys.check:
        raise SnapshotError(
            f"{folder}: built with another secret; point TOUCHPOINT_KEY_SECRET_FILE to the file that it was built with, or build the base again"
        )


def _map(path: Path, info: FileInfo) -> npt.NDArray[np.uint8]:
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            if size != info.bytes:
                raise SnapshotError(f"{path}: expected {info.bytes} bytes, was {size}; build the base again")
            if size == 0:
                return frozen(np.empty(0, np.uint8))
            mapped = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
            # Subscribers come in no order: reading on after the page that one needs would only push others out.
            mapped.madvise(mmap.MADV_RANDOM)
            return frozen(np.frombuffer(mapped, np.uint8))
    except OSError as error:
        raise SnapshotError(f"{path}: cannot be read ({error.strerror}); build the base again") from None


def damage_of(folder: Path, progress: Callable[[float], None] | None = None) -> tuple[Manifest, list[Damage]]:
    """Read every byte of a snapshot, or of a base folder's current one, and return its manifest and the blocks that are not as written.

    Raises SnapshotError when the manifest cannot be used or a file is missing or of a wrong size. `progress` gets the part that is done, 0 to 1.
    """
    if (folder / CURRENT).exists():
        folder = folder / current_version(folder)
    manifest = read_manifest(folder)
    mapped = {name: _map(folder / name, manifest.files[name]) for name in DATA_FILES}
    found, done, whole = [], 0, sum(len(info.blocks) for info in manifest.files.values())
    for name in DATA_FILES:
        for damage in damaged_blocks(folder / name, mapped[name], manifest.files[name]):
            found += [] if damage is None else [damage]
            done += 1
            if progress is not None:
                progress(done / whole)
    return manifest, found


def _dictionaries(path: Path, data: npt.NDArray[np.uint8], manifest: Manifest) -> dict[str, list[str]]:
    dictionaries: dict[str, list[str]] = msgspec.json.decode(data.tobytes(), type=dict[str, list[str]])
    for attribute, count in zip(manifest.schema.attributes, manifest.counts.strings, strict=True):
        texts = dictionaries.setdefault(attribute.id, []) if attribute.type == ValueType.STRING else []
        if len(texts) != count:
            raise SnapshotError(
                f"{path}: expected {count} strings for {attribute.id}, was {len(texts)}; build the base again"
            )
    return dictionaries
