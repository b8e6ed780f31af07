"""Local wall clocks and calendars, asked of zoneinfo one instant at a time, with the pinned tzdata and not the host's."""

from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from tests.oracle.numbers import SECOND_US

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@cache
def zone_info(zone: str) -> ZoneInfo:
    """The zone of an IANA name."""
    with files("tzdata").joinpath("zoneinfo", *zone.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, zone)


def utc(instant_us: int) -> datetime:
    """The instant as an aware date-time."""
    return EPOCH + timedelta(microseconds=instant_us)


def instant_of(moment: datetime) -> int:
    """The microseconds since 1970 of an aware date-time."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def wall_clock(instant_us: int, zone: str) -> datetime:
    """What the clock on the wall of the zone shows: a naive date-time."""
    return utc(instant_us).astimezone(zone_info(zone)).replace(tzinfo=None)


def local_day(instant_us: int, zone: str) -> int:
    """Days since 1970-01-01 of the local date."""
    return (wall_clock(instant_us, zone).date() - date(1970, 1, 1)).days


@lru_cache(maxsize=100_000)
def midnight(day: date, zone: str) -> int:
    """The first instant of the local date: its midnight (the first, of two), or, when the clock skips midnight, the end of the skip."""
    wall = datetime(day.year, day.month, day.day)
    found = instant_of(wall.replace(tzinfo=zone_info(zone), fold=0))
    if wall_clock(found, zone) == wall:
        return found
    before, after = (found // SECOND_US) - 2 * 86_400, (found // SECOND_US) + 2 * 86_400
    while after - before > 1:
        middle = (before + after) // 2
        before, after = (before, middle) if wall_clock(middle * SECOND_US, zone) >= wall else (middle, after)
    return after * SECOND_US


def first_date(window: str, week_start: str, today: date) -> date:
    """The date on which the calendar day, week or month of `today` starts."""
    if window == "week":
        return today - timedelta(days=(today.weekday() - WEEKDAYS.index(week_start)) % 7)
    return today.replace(day=1) if window == "month" else today


def next_first_date(window: str, start: date) -> date:
    """The start of the calendar window after the one that starts at `start`."""
    if window == "month":
        return (start.replace(day=28) + timedelta(days=4)).replace(day=1)
    return start + timedelta(days=7 if window == "week" else 1)


def window_start(window: str, week_start: str, instant_us: int, zone: str) -> int:
    """The first instant of the calendar window that contains the instant."""
    return midnight(first_date(window, week_start, wall_clock(instant_us, zone).date()), zone)


def window_end(window: str, week_start: str, instant_us: int, zone: str) -> int:
    """The end, exclusive, of the calendar window that contains the instant."""
    start = first_date(window, week_start, wall_clock(instant_us, zone).date())
    return midnight(next_first_date(window, start), zone)
