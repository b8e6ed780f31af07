"""Text columns as spans of the bytes that they came in: nothing is copied but offsets.

A column is rows that name entries: of a dictionary its values; of plain text each row is an entry of its own.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]  # it ships none

_INLINE_BYTES: Final = 12
"""A view of so many bytes or fewer holds its text itself."""
_VIEW_BYTES: Final = 16


class TextColumn(NamedTuple):
    """n rows over m entries; entry i is bytes [at[i], at[i] + size[i]) of the text that the table lies in."""

    at: npt.NDArray[np.int64]
    """(m,)"""
    size: npt.NDArray[np.int32]
    """(m,)"""
    code: npt.NDArray[np.int32]
    """(n,): the row's entry; -1 where it is null."""


class Ground:
    """The bytes that spans lie in: those that came, and behind them copies of the few buffers that lie elsewhere."""

    def __init__(self, data: bytes) -> None:
        self._buffer = pa.py_buffer(data)
        self._parts: list[Any] = [data]
        self._end = len(data)

    def place(self, buffer: pa.Buffer | None) -> int:
        """Return where a buffer starts in `text`."""
        if buffer is None or not buffer.size:
            return 0
        start = int(buffer.address - self._buffer.address)
        if start >= 0 and start + buffer.size <= self._buffer.size:
            return start
        self._parts.append(buffer)
        self._end += buffer.size
        return self._end - int(buffer.size)

    @property
    def text(self) -> bytes:
        """All of the bytes."""
        data: bytes = self._parts[0]
        return data if len(self._parts) == 1 else b"".join(self._parts)


def is_text(type_: pa.DataType) -> bool:
    """Tell whether a column of this type is read as text."""
    types = pa.types
    if types.is_dictionary(type_):
        return is_text(type_.value_type) and not types.is_dictionary(type_.value_type)
    return bool(types.is_string(type_) or types.is_large_string(type_) or types.is_string_view(type_))


def text_column(column: pa.Array, ground: Ground) -> TextColumn:
    """Return a validated column of text, its spans in `ground`."""
    if isinstance(column, pa.DictionaryArray):
        at, size, empty = _entries(column.dictionary, ground)
        code = numbers_of(column.indices, _dtype(column.indices.type)).astype(np.int32, copy=False)
        null = nulls_of(column.indices)
        if null is not None:
            code = np.where(null, np.int32(-1), code)
        if empty is not None:
            code = np.where((code >= 0) & empty[code], np.int32(-1), code)
        return TextColumn(at, size, code)
    at, size, null = _entries(column, ground)
    code = np.arange(len(column), dtype=np.int32)
    if null is not None:
        code[null] = -1
    return TextColumn(at, size, code)


def joined(columns: list[TextColumn]) -> TextColumn:
    """Return the columns one below the other."""
    if len(columns) == 1:
        return columns[0]
    first = np.cumsum([0, *(len(column.at) for column in columns)])
    codes = [
        np.where(column.code < 0, -1, column.code + np.int32(start))
        for column, start in zip(columns, first, strict=False)
    ]
    return TextColumn(
        np.concatenate([column.at for column in columns]),
        np.concatenate([column.size for column in columns]),
        np.concatenate(codes).astype(np.int32),
    )


def nulls_of(column: pa.Array) -> npt.NDArray[np.bool_] | None:
    """Return which rows are null, None when none is."""
    if not column.null_count:
        return None
    present = column.buffers()[0]
    if present is None:
        return np.ones(len(column), np.bool_)
    bits = np.unpackbits(np.frombuffer(present, np.uint8), bitorder="little")
    null: npt.NDArray[np.bool_] = bits[column.offset : column.offset + len(column)] == 0
    return null


def numbers_of(column: pa.Array, dtype: Any) -> npt.NDArray[Any]:
    """Return a column's fixed-width values as they lie there; where a row is null, its value means nothing."""
    buffer = column.buffers()[1]
    if buffer is None:
        return np.zeros(len(column), dtype)
    found: npt.NDArray[Any] = np.frombuffer(buffer, dtype, len(column) + column.offset)
    return found[column.offset :]


def _dtype(type_: pa.DataType) -> Any:
    return np.dtype(str(type_))


def _entries(
    column: pa.Array, ground: Ground
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], npt.NDArray[np.bool_] | None]:
    """Return each text's place and size, and which are null."""
    null = nulls_of(column)
    if pa.types.is_string_view(column.type):
        at, size = _views(column, ground, null)
    else:
        at, size = _plain(column, ground)
    if null is not None:
        at, size = np.where(null, 0, at), np.where(null, 0, size)
    return at, size.astype(np.int32, copy=False), null


def _plain(column: pa.Array, ground: Ground) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    dtype = np.int64 if pa.types.is_large_string(column.type) else np.int32
    _, offsets, data = column.buffers()
    if offsets is None or not len(column):
        return np.zeros(len(column), np.int64), np.zeros(len(column), np.int64)
    ends: npt.NDArray[Any] = np.frombuffer(offsets, dtype, len(column) + 1 + column.offset)[column.offset :]
    return ends[:-1] + np.int64(ground.place(data)), ends[1:] - ends[:-1]


def _views(
    column: pa.Array, ground: Ground, null: npt.NDArray[np.bool_] | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    _, views, *buffers = column.buffers()
    if views is None or not len(column):
        return np.zeros(len(column), np.int64), np.zeros(len(column), np.int64)
    words = np.frombuffer(views, np.int32, 4 * (len(column) + column.offset)).reshape(-1, 4)[column.offset :]
    if null is not None:
        # Nobody has looked at the views of rows that are null.
        words = np.where(null[:, np.newaxis], np.int32(0), words)
    size = words[:, 0].astype(np.int64)
    inline = size <= _INLINE_BYTES
    first = ground.place(views) + (np.arange(len(column)) + column.offset) * _VIEW_BYTES + 4
    starts = np.array([ground.place(buffer) for buffer in buffers] or [0], np.int64)
    elsewhere = starts[np.where(inline, 0, words[:, 2])] + words[:, 3]
    return np.where(inline, first, elsewhere), size
