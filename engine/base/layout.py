"""The layout of a packed row, a function of the schema and of how many strings, zones and languages there are; engine/dtypes/base.py draws it."""

from typing import Final

import msgspec

from engine.base.schema import AttributeSpec, BaseSchema
from engine.catalogue.model import INT64_MAX, INT64_MIN
from engine.catalogue.terms import ValueType
from engine.dtypes.base import FLOAT32, FLOAT64, MICROS, PLAIN

STRINGS_MAX: Final = 1 << 20
"""Distinct values of one string attribute: beyond that it is no dictionary but free text, which conditions cannot use."""

_INTEGER_TYPES: Final = (ValueType.BOOL, ValueType.INT, ValueType.DECIMAL)


class Field(msgspec.Struct, frozen=True):
    """Where a value lies: byte `offset` in the row, `width` bytes (0: nowhere), presence bit (-1: none); stored = value - `bias`."""

    offset: int
    width: int
    kind: int = PLAIN
    bias: int = 0
    bit: int = -1
    limit: int = 0


class Counts(msgspec.Struct, frozen=True):
    """What the layout needs beside the schema."""

    strings: tuple[int, ...]
    """Dictionary size of each attribute; 0 for those that are not strings."""
    zones: int
    languages: int
    has_as_of: bool


class Layout(msgspec.Struct, frozen=True):
    """Byte offsets in a row of `stride` bytes; `as_of` is -1 when all rows are as of the snapshot."""

    stride: int
    words: int
    attributes: tuple[Field, ...]
    zone: Field
    language: Field
    as_of: int
    presence: int
    granted: int
    refused: int
    pair_bytes: int


def unsigned_width(largest: int) -> int:
    """Return how many bytes (1, 2, 4 or 8) hold integers from 0 to `largest`."""
    return next(width for width in (1, 2, 4, 8) if largest < 1 << (8 * width))


def _plan(attribute: AttributeSpec, bit: int, strings: int) -> Field:
    """Return the field of an attribute with offset 0: the narrowest that loses nothing of what the declaration allows."""
    if attribute.type == ValueType.DOUBLE:
        return Field(0, 4 if attribute.float32 else 8, FLOAT32 if attribute.float32 else FLOAT64, bit=bit)
    if attribute.type in (ValueType.TIMESTAMP, ValueType.DURATION):
        return Field(0, 8, MICROS, bit=bit)
    if attribute.type == ValueType.STRING:
        return Field(0, unsigned_width(max(strings - 1, 0)), bit=bit, limit=strings or 1)
    low, high = (0, 1) if attribute.type == ValueType.BOOL else (attribute.min, attribute.max)
    assert attribute.type in _INTEGER_TYPES
    assert INT64_MIN <= low <= high <= INT64_MAX, attribute
    width = unsigned_width(high - low)
    if width == 8:
        return Field(0, 8, bit=bit)
    return Field(0, width, bias=low, bit=bit, limit=high - low + 1)


def layout_of(schema: BaseSchema, counts: Counts) -> Layout:
    """Return the layout: label words, fields widest first (so that each is aligned to its width), then bytes; padded to a multiple of 8."""
    words = (len(schema.labels) + 63) // 64
    planned = [
        _plan(a, bit, strings) for bit, (a, strings) in enumerate(zip(schema.attributes, counts.strings, strict=True))
    ]
    planned += [Field(0, unsigned_width(n) if n else 0, limit=n) for n in (counts.zones, counts.languages)]
    offset = 8 * words
    placed = list(planned)
    for width in (8, 4, 2, 1):
        if width == 4:
            as_of = offset if counts.has_as_of else -1
            offset += 4 if counts.has_as_of else 0
        for index, field in enumerate(planned):
            if field.width == width:
                placed[index] = msgspec.structs.replace(field, offset=offset)
                offset += width
    presence_bytes = (len(schema.attributes) + 7) // 8
    pair_bytes = (len(schema.pairs) + 7) // 8
    granted = offset + presence_bytes
    end = granted + 2 * pair_bytes
    return Layout(
        stride=max(8, (end + 7) // 8 * 8),
        words=words,
        attributes=tuple(placed[:-2]),
        zone=placed[-2],
        language=placed[-1],
        as_of=as_of,
        presence=offset,
        granted=granted,
        refused=granted + pair_bytes,
        pair_bytes=pair_bytes,
    )


def value_limits(attribute: AttributeSpec) -> tuple[int, int]:
    """Return the smallest and largest encoded value that the attribute may have."""
    if attribute.type == ValueType.BOOL:
        return 0, 1
    return (attribute.min, attribute.max) if attribute.type in _INTEGER_TYPES else (INT64_MIN, INT64_MAX)
