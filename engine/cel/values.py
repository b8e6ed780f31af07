"""Values of `touchpoint eval` rows: from JSON into a view's slots, and results back into JSON.

| type | JSON in | JSON out |
|---|---|---|
| bool | true, false | the same |
| int | a number without fraction, or a decimal string | a number up to 2**53 - 1 in size, else a decimal string |
| double | a number, or "NaN", "Infinity", "-Infinity" | the same |
| string | a string | a string |
| timestamp | an RFC 3339 string | RFC 3339 with Z, as many digits of the fraction as needed |
| duration | a CEL duration such as "1h30m" or "-1.5s" | seconds with s: "5400s", "-1.5s" |
"""

import math
from datetime import datetime, timedelta
from typing import Final

from engine.cel.literals import parse_double, parse_duration, parse_int, parse_timestamp
from engine.cel.schema import SlotType
from engine.kernels.cel_number import bits_of_double, double_of_bits

SAFE_INT: Final = (1 << 53) - 1
_SECOND_NS: Final = 1_000_000_000
Json = bool | int | float | str


def slot_value(kind: SlotType, value: object) -> tuple[int, int]:
    """Return (value, nanos) as a view holds them (strings: 0, their only code); raises ValueError for another JSON type or range."""
    match kind, value:
        case SlotType.BOOL, bool():
            return int(value), 0
        case SlotType.INT, int() | str() if not isinstance(value, bool):
            return parse_int(str(value)), 0
        case SlotType.DOUBLE, int() | float() | str() if not isinstance(value, bool):
            return bits_of_double(parse_double(value) if isinstance(value, str) else float(value)), 0
        case SlotType.STRING, str():
            value.encode()
            return 0, 0
        case SlotType.TIMESTAMP, str():
            return parse_timestamp(value)
        case SlotType.DURATION, str():
            seconds, nanos = divmod(parse_duration(value), _SECOND_NS)
            return seconds, nanos
    raise ValueError(f"{type(value).__name__} in JSON")


def _fraction(nanos: int) -> str:
    return f".{nanos:09d}".rstrip("0") if nanos else ""


def timestamp_text(seconds: int, nanos: int) -> str:
    """Return RFC 3339 in UTC."""
    moment = datetime(1970, 1, 1) + timedelta(seconds=seconds)
    return f"{moment.isoformat()}{_fraction(nanos)}Z"


def duration_text(span_ns: int) -> str:
    """Return seconds with up to nine digits of fraction and `s`."""
    seconds, nanos = divmod(abs(span_ns), _SECOND_NS)
    return f"{'-' if span_ns < 0 else ''}{seconds}{_fraction(nanos)}s"


def result_value(kind: str, value: int, nanos: int, texts: list[str]) -> Json:
    """Return the JSON form of a program's result cell of CEL type `kind`."""
    match kind:
        case "bool":
            return bool(value)
        case "int":
            return value if abs(value) <= SAFE_INT else str(value)
        case "double":
            number = double_of_bits(value)
            if math.isfinite(number):
                return number
            return "NaN" if math.isnan(number) else ("Infinity" if number > 0 else "-Infinity")
        case "string":
            return texts[value]
        case "duration":
            return duration_text(value)
        case _:
            assert kind == "timestamp"
            return timestamp_text(value, nanos)
