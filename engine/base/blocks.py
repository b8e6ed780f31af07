"""Files of a snapshot with a checksum for each block of 4 MiB, so that damage has a place.

SHA-256, which today's processors have instructions for: two to three times as fast there as BLAKE2b.
"""

import os
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

BLOCK_BYTES: Final = 1 << 22


class FileInfo(msgspec.Struct, frozen=True):
    """Size in bytes, and the SHA-256 of each block of BLOCK_BYTES; the last one may be shorter."""

    bytes: int
    blocks: tuple[str, ...]


class Damage(msgspec.Struct, frozen=True):
    """A block of a file that is not what was written."""

    path: Path
    offset: int
    bytes: int
    expected: str
    actual: str

    def __str__(self) -> str:
        return (
            f"{self.path}: damaged between bytes {self.offset} and {self.offset + self.bytes}:"
            f" expected SHA-256 {self.expected}, was {self.actual}"
        )


class BlockFile:
    """A new file that is written from beginning to end; `close` gives its FileInfo, `abandon` removes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("xb")
        self._bytes = 0
        self._digest = sha256()
        self._blocks: list[str] = []

    def write(self, array: npt.NDArray[Any]) -> None:
        """Append the array's bytes."""
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        self._file.write(data)
        at = 0
        while at < len(data):
            room = BLOCK_BYTES - self._bytes % BLOCK_BYTES
            part = data[at : at + room]
            self._digest.update(part)
            self._bytes += len(part)
            at += len(part)
            if self._bytes % BLOCK_BYTES == 0:
                self._end_block()

    def _end_block(self) -> None:
        self._blocks.append(self._digest.hexdigest())
        self._digest = sha256()

    def close(self) -> FileInfo:
        """End the file, which is read-only and on disk when this returns."""
        if self._bytes % BLOCK_BYTES:
            self._end_block()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self.path.chmod(0o440)
        return FileInfo(self._bytes, tuple(self._blocks))

    def abandon(self) -> None:
        """Let go of a file that was not ended."""
        self._file.close()


def damaged_blocks(path: Path, data: npt.NDArray[np.uint8], info: FileInfo) -> Iterator[Damage | None]:
    """Yield for each block of the mapped file None, or what is wrong with it."""
    for number, expected in enumerate(info.blocks):
        part = data[number * BLOCK_BYTES : (number + 1) * BLOCK_BYTES]
        actual = sha256(part.data).hexdigest()
        yield None if actual == expected else Damage(path, number * BLOCK_BYTES, len(part), expected, actual)


def blocks_of(size_bytes: int) -> int:
    """Return how many blocks a file of this size has."""
    return -(-size_bytes // BLOCK_BYTES)
