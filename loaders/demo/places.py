"""Fifty area codes with their cities and zones: where the demo's customers are said to live.

In each area code the numbers 555-0100 to 555-0199 are set aside for fiction by the North American Numbering Plan, which makes 5,000 numbers
that nobody has.
"""

from typing import Final, NamedTuple


class Place(NamedTuple):
    """One area code."""

    area_code: str
    city: str
    zone: str


NUMBERS_PER_AREA_CODE: Final = 100

_CITIES: Final = {
    "America/New_York": "201 Jersey City, 202 Washington, 212 New York, 215 Philadelphia, 216 Cleveland, 305 Miami, 313 Detroit, 317 Indianapolis, "
    "404 Atlanta, 407 Orlando, 410 Baltimore, 412 Pittsburgh, 502 Louisville, 614 Columbus, 617 Boston, 704 Charlotte, 813 Tampa",
    "America/Chicago": "205 Birmingham, 210 San Antonio, 214 Dallas, 312 Chicago, 314 St. Louis, 316 Wichita, 402 Omaha, 405 Oklahoma City, "
    "414 Milwaukee, 504 New Orleans, 512 Austin, 515 Des Moines, 612 Minneapolis, 615 Nashville, 713 Houston, 816 Kansas City, 901 Memphis",
    "America/Denver": "303 Denver, 406 Billings, 505 Albuquerque, 719 Colorado Springs, 801 Salt Lake City, 915 El Paso",
    "America/Phoenix": "520 Tucson, 602 Phoenix",
    "America/Los_Angeles": "206 Seattle, 213 Los Angeles, 408 San Jose, 415 San Francisco, 503 Portland, 619 San Diego, 702 Las Vegas, 916 Sacramento",
}

PLACES: Final = tuple(
    Place(entry[:3], entry[4:], zone) for zone, entries in _CITIES.items() for entry in entries.split(", ")
)

assert len({place.area_code for place in PLACES}) == len(PLACES) == 50


def place_of(row: int) -> Place:
    """Return where customer number `row` (from 0) lives: neighbours in the file live apart."""
    return PLACES[row % len(PLACES)]


def msisdn_of(row: int) -> str:
    """Return the number assigned to customer number `row` (from 0), in E.164; raises ValueError past the 5,000th."""
    index = row // len(PLACES)
    if row < 0 or index >= NUMBERS_PER_AREA_CODE:
        raise ValueError(
            f"customer {row}: expected 0 to {len(PLACES) * NUMBERS_PER_AREA_CODE - 1}, for which there are fictional numbers"
        )
    return f"+1{place_of(row).area_code}55501{index:02d}"
