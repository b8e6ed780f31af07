"""The protobuf wire format, as far as a serialized `cel.expr.CheckedExpr` needs it: fields as (number, value), maps as dicts."""

import struct
from collections.abc import Iterator

Field = tuple[int, int | bytes]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def fields(data: bytes) -> Iterator[Field]:
    """Yield the fields of a message in order: a varint or fixed value as an unsigned int, anything with a length as bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield number, value
        elif kind == 2:
            length, at = _varint(data, at)
            yield number, data[at : at + length]
            at += length
        else:
            assert kind in (1, 5), "groups do not occur"
            width = 8 if kind == 1 else 4
            yield number, int.from_bytes(data[at : at + width], "little")
            at += width


def message(data: bytes) -> dict[int, int | bytes]:
    """Return a message's fields by number; of a repeated field, the last."""
    return dict(fields(data))


def text(value: int | bytes | None) -> str:
    """Return a string field's value; "" when it was absent."""
    return bytes_of(value).decode()


def bytes_of(value: int | bytes | None) -> bytes:
    """Return a length-delimited field's value; b"" when it was absent."""
    assert not isinstance(value, int)
    return value or b""


def integer(value: int | bytes | None) -> int:
    """Return a varint field's value as int64; 0 when it was absent."""
    assert not isinstance(value, bytes)
    value = value or 0
    return value - (1 << 64) if value >= 1 << 63 else value


def double(value: int | bytes | None) -> float:
    """Return a fixed64 field's value as a float; 0.0 when it was absent."""
    assert not isinstance(value, bytes)
    number: float = struct.unpack("<d", (value or 0).to_bytes(8, "little"))[0]
    return number


def by_id(data: bytes, number: int) -> dict[int, int | bytes]:
    """Return map field `number` (int64 keys) of a message as a dict."""
    found: dict[int, int | bytes] = {}
    for at, value in fields(data):
        if at == number:
            entry = message(bytes_of(value))
            found[integer(entry.get(1))] = entry.get(2, 0)
    return found
