"""The journal as it is written: records gathered in a buffer, a turn's worth at a time written at once, and synced as durability asks.

    always     what `commit` returned True for is on the medium
    everysec   it is with the system, which another thread has write it out every second: lost only if the machine ends within. But what is urgent,
               pushes that are held, consent and erasures, is on the medium, so that no push is sent that nobody knows of afterwards
    none       it is with the system

What may not be on the medium is kept in memory until it is. When writing or syncing fails, a new segment is begun as soon as that can be, with the first
number that may be missing; readers take each number from the last segment that has it. After a failed sync nobody knows what became of the pages, so
the old file is not touched again.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from threading import Lock
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.jit import direct
from engine.journal.disk import Disk, File
from engine.journal.records import Segment, encode
from engine.journal.segments import FORMAT, NAME, Owner, segment_name
from engine.kernels.frames import HEADER_BYTES, seal_frame

Durability = Literal["always", "everysec", "none"]
SEGMENT_BYTES: Final = 64 << 20
"""About so large a segment gets."""
ROTATE_BYTES_MAX: Final = 1 << 20
"""A new segment begins with what may not be on the medium, when that is not more than this: shortly after a sync."""
UNSAFE_BYTES_MAX: Final = 64 << 20
"""So much is kept that may not be on the medium."""
RETRY_S: Final = 0.5
"""How long after a failure the next attempt is made."""
NEW: Final = "journal.new"
"""A segment that is being begun; it gets its name when it is whole."""
_seal_frame: Final = direct(seal_frame)
_BUFFER_BYTES: Final = 1 << 20


class Writer(NamedTuple):
    """What segments say of who wrote them."""

    version: str
    boot: str
    sizes: Mapping[str, int]


NOBODY: Final = Writer("", "", {})


class Journal:
    """Owned by the thread that decides; another one may call `sync`."""

    def __init__(
        self,
        disk: Disk,
        owner: Owner,
        durability: Durability,
        *,
        first: int = 1,
        writer: Writer = NOBODY,
        steady_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Go on with record `first`, in a segment that the first `commit` begins."""
        self._steady_s = steady_s
        self._disk, self._owner, self._writer = disk, owner, writer
        self.durability: Final[Durability] = durability
        self.buffer: npt.NDArray[np.uint8] = np.zeros(_BUFFER_BYTES, np.uint8)
        """Frames that are not written yet: `used_bytes` of it."""
        self.used_bytes = 0
        self.next = first
        """The next record's number."""
        self._unwritten = first
        self._urgent = False
        self.promised = False
        """Whether what was committed last was to be on the medium before it is acknowledged."""
        self._unsafe: deque[tuple[int, bytes]] = deque()
        """(first number, frames) of each commit that may not be on the medium."""
        self._kept_bytes = self._dropped_bytes = 0
        self._file: File | None = None
        self._file_bytes = 0
        self.prepare: Callable[[], None] | None = None
        """What the disk must let be done before a segment is begun; raises OSError, and is then called again."""
        self.segment_first = 0
        """The number that the segment which is written begins with; 0 before the first one is begun."""
        self.rotate = False
        """Set by another thread: begin a new segment soon, whatever the size of this one."""
        self._syncing = Lock()
        self._sync_failure: OSError | None = None
        self.failure: OSError | None = None
        """Why what was committed last is not written; None when all is well."""
        self._retry_s = 0.0
        self.syncs = self.failures = self.erasures = 0
        self.erased = 0
        """The number of the last erasure's record; 0 before the first one."""
        self.written_bytes = 0

    def reserve(self, more_bytes: int) -> None:
        """See that there is room for so many bytes more in `buffer`, which may be replaced."""
        if self.used_bytes + more_bytes > len(self.buffer):
            grown = np.zeros(max(2 * len(self.buffer), self.used_bytes + more_bytes), np.uint8)
            grown[: self.used_bytes] = self.buffer[: self.used_bytes]
            self.buffer = grown

    def added(self, end: int, *, urgent: bool = False) -> None:
        """Count the frame that somebody wrote to `buffer` as record `next`, from `used_bytes` to `end`; `urgent` as in `add`."""
        self.used_bytes = end
        self.next += 1
        self._urgent = self._urgent or urgent

    def add(self, record: Any, *, urgent: bool = False) -> None:
        """Add a small record (engine.journal.records); what is `urgent` is at `everysec` synced before it is acknowledged, too."""
        body = encode(record)
        start, end = self.used_bytes, self.used_bytes + HEADER_BYTES + len(body)
        self.reserve(end - start)
        self.buffer[start + HEADER_BYTES : end] = np.frombuffer(body, np.uint8)
        _seal_frame(self.buffer, start, end, self.next)
        self.added(end, urgent=urgent)

    @property
    def unsafe_bytes(self) -> int:
        """How much is kept that may not be on the medium."""
        return self._kept_bytes - self._dropped_bytes

    @property
    def full(self) -> bool:
        """Whether nothing more may be acknowledged that changes state: it could not be kept."""
        return self.failure is not None and (self.durability == "always" or self.unsafe_bytes > UNSAFE_BYTES_MAX)

    def commit(self) -> bool:
        """Write what was added; return whether all of it is as safe as durability says. Never raises."""
        self.promised = self.durability == "always" or (self.durability == "everysec" and self._urgent)
        self._urgent = False
        frames, first = self.buffer[: self.used_bytes].tobytes(), self._unwritten
        self.used_bytes, self._unwritten = 0, self.next
        if self.failure is None and self._sync_failure is not None:
            self._fail(self._sync_failure)
        file = self._file
        if frames and self.failure is None and file is not None:
            try:
                self._append(file, frames)
            except OSError as error:
                self._fail(error)
        # Only now: what is kept without a failure has been written, so that a sync by the other thread makes it safe.
        if frames:
            self._unsafe.append((first, frames))
            self._kept_bytes += len(frames)
        try:
            self._secure(bool(frames))
        except OSError as error:
            self._fail(error)
        return self.failure is None

    def _secure(self, added: bool) -> None:
        """Make what is kept as safe as durability says."""
        if self.failure is not None:
            if self._steady_s() >= self._retry_s:
                self._begin_segment()
            return
        if self._file is None:
            if added:
                self._begin_segment()
            return
        if added and (self.promised or self.unsafe_bytes > UNSAFE_BYTES_MAX):
            with self._syncing:
                self._sync(self._file, len(self._unsafe))
        elif self.durability == "none":
            self._drop(len(self._unsafe))
        if (self._file_bytes > SEGMENT_BYTES or self.rotate) and (
            self.unsafe_bytes <= ROTATE_BYTES_MAX or self._file_bytes > 2 * SEGMENT_BYTES
        ):
            self._begin_segment()

    def _append(self, file: File, frames: bytes) -> None:
        file.append(memoryview(frames))
        self._file_bytes += len(frames)
        self.written_bytes += len(frames)

    def _begin_segment(self) -> None:
        """Go on in a new segment, with what may not be on the medium at its front; it is whole and synced before it has its name."""
        with self._syncing:
            if self.prepare is not None:
                self.prepare()
                self.prepare = None
            first = self._unsafe[0][0] if self._unsafe else self.next
            if self._file is not None and self.durability == "none":
                self._file.sync()  # nothing of it is kept here, and damage may be in the last segment alone
            old, self._file = self._file, None
            if old is not None:
                with suppress(OSError):
                    old.close()
            with suppress(FileNotFoundError):
                self._disk.remove(NEW)
            file = self._disk.create(NEW)
            try:
                self._file_bytes = 0
                self._append(file, self._header(first))
                for _, frames in self._unsafe:
                    self._append(file, frames)
                file.sync()
                self._disk.rename(NEW, segment_name(first))
            except OSError:
                with suppress(OSError):
                    file.close()
                raise
            self._drop(len(self._unsafe))
            self._file, self.failure, self._sync_failure = file, None, None
            self.segment_first = first
            self.rotate = False

    def _header(self, first: int) -> bytes:
        owner, writer = self._owner, self._writer
        segment = Segment(
            NAME, FORMAT, owner.shard, owner.check, writer.version, writer.boot, first, dict(writer.sizes)
        )
        body = encode(segment)
        frame = np.zeros(HEADER_BYTES + len(body), np.uint8)
        frame[HEADER_BYTES:] = np.frombuffer(body, np.uint8)
        _seal_frame(frame, 0, len(frame), first)
        return frame.tobytes()

    def _sync(self, file: File, commits: int) -> None:
        """Sync, after which the oldest `commits` are safe."""
        file.sync()
        file.forget()
        self.syncs += 1
        self._drop(commits)

    def _drop(self, commits: int) -> None:
        for _ in range(commits):
            self._dropped_bytes += len(self._unsafe.popleft()[1])

    def _fail(self, error: OSError) -> None:
        if self.failure is None:
            self.failures += 1
        self._retry_s = self._steady_s() + RETRY_S
        self.failure = error

    def sync(self) -> None:
        """Have what was written put on the medium, from another thread; a failure shows at the next commit."""
        with self._syncing:
            file, commits = self._file, len(self._unsafe)
            if file is None or self.failure is not None or self._sync_failure is not None or not commits:
                return
            try:
                self._sync(file, commits)
            except OSError as error:
                self._sync_failure = error

    def close(self) -> bool:
        """Commit and sync what there is, and let go of the file; return whether all of it is on the medium."""
        whole = self.commit()
        self.sync()
        with self._syncing:
            if self._file is not None:
                self._file.close()
                self._file = None
        return whole and self.failure is None and self._sync_failure is None
