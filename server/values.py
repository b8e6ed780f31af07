"""touchpoint.v1.Value to and from what views hold: int64 and nanoseconds, exact or refused with the field's name."""

import math
import struct
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from touchpoint.v1 import value_pb2

from engine.catalogue.terms import ValueType
from engine.limits import MICROSECONDS_PER_SECOND, STRING_FIELD_BYTES_MAX
from server.codec.bounds import DURATION_MAX_S, NANOS_MAX, TIMESTAMP_MAX_S, TIMESTAMP_MIN_S
from server.failure import invalid

_KINDS: Final[dict[ValueType, tuple[str, ...]]] = {
    ValueType.BOOL: ("bool_value",),
    ValueType.INT: ("int_value",),
    ValueType.DECIMAL: ("double_value", "int_value", "string_value"),
    ValueType.DOUBLE: ("double_value", "int_value"),
    ValueType.STRING: ("string_value",),
    ValueType.TIMESTAMP: ("timestamp_value",),
    ValueType.DURATION: ("duration_value",),
}


def kind_of(value: Any, type_: ValueType, path: str) -> str:
    """Return which kind the Value has; raises RefusedError when `type_` does not take it."""
    kind = value.WhichOneof("kind") or "nothing"
    if kind not in _KINDS[type_]:
        raise invalid(path, f"expected {' or '.join(_KINDS[type_])}, because it is declared as {type_}; was {kind}")
    return str(kind)


def slot_value(value: Any, type_: ValueType, path: str, code_of: Callable[[str], int]) -> tuple[int, int]:
    """Return (value, nanos) of a trigger field's Value as views hold it; `code_of` numbers strings. Raises RefusedError naming `path`."""
    kind = kind_of(value, type_, path)
    if type_ is ValueType.BOOL:
        return int(value.bool_value), 0
    if type_ is ValueType.INT:
        return value.int_value, 0
    if type_ is ValueType.DOUBLE:
        return double_bits(float(getattr(value, kind)), path), 0
    if type_ is ValueType.STRING:
        return code_of(checked_text(value.string_value, path)), 0
    if type_ is ValueType.TIMESTAMP:
        return checked_instant(value.timestamp_value, path)
    assert type_ is ValueType.DURATION, "trigger fields are never decimals"
    return checked_duration(value.duration_value, path)


def double_bits(number: float, path: str) -> int:
    """Return the bits of a finite float64 as an int64; raises RefusedError."""
    if not math.isfinite(number):
        raise invalid(path, f"expected a finite number, was {number}")
    bits: int = struct.unpack("<q", struct.pack("<d", number))[0]
    return bits


def checked_text(text: str, path: str, bytes_max: int = STRING_FIELD_BYTES_MAX) -> str:
    """Return the text; raises RefusedError when it is longer than `bytes_max` in UTF-8."""
    if len(text) * 4 > bytes_max and len(text.encode()) > bytes_max:
        raise invalid(path, f"expected at most {bytes_max:,} bytes, were {len(text.encode()):,}")
    return text


def checked_instant(instant: Timestamp, path: str) -> tuple[int, int]:
    """Return (seconds, nanos) of a Timestamp; raises RefusedError outside the years 1 to 9999."""
    if not (TIMESTAMP_MIN_S <= instant.seconds <= TIMESTAMP_MAX_S and 0 <= instant.nanos <= NANOS_MAX):
        raise invalid(path, "expected an instant in the years 1 to 9999 with nanos from 0 to 999,999,999")
    return instant.seconds, instant.nanos


def checked_duration(duration: Duration, path: str) -> tuple[int, int]:
    """Return (seconds floored, nanos from 0) of a Duration; raises RefusedError for one that is malformed or over 10,000 years."""
    seconds, nanos = duration.seconds, duration.nanos
    signs_agree = seconds == 0 or nanos == 0 or (seconds > 0) == (nanos > 0)
    if abs(seconds) > DURATION_MAX_S or abs(nanos) > NANOS_MAX or not signs_agree:
        raise invalid(path, "expected at most 10,000 years, with nanos of the same sign up to 999,999,999")
    return (seconds - 1, nanos + 1_000_000_000) if nanos < 0 else (seconds, nanos)


def instant_us(instant: Timestamp, path: str) -> int:
    """Return a Timestamp in microseconds, rounded down; raises RefusedError."""
    seconds, nanos = checked_instant(instant, path)
    return seconds * MICROSECONDS_PER_SECOND + nanos // 1_000


def timestamp(us: int) -> Timestamp:
    """Return microseconds as a Timestamp."""
    seconds, rest = divmod(us, MICROSECONDS_PER_SECOND)
    return Timestamp(seconds=seconds, nanos=rest * 1_000)


def attribute_value(value: Any, type_: ValueType, path: str) -> bool | int | float | Decimal | str:
    """Return an attribute's new value as engine.base.values has it; raises RefusedError for another kind."""
    kind = kind_of(value, type_, path)
    if type_ is ValueType.DECIMAL:
        return _decimal(value, kind, path)
    if type_ is ValueType.DOUBLE:
        double_bits(float(getattr(value, kind)), path)
        return float(getattr(value, kind))
    if type_ is ValueType.TIMESTAMP:
        return instant_us(value.timestamp_value, path)
    if type_ is ValueType.DURATION:
        seconds, nanos = checked_duration(value.duration_value, path)
        return seconds * MICROSECONDS_PER_SECOND + nanos // 1_000
    plain: bool | int | str = getattr(value, kind)
    return plain


def _decimal(value: Any, kind: str, path: str) -> Decimal:
    if kind == "double_value":
        double_bits(value.double_value, path)
        return Decimal(repr(value.double_value))
    try:
        return (
            Decimal(checked_text(value.string_value, path, 64)) if kind == "string_value" else Decimal(value.int_value)
        )
    except InvalidOperation:
        raise invalid(path, f"expected a decimal number such as 9.90, was {value.string_value!r}") from None


def message_value(value: bool | int | float | Decimal | str, type_: ValueType) -> value_pb2.Value:
    """Return an attribute's value (engine.base.values) as a Value."""
    if type_ is ValueType.BOOL:
        return value_pb2.Value(bool_value=bool(value))
    if type_ is ValueType.INT:
        return value_pb2.Value(int_value=int(value))
    if type_ is ValueType.STRING:
        return value_pb2.Value(string_value=str(value))
    if type_ is ValueType.TIMESTAMP:
        return value_pb2.Value(timestamp_value=timestamp(int(value)))
    if type_ is ValueType.DURATION:
        us = int(value)
        sign = -1 if us < 0 else 1
        seconds, rest = divmod(abs(us), MICROSECONDS_PER_SECOND)
        return value_pb2.Value(duration_value=Duration(seconds=sign * seconds, nanos=sign * rest * 1_000))
    return value_pb2.Value(double_value=float(value))
