"""Calendar windows against zoneinfo, at every change of offset of forty zones."""

import numpy as np
import pytest

from engine.policy.calendars import DAY, MONTH, WEEK, Calendar, earliest_starts, window_starts
from tests.engine.policy.zones import FORTY, HORIZON, instants_to_ask
from tests.oracle.clock import WEEKDAYS, window_start

CALENDARS: list[Calendar] = [(DAY, 0), (WEEK, 0), (WEEK, 6), (MONTH, 0)]


def said(calendar: Calendar, zone: str, at: int) -> int:
    return window_start(calendar[0], WEEKDAYS[calendar[1]], at, zone)


@pytest.mark.parametrize("zone", FORTY)
def test_window_starts_at_every_change_of_offset(zone: str) -> None:
    for calendar in CALENDARS:
        starts = window_starts(calendar, zone, HORIZON)
        assert np.all(np.diff(starts) > 0)
        assert starts[0] <= HORIZON.start_us
        assert starts[-1] >= HORIZON.end_us
        for at in instants_to_ask(zone):
            assert starts[np.searchsorted(starts, at, "right") - 1] == said(calendar, zone, at), (calendar, at)


@pytest.mark.parametrize("calendar", CALENDARS)
def test_an_unknown_zone_has_the_earliest_start(calendar: Calendar) -> None:
    zones = ["America/New_York", "Pacific/Honolulu", "America/Phoenix", "America/Denver"]
    breaks, starts = earliest_starts(calendar, zones, HORIZON)
    edges = [int(at) + nudge for at in breaks[::5] for nudge in (-1, 0, 1)]
    asked = instants_to_ask("America/New_York") + [at for at in edges if HORIZON.start_us <= at < HORIZON.end_us]
    for at in asked:
        expected = min(said(calendar, zone, at) for zone in zones)
        assert starts[np.searchsorted(breaks, at, "right") - 1] == expected, at
