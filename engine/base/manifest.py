"""The manifest of a snapshot: what its files hold and how to know that they are whole. JSON, written canonically, so that any changed byte shows."""

from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec

from engine.base.blocks import FileInfo, blocks_of
from engine.base.keys import KeyKind
from engine.base.layout import Counts, Layout, layout_of
from engine.base.schema import BaseSchema

FORMAT: Final = 2
"""2: a checksum for each block of a file; 1 had one for the whole file."""
MANIFEST: Final = "manifest.json"
HASHES: Final = "hashes.u64"
DIRECTORY: Final = "directory.u32"
ROWS: Final = "rows.u8"
DICTIONARIES: Final = "dictionaries.json"
DATA_FILES: Final = (HASHES, DIRECTORY, ROWS, DICTIONARIES)
MANIFEST_BYTES_MAX: Final = 64 << 20
ROWS_MAX: Final = (1 << 32) - 1
"""The directory holds 32-bit row numbers."""


class SnapshotError(Exception):
    """A snapshot that cannot be used: what is wrong with it, where, and what to do."""


class KeyInfo(msgspec.Struct, frozen=True):
    """How keys were hashed; `check` tells whether a secret is the one, and nothing else about it."""

    kind: KeyKind
    region: str
    check: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All of a snapshot but its data; `digest` is over the manifest with an empty digest."""

    format: int
    version: str
    schema_hash: str
    schema: BaseSchema
    as_of_us: int
    """The instant that the data describe; a row's own as-of, where the layout has one, is never later."""
    rows: int
    directory_bits: int
    key: KeyInfo
    counts: Counts
    layout: Layout
    zones: tuple[str, ...]
    """Of the rows: stored code 1 is the first."""
    languages: tuple[str, ...]
    files: dict[str, FileInfo]
    digest: str = ""


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the canonical bytes of the manifest, sealed with its digest."""
    bare = msgspec.structs.replace(manifest, digest="")
    digest = blake2b(_canonical(bare), digest_size=32).hexdigest()
    return _canonical(msgspec.structs.replace(bare, digest=digest))


def _canonical(manifest: Manifest) -> bytes:
    return msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=1) + b"\n"


def read_manifest(folder: Path) -> Manifest:
    """Return the folder's manifest, checked against itself; raises SnapshotError."""
    path = folder / MANIFEST
    try:
        if path.stat().st_size > MANIFEST_BYTES_MAX:
            raise SnapshotError(f"{path}: expected at most {MANIFEST_BYTES_MAX} bytes; this is no manifest of a base")
        raw = path.read_bytes()
        found = msgspec.json.decode(raw)
        written = found.get("format") if isinstance(found, dict) else None
    except OSError as error:
        raise SnapshotError(f"{path}: cannot be read ({error.strerror}); point to the folder of a built base") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SnapshotError(f"{path}: damaged ({error}); build the base again") from None
    if written != FORMAT:
        raise SnapshotError(
            f"{path}: expected format {FORMAT}, was {written!r:.40}; build the base again with this version of touchpoint"
        )
    try:
        manifest = msgspec.json.decode(raw, type=Manifest)
    except msgspec.ValidationError as error:
        raise SnapshotError(f"{path}: damaged ({error}); build the base again") from None
    if encode_manifest(manifest) != raw:
        raise SnapshotError(f"{path}: damaged, its digest does not match its content; build the base again")
    _check_consistency(path, manifest)
    return manifest


def _check_consistency(path: Path, manifest: Manifest) -> None:
    try:
        manifest.schema.checked()
        layout = layout_of(manifest.schema, manifest.counts)
    except (ValueError, AssertionError) as error:
        raise SnapshotError(f"{path}: inconsistent ({error}); build the base again") from None
    counts = manifest.counts
    expected = {
        HASHES: 8 * manifest.rows,
        DIRECTORY: 4 * ((1 << manifest.directory_bits) + 1) if 1 <= manifest.directory_bits <= 32 else -1,
        ROWS: layout.stride * manifest.rows,
    }
    wrong = [
        name for name, size in expected.items() if name not in manifest.files or manifest.files[name].bytes != size
    ]
    wrong += [name for name, info in manifest.files.items() if len(info.blocks) != blocks_of(info.bytes)]
    if (
        layout != manifest.layout
        or manifest.schema.digest() != manifest.schema_hash
        or not 0 <= manifest.rows <= ROWS_MAX
    ):
        wrong.append("layout")
    if (counts.zones, counts.languages) != (len(manifest.zones), len(manifest.languages)) or set(manifest.files) != set(
        DATA_FILES
    ):
        wrong.append("counts")
    if wrong:
        raise SnapshotError(
            f"{path}: inconsistent ({', '.join(wrong)}); build the base again with this version of touchpoint"
        )
