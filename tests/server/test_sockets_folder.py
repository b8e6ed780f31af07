"""Folders for sockets: short enough, and none is left for long by a process that was killed."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.sockets_folder import PREFIX, SOCKET_PATH_BYTES_MAX, SocketsFolder

HOLDER = "import sys, time; from server.sockets_folder import SocketsFolder; held = SocketsFolder(); print(held.path, flush=True); time.sleep(60)"


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="t-") as folder:
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def test_what_a_killed_process_left_is_removed_by_the_next_and_what_is_in_use_stays(temporary: Path) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        killed, lives = (Path(process.stdout.readline().strip()) for process in processes if process.stdout)
        (killed / "0.a").write_text("127.0.0.1:7717")
        processes[0].send_signal(signal.SIGKILL)
        processes[0].wait()
        made = SocketsFolder()
        assert not killed.exists()
        assert {lives, made.path} == set(temporary.iterdir())
        made.remove()
        assert {lives} == set(temporary.iterdir())
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_folders_of_others_stay(temporary: Path) -> None:
    (temporary / "elsewhere").mkdir()
    (temporary / "elsewhere/in-use").touch()
    (temporary / f"{PREFIX}link").symlink_to(temporary / "elsewhere")
    (temporary / f"{PREFIX}file").touch()
    (temporary / f"{PREFIX}other").mkdir()
    before = set(temporary.rglob("*"))
    made = SocketsFolder()
    assert made.path.stat().st_mode & 0o777 == 0o700
    made.remove()
    made.remove()
    assert set(temporary.rglob("*")) == before


def test_a_long_path_for_temporary_files_is_left_for_a_short_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    made = SocketsFolder()
    assert made.path.parent != long
    assert len(os.fsencode(made.path / "s")) <= SOCKET_PATH_BYTES_MAX
    assert not list(long.iterdir())
    made.remove()
