"""Whether those who were there have heard of a replica that has just come: until then nobody would wait for it in an epoch that somebody raises."""

from typing import Final

NUMBER_KEPT_US: Final = 3_000_000
"""A replica that was not heard of for so long has lost its number, and is not waited for here."""


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
            self._unheard = {each: words for each, words in others.items() if _is_there(words, server_us)}
            self._came_s = now_s
        self._unheard = {each: words for each, words in self._unheard.items() if said.get(each) == words}
        return not self._unheard or now_s - self._came_s > NUMBER_KEPT_US / 1e6


def _is_there(words: bytes, server_us: int) -> bool:
    try:
        return server_us - int(words.split()[1]) < NUMBER_KEPT_US
    except (ValueError, IndexError):  # no replica's words
        return False
