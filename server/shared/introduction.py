"""Who is there besides, by this replica's own clock; and whether all have heard of it: until then nobody waits for it in an epoch that somebody raises."""

import math
from typing import Final

NUMBER_KEPT_US: Final = 3_000_000
"""A replica that was not heard of for so long has lost its number, and is not waited for here."""

MISSED_S: Final = 2.5
"""Sooner than that, so that whoever might miss somebody knows it."""
assert MISSED_S < NUMBER_KEPT_US / 1e6

LEASE_US: Final = 60_000_000
"""For so long replicas keep what they wrote, and are waited for."""


class Others:
    """All replicas that were heard of at one server, which itself knows when they spoke by a clock that may jump, or be another one after a failover."""

    def __init__(self) -> None:
        self._said: dict[bytes, tuple[bytes, float]] = {}
        """By number: what was said last, and when it was heard."""
        self._asked_s = math.inf
        self.missed = False
        """Whether one may have come of whom this replica has not heard, since it asked nothing for so long that nobody waited for it to hear."""

    def asks(self, now_s: float) -> None:
        """Take down that this replica is about to ask who is there, or was a moment ago."""
        self.missed = self.missed or now_s - self._asked_s > MISSED_S
        self._asked_s = now_s

    def heard(self, replicas: list[bytes], server_us: int, now_s: float) -> None:
        """Take down what a beat returned: all replicas, number and words by turns, and the server's clock."""
        self.missed = False
        said = {}
        for number, words in zip(replicas[::2], replicas[1::2], strict=True):
            before, heard_s = self._said.get(number, (b"", now_s - max(_silent_us(words, server_us), 0) / 1e6))
            said[number] = words, heard_s if before in (b"", words) else now_s
        self._said = said

    def lately(self, now_s: float) -> list[bytes]:
        """Return those that spoke within a lease, number and words by turns."""
        said = [(number, words) for number, (words, at_s) in self._said.items() if now_s - at_s < LEASE_US / 1e6]
        return [text for each in said for text in each]


class Introduction:
    """Of one replica at one server: each beat of another one brings that one the news of all."""

    def __init__(self) -> None:
        self._unheard: dict[bytes, bytes] | None = None
        """Those who have said nothing since, by number, and what they had said."""
        self._came_s = 0.0

    def is_over(self, number: bytes, replicas: list[bytes], server_us: int, now_s: float) -> bool:
        """Return whether all have heard of replica `number`, given what a beat returned: all replicas, number and words by turns, and the server's clock."""
        said = dict(zip(replicas[::2], replicas[1::2], strict=True))
        if self._unheard is None:
            others = {each: words for each, words in said.items() if each != number}
            self._unheard = {
                each: words for each, words in others.items() if _silent_us(words, server_us) < NUMBER_KEPT_US
            }
            self._came_s = now_s
        self._unheard = {each: words for each, words in self._unheard.items() if said.get(each) == words}
        return not self._unheard or now_s - self._came_s > NUMBER_KEPT_US / 1e6


def _silent_us(words: bytes, server_us: int) -> int:
    """Return for how long a replica has said nothing, by the server's clock; for ever, if these are no replica's words."""
    try:
        return server_us - int(words.split()[1])
    except (ValueError, IndexError):
        return 1 << 62
