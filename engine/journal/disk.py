"""What the journal asks of a file system, so small that a simulator can stand in for it; and a folder of the real one."""

import mmap
import os
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

FORGET_BYTES: Final = 1 << 20
"""So much at least is forgotten at once."""


class File(Protocol):
    """A file that is only ever appended to."""

    def append(self, data: memoryview) -> None:
        """Write all of it behind what is there; raises OSError, and then a part of it may be there."""

    def sync(self) -> None:
        """Return once what was appended is on the medium; raises OSError."""

    def forget(self) -> None:
        """Have the system's cache, whose room is the base's, let go of what was synced; it is seldom read, by starts and snapshots."""

    def truncate(self, size: int) -> None:
        """Keep the first `size` bytes; raises OSError."""

    def close(self) -> None:
        """Let go of it."""


class Disk(Protocol):
    """A folder of such files. Every method raises OSError."""

    def names(self) -> list[str]:
        """Return the files' names, sorted."""

    def read(self, name: str, bytes_max: int = -1) -> npt.NDArray[np.uint8]:
        """Return the bytes of a file, at most the first `bytes_max` unless that is negative, in an array that is the caller's."""

    def create(self, name: str) -> File:
        """Return a new file of that name, known to the medium; FileExistsError when there is one."""

    def open(self, name: str) -> File:
        """Return a file that is there."""

    def rename(self, name: str, to: str) -> None:
        """Give a file another name, at once, in place of what had it, known to the medium."""

    def remove(self, name: str) -> None:
        """Remove a file."""


class FolderFile:
    """A file of the system, by its descriptor."""

    def __init__(self, path: Path, flags: int) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | flags, 0o600)
        self._size = os.fstat(self._descriptor).st_size
        self._synced = self._forgotten = 0

    def append(self, data: memoryview) -> None:
        """Write all of it behind what is there; raises OSError, and then a part of it may be there."""
        while data:
            written = os.write(self._descriptor, data)
            self._size += written
            data = data[written:]

    def sync(self) -> None:
        """Return once what was appended is on the medium; raises OSError."""
        size = self._size  # while others append
        os.fdatasync(self._descriptor)
        self._synced = size

    def forget(self) -> None:
        """Have the system's cache, whose room is the base's, let go of what was synced; it is seldom read, by starts and snapshots."""
        # What is begun of a page would be read to be gone on with.
        start, end = self._forgotten, self._synced & -mmap.PAGESIZE
        if end - start >= FORGET_BYTES:
            _advise(self._descriptor, start, end - start, os.POSIX_FADV_DONTNEED)
            self._forgotten = end

    def truncate(self, size: int) -> None:
        """Keep the first `size` bytes; raises OSError."""
        os.ftruncate(self._descriptor, size)
        self._size = size
        self._synced = self._forgotten = 0

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)


class FolderDisk:
    """A folder of the system, private to the user; one process at a time holds it."""

    def __init__(self, path: Path) -> None:
        """Make the folder if it is not there."""
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = path

    def names(self) -> list[str]:
        """Return the files' names, sorted."""
        with os.scandir(self.path) as entries:
            return sorted(entry.name for entry in entries if entry.is_file())

    def read(self, name: str, bytes_max: int = -1) -> npt.NDArray[np.uint8]:
        """Return the bytes of a file, at most the first `bytes_max` unless that is negative, in an array that is the caller's."""
        with (self.path / name).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if bytes_max >= 0:
                size = min(size, bytes_max)
            if size == 0:
                return np.zeros(0, np.uint8)
            _advise(file.fileno(), 0, size, os.POSIX_FADV_WILLNEED)
            return np.frombuffer(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY), np.uint8)

    def create(self, name: str) -> File:
        """Return a new file of that name, known to the medium; FileExistsError when there is one."""
        file = FolderFile(self.path / name, os.O_CREAT | os.O_EXCL)
        self._sync_names()
        return file

    def open(self, name: str) -> File:
        """Return a file that is there."""
        return FolderFile(self.path / name, 0)

    def rename(self, name: str, to: str) -> None:
        """Give a file another name, at once, in place of what had it, known to the medium."""
        (self.path / name).rename(self.path / to)
        self._sync_names()

    def remove(self, name: str) -> None:
        """Remove a file."""
        (self.path / name).unlink()
        self._sync_names()

    def _sync_names(self) -> None:
        folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _advise(descriptor: int, start: int, size: int, advice: int) -> None:
    with suppress(OSError):  # it is advice: there may be no cache
        os.posix_fadvise(descriptor, start, size, advice)
