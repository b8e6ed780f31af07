"""Quiet hours, asked of the wall clock minute by minute."""

from datetime import timedelta

from tests.oracle.catalogue import ALL_DAYS, Catalogue, QuietWindow
from tests.oracle.clock import wall_clock
from tests.oracle.numbers import DAY_US, MINUTE_US

QUIET_DAYS_MAX = 40
"""A quiet period that goes on for so long counts as endless."""


class QuietHours:
    """The quiet hours of a catalogue; answers are remembered by the minute, because offsets and windows are whole minutes."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.windows = catalogue.quiet_windows
        self.holidays = catalogue.holidays
        self.remembered: dict[tuple[str, str, int], bool] = {}
        self.ends: dict[tuple[str, tuple[str, ...], int], int | None] = {}

    def day_kind(self, day: object, weekday: int) -> str:
        """A holiday is a holiday, whatever its weekday."""
        return "holiday" if day in self.holidays else ALL_DAYS[weekday]

    def window_covers(self, window: QuietWindow, minute_us: int, zone: str) -> bool:
        """Whether the wall clock lies in the window that starts today, or in the one that started yesterday."""
        now = wall_clock(minute_us, zone)
        for start_day in (now.date(), now.date() - timedelta(days=1)):
            if self.day_kind(start_day, start_day.weekday()) not in window.days:
                continue
            minutes = (now.date() - start_day).days * 1440 + now.hour * 60 + now.minute
            wraps = window.to_minute <= window.from_minute
            if window.from_minute <= minutes < window.to_minute + (1440 if wraps else 0):
                return True
        return False

    def quiet_in_zone(self, class_: str, instant_us: int, zone: str) -> bool:
        minute = instant_us // MINUTE_US
        key = (class_, zone, minute)
        if key not in self.remembered:
            self.remembered[key] = any(
                self.window_covers(window, minute * MINUTE_US, zone)
                for window in self.windows
                if class_ in window.classes
            )
        return self.remembered[key]

    def is_quiet(self, class_: str, instant_us: int, zones: tuple[str, ...]) -> bool:
        """Quiet in any of the zones: the subscriber's one, or all of the country when it is unknown."""
        return any(self.quiet_in_zone(class_, instant_us, zone) for zone in zones)

    def quiet_end(self, class_: str, instant_us: int, zones: tuple[str, ...]) -> int | None:
        """The first instant after a quiet one that is not quiet; None when there is none within QUIET_DAYS_MAX."""
        minute = instant_us // MINUTE_US
        key = (class_, zones, minute)
        if key not in self.ends:
            last = minute + QUIET_DAYS_MAX * DAY_US // MINUTE_US + 1
            end = minute + 1
            while end < last and self.is_quiet(class_, end * MINUTE_US, zones):
                end += 1
            self.ends[key] = end * MINUTE_US if end < last else None
        end_us = self.ends[key]
        return None if end_us is None or end_us - instant_us >= QUIET_DAYS_MAX * DAY_US else end_us

    def next_start(self, class_: str, after_us: int, before_us: int, zones: tuple[str, ...]) -> int | None:
        """The first quiet instant in (after, before), for an `after` that is not quiet; None when there is none."""
        minute = after_us // MINUTE_US + 1
        while minute * MINUTE_US < before_us:
            if self.is_quiet(class_, minute * MINUTE_US, zones):
                return minute * MINUTE_US
            minute += 1
        return None
