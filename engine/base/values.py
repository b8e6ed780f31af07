"""Attribute values between Python and the int64 that views hold: exact both ways, or refused."""

import math
import struct
from decimal import Decimal
from typing import Any, TypeAlias

from engine.base.layout import value_limits
from engine.base.schema import AttributeSpec
from engine.catalogue.model import INT64_MAX, INT64_MIN
from engine.catalogue.terms import ValueType
from engine.limits import STRING_FIELD_BYTES_MAX

Value: TypeAlias = bool | int | float | Decimal | str
"""Of an attribute, by type: bool; int; Decimal (or int); float; str; timestamp and duration as int microseconds."""


def encode_value(attribute: AttributeSpec, value: Value) -> int:
    """Return the encoded integer of a value that is no string: scaled for decimals, the bits for doubles, else the integer; raises ValueError."""
    kind = attribute.type
    if kind == ValueType.DOUBLE:
        return _double_bits(attribute, value)
    if kind == ValueType.DECIMAL:
        number: Any = _scaled(attribute, value)
    elif kind == ValueType.BOOL:
        number = int(value) if isinstance(value, bool) else None
    else:
        number = value if isinstance(value, int) and not isinstance(value, bool) else None
    low, high = value_limits(attribute)
    if number is None or not low <= number <= high:
        raise ValueError(f"attribute {attribute.id}: expected {expected(attribute)}, was {_shown(value)}")
    return int(number)


def check_text(attribute: AttributeSpec, value: Value) -> str:
    """Return the value of a string attribute; raises ValueError."""
    if not isinstance(value, str) or len(value.encode()) > STRING_FIELD_BYTES_MAX:
        raise ValueError(f"attribute {attribute.id}: expected {expected(attribute)}, was {_shown(value)}")
    return value


def decode_value(attribute: AttributeSpec, value: int, nanos: int) -> Value:
    """Return the Python value of a view's slot that holds no string."""
    kind = attribute.type
    if kind == ValueType.BOOL:
        return bool(value)
    if kind == ValueType.DECIMAL:
        return Decimal(value).scaleb(-attribute.scale)
    if kind == ValueType.DOUBLE:
        return float(struct.unpack("<d", struct.pack("<q", value))[0])
    if kind in (ValueType.TIMESTAMP, ValueType.DURATION):
        return value * 1_000_000 + nanos // 1000
    assert kind == ValueType.INT
    return value


def expected(attribute: AttributeSpec) -> str:
    """Return in words what the attribute takes."""
    low, high = value_limits(attribute)
    bounded = (low, high) != (INT64_MIN, INT64_MAX)
    if attribute.type == ValueType.INT:
        return f"an integer from {low} to {high}" if bounded else "a 64-bit integer"
    if attribute.type == ValueType.DECIMAL:
        least, most = (Decimal(x).scaleb(-attribute.scale) for x in (low, high))
        return f"a number with at most {attribute.scale} decimals" + (f" from {least} to {most}" if bounded else "")
    return {
        ValueType.BOOL: "a bool",
        ValueType.DOUBLE: "a finite number" + (" that 32 bits can hold" if attribute.float32 else ""),
        ValueType.STRING: f"a text of at most {STRING_FIELD_BYTES_MAX} bytes in UTF-8",
        ValueType.TIMESTAMP: "an instant in microseconds",
        ValueType.DURATION: "a duration in microseconds",
    }[attribute.type]


def _scaled(attribute: AttributeSpec, value: Value) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not Decimal(value).is_finite():
        return None
    sign, digits, exponent = Decimal(value).as_tuple()
    assert isinstance(exponent, int)
    shift = exponent + attribute.scale
    if shift > 19 or len(digits) > 60:
        return None
    number = int("".join(map(str, digits)))
    number, rest = (number * 10**shift, 0) if shift >= 0 else divmod(number, 10 ** min(-shift, 60))
    return None if rest else -number if sign else number


def _double_bits(attribute: AttributeSpec, value: Value) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"attribute {attribute.id}: expected {expected(attribute)}, was {_shown(value)}")
    number = float(value)
    if attribute.float32:
        try:
            number = struct.unpack("<f", struct.pack("<f", number))[0]
        except OverflowError:
            raise ValueError(f"attribute {attribute.id}: expected {expected(attribute)}, was {value!r:.40}") from None
    return int(struct.unpack("<q", struct.pack("<d", number))[0])


def _shown(value: Value) -> str:
    """Return a wrong value as a person wrote it, cut short; texts in quotes."""
    return f"{value!r:.40}" if isinstance(value, str) else f"{value!s:.40}"
