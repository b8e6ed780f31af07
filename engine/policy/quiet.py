"""Quiet hours as instants: the union of local windows of a channel class in a zone, exact at every change of offset."""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from engine.policy.calendars import EPOCH_WEEKDAY
from engine.policy.wall_clock import Horizon, Instants, intervals_of, merged, segments

MICROSECONDS_A_DAY: Final = 86_400_000_000
MICROSECONDS_A_MINUTE: Final = 60_000_000
HOLIDAY: Final = 7
"""The day kind after Monday 0 to Sunday 6."""


class QuietWindow(msgspec.Struct, frozen=True, kw_only=True):
    """A daily window: [from, to) in minutes of the local wall clock; `to <= from` ends on the next day; it belongs to the day on which it starts."""

    days: frozenset[int]
    """Day kinds, 0 Monday to 6 Sunday, HOLIDAY; a holiday is of kind HOLIDAY alone."""
    from_minute: int
    to_minute: int


def quiet_intervals(
    windows: Sequence[QuietWindow], holidays: npt.NDArray[np.int64], zone: str, horizon: Horizon
) -> tuple[Instants, Instants]:
    """Return (froms_us, untils_us) of the quiet time in `zone`: sorted, disjoint; `holidays` are days since 1970-01-01."""
    days = horizon.days()
    kinds = np.where(np.isin(days, holidays), HOLIDAY, (days + EPOCH_WEEKDAY) % 7)
    froms, untils = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for window in windows:
        midnights = days[np.isin(kinds, sorted(window.days))] * MICROSECONDS_A_DAY
        wraps = window.to_minute <= window.from_minute
        froms.append(midnights + window.from_minute * MICROSECONDS_A_MINUTE)
        untils.append(midnights + window.to_minute * MICROSECONDS_A_MINUTE + wraps * MICROSECONDS_A_DAY)
    local = merged(np.concatenate(froms), np.concatenate(untils))
    return intervals_of(*local, segments(zone, horizon))


def quiet_anywhere(
    windows: Sequence[QuietWindow], holidays: npt.NDArray[np.int64], zones: Sequence[str], horizon: Horizon
) -> tuple[Instants, Instants]:
    """Return the union over `zones`: what an unknown zone gets."""
    parts = [quiet_intervals(windows, holidays, zone, horizon) for zone in zones]
    return merged(np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]))
