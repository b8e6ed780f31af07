"""The wall-clock tables of one rulebook for the zones of one base, over a horizon around an instant."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from engine.catalogue.model import Catalogue
from engine.catalogue.policy import QuietHours
from engine.catalogue.terms import CapPer, Day, WeekDay, WindowKind
from engine.dtypes.rules import WallClock
from engine.jit import frozen
from engine.policy.calendars import DAY, MONTH, WEEK, Calendar, earliest_starts, window_starts
from engine.policy.quiet import HOLIDAY, QuietWindow, quiet_anywhere, quiet_intervals
from engine.policy.wall_clock import Horizon, Instants
from engine.zones import offsets

PAST_DAYS: Final = 3
FUTURE_DAYS: Final = 400
"""How far ahead the tables reach: beyond what any instant of an answer, or of a dry run, may name."""
_DAY_US: Final = 86_400_000_000
_KINDS: Final = {WindowKind.DAY: DAY, WindowKind.WEEK: WEEK, WindowKind.MONTH: MONTH}


def horizon_around(now_us: int) -> Horizon:
    """Return the horizon of tables made at `now_us`: whole UTC days, so that the same day gives the same tables."""
    today = now_us // _DAY_US
    return Horizon((today - PAST_DAYS) * _DAY_US, (today + FUTURE_DAYS) * _DAY_US)


def quiet_classes(catalogue: Catalogue) -> list[str]:
    """Return the channel classes that have quiet hours, sorted."""
    return sorted({name for window in catalogue.contact_policy.quiet_hours for name in window.classes})


def calendars(catalogue: Catalogue) -> list[Calendar]:
    """Return the calendars that caps use; the day comes first and is always there, for it also orders ties."""
    used = {
        calendar_of(cap.window.kind, cap.window.week_start)
        for cap in catalogue.contact_policy.caps
        if cap.window.kind in _KINDS
    }
    return [(DAY, 0), *sorted(used - {(DAY, 0)})]


def calendar_of(kind: WindowKind, week_start: WeekDay) -> Calendar:
    """Return the calendar of a day, week or month window."""
    return _KINDS[kind], list(WeekDay).index(week_start) if kind == WindowKind.WEEK else 0


def build_clock(catalogue: Catalogue, zones: Sequence[str], horizon: Horizon) -> WallClock:
    """Return the tables for `zones` (the base's, in its order) and, last of each, for an unknown zone."""
    quiet = [row for name in quiet_classes(catalogue) for row in _quiet_rows(catalogue, name, zones, horizon)]
    windows = [row for calendar in calendars(catalogue) for row in _calendar_rows(catalogue, calendar, zones, horizon)]
    return WallClock(
        _ranges([row[0] for row in quiet]),
        _joined([row[0] for row in quiet]),
        _joined([row[1] for row in quiet]),
        _ranges([row[0] for row in windows]),
        _joined([row[0] for row in windows]),
        _joined([row[1] for row in windows]),
        _joined([row[2] for row in windows]),
    )


def home_days(catalogue: Catalogue, horizon: Horizon) -> tuple[int, Instants]:
    """Return (first day since 1970-01-01, starts_us) of the home zone's days, for totals."""
    starts = window_starts((DAY, 0), catalogue.country.home_zone, horizon)
    return int(_day_of_start(starts[:1], catalogue.country.home_zone)[0]), starts


def total_since_day(catalogue: Catalogue, today: int) -> list[int | None]:
    """Return for each cap the first home-zone day that a total in its calendar window counts on `today`; None for other windows."""
    return [
        _since_day(cap.window.kind, cap.window.week_start, today) if cap.per == CapPer.TOTAL else None
        for cap in catalogue.contact_policy.caps
    ]


def _since_day(kind: WindowKind, week_start: WeekDay, today: int) -> int | None:
    if kind == WindowKind.DAY:
        return today
    if kind == WindowKind.WEEK:
        return today - (today + 3 - list(WeekDay).index(week_start)) % 7
    if kind == WindowKind.MONTH:
        return int(np.datetime64(today, "D").astype("datetime64[M]").astype("datetime64[D]").astype(np.int64))
    return None


def _quiet_rows(
    catalogue: Catalogue, name: str, zones: Sequence[str], horizon: Horizon
) -> list[tuple[Instants, Instants]]:
    windows = [_window(entry) for entry in catalogue.contact_policy.quiet_hours if name in entry.classes]
    dates = np.array(catalogue.contact_policy.holidays, "datetime64[D]").astype(np.int64)
    rows = [quiet_intervals(windows, dates, zone, horizon) for zone in zones]
    return [*rows, quiet_anywhere(windows, dates, catalogue.country.zones, horizon)]


def _window(entry: QuietHours) -> QuietWindow:
    order = list(Day)
    assert order.index(Day.HOLIDAY) == HOLIDAY
    return QuietWindow(
        days=frozenset(order.index(day) for day in entry.days), from_minute=entry.from_minute, to_minute=entry.to_minute
    )


def _calendar_rows(
    catalogue: Catalogue, calendar: Calendar, zones: Sequence[str], horizon: Horizon
) -> list[tuple[Instants, Instants, Instants]]:
    rows = []
    for zone in zones:
        starts = window_starts(calendar, zone, horizon)
        rows.append((starts, starts, _day_of_start(starts, zone)))
    breaks, starts = earliest_starts(calendar, catalogue.country.zones, horizon)
    return [*rows, (breaks, starts, np.zeros(len(breaks), np.int64))]


def _day_of_start(starts: Instants, zone: str) -> npt.NDArray[np.int64]:
    instants_s, offsets_s = offsets(zone)
    seconds = starts // 1_000_000
    local = seconds + offsets_s[np.searchsorted(instants_s, seconds, "right") - 1]
    return local // 86_400


def _ranges(rows: Sequence[Instants]) -> npt.NDArray[np.int32]:
    return frozen(np.cumsum([0, *map(len, rows)]).astype(np.int32))


def _joined(rows: Sequence[Instants]) -> Instants:
    return frozen(np.concatenate([np.empty(0, np.int64), *rows]))
