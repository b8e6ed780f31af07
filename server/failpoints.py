"""Failures on purpose, for tests: points of the journal's way that fail, wait or end the process, as TOUCHPOINT_FAILPOINTS says at the start.

    journal.append=error:ENOSPC@5%;journal.sync=sleep:200ms;journal.before_ack=kill@37

    <point>=<action>[@<when>]     several with ; between them
    action   error:<name of errno> | sleep:<milliseconds>ms | kill (SIGKILL: a sync's comes before it is done)
    when     5%: about so often, drawn from a fixed seed; 37: the 37th time alone; without: always

What is armed stands in for the disk and the decision thread when a server is composed; when nothing is armed, nothing of this is in anybody's way.
"""

import errno
import os
import re
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from engine.journal.disk import Disk, File
from server.decision_thread import DecisionThread
from server.settings import SettingsError

VARIABLE: Final = "TOUCHPOINT_FAILPOINTS"
ON_DISK: Final = (
    "journal.append",
    "journal.sync",
    "journal.create",
    "journal.open",
    "journal.rename",
    "journal.remove",
)
AROUND_ACK: Final = ("journal.before_ack", "journal.after_ack")
"""Within a turn that changed something: when it is as safe as durability says and nobody knows, and when its callers were told."""
POINTS: Final = ON_DISK + AROUND_ACK
_FORM: Final = re.compile(
    r"(?P<point>[a-z_.]+)=(?:error:(?P<error>[A-Z0-9]+)|sleep:(?P<sleep>\d{1,6})ms|(?P<kill>kill))"
    r"(?:@(?:(?P<share>\d{1,3})%|(?P<turn>\d{1,9})))?"
)
Hit = Callable[[], None]


@dataclass(slots=True)
class Failpoint:
    """What happens at a point, and when."""

    error: int
    """Number of the errno that is raised; 0: none."""
    sleep_s: float
    kill: bool
    percent: int
    turn: int
    """The only time that it happens; 0: whenever it is drawn."""
    rng: Random
    times: int = 0

    def hit(self) -> None:
        """Pass the point; raises OSError, waits, ends the process, or does nothing."""
        self.times += 1
        if self.turn and self.times != self.turn:
            return
        if not self.turn and self.rng.random() * 100 >= self.percent:
            return
        if self.sleep_s:
            time.sleep(self.sleep_s)
        if self.kill:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.error:
            raise OSError(self.error, f"{os.strerror(self.error)} (a failpoint)")


class Failpoints:
    """Those that are armed, by their names."""

    def __init__(self, points: Mapping[str, Failpoint]) -> None:
        self.points = points

    def hit(self, point: str) -> Hit:
        """Return what passes a point."""
        return self.points[point].hit if point in self.points else _nothing

    def disk(self, disk: Disk) -> Disk:
        """Return a disk whose steps pass the points."""
        return FailingDisk(disk, self)

    def thread(self, *arguments: Any) -> DecisionThread:
        """Return a decision thread that passes the points around acknowledging; arguments as DecisionThread's."""
        return FailingThread(self, *arguments)


def _nothing() -> None:
    return


def read_failpoints(text: str) -> Failpoints | None:
    """Return what is armed, None for an empty text; raises SettingsError naming the first part that says nothing known."""
    points = {}
    for number, part in enumerate(filter(None, (part.strip() for part in text.split(";")))):
        found = _FORM.fullmatch(part)
        if found is None or found["point"] not in POINTS:
            raise SettingsError(
                f"{VARIABLE}: expected <point>=error:<errno>|sleep:<n>ms|kill[@<n>%|@<n>], was {part!r}; points are {', '.join(POINTS)}"
            )
        code = getattr(errno, found["error"] or "", 0)
        if found["error"] and (not isinstance(code, int) or not code or found["point"] in AROUND_ACK):
            raise SettingsError(
                f"{VARIABLE}: {part!r}: expected the name of an errno, such as EIO, at a point of the disk"
            )
        percent = int(found["share"] or 100)
        if percent > 100 or found["turn"] == "0":
            raise SettingsError(f"{VARIABLE}: {part!r}: expected 0 to 100 percent, or a time from 1 on")
        sleep_s, turn = int(found["sleep"] or 0) / 1_000, int(found["turn"] or 0)
        drawn = Random(number)  # noqa: S311  # the same each time, as tests want it
        points[found["point"]] = Failpoint(code, sleep_s, bool(found["kill"]), percent, turn, drawn)
    return Failpoints(points) if points else None


class FailingFile:
    """A file whose steps pass failpoints (engine.journal.disk.File)."""

    def __init__(self, file: File, points: Failpoints) -> None:
        self._file = file
        self._append, self._sync = points.hit("journal.append"), points.hit("journal.sync")
        self.forget, self.truncate, self.close = file.forget, file.truncate, file.close

    def append(self, data: memoryview) -> None:
        """Write a part of it if this fails, as a full disk does; else all of it."""
        try:
            self._append()
        except OSError:
            self._file.append(data[: len(data) // 2])
            raise
        self._file.append(data)

    def sync(self) -> None:
        """Sync, unless this fails."""
        self._sync()
        self._file.sync()


class FailingDisk:
    """A disk whose steps pass failpoints (engine.journal.disk.Disk)."""

    def __init__(self, disk: Disk, points: Failpoints) -> None:
        self._disk, self._points = disk, points
        self.names, self.read = disk.names, disk.read
        self._create, self._open = points.hit("journal.create"), points.hit("journal.open")
        self._rename, self._remove = points.hit("journal.rename"), points.hit("journal.remove")

    def create(self, name: str) -> File:
        """Return a new file of that name."""
        self._create()
        return FailingFile(self._disk.create(name), self._points)

    def open(self, name: str) -> File:
        """Return a file that is there."""
        self._open()
        return FailingFile(self._disk.open(name), self._points)

    def rename(self, name: str, to: str) -> None:
        """Give a file another name."""
        self._rename()
        self._disk.rename(name, to)

    def remove(self, name: str) -> None:
        """Remove a file."""
        self._remove()
        self._disk.remove(name)


class FailingThread(DecisionThread):
    """A decision thread that passes failpoints before and after it tells callers of a turn that changed something."""

    def __init__(self, points: Failpoints, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._before, self._after = (points.hit(point) for point in AROUND_ACK)

    def _deliver(self, done: list[Any]) -> None:
        changed = any(each.changed for each in done)
        if changed:
            self._before()
        super()._deliver(done)
        if changed:
            self._after()
