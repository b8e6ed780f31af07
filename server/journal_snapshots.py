"""`python -m server.journal_snapshots <folder>`: a snapshot of a journal's finished segments, in a process of its own; and what starts such processes.

A snapshot bounds how long a start takes. Making one takes processor time and as much memory as the ledger has, at the lowest priority.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from engine.journal.disk import FolderDisk
from engine.journal.journal import Journal
from engine.journal.segments import JournalError, first_of, segment_names
from engine.journal.snapshot import next_of, snapshot_names
from engine.journal.starting import snapshot_of_segments
from engine.ledger.names import LedgerFullError
from server.logs import log

COMMAND: Final = (sys.executable, "-m", "server.journal_snapshots")
BYTES_MIN: Final = 256 << 20
"""A snapshot is made when so much was journalled since the last one, or as much as the last one is large if that is more."""
NICE: Final = 19
END_WITH_INPUT: Final = "--end-with-input"
ERASING: Final = (sys.executable, "-m", "server.journal_erasing")
ERASE_AFTER_S: Final = 60.0
"""How long erasures are gathered before they are done on disk, all together."""


class Chores:
    """Starts what other processes do to a journal when it is time, one at a time; asked every second, by the thread that syncs."""

    def __init__(self, folder: Path, journal: Journal) -> None:
        self._folder = folder
        self._journal = journal
        self._process: subprocess.Popen[bytes] | None = None
        self._doing = ""
        self._erase_at_s = 0.0
        self.done: dict[str, int] = {"snapshot": 0, "erasure": 0}
        self.failed = 0

    def look(self) -> None:
        """Start one if it is time; log how the last one ended."""
        if self._process is not None:
            if self._process.poll() is None:
                return
            self._ended(self._process)
            self._process = None
        if self._erase_at_s and time.monotonic() >= self._erase_at_s and not self._journal.rotate:
            self._erase_at_s = 0.0
            self._start("erasure", ERASING)
        elif self._due():
            self._start("snapshot", COMMAND)

    def erase_soon(self) -> None:
        """Have erasures done on disk: the segment that holds them is finished first."""
        if not self._erase_at_s:
            self._erase_at_s = time.monotonic() + ERASE_AFTER_S
            self._journal.rotate = True

    def stop(self) -> None:
        """End what is under way: what it wrote is thrown away by the next one."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _start(self, doing: str, command: Sequence[str]) -> None:
        self._doing = doing
        self._process = subprocess.Popen(  # noqa: S603  # our own program, no shell
            [*command, str(self._folder), END_WITH_INPUT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def _due(self) -> bool:
        disk = FolderDisk(self._folder)
        snapshots, segments = snapshot_names(disk), segment_names(disk)[:-1]
        covered = next_of(snapshots[-1]) if snapshots else 0
        since = sum(_size(self._folder / name) for name in segments if first_of(name) >= covered)
        return since > max(BYTES_MIN, _size(self._folder / snapshots[-1]) if snapshots else 0)

    def _ended(self, process: "subprocess.Popen[bytes]") -> None:
        said, why = process.communicate()
        if process.returncode:
            self.failed += 1
            if self._doing == "erasure":
                self.erase_soon()
            log().error(f"{self._doing} of the journal failed", why=why.decode(errors="replace").strip()[-500:])
            return
        self.done[self._doing] += 1
        log().info(f"{self._doing} of the journal done", came_to=said.decode().strip())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def be_a_chore() -> None:
    """Give way to all others; and when told to, end as standard input does: a server that was killed leaves nobody behind who changes its journal."""
    os.nice(NICE)
    if END_WITH_INPUT in sys.argv:
        threading.Thread(target=_end_with_input, daemon=True).start()


def _end_with_input() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(1)


def main() -> None:
    """Make one of the folder that the command line names; print its name."""
    be_a_chore()
    try:
        print(snapshot_of_segments(FolderDisk(Path(sys.argv[1]))))
    except (JournalError, LedgerFullError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
