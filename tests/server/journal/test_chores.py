"""What other processes do to a journal is begun when it is time, and not forgotten when it cannot be begun."""

import errno
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from engine.journal.disk import FolderDisk
from engine.journal.erasing import waiting
from engine.journal.journal import Journal, Writer
from engine.journal.keeping import Keeping
from engine.journal.segments import Owner, segment_names
from server.journal_snapshots import KEEP_NOTHING, Chores
from server.journalling import Upkeep

WRITER = Writer("test", "boot", {"contacts_max": 4})


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    """One in the test's folder, with a record."""
    monkeypatch.setattr("server.journal_snapshots.ERASE_AFTER_S", 0.0)
    journal = Journal(FolderDisk(tmp_path), Owner("0/1", "check"), "everysec", writer=WRITER)
    Keeping(journal).began(1, "boot", 0)
    assert journal.commit()
    return journal


class Noting(Chores):
    """Notes what would be begun, and what waits then."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        super().__init__(folder, journal, KEEP_NOTHING)
        self.begun: list[tuple[str, dict[int, int]]] = []
        self._disk = FolderDisk(folder)

    def _start(self, doing: str, command: Any, *words: str) -> None:
        self.begun.append((doing, waiting(self._disk)))


def erased(journal: Journal, chores: Chores, subscriber: int) -> bool:
    """Erase somebody, as the decision thread and Upkeep do; return whether that is as safe as it is to be."""
    Keeping(journal).forgot(subscriber, subscriber)
    safe = journal.commit()
    chores.erase_soon()
    return safe


def looked(journal: Journal, chores: Noting) -> None:
    """Look as often as it takes."""
    for _ in range(4):
        chores.look()
        assert journal.commit()


def test_an_erasure_that_comes_after_another_is_waited_for(tmp_path: Path, journal: Journal) -> None:
    chores = Noting(tmp_path, journal)
    assert erased(journal, chores, 7)
    assert journal.commit()
    assert len(segment_names(FolderDisk(tmp_path))) == 2
    assert erased(journal, chores, 8)
    looked(journal, chores)
    assert chores.begun == [("erasure", {7: 2, 8: 3})]


def test_an_erasure_that_was_written_again_is_waited_for(tmp_path: Path, journal: Journal) -> None:
    chores = Noting(tmp_path, journal)

    def fails(_data: memoryview) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    assert journal._file is not None
    journal._file.append = fails  # type: ignore[method-assign,assignment]
    assert not erased(journal, chores, 7)
    journal._retry_s = 0.0
    looked(journal, chores)
    assert chores.begun == [("erasure", {7: 2})]


def test_an_erasure_that_cannot_be_begun_is_begun_later(
    tmp_path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    chores, popen = Chores(tmp_path, journal, KEEP_NOTHING), subprocess.Popen

    def fails(*_: Any, **__: Any) -> None:
        raise OSError(errno.EAGAIN, "Resource temporarily unavailable")

    assert erased(journal, chores, 7)
    assert journal.commit()
    monkeypatch.setattr(subprocess, "Popen", fails)
    with pytest.raises(OSError, match="unavailable"):
        chores.look()
    begun: list[Any] = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, **_: begun.append(command))
    chores.look()
    monkeypatch.setattr(subprocess, "Popen", popen)
    assert [command[2] for command in begun] == ["server.journal_erasing"]


def test_a_stranger_in_the_folder_does_not_stop_the_syncing(tmp_path: Path, journal: Journal) -> None:
    (tmp_path / "notes.snapshot").write_bytes(b"somebody's")
    upkeep = Upkeep(journal, tmp_path)
    try:
        for number in range(2):
            Keeping(journal).confirmed(number)
            assert journal.commit()
            end = time.monotonic() + 20
            while journal.unsafe_bytes:
                assert time.monotonic() < end
                time.sleep(0.05)
    finally:
        upkeep.stop()
