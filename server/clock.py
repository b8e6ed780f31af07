"""The wall clock, watched: the only place where the server reads what time it is.

Wall minus monotonic time should stay put but for slewing. A jump backward by more than 2 s or forward by more than 5 min makes the clock
untrusted, which stops push, until an operator confirms it. Several small jumps add up: the offset is forgiven at 1 ms a second only.
"""

import time
from collections.abc import Callable
from typing import Final

BACKWARD_MAX_US: Final = 2_000_000
FORWARD_MAX_US: Final = 300_000_000
SLEW_PER_MILLION: Final = 1_000
"""NTP slews by at most 500 parts in a million."""

_STEADY: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while the machine sleeps, where the system has such a clock."""


def wall_us() -> int:
    """Return the wall clock, microseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000


def steady_us() -> int:
    """Return a clock that nobody sets, microseconds since some instant."""
    return time.clock_gettime_ns(_STEADY) // 1_000


class Clock:
    """Reads the wall clock and says whether it is to be trusted; used by the decision thread alone."""

    def __init__(self, wall: Callable[[], int] = wall_us, steady: Callable[[], int] = steady_us) -> None:
        self._wall = wall
        self._steady = steady
        self._steady_seen_us = steady()
        self._offset_us = wall() - self._steady_seen_us
        self.trusted = True
        self.jump_us = 0
        """The last jump that cost trust; backward is negative."""

    def now_us(self) -> int:
        """Return the wall clock's instant, having compared it with the steady clock."""
        wall, steady = self._wall(), self._steady()
        jump = wall - steady - self._offset_us
        if jump < -BACKWARD_MAX_US or jump > FORWARD_MAX_US:
            self.trusted, self.jump_us = False, jump
            self._offset_us += jump
        elif jump:
            slew = (steady - self._steady_seen_us) * SLEW_PER_MILLION // 1_000_000
            if slew == 0:
                return wall
            self._offset_us += max(-slew, min(slew, jump))
        self._steady_seen_us = steady
        return wall

    def resume_after(self, last_us: int) -> None:
        """Take into account the last instant of an earlier process: a clock that lies before it by more than a slew was set back meanwhile."""
        jump = self._wall() - last_us
        if jump < -BACKWARD_MAX_US:
            self.trusted, self.jump_us = False, jump

    def confirm(self) -> bool:
        """Trust the clock again; returns whether it was not trusted."""
        was_untrusted, self.trusted = not self.trusted, True
        return was_untrusted
