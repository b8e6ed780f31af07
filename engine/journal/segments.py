"""Segments: files of frames, named by the number of their first record, which says whose journal it is.

    00000000000000000001.journal   | segment | record 1 | record 2 | ...
    00000000000000004711.journal   | segment | record 4711 | ...            the numbers go on from file to file

A record that two segments have counts where it is in the later one: that was begun because writing or syncing the earlier one had failed. A journal is as
long as the longest prefix of right frames. What lies behind it in the last segment was being written when the process or the machine ended; damage
before the last segment, or a number that is missing, is nothing that writing could have left, and is refused.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from engine.jit import direct, frozen
from engine.journal.disk import Disk
from engine.journal.records import SEGMENT, Segment, kind_of, read_segment
from engine.kernels.frames import DAMAGED, HEADER_BYTES, NOT_WHOLE, OUT_OF_TURN, frame_end

SUFFIX: Final = ".journal"
FORMAT: Final = 1
NAME: Final = "touchpoint journal"
HEADER_READ_BYTES: Final = 1 << 16
"""More than what any segment begins with."""
_frame_end: Final = direct(frame_end)
_WHY: Final = {
    NOT_WHOLE: "it ends before the record does",
    DAMAGED: "the record's checksum is wrong",
    OUT_OF_TURN: "the record has another number than the next",
}


class JournalError(Exception):
    """A journal that cannot be used; nothing was changed."""


class BrokenOffError(JournalError):
    """Records are damaged or missing, and more segments follow; what comes before them could be used."""


class Owner(msgspec.Struct, frozen=True):
    """Whose journal it is: one shard of one installation."""

    shard: str
    """Such as 0/1."""
    check: str
    """Keyed digest that shows the installation's secret."""


class Record(NamedTuple):
    """A record where it lies."""

    sequence: int
    kind: int
    data: npt.NDArray[np.uint8]
    """(bytes,): the segment."""
    start: int
    end: int

    def body(self) -> memoryview:
        """Return the record's MessagePack."""
        return self.data.data[self.start : self.end]


class Run(NamedTuple):
    """Where records begin that may be taken all at once."""

    data: npt.NDArray[np.uint8]
    """(bytes,): the segment."""
    at: int
    sequence: int
    """The number of the first."""
    following: int | None
    """The number of the record with which the next segment begins."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Where the last segment stops being right, and what is known of the rest."""

    name: str
    at: int
    dropped_bytes: int
    why: str

    def __str__(self) -> str:
        return f"{self.name}: right up to byte {self.at:,}, {self.dropped_bytes:,} bytes behind it are left out: {self.why}"


def segment_name(first: int) -> str:
    """Return the file name of the segment whose first record has this number."""
    return f"{first:020}{SUFFIX}"


def first_of(name: str) -> int:
    """Return the number in a segment's file name."""
    return int(name.removesuffix(SUFFIX))


def segment_names(disk: Disk) -> list[str]:
    """Return the names of all segments in order; raises JournalError for a name that only looks like one."""
    return numbered_names(disk, SUFFIX, "segment")


def numbered_names(disk: Disk, suffix: str, what: str) -> list[str]:
    """Return the names of files that are 20 digits and a suffix, in order; raises JournalError for one that has the suffix behind something else."""
    names = [name for name in disk.names() if name.endswith(suffix)]
    for name in names:
        digits = name.removesuffix(suffix)
        if not (len(digits) == 20 and digits.isdecimal() and digits.isascii()):
            raise JournalError(f"{name}: expected a {what}'s name, 20 digits and {suffix}; move the file elsewhere")
    return names


def headers(disk: Disk) -> dict[str, Segment | None]:
    """Return what each segment says of itself, None for one that begins with something else."""
    found: dict[str, Segment | None] = {}
    for name in segment_names(disk):
        data = frozen(disk.read(name, HEADER_READ_BYTES))
        end = int(_frame_end(data, 0, first_of(name)))
        whole = end > 0 and kind_of(data, HEADER_BYTES, end) == SEGMENT
        found[name] = read_segment(data.data[HEADER_BYTES:end]) if whole else None
    return found


