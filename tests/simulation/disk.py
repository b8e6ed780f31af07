"""A disk that is not there: what a power failure leaves of it is drawn, errors come when they are asked for, and any step may be the last.

A process that is killed leaves all that it wrote. A power failure leaves what was synced, and of what was written since then nothing, all, a part from
the front, or all with a hole of zeros. Names are on the medium when the call that changes them returns, as FolderDisk has it.
"""

import errno
from dataclasses import dataclass, field
from random import Random
from typing import Final

import numpy as np
import numpy.typing as npt

from engine.journal.disk import File

SECTOR_BYTES: Final = 512


class Crash(BaseException):
    """The process ends here, in the middle of what it does; no handler of errors may see it."""


@dataclass
class Inode:
    """A file's bytes, and those that are certainly on the medium."""

    data: bytearray = field(default_factory=bytearray)
    safe: bytes = b""


@dataclass
class Faults:
    """What goes wrong, until somebody changes it."""

    error_share: float = 0.0
    """How often a step fails."""
    full: bool = False
    """Whether there is no room for anything more."""
    steps_left: int = -1
    """How many steps are taken before the process ends within one; -1: it does not."""


class VirtualDisk:
    """Implements engine.journal.disk.Disk."""

    def __init__(self, rng: Random) -> None:
        self.files: dict[str, Inode] = {}
        self.faults = Faults()
        self.errors = 0
        """How many steps failed."""
        self._rng = rng

    def names(self) -> list[str]:
        """Return the files' names, sorted."""
        return sorted(self.files)

    def read(self, name: str, bytes_max: int = -1) -> npt.NDArray[np.uint8]:
        """Return the bytes of a file, at most the first `bytes_max` unless that is negative, in an array that is the caller's."""
        data = self._found(name).data
        return np.frombuffer(data if bytes_max < 0 else data[:bytes_max], np.uint8).copy()

    def create(self, name: str) -> File:
        """Return a new file of that name, known to the medium; FileExistsError when there is one."""
        if name in self.files:
            raise FileExistsError(errno.EEXIST, "it is there", name)
        self.step(room=True)
        self.files[name] = Inode()
        self.may_end()
        return VirtualFile(self, self.files[name])

    def open(self, name: str) -> File:
        """Return a file that is there."""
        self.step()
        return VirtualFile(self, self._found(name))

    def rename(self, name: str, to: str) -> None:
        """Give a file another name, at once, in place of what had it, known to the medium."""
        found = self._found(name)
        self.step()
        del self.files[name]
        self.files[to] = found
        self.may_end()

    def remove(self, name: str) -> None:
        """Remove a file."""
        self._found(name)
        self.step()
        del self.files[name]
        self.may_end()

    def _found(self, name: str) -> Inode:
        if name not in self.files:
            raise FileNotFoundError(errno.ENOENT, "no such file", name)
        return self.files[name]

    def step(self, room: bool = False) -> None:
        """Begin a step: the process may end, or the step may fail, before anything is done."""
        self.may_end()
        if room and self.faults.full:
            self.errors += 1
            raise OSError(errno.ENOSPC, "no space left on the virtual disk")
        if self._rng.random() < self.faults.error_share:
            self.errors += 1
            raise OSError(self._rng.choice([errno.EIO, errno.ENOSPC]), "the virtual disk fails")

    def may_end(self) -> None:
        """End the process here if its steps are used up."""
        if self.faults.steps_left == 0:
            self.faults.steps_left = -1
            raise Crash
        if self.faults.steps_left > 0:
            self.faults.steps_left -= 1

    def partly(self, data: bytes) -> bytes:
        """Return a part of the data from the front, drawn."""
        return data[: self._rng.randrange(len(data) + 1)]

    def fail_power(self) -> None:
        """Lose what a power failure loses."""
        for name in sorted(self.files):
            inode = self.files[name]
            inode.data = bytearray(self._left_of(inode.safe, bytes(inode.data)))
            inode.safe = bytes(inode.data)

    def _left_of(self, safe: bytes, written: bytes) -> bytes:
        if not written.startswith(safe):  # it was cut, which the medium knows of or does not
            return self._rng.choice([safe, written])
        since = written[len(safe) :]
        drawn = self._rng.random()
        if drawn < 0.3:
            return safe
        if drawn < 0.5:
            return written
        if drawn < 0.8:
            return safe + self.partly(since)
        start = self._rng.randrange(len(written) + 1) // SECTOR_BYTES * SECTOR_BYTES
        start, end = max(start, len(safe)), max(start + SECTOR_BYTES, len(safe))
        return written[:start] + bytes(len(written[start:end])) + written[end:]


class VirtualFile:
    """Implements engine.journal.disk.File."""

    def __init__(self, disk: VirtualDisk, inode: Inode) -> None:
        self._disk, self._inode = disk, inode

    def append(self, data: memoryview) -> None:
        """Write all of it behind what is there; raises OSError, and then a part of it may be there."""
        try:
            self._disk.step(room=True)
        except (OSError, Crash):
            self._inode.data += self._disk.partly(bytes(data))
            raise
        self._inode.data += data
        self._disk.may_end()

    def sync(self) -> None:
        """Return once what was appended is on the medium; raises OSError, and then nobody knows."""
        self._disk.step()
        self._inode.safe = bytes(self._inode.data)
        self._disk.may_end()

    def forget(self) -> None:
        """There is no cache."""

    def truncate(self, size: int) -> None:
        """Keep the first `size` bytes; raises OSError."""
        self._disk.step()
        del self._inode.data[size:]

    def close(self) -> None:
        """Let go of it."""
