"""Quiet hours against the wall clock of zoneinfo, one instant at a time, at every change of offset of forty zones."""

from datetime import date, datetime, timedelta

import numpy as np
import pytest

from engine.policy.quiet import HOLIDAY, QuietWindow, quiet_anywhere, quiet_intervals
from tests.engine.policy.zones import FORTY, HORIZON, changes_us, instants_to_ask
from tests.oracle.clock import wall_clock

EVERY_DAY = frozenset(range(8))
WINDOWS = {
    "night": [QuietWindow(days=EVERY_DAY, from_minute=21 * 60, to_minute=9 * 60)],
    "the hour that is skipped or repeated": [QuietWindow(days=EVERY_DAY, from_minute=120, to_minute=180)],
    "until midnight": [QuietWindow(days=EVERY_DAY, from_minute=23 * 60 + 30, to_minute=0)],
    "whole days": [QuietWindow(days=frozenset({6, HOLIDAY}), from_minute=0, to_minute=0)],
    "several": [
        QuietWindow(days=frozenset({0, 1, 2, 3, 4}), from_minute=20 * 60, to_minute=8 * 60),
        QuietWindow(days=frozenset({5, 6}), from_minute=18 * 60, to_minute=12 * 60),
        QuietWindow(days=frozenset({HOLIDAY}), from_minute=0, to_minute=23 * 60 + 59),
    ],
}


def holidays_of(zone: str) -> list[date]:
    """The local dates of changes, and one more."""
    return [*(wall_clock(change, zone).date() for change in changes_us(zone)), date(2026, 12, 25)]


def is_quiet(windows: list[QuietWindow], holidays: list[date], wall: datetime) -> bool:
    """The rule as engine/README.md says it."""
    for back in (0, 1):
        day = wall.date() - timedelta(days=back)
        kind = HOLIDAY if day in holidays else day.weekday()
        midnight = datetime(day.year, day.month, day.day)
        for window in windows:
            over = timedelta(days=1 if window.to_minute <= window.from_minute else 0)
            start = midnight + timedelta(minutes=window.from_minute)
            if kind in window.days and start <= wall < midnight + timedelta(minutes=window.to_minute) + over:
                return True
    return False


def days_of(dates: list[date]) -> np.ndarray:
    return np.array([(day - date(1970, 1, 1)).days for day in dates], np.int64)


def says_quiet(intervals: tuple[np.ndarray, np.ndarray], at: int) -> bool:
    place = np.searchsorted(intervals[0], at, "right") - 1
    return bool(place >= 0 and at < intervals[1][place])


@pytest.mark.parametrize("zone", FORTY)
def test_quiet_at_every_change_of_offset(zone: str) -> None:
    for name, windows in WINDOWS.items():
        holidays = holidays_of(zone) if name in ("several", "whole days") else []
        found = quiet_intervals(windows, days_of(holidays), zone, HORIZON)
        assert np.all(found[1][:-1] < found[0][1:]), "disjoint, and what touches is one"
        for at in instants_to_ask(zone):
            assert says_quiet(found, at) == is_quiet(windows, holidays, wall_clock(at, zone)), (name, at)


def test_edges_are_half_open() -> None:
    froms, untils = quiet_intervals(WINDOWS["night"], days_of([]), "America/New_York", HORIZON)
    inside = [
        (start, end) for start, end in zip(froms.tolist(), untils.tolist(), strict=True) if start > HORIZON.start_us
    ][:300]
    for start, end in inside[:-1]:
        for at, quiet in ((start - 1, False), (start, True), (end - 1, True), (end, False)):
            assert is_quiet(WINDOWS["night"], [], wall_clock(at, "America/New_York")) == quiet


def test_an_unknown_zone_is_quiet_when_any_is() -> None:
    zones = ["America/New_York", "Pacific/Honolulu", "America/Phoenix"]
    holidays = [date(2026, 3, 8)]
    found = quiet_anywhere(WINDOWS["several"], days_of(holidays), zones, HORIZON)
    for at in instants_to_ask("America/New_York"):
        expected = any(is_quiet(WINDOWS["several"], holidays, wall_clock(at, zone)) for zone in zones)
        assert says_quiet(found, at) == expected


def test_no_windows_are_never_quiet() -> None:
    froms, untils = quiet_intervals([], days_of([]), "Europe/Berlin", HORIZON)
    assert len(froms) == len(untils) == 0
