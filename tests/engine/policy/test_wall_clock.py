"""Local date-times to instants and back, against zoneinfo at every change of offset of forty zones."""

from datetime import UTC, datetime, timedelta
from random import Random

import numpy as np
import pytest

from engine.policy.wall_clock import Horizon, instants_of, intervals_of, merged, segments
from tests.engine.policy.zones import DAY_US, FORTY, HORIZON, HOUR_US, MINUTE_US, changes_us, instants_to_ask, local_us
from tests.oracle.clock import instant_of, wall_clock, zone_info


def test_forty_zones_change_at_least_fifty_times() -> None:
    assert len(set(FORTY)) == 40
    assert sum(len(changes_us(zone)) for zone in FORTY) >= 50


@pytest.mark.parametrize("zone", FORTY)
def test_instants_of_local_times_around_each_change(zone: str) -> None:
    walls = [
        wall_clock(change, zone).replace(tzinfo=None) + timedelta(minutes=minutes)
        for change in changes_us(zone)
        for minutes in range(-200, 200, 5)
    ] or [datetime(2026, 6, 1)]
    expected = [instant_of(wall.replace(tzinfo=zone_info(zone), fold=0)) for wall in walls]
    found = instants_of(np.array([local_us(wall) for wall in walls]), segments(zone, HORIZON))
    assert found.tolist() == expected


@pytest.mark.parametrize("zone", FORTY)
def test_intervals_hold_both_passes_and_skip_nothing(zone: str) -> None:
    days = HORIZON.days() * DAY_US
    starts, ends = days + 90 * MINUTE_US, days + 150 * MINUTE_US
    froms, untils = intervals_of(starts, ends, segments(zone, HORIZON))
    assert np.all(froms < untils)
    assert np.all(untils[:-1] < froms[1:])
    for at in instants_to_ask(zone):
        wall = wall_clock(at, zone)
        inside = (
            timedelta(minutes=90)
            <= timedelta(hours=wall.hour, minutes=wall.minute, seconds=wall.second)
            < timedelta(minutes=150)
        )
        place = np.searchsorted(froms, at, "right") - 1
        assert bool(at < untils[place]) == inside, wall


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kathmandu", "Africa/Casablanca"])
def test_segments_cover_the_horizon_without_gaps(zone: str) -> None:
    found = segments(zone, HORIZON)
    assert found.start_us[0] <= HORIZON.start_us - 3 * DAY_US
    assert found.end_us[-1] >= HORIZON.end_us + 3 * DAY_US
    assert found.end_us[:-1].tolist() == found.start_us[1:].tolist()


def test_days_of_a_horizon_hold_every_local_date() -> None:
    horizon = Horizon(HORIZON.start_us + 5 * HOUR_US, HORIZON.start_us + DAY_US)
    days = horizon.days().tolist()
    assert days == list(range(days[0], days[-1] + 1))
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
        for at in (horizon.start_us, horizon.end_us - 1):
            local = (wall_clock(at, zone).replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days
            assert days[0] + 1 <= local <= days[-1] - 1


@pytest.mark.parametrize("seed", range(20))
def test_merged_agrees_with_a_set_of_points(seed: int) -> None:
    rng = Random(seed)
    pairs = [(start, start + rng.randint(-1, 6)) for start in (rng.randrange(40) for _ in range(rng.randrange(9)))]
    froms, untils = merged(np.array([p[0] for p in pairs], np.int64), np.array([p[1] for p in pairs], np.int64))
    points = {at for start, end in pairs for at in range(start, end)}
    assert {at for s, e in zip(froms.tolist(), untils.tolist(), strict=True) for at in range(s, e)} == points
    assert all(end < start for end, start in zip(untils[:-1].tolist(), froms[1:].tolist(), strict=True))
