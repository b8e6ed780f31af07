"""Text forms of values: RFC 3339 timestamps, CEL durations and numbers, exact to the nanosecond (further digits are cut off).

Where Google's C++ runtime is more lenient than the specification (`2024-1-1T0:0:0Z`, `+0200`, blanks around a timestamp, durations beyond
64-bit nanoseconds), the specification is followed.
"""

import re
import struct
from datetime import date
from typing import Final

from engine.dtypes.operation import FIRST_SECOND, LAST_SECOND, Failure

_TIMESTAMP = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)
_DURATION = re.compile(r"([+-]?)((?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:h|ms|m|s|us|ns))+)")
_DURATION_PART = re.compile(r"([0-9]*)\.?([0-9]*)(h|ms|m|s|us|ns)")
_UNIT_NS: Final = {
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "ns": 1,
}
_INT = re.compile(r"[+-]?[0-9]+")
_DOUBLE = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(inf|infinity|nan)", re.IGNORECASE)
_BLANKS: Final = " \t\n\v\f\r"
_BOOLS: Final = {
    **dict.fromkeys(("true", "True", "TRUE", "t", "1"), True),
    **dict.fromkeys(("false", "False", "FALSE", "f", "0"), False),
}

SPAN_MAX: Final = (1 << 63) - 1
SPAN_MIN: Final = -(1 << 63)


class ConversionError(ValueError):
    """A text that is no value of the type asked for; `failure` says which kind of error CEL has for it."""

    def __init__(self, failure: Failure, text: str) -> None:
        super().__init__(f"{failure.name}: {text!r}")
        self.failure = failure


def double_bits(value: float) -> int:
    """Return the bits of a float64 as an int64."""
    bits: int = struct.unpack("<q", struct.pack("<d", value))[0]
    return bits


def parse_timestamp(text: str) -> tuple[int, int]:
    """Return (whole seconds since 1970-01-01 UTC, nanoseconds in [0, 1 s)) of an RFC 3339 text; a second of 60 is the next minute's first."""
    found = _TIMESTAMP.fullmatch(text)
    if not found:
        raise ConversionError(Failure.NOT_A_TIMESTAMP, text)
    year, month, day, hour, minute, second = (int(found[i]) for i in range(1, 7))
    east, north = int(found[9] or 0), int(found[10] or 0)
    if year == 0:
        raise ConversionError(Failure.TIMESTAMP_RANGE, text)
    if hour > 23 or minute > 59 or second > 60 or east > 23 or north > 59:
        raise ConversionError(Failure.NOT_A_TIMESTAMP, text)
    try:
        days = date(year, month, day).toordinal() - 719_163
    except ValueError:
        raise ConversionError(Failure.NOT_A_TIMESTAMP, text) from None
    offset = (east * 3600 + north * 60) * (-1 if found[8] == "-" else 1)
    seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset
    if not FIRST_SECOND <= seconds <= LAST_SECOND:
        raise ConversionError(Failure.TIMESTAMP_RANGE, text)
    return seconds, int((found[7] or "0")[:9].ljust(9, "0"))


def parse_duration(text: str) -> int:
    """Return the nanoseconds of a duration such as `1h30m`, `-1.5s`, `0`."""
    sign, body = (text[:1], text[1:]) if text[:1] in ("+", "-") else ("", text)
    if body == "0":
        return 0
    if not _DURATION.fullmatch(text):
        raise ConversionError(Failure.NOT_A_DURATION, text)
    total = 0
    for whole, fraction, unit in _DURATION_PART.findall(body):
        digits = fraction[:15]
        total += int((whole or "0")[-40:]) * _UNIT_NS[unit] + int(digits or "0") * _UNIT_NS[unit] // 10 ** len(digits)
        if len(whole.lstrip("0")) > 19:
            raise ConversionError(Failure.DURATION_RANGE, text)
    total = -total if sign == "-" else total
    if not SPAN_MIN <= total <= SPAN_MAX:
        raise ConversionError(Failure.DURATION_RANGE, text)
    return total


def parse_int(text: str) -> int:
    """Return the int64 that `text` spells in base 10."""
    body = text.strip(_BLANKS)
    value = int(body) if _INT.fullmatch(body) and len(body.lstrip("+-0")) <= 19 else 1 << 64
    if not -(1 << 63) <= value < 1 << 63:
        raise ConversionError(Failure.NOT_A_NUMBER, text)
    return value


def parse_double(text: str) -> float:
    """Return the double nearest to what `text` spells."""
    body = text.strip(_BLANKS)
    if not _DOUBLE.fullmatch(body):
        raise ConversionError(Failure.NOT_A_NUMBER, text)
    return float(body)


def parse_bool(text: str) -> bool:
    """Return the bool that `text` spells."""
    if text not in _BOOLS:
        raise ConversionError(Failure.NOT_A_BOOL, text)
    return _BOOLS[text]
