"""Where calendar windows start: for each calendar (day, week, month) and zone, the instants at which the present window's start moves.

    ranges[calendar * (zones + 1) + zone]  ->  breaks_us[first:last], starts_us[first:last]

At an instant now the window's start is starts_us at the last break that is not after now. In a zone the two arrays are equal; the last
row of each calendar is the unknown zone, whose start is the earliest among the country's zones (the most restrictive: it counts most).
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from engine.policy.wall_clock import Horizon, Instants, instants_of, segments

DAY, WEEK, MONTH = "day", "week", "month"
MICROSECONDS_A_DAY: Final = 86_400_000_000
EPOCH_WEEKDAY: Final = 3
"""1970-01-01 was a Thursday; Monday is 0."""

Calendar = tuple[str, int]
"""(day | week | month, weekday on which a week starts, Monday 0; 0 for the others)"""


def window_starts(calendar: Calendar, zone: str, horizon: Horizon) -> Instants:
    """Return every start of the calendar's windows in `zone`: enough that one lies before any instant of the horizon and one after."""
    kind, week_start = calendar
    wide = Horizon(horizon.start_us - 33 * MICROSECONDS_A_DAY, horizon.end_us + 33 * MICROSECONDS_A_DAY)
    days = wide.days()
    if kind == WEEK:
        days = days[(days + EPOCH_WEEKDAY) % 7 == week_start]
    elif kind == MONTH:
        dates = days.astype("datetime64[D]")
        days = days[dates == dates.astype("datetime64[M]").astype("datetime64[D]")]
    return instants_of(days * MICROSECONDS_A_DAY, segments(zone, wide))


def earliest_starts(calendar: Calendar, zones: Sequence[str], horizon: Horizon) -> tuple[Instants, Instants]:
    """Return (breaks_us, starts_us) of the unknown zone: at each break, the earliest of the zones' present starts."""
    by_zone = [window_starts(calendar, zone, horizon) for zone in zones]
    first = max(int(starts[0]) for starts in by_zone)
    breaks = np.unique(np.concatenate(by_zone))
    breaks = breaks[breaks >= first]
    present = [starts[np.searchsorted(starts, breaks, "right") - 1] for starts in by_zone]
    return breaks, np.min(present, axis=0)
