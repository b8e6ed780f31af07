"""Virtual time: what a simulation's clocks show."""

from typing import Final

SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
HOUR_US: Final = 60 * MINUTE_US


class VirtualClock:
    """A wall clock that somebody may set, and a steady one that nobody does."""

    def __init__(self, start_us: int) -> None:
        self._start_us = start_us
        self._ahead_us = 0
        self.passed_us = 0
        """Since the simulation began."""

    def wall_us(self) -> int:
        """Return what the wall clock shows, microseconds since 1970-01-01 UTC."""
        return self._start_us + self.passed_us + self._ahead_us

    def steady_us(self) -> int:
        """Return what the steady clock shows."""
        return self.passed_us

    def steady_s(self) -> float:
        """Return the same in seconds."""
        return self.passed_us / SECOND_US

    def go_to(self, passed_us: int) -> None:
        """Let time pass up to an instant of the steady clock."""
        assert passed_us >= self.passed_us
        self.passed_us = passed_us

    def set_ahead(self, more_us: int) -> None:
        """Set the wall clock forward by so much, back if it is negative."""
        self._ahead_us += more_us
