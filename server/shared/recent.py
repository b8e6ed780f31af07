"""What this replica wrote lately, so that it can say so again to a server that may have lost it."""

import time
from collections import deque
from typing import Final, NamedTuple

KEPT_S: Final = 60.0
KEPT_BYTES_MAX: Final = 128 << 20
"""Past it the oldest go sooner. A change is about a kilobyte, so that is 2,000 a second for a minute."""
_OBJECT_BYTES: Final = 200


class Kept(NamedTuple):
    """A change as it went out; bytes and numbers alone, which the garbage collector does not look at."""

    at_s: float
    function: str
    """What is to be called to assert it."""
    subscriber: int
    words: int
    """How many arguments `tail` is."""
    tail: bytes
    """What comes after the epoch."""


class Recent:
    """The changes of the last minute, oldest first; written within turns, read by the watch."""

    def __init__(self) -> None:
        self._kept: deque[Kept] = deque()
        self._bytes = 0

    def add(self, function: str, subscriber: int, words: int, tail: bytes) -> None:
        """Keep what was written just now."""
        now_s = time.monotonic()
        self._kept.append(Kept(now_s, function, subscriber, words, tail))
        self._bytes += len(tail) + _OBJECT_BYTES
        while self._kept and (self._bytes > KEPT_BYTES_MAX or now_s - self._kept[0].at_s > KEPT_S):
            self._bytes -= len(self._kept.popleft().tail) + _OBJECT_BYTES

    def all(self) -> list[Kept]:
        """Return what is kept."""
        oldest_s = time.monotonic() - KEPT_S
        return [kept for kept in self._kept.copy() if kept.at_s >= oldest_s]
