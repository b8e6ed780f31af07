"""A file of the real file system: what was synced may leave the system's cache, and nothing else does."""

import errno
import mmap
import os
from pathlib import Path

import pytest

from engine.journal.disk import FORGET_BYTES, FolderDisk


def cached(path: Path, at: int) -> bool:
    """Return whether the byte there can be read without waiting for the medium; skips the test where nobody can tell."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.preadv(descriptor, [bytearray(1)], at, os.RWF_NOWAIT) == 1
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            pytest.skip("this file system does not say what is cached")
        raise
    finally:
        os.close(descriptor)


def test_what_was_synced_is_forgotten_but_for_the_page_that_is_gone_on_with(tmp_path: Path) -> None:
    disk = FolderDisk(tmp_path)
    file = disk.create("a")
    some = bytes(range(256)) * (FORGET_BYTES // 256)
    file.append(memoryview(some))
    file.forget()
    assert cached(tmp_path / "a", 0), "it was not synced"
    file.sync()
    file.append(memoryview(b"more"))
    file.forget()
    if cached(tmp_path / "a", 0):
        pytest.skip("this file system forgets nothing")
    assert cached(tmp_path / "a", FORGET_BYTES)
    file.append(memoryview(some))
    file.sync()
    file.forget()
    assert not cached(tmp_path / "a", 2 * FORGET_BYTES - mmap.PAGESIZE)
    assert cached(tmp_path / "a", 2 * FORGET_BYTES)
    file.close()
    assert disk.read("a").tobytes() == some + b"more" + some
