"""A table from a peer as arrays: columns by name, of the kinds that are expected, whatever Arrow types they came in."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import pyarrow as pa  # type: ignore[import-untyped]  # it ships none

from loaders.columns.stream import ColumnsError, read_batches
from loaders.columns.texts import Ground, TextColumn, is_text, joined, text_column
from loaders.columns.values import Kind, ValueColumn, below, kind_of, value_column

_TYPES: Final = {
    Kind.BOOL: "bool",
    Kind.INT: "int8 to int64 or uint8 to uint32",
    Kind.DOUBLE: "float16, float32 or float64",
    Kind.STRING: "utf8, large_utf8 or utf8_view, plain or as a dictionary",
    Kind.TIMESTAMP: "timestamp",
    Kind.DURATION: "duration",
}
_NAME_CHARS: Final = 80


class Wanted(NamedTuple):
    """What a table may have."""

    columns: Mapping[str, Kind]
    needed: tuple[str, ...]
    """Of those, the ones that it must have."""
    prefix: str
    """Columns of any kind are taken whose name starts so."""
    prefixed_max: int


class Table(NamedTuple):
    """n rows; columns that are nothing but nulls by their type are left out."""

    rows: int
    text: bytes
    """What the spans of texts lie in."""
    texts: dict[str, TextColumn]
    values: dict[str, ValueColumn]


def read_table(data: bytes, rows_max: int, wanted: Wanted) -> Table:
    """Return the table of an Arrow IPC stream; raises ColumnsError."""
    batches = read_batches(data, rows_max, lambda schema: _check(schema, wanted))
    ground = Ground(data)
    texts: dict[str, TextColumn] = {}
    values: dict[str, ValueColumn] = {}
    for number, field in enumerate(batches[0].schema):
        columns = [batch.column(number) for batch in batches]
        if is_text(field.type):
            texts[field.name] = joined([text_column(column, ground) for column in columns])
        elif not pa.types.is_null(field.type):
            values[field.name] = below([value_column(column) for column in columns])
    return Table(sum(batch.num_rows for batch in batches), ground.text, texts, values)


def _check(schema: pa.Schema, wanted: Wanted) -> None:
    """Raise ColumnsError unless the schema is one that is wanted."""
    seen: set[str] = set()
    for field in schema:
        if field.name in seen:
            raise ColumnsError(field.name, "expected one column of this name, were several")
        seen.add(field.name)
        _check_field(field, wanted)
    for name in wanted.needed:
        if name not in seen:
            raise ColumnsError(name, f"expected a column of {_TYPES[wanted.columns[name]]}, was not there")
    prefixed = sum(name.startswith(wanted.prefix) for name in seen)
    if prefixed > wanted.prefixed_max:
        raise ColumnsError("", f"expected at most {wanted.prefixed_max} columns {wanted.prefix}..., were {prefixed:,}")


def _check_field(field: pa.Field, wanted: Wanted) -> None:
    name = field.name[:_NAME_CHARS]
    found = Kind.STRING if is_text(field.type) else kind_of(field.type)
    if field.name.startswith(wanted.prefix):
        expected = "; or ".join(_TYPES.values())
    elif field.name in wanted.columns:
        kind = wanted.columns[field.name]
        if found is kind:
            return
        expected, found = _TYPES[kind], None
    else:
        known = ", ".join(wanted.columns)
        raise ColumnsError(name, f"expected one of the columns {known}, {wanted.prefix}<name>, was none of them")
    if found is None and not pa.types.is_null(field.type):
        raise ColumnsError(name, f"expected {expected}, was {str(field.type)[:_NAME_CHARS]}")
