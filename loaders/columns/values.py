"""Columns of numbers, truth values, instants and durations as int64 and nanoseconds, whatever width or unit they came in."""

from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]  # it ships none

from loaders.columns.texts import nulls_of, numbers_of

_PER_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


class Kind(IntEnum):
    """What a column holds; the numbers are those of touchpoint.v1.Value's kinds."""

    BOOL = 1
    INT = 2
    DOUBLE = 3
    STRING = 4
    TIMESTAMP = 5
    DURATION = 6


class ValueColumn(NamedTuple):
    """n rows."""

    kind: Kind
    value: npt.NDArray[np.int64]
    """(n,): a bool or an int; a double's bits; an instant's seconds, rounded down; a duration's, rounded towards zero; 0 where there is none."""
    nanos: npt.NDArray[np.int32]
    """(n,): of an instant 0 or more, of a duration with its sign."""
    known: npt.NDArray[np.uint8]
    """(n,)"""


def kind_of(type_: pa.DataType) -> Kind | None:
    """Return what a column of this type holds if it is read here."""
    types = pa.types
    if types.is_boolean(type_):
        return Kind.BOOL
    if types.is_integer(type_) and not types.is_uint64(type_):
        return Kind.INT
    if types.is_floating(type_):
        return Kind.DOUBLE
    if types.is_timestamp(type_):
        return Kind.TIMESTAMP
    return Kind.DURATION if types.is_duration(type_) else None


def value_column(column: pa.Array) -> ValueColumn:
    """Return a validated column of a type that has a kind."""
    kind = kind_of(column.type)
    assert kind is not None
    value, nanos = _values(column, kind)
    null = nulls_of(column)
    known = np.ones(len(column), np.uint8)
    if null is not None:
        known[null] = 0
        value, nanos = np.where(null, 0, value), np.where(null, np.int32(0), nanos)
    return ValueColumn(kind, value, nanos, known)


def below(columns: list[ValueColumn]) -> ValueColumn:
    """Return the columns, of one kind, one below the other."""
    if len(columns) == 1:
        return columns[0]
    parts: list[Any] = [np.concatenate([column[place] for column in columns]) for place in (1, 2, 3)]
    return ValueColumn(columns[0].kind, *parts)


def _values(column: pa.Array, kind: Kind) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    none = np.zeros(len(column), np.int32)
    if kind is Kind.BOOL:
        buffer = column.buffers()[1]
        if buffer is None:
            return np.zeros(len(column), np.int64), none
        bits = np.unpackbits(np.frombuffer(buffer, np.uint8), bitorder="little")
        return bits[column.offset : column.offset + len(column)].astype(np.int64), none
    if kind is Kind.INT:
        return numbers_of(column, np.dtype(str(column.type))).astype(np.int64), none
    if kind is Kind.DOUBLE:
        width: Any = {16: np.float16, 32: np.float32, 64: np.float64}[column.type.bit_width]
        with np.errstate(invalid="ignore"):
            return numbers_of(column, width).astype(np.float64).view(np.int64), none
    count, unit = numbers_of(column, np.int64), _PER_SECOND[column.type.unit]
    seconds, rest = np.divmod(count, unit)
    if kind is Kind.DURATION:
        before = (seconds < 0) & (rest > 0)
        seconds, rest = seconds + before, rest - before * unit
    return seconds, (rest * (1_000_000_000 // unit)).astype(np.int32)
