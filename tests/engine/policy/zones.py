"""Forty zones of every habit, and what their wall clocks show, asked of zoneinfo one instant at a time."""

from datetime import UTC, datetime, timedelta
from typing import Final

from engine.policy.wall_clock import Horizon
from engine.zones import offsets
from tests.oracle.clock import instant_of

FORTY: Final = (
    *("Africa/Cairo", "Africa/Casablanca", "Africa/El_Aaiun", "Africa/Lagos", "America/Anchorage", "America/Asuncion"),
    *("America/Chicago", "America/Denver", "America/Halifax", "America/Havana", "America/Lima", "America/Los_Angeles"),
    *("America/Mexico_City", "America/New_York", "America/Nuuk", "America/Phoenix", "America/Santiago"),
    *("America/Sao_Paulo", "America/Scoresbysund", "America/St_Johns", "Antarctica/Troll", "Asia/Beirut"),
    *("Asia/Gaza", "Asia/Jerusalem", "Asia/Kathmandu", "Asia/Kolkata", "Asia/Tehran", "Asia/Tokyo"),
    *("Atlantic/Azores", "Australia/Adelaide", "Australia/Lord_Howe", "Australia/Sydney", "Europe/Berlin"),
    *("Europe/Chisinau", "Europe/Dublin", "Europe/Lisbon", "Europe/London", "Pacific/Auckland", "Pacific/Chatham"),
    "Pacific/Easter",
)
DAY_US: Final = 86_400_000_000
HOUR_US: Final = 3_600_000_000
MINUTE_US: Final = 60_000_000
START_US: Final = instant_of(datetime(2026, 1, 1, tzinfo=UTC))
HORIZON: Final = Horizon(START_US, START_US + 400 * DAY_US)


def changes_us(zone: str) -> list[int]:
    """When the zone's offset changes within the horizon."""
    return [
        at for second in offsets(zone)[0].tolist() if HORIZON.start_us <= (at := second * 1_000_000) < HORIZON.end_us
    ]


def instants_to_ask(zone: str) -> list[int]:
    """Around each change of offset, every 7 minutes and at whole hours with their neighbours; and now and then through the year."""
    found = [START_US + day * 11 * DAY_US + day * 37 * MINUTE_US for day in range(36)]
    for change in changes_us(zone):
        found += [change + minutes * MINUTE_US for minutes in range(-300, 300, 7)]
        found += [change + hours * HOUR_US + nudge for hours in range(-26, 27) for nudge in (-1, 0, 1)]
    return [at for at in found if HORIZON.start_us <= at < HORIZON.end_us]


def local_us(wall: datetime) -> int:
    """A naive local date-time as microseconds since local 1970-01-01."""
    return (wall - datetime(1970, 1, 1)) // timedelta(microseconds=1)
