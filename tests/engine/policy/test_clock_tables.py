"""The wall-clock tables of a catalogue: rows of every class, calendar and zone, and the unknown zone's; days for totals."""

from datetime import date, timedelta
from pathlib import Path

import msgspec
import numpy as np
import pytest

from engine.catalogue.model import Catalogue
from engine.catalogue.policy import Cap, Window
from engine.catalogue.terms import CapEvent, CapPer, Scope, WeekDay, WindowKind
from engine.kernels.wall_clock import local_day, quiet_end, window_start
from engine.limits import NEVER_US
from engine.policy.clock_tables import build_clock, calendars, home_days, horizon_around, quiet_classes, total_since_day
from loaders.catalogue import load_catalogue
from tests.engine.policy.zones import DAY_US, START_US, instants_to_ask
from tests.oracle.clock import WEEKDAYS, wall_clock
from tests.oracle.clock import local_day as oracle_day
from tests.oracle.clock import window_start as oracle_start

FOLDER = Path(__file__).parents[2] / "data/catalogues/complete"
ZONES = ["America/New_York", "America/Chicago", "Asia/Tokyo"]
EPOCH = date(1970, 1, 1)


def cap(kind: WindowKind, week_start: WeekDay = WeekDay.MONDAY, per: CapPer = CapPer.TOTAL) -> Cap:
    window = Window(kind=kind, duration_us=0, week_start=week_start)
    return Cap(
        id=f"{kind.value}-{week_start.value}",
        scope=Scope.OFFER,
        target=None,
        per=per,
        counts=CapEvent.SEEN,
        window=window,
        limit=1,
    )


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    found = load_catalogue(FOLDER, now_us=START_US)
    caps = [cap(WindowKind.DAY), cap(WindowKind.WEEK), cap(WindowKind.WEEK, WeekDay.SUNDAY), cap(WindowKind.MONTH)]
    caps += [cap(WindowKind.LIFETIME), cap(WindowKind.MONTH, per=CapPer.SUBSCRIBER)]
    return msgspec.structs.replace(found, contact_policy=msgspec.structs.replace(found.contact_policy, caps=caps))


def test_horizon_is_the_same_all_day() -> None:
    day = START_US // DAY_US * DAY_US
    assert horizon_around(day) == horizon_around(day + DAY_US - 1) != horizon_around(day + DAY_US)
    assert horizon_around(day).start_us < day < horizon_around(day).end_us


def test_calendar_rows_of_each_zone(catalogue: Catalogue) -> None:
    horizon = horizon_around(START_US + 5 * DAY_US)
    clock = build_clock(catalogue, ZONES, horizon)
    kinds = calendars(catalogue)
    assert kinds[0] == ("day", 0)
    assert len(clock.calendar_start) == len(kinds) * (len(ZONES) + 1) + 1
    asked = [at for at in instants_to_ask("America/New_York") if horizon.start_us <= at < horizon.end_us]
    for number, (kind, week_start) in enumerate(kinds):
        for at in asked[::3]:
            said = {
                zone: oracle_start(kind, WEEKDAYS[week_start], at, zone) for zone in (*ZONES, *catalogue.country.zones)
            }
            row = number * (len(ZONES) + 1)
            for zone, name in enumerate(ZONES):
                assert window_start(clock, row + zone, at) == said[name]
            assert window_start(clock, row + len(ZONES), at) == min(said[zone] for zone in catalogue.country.zones)
    for at in asked[::3]:
        assert [local_day(clock, zone, at) for zone in range(len(ZONES))] == [oracle_day(at, name) for name in ZONES]


def test_quiet_rows_differ_by_zone(catalogue: Catalogue) -> None:
    clock = build_clock(catalogue, ZONES, horizon_around(START_US))
    classes = quiet_classes(catalogue)
    assert classes
    assert len(clock.quiet_start) == len(classes) * (len(ZONES) + 1) + 1
    ends = [quiet_end(clock, zone, START_US + hour * DAY_US // 24) for hour in range(72) for zone in range(len(ZONES))]
    assert len({end for end in ends if end != NEVER_US}) > 2


def test_home_days_count_local_dates(catalogue: Catalogue) -> None:
    first, starts = home_days(catalogue, horizon_around(START_US))
    home = catalogue.country.home_zone
    for number in range(0, len(starts), 7):
        assert oracle_day(int(starts[number]), home) == first + number
        assert oracle_day(int(starts[number]) - 1, home) == first + number - 1
        assert wall_clock(int(starts[number]), home).hour in (0, 1)


@pytest.mark.parametrize("offset", range(0, 400, 13))
def test_totals_count_from_the_start_of_their_window(catalogue: Catalogue, offset: int) -> None:
    today = date(2026, 1, 1) + timedelta(days=offset)
    monday = today - timedelta(days=today.weekday())
    sunday = today - timedelta(days=(today.weekday() + 1) % 7)
    expected = [today, monday, sunday, today.replace(day=1), None, None]
    found = total_since_day(catalogue, (today - EPOCH).days)
    assert found == [None if day is None else (day - EPOCH).days for day in expected]


def test_tables_are_read_only(catalogue: Catalogue) -> None:
    clock = build_clock(catalogue, ZONES, horizon_around(START_US))
    assert not any(array.flags.writeable for array in clock)
    assert all(np.all(np.diff(ranges) >= 0) for ranges in (clock.quiet_start, clock.calendar_start))