class Log:
    """The records of a journal from a number on, in order; `end` and `cut` are right once all were yielded."""

    def __init__(self, disk: Disk, owner: Owner | None, after: int = 0, stop: str = "") -> None:
        """Read records above `after`, up to the segment named `stop`; `owner` None: anybody's. Raises JournalError when a segment is missing."""
        self._disk, self._owner, self._after = disk, owner, after
        self.names = [name for name in segment_names(disk) if not stop or name < stop]
        self._stop = first_of(stop) if stop else None
        self.end = after + 1
        """The next record's number."""
        self.cut: Cut | None = None
        self.segments: list[Segment] = []
        """What the segments that were read say of themselves."""
        needed = [name for k, name in enumerate(self.names) if not self._is_before(k)]
        if needed and first_of(needed[0]) > after + 1:
            raise JournalError(
                f"{needed[0]}: records {after + 1:,} to {first_of(needed[0]) - 1:,} are missing before it; "
                "bring back the segment that holds them, or the snapshot that covers them"
            )
        self._needed = needed
        self.take_run: Callable[[Run], tuple[int, int]] | None = None
        """Takes as many records as it can, so that they are not yielded, and returns where it stopped: the byte, and the number of the record there."""

    def _is_before(self, number: int) -> bool:
        """Return whether every record of a segment is at or below `after`: the next segment begins no later."""
        return number + 1 < len(self.names) and first_of(self.names[number + 1]) <= self._after + 1

    def __iter__(self) -> Iterator[Record]:
        """Yield the records; raises JournalError for a journal of somebody else, BrokenOffError for a missing segment, or damage before the last one."""
        for number, name in enumerate(self._needed):
            data = self._disk.read(name)
            following = first_of(self._needed[number + 1]) if number + 1 < len(self._needed) else self._stop
            if first_of(name) > self.end:
                raise BrokenOffError(
                    f"{name}: records {self.end:,} to {first_of(name) - 1:,} are missing before it; bring back the segment that holds them, "
                    "or give up what follows with `touchpoint journal repair`"
                )
            yield from self._segment(name, data, following)

    def _segment(self, name: str, data: npt.NDArray[np.uint8], following: int | None) -> Iterator[Record]:
        """Yield a segment's records below `following`, with which the next segment begins."""
        sequence, frames = first_of(name), frozen(data)
        at = int(_frame_end(frames, 0, sequence))
        if at > 0:
            self._check(name, Record(sequence, kind_of(data, HEADER_BYTES, at), data, HEADER_BYTES, at))
        end, at = at, max(at, 0)
        while end > 0 and at < len(data) and sequence != following:
            if self.take_run is not None and sequence > self._after:
                at, sequence = self.take_run(Run(data, at, sequence, following))
                self.end = max(self.end, sequence)
                if at >= len(data) or sequence == following:
                    break
            end = int(_frame_end(frames, at, sequence))
            if end > 0:
                record = Record(sequence, kind_of(data, at + HEADER_BYTES, end), data, at + HEADER_BYTES, end)
                at, sequence = end, sequence + 1
                self.end = max(self.end, sequence)
                if record.sequence > self._after:
                    yield record
        if end < 0:
            self.cut = Cut(name, at, len(data) - at, _WHY[end])
            if following is not None:
                raise BrokenOffError(
                    f"{self.cut}, and more segments follow; bring back an undamaged copy, or give up what follows with `touchpoint journal repair`"
                )

    def _check(self, name: str, record: Record) -> None:
        """Raise JournalError unless the segment is one that this reads."""
        segment = read_segment(record.body()) if record.kind == SEGMENT else None
        if segment is None or segment.name != NAME:
            raise JournalError(
                f"{name}: expected a segment of a journal of Touchpoint, was something else; move the file elsewhere"
            )
        if segment.format != FORMAT:
            raise JournalError(
                f"{name}: expected format {FORMAT}, was {segment.format}, by Touchpoint {segment.writer}; use that version or a newer one"
            )
        for what, expected, was in (
            ("shard", self._owner and self._owner.shard, segment.shard),
            ("secret", self._owner and self._owner.check, segment.check),
        ):
            if expected is not None and expected != was:
                shown = (
                    f"expected that of shard {expected}, was {was}"
                    if what == "shard"
                    else "it was written under another key secret"
                )
                raise JournalError(
                    f"{name}: another server's journal: {shown}; point `journal` to this server's own folder"
                )
        self.segments.append(segment)


def finished(disk: Disk, name: str, following: str) -> Log:
    """Return the records of one segment, before those of the one that follows it."""
    return Log(disk, None, after=first_of(name) - 1, stop=following)
