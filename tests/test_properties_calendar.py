"""Quiet hours at every change of offset of 40 zones: the engine's tables, and what it lets out, against the wall clock."""

from datetime import UTC, datetime

import numpy as np
import pytest

from engine.policy.quiet import QuietWindow, quiet_intervals
from engine.policy.wall_clock import Horizon
from tests.oracle.catalogue import ALL_DAYS, Plain, read_catalogue
from tests.oracle.clock import instant_of
from tests.oracle.decide import Request
from tests.oracle.numbers import DAY_US, HOUR_US, MINUTE_US
from tests.oracle.quiet import QuietHours
from tests.oracle.small import SMS, WRITTEN, campaign, catalogue
from tests.worlds.catalogues import Shape
from tests.worlds.commands import Decide
from tests.worlds.engine_driver import EngineDriver
from tests.worlds.people import Row
from tests.worlds.world import World, clock_changes, hash_of

ZONES = (
    *(
        "America/New_York",
        "America/Chicago",
        "America/Denver",
        "America/Los_Angeles",
        "America/Anchorage",
        "America/Adak",
    ),
    *("America/Halifax", "America/St_Johns", "America/Havana", "America/Santiago", "America/Asuncion", "America/Nuuk"),
    *("America/Scoresbysund", "America/Miquelon", "America/Port-au-Prince", "America/Tijuana", "Atlantic/Azores"),
    *("Atlantic/Bermuda", "Atlantic/Canary", "Africa/Cairo", "Africa/Casablanca", "Antarctica/Troll", "Asia/Beirut"),
    *("Asia/Gaza", "Asia/Jerusalem", "Asia/Nicosia", "Australia/Sydney", "Australia/Adelaide", "Australia/Hobart"),
    *("Australia/Lord_Howe", "Europe/Berlin", "Europe/Chisinau", "Europe/Dublin", "Europe/Kyiv", "Europe/Lisbon"),
    *("Europe/London", "Pacific/Auckland", "Pacific/Chatham", "Pacific/Easter", "Pacific/Norfolk"),
)
FIRST = datetime(2024, 1, 1, tzinfo=UTC)
YEARS = 8
HORIZON = Horizon(instant_of(FIRST) - 3 * DAY_US, instant_of(FIRST) + (366 * YEARS + 3) * DAY_US)
WINDOWS: list[Plain] = [
    {"id": "night", "classes": ["message"], "from": "21:00", "to": "01:30"},
    {"id": "early", "classes": ["message"], "from": "02:15", "to": "02:45", "days": ["sun", "mon", "fri", "thu"]},
    {"id": "dawn", "classes": ["message"], "from": "03:00", "to": "03:01", "days": ["sun", "holiday"]},
    {"id": "late", "classes": ["message"], "from": "23:30", "to": "00:00", "days": ["sat"]},
]
HOLIDAYS = ["2026-03-29", "2027-10-31"]
CLOSED: Plain = {"quiet_hours": WINDOWS, "holidays": {"dates": HOLIDAYS}}


def quiet_windows() -> list[QuietWindow]:
    minutes = [(w, [int(w[end][:2]) * 60 + int(w[end][3:]) for end in ("from", "to")]) for w in WINDOWS]
    return [
        QuietWindow(days=frozenset(ALL_DAYS.index(day) for day in w.get("days", ALL_DAYS)), from_minute=a, to_minute=b)
        for w, (a, b) in minutes
    ]


def test_forty_zones() -> None:
    assert len(set(ZONES)) == 40
    assert sum(bool(clock_changes(zone, FIRST, 366 * YEARS)) for zone in ZONES) >= 38


@pytest.mark.parametrize("zone", ZONES)
def test_quiet_tables_are_the_wall_clock_around_every_change_of_offset(zone: str) -> None:
    wall_clock = QuietHours(read_catalogue(catalogue(policy=CLOSED)))
    holidays = np.array(HOLIDAYS, "datetime64[D]").astype(np.int64)
    froms, untils = quiet_intervals(quiet_windows(), holidays, zone, HORIZON)
    for change in clock_changes(zone, FIRST, 366 * YEARS):
        for quarter in range(-24, 25):
            at_us = change + quarter * 15 * MINUTE_US
            for instant_us in (at_us - 1, at_us):
                index = int(np.searchsorted(froms, instant_us, "right")) - 1
                found = index >= 0 and instant_us < untils[index]
                assert found == wall_clock.quiet_in_zone("message", instant_us, zone), (zone, instant_us)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> EngineDriver:
    """One push channel, one subscriber in each zone."""
    country = {"name": "Everywhere", "zones": list(ZONES), "home_zone": "America/Chicago"}
    plain = catalogue(
        policy=CLOSED,
        country=country,
        channels=[SMS | {"defer_quiet_hours": True, "queue_deadline": "90m"}],
        campaigns=[campaign("k", ["a"], channels=["sms"])],
        **WRITTEN,
    )
    for offered in plain["offers"]:
        offered["content"] = {"sms": {"en": "Hello"}}
    start_us = instant_of(datetime(2026, 1, 2, tzinfo=UTC))
    rows = [Row(zone, zone, "en", start_us // 10**6 * 10**6) for zone in ZONES]
    return EngineDriver(World(0, Shape("dst", 0, 3, 3, 1, start_us), plain, rows), tmp_path_factory.mktemp("dst"))


def test_nothing_is_sent_in_quiet_hours_at_any_change_of_offset(driver: EngineDriver) -> None:
    """Each window that an answer names, [not before, deadline), is free of quiet minutes on the wall clock; no answer is quiet for nothing."""
    wall_clock = QuietHours(read_catalogue(catalogue(policy=CLOSED)))
    moments = [
        (change + hour * HOUR_US // 2 + late, zone)
        for zone in ZONES
        for change in clock_changes(zone, datetime(2026, 1, 2, tzinfo=UTC), 500)
        for hour in range(-6, 7)
        for late in (-1, 0)
    ]
    moments.sort()
    requests = [
        Request(f"{n}", hash_of(zone), "open", "sms", at_us, dry_run=True) for n, (at_us, zone) in enumerate(moments)
    ]
    offered = 0
    for (at_us, zone), answer in zip(moments, driver.play(Decide(tuple(requests))), strict=True):
        if answer.reason == "QUIET_HOURS":
            assert wall_clock.quiet_in_zone("message", at_us, zone)
            continue
        offered += 1
        assert at_us <= answer.not_before_us < answer.deadline_us <= at_us + 90 * MINUTE_US
        first, last = answer.not_before_us // MINUTE_US, (answer.deadline_us - 1) // MINUTE_US
        assert not any(wall_clock.quiet_in_zone("message", m * MINUTE_US, zone) for m in range(first, last + 1)), (
            zone,
            at_us,
        )
    assert offered > len(moments) // 3
