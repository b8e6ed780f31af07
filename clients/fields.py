"""Trigger fields as a person types them: `used_mb=950.5`, `app=video`, `stayed:duration=2h`."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from touchpoint.v1.value_pb2 import Value

TYPES: Final = ("bool", "int", "double", "string", "timestamp", "duration")
_UNITS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION: Final = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def parse_field(text: str) -> tuple[str, Value]:
    """Return name and value of `name=value` or `name:type=value`; raises ValueError saying what was expected.

    Without a type it is read as the first that fits of bool, int, double, string.
    """
    name, equals, value = text.partition("=")
    name, _, kind = name.partition(":")
    if not equals or not name:
        raise ValueError(f"expected name=value or name:type=value, was {text!r}")
    if kind and kind not in TYPES:
        raise ValueError(f"{name}: expected one of the types {', '.join(TYPES)}, was {kind!r}")
    try:
        return name, _typed(kind or _guess(value), value)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{name}: expected a {kind or 'value'}, was {value!r} ({error})") from None


def _guess(value: str) -> str:
    if value in ("true", "false"):
        return "bool"
    if re.fullmatch(r"[+-]?\d{1,18}", value):
        return "int"
    if re.fullmatch(r"[+-]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d{1,3})?", value):
        return "double"
    return "string"


def _typed(kind: str, value: str) -> Value:
    if kind == "bool":
        if value not in ("true", "false"):
            raise ValueError("true or false")
        return Value(bool_value=value == "true")
    if kind == "int":
        return Value(int_value=int(value))
    if kind == "double":
        return Value(double_value=float(value))
    if kind == "timestamp":
        return Value(timestamp_value=timestamp(parse_instant(value)))
    if kind == "duration":
        return Value(duration_value=_duration(parse_duration(value)))
    return Value(string_value=value)


def parse_instant(text: str) -> datetime:
    """Return the instant of an RFC 3339 text; raises ValueError when it has no zone, or lies beyond the years that there are."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("an instant needs its zone, such as 2026-11-21T22:30:00-06:00")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("beyond the years 1 to 9999") from None


def parse_duration(text: str) -> timedelta:
    """Return the duration of a text such as 90s, 2h or 1h30m; raises ValueError for anything else."""
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise ValueError("a duration such as 90s, 2h or 1h30m")
    return timedelta(
        seconds=sum(int(number or 0) * _UNITS[unit] for number, unit in zip(match.groups(), "dhms", strict=True))
    )


def timestamp(moment: datetime) -> Timestamp:
    """Return an aware datetime as a protobuf timestamp."""
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def _duration(length: timedelta) -> Duration:
    message = Duration()
    message.FromTimedelta(length)
    return message
