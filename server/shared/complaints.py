"""What is wrong with the shared ledger, said in the log, but not each time that it is met."""

from typing import Final

from server.clock import steady_us
from server.logs import log

EVERY_US: Final = 10_000_000


class Complaints:
    """Of one part of the ledger."""

    def __init__(self) -> None:
        self._said_us = -EVERY_US

    def say(self, what: str, **words: str | int) -> None:
        """Say it, unless something was said a moment ago."""
        if (now_us := steady_us()) - self._said_us > EVERY_US:
            self._said_us = now_us
            log().error(what, **words)
