"""`python -m server.journal_snapshots <folder> [days]`: a snapshot of a journal's finished segments, in a process of its own; and what starts such processes.

A snapshot bounds how long a start takes. Making one takes processor time and as much memory as the ledger has, at the lowest priority. What is older than
the days and no start needs goes before it, which may make room for it, and after it.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from engine.journal.disk import FolderDisk
from engine.journal.journal import Journal
from engine.journal.retiring import Keep, retire, retired
from engine.journal.segments import JournalError, first_of, segment_names
from engine.journal.snapshot import next_of, snapshot_names
from engine.journal.starting import snapshot_of_segments
from engine.ledger.names import LedgerFullError
from engine.limits import MICROSECONDS_PER_DAY
from server.clock import wall_us
from server.logs import log

COMMAND: Final = (sys.executable, "-m", "server.journal_snapshots")
BYTES_MIN: Final = 256 << 20
"""A snapshot is made when so much was journalled since the last one, or as much as the last one is large if that is more."""
NICE: Final = 19
END_WITH_INPUT: Final = "--end-with-input"
RETIRE_ONLY: Final = "--retire-only"
UNTRUSTED: Final = "--clock-untrusted"
RETIRE_EVERY_S: Final = 3_600.0
"""How often it is looked whether something may go though no snapshot is due: as time passes, or after a start with fewer days."""
ERASING: Final = (sys.executable, "-m", "server.journal_erasing")
ERASE_AFTER_S: Final = 60.0
"""How long erasures are gathered before they are done on disk, all together."""


class HowLong(NamedTuple):
    """How long the server keeps what was journalled."""

    days: int = 0
    clock_trusted: Callable[[], bool] = lambda: True
    """Whether the wall clock says how old something is."""

    def now(self) -> Keep:
        """Return what that comes to at present."""
        return keep_of(self.days, trusted=self.clock_trusted())

    def words(self) -> list[str]:
        """Return it as the command line of `main` has it."""
        return [str(self.days), *([] if self.clock_trusted() else [UNTRUSTED])]


KEEP_NOTHING: Final = HowLong()


def keep_of(days: int, *, trusted: bool) -> Keep:
    """Return what so many days are at present."""
    return Keep(days * MICROSECONDS_PER_DAY, wall_us() if trusted else 0)


class Chores:
    """Starts what other processes do to a journal when it is time, one at a time; asked every second, by the thread that syncs."""

    def __init__(self, folder: Path, journal: Journal, keep: HowLong) -> None:
        self._folder = folder
        self._journal = journal
        self._keep = keep
        self._process: subprocess.Popen[bytes] | None = None
        self._doing = ""
        self._erase_at_s = 0.0
        self._retire_at_s = 0.0
        self.done: dict[str, int] = {"snapshot": 0, "erasure": 0, "retirement": 0}
        self.failed = 0

    def look(self) -> None:
        """Start one if it is time; log how the last one ended."""
        if self._process is not None:
            if self._process.poll() is None:
                return
            self._ended(self._process)
            self._process = None
        if self._erase_at_s and time.monotonic() >= self._erase_at_s and self._erased_finished():
            self._start("erasure", ERASING)
            self._erase_at_s = 0.0
        elif self._due():
            self._start("snapshot", COMMAND, *self._keep.words())
        elif time.monotonic() >= self._retire_at_s:
            self._retire_at_s = time.monotonic() + RETIRE_EVERY_S
            if retired(FolderDisk(self._folder), self._keep.now()):
                self._start("retirement", COMMAND, *self._keep.words(), RETIRE_ONLY)

    def erase_soon(self) -> None:
        """Have erasures done on disk: the segment that holds them is finished first."""
        if not self._erase_at_s:
            self._erase_at_s = time.monotonic() + ERASE_AFTER_S
            self._journal.rotate = True

    def _erased_finished(self) -> bool:
        """Return whether the last erasure lies in a finished segment; if not, since it came after others or was written again, have its segment finished."""
        journal = self._journal
        if journal.erased < journal.segment_first:
            return True
        journal.rotate = True
        return False

    def stop(self) -> None:
        """End what is under way: what it wrote is thrown away by the next one."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _start(self, doing: str, command: Sequence[str], *words: str) -> None:
        self._doing = doing
        self._process = subprocess.Popen(  # noqa: S603  # our own program, no shell
            [*command, str(self._folder), *words, END_WITH_INPUT],
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
    """Make one of the folder that the command line names; print its name, or with RETIRE_ONLY how many files went."""
    be_a_chore()
    folder, *words = sys.argv[1:]
    days = int(words[0]) if words and words[0].isdecimal() else 0
    disk, keep = FolderDisk(Path(folder)), keep_of(days, trusted=UNTRUSTED not in words)
    try:
        gone = retire(disk, keep)
        if RETIRE_ONLY in words:
            print(f"{gone} files")
            return
        name = snapshot_of_segments(disk)
        retire(disk, keep)
        print(name)
    except (JournalError, LedgerFullError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
