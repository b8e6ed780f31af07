"""A reload beside decisions: it works for a fraction of a millisecond at a time, between two turns, and rests while decisions are made.

Decisions and reloads share the interpreter, and where the server has one core, that too. A step of a reload that begins right after a turn
delays what comes meanwhile by no more than itself, as the next turn would; without rests a turn waits for the interpreter after each of its
kernels. Rejected: a lower priority for the thread, which then holds the interpreter while it has no core; another process, since what it made
would have to be brought here again, object by object, for explanations.
"""

import time
from collections.abc import Callable
from typing import Final, TypeVar

from engine.breathing import breathing

R = TypeVar("R")

STEP_S: Final = 0.0004
"""How long the work goes on after the shortest rest, and when nobody asks; a tenth of the rest before it after longer ones, whose turns take longer too."""
STEP_S_MAX: Final = 0.002
REST_S: Final = 0.004
"""The shortest rest while decisions are made."""
GLANCE_S: Final = 0.0005
"""While a turn is under way when the rest is over, how often it is looked whether it still is."""
SHARE: Final = STEP_S / REST_S
REST_S_MAX: Final = 0.02
"""Work goes on after this, so that a reload ends however busy the server is."""


class Pace:
    """Says when the work goes on; for one thread at a time."""

    def __init__(self, busy: Callable[[], bool], asked: Callable[[], int]) -> None:
        """`busy` says whether a decision waits or is made, `asked` how many were ever asked for."""
        self._busy = busy
        self._asked = asked
        self._seen = asked()
        self._step_ends_s = 0.0

    def run(self, work: Callable[[], R]) -> R:
        """Return what the work returns, done at this pace."""
        with breathing(self.breathe):
            return work()

    def breathe(self) -> None:
        """Rest when a step is over, unless nobody has asked for a decision since the last one."""
        now_s = time.perf_counter()
        if now_s < self._step_ends_s:
            return
        asked, seen = self._asked(), self._seen
        if asked != seen or self._busy():
            self._seen = asked
            time.sleep(REST_S)
            while self._busy() and time.perf_counter() < now_s + REST_S_MAX:
                time.sleep(GLANCE_S)
        goes_on_s = time.perf_counter()
        self._step_ends_s = goes_on_s + min(max(STEP_S, SHARE * (goes_on_s - now_s)), STEP_S_MAX)
