"""What a build is made from, so that an unfinished one is gone on with only if it is the same."""

from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec

from engine.base.keys import SubscriberKeys
from engine.base.schema import BaseSchema
from loaders.base.mapping import Mapping

RECORDS_FORMAT: Final = 1
"""Grows with every change of how rows become records."""
IDENTITY: Final = "identity.json"
_EDGE_BYTES: Final = 1 << 16


class Identity(msgspec.Struct, frozen=True):
    """Everything that decides which records a build makes, and into how many buckets they go."""

    format: int
    file: str
    """Size, time of change, and a digest of both ends: a Parquet file's end describes all of it."""
    mapping: str
    catalogue: str
    secret: str
    as_of: int | None
    bits: int

    def difference(self, other: "Identity") -> str:
        """Return which part differs, in words; empty when none does."""
        names = {
            "format": "the version of touchpoint", "file": "the file", "mapping": "the mapping", "catalogue": "the catalogue",
            "secret": "the secret", "as_of": "the instant that the file describes", "bits": "the size of the file",
        }  # fmt: skip
        return next((what for name, what in names.items() if getattr(self, name) != getattr(other, name)), "")


def identity_of(
    source: Path, mapping: Mapping, schema: BaseSchema, keys: SubscriberKeys, *, as_of_us: int | None, bits: int
) -> Identity:
    """Return the identity of a build of this file as it is now; raises OSError when it cannot be read."""
    return Identity(
        RECORDS_FORMAT,
        file_mark(source),
        _digest(msgspec.json.encode(mapping, order="deterministic")),
        _digest(msgspec.json.encode([schema, schema.digest()])),
        _digest(msgspec.json.encode([keys.kind, keys.region, keys.check])),
        as_of_us,
        bits,
    )


def file_mark(source: Path) -> str:
    """Return what changes when the file does."""
    status = source.stat()
    with source.open("rb") as file:
        head = file.read(_EDGE_BYTES)
        file.seek(max(status.st_size - _EDGE_BYTES, 0))
        tail = file.read(_EDGE_BYTES)
    return f"{status.st_size}-{status.st_mtime_ns}-{_digest(head + tail)}"


def read_identity(folder: Path) -> Identity | None:
    """Return the identity of the unfinished build in the folder, if there is one."""
    try:
        return msgspec.json.decode((folder / IDENTITY).read_bytes(), type=Identity)
    except (OSError, msgspec.DecodeError):
        return None


def _digest(raw: bytes) -> str:
    return blake2b(raw, digest_size=16).hexdigest()
