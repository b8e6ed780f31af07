"""An Arrow IPC stream from a peer becomes record batches that are safe to look into: bounded, uncompressed, every offset and index checked.

Order matters: sizes and compression are looked at in the messages' own metadata before Arrow reads a batch, since compressed bytes say for
themselves how much memory they want; then the schema; then `validate(full=True)`, after which no buffer of a batch leads out of bounds.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa  # type: ignore[import-untyped]  # it ships none

BATCHES_MAX: Final = 64
"""Each costs something whatever it holds."""
MESSAGES_MAX: Final = 1_024
"""Record batches and dictionaries."""
METADATA_BYTES_MAX: Final = 256 * 1024
"""Of one message: a schema of some hundred columns takes 20 KB."""
DICTIONARY_ENTRIES_MAX: Final = 65_536
"""Of one column."""
_RECORD_BATCH, _DICTIONARY_BATCH, _SCHEMA = "record batch", "dictionary", "schema"
_HEADER, _DATA, _COMPRESSION = 2, 1, 3
"""Places in Arrow's tables: Message.header, DictionaryBatch.data, RecordBatch.compression (format/Message.fbs)."""


class ColumnsError(ValueError):
    """The bytes cannot be used; `column` is the one at fault, "" when none is; `too_much`: it is only that there is more of something than is taken."""

    def __init__(self, column: str, message: str, too_much: bool = False) -> None:
        super().__init__(message)
        self.column = column
        self.too_much = too_much


def read_batches(data: bytes, rows_max: int, check: Callable[[pa.Schema], None]) -> list[pa.RecordBatch]:
    """Return the stream's record batches, all with rows, 1 to `rows_max` of them together; `check` looks at the schema first. Raises ColumnsError.

    Their buffers lie in `data` wherever Arrow can leave them there.
    """
    source = pa.py_buffer(data)
    try:
        _look_at_messages(source)
        with pa.ipc.open_stream(source) as reader:
            check(reader.schema)
            return _batches(reader, rows_max)
    except (pa.ArrowException, OSError, MemoryError, struct.error, OverflowError, UnicodeDecodeError) as error:
        raise ColumnsError("", f"expected an Arrow IPC stream, was something else: {str(error)[:200]}") from None


def written(columns: Mapping[str, Sequence[Any]]) -> bytes:
    """Return columns as a stream."""
    table = pa.table(dict(columns))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    stream: bytes = sink.getvalue().to_pybytes()
    return stream


def _look_at_messages(source: pa.Buffer) -> None:
    """Count the stream's messages and see that none is compressed."""
    for number, message in enumerate(pa.ipc.MessageReader.open_stream(source)):
        if number > MESSAGES_MAX:
            raise ColumnsError("", f"expected at most {MESSAGES_MAX:,} messages, were more; send fewer batches")
        metadata = message.metadata
        if metadata.size > METADATA_BYTES_MAX:
            raise ColumnsError("", f"expected at most {METADATA_BYTES_MAX:,} bytes of metadata, were {metadata.size:,}")
        if message.type in (_RECORD_BATCH, _DICTIONARY_BATCH) and _is_compressed(message.type, memoryview(metadata)):
            raise ColumnsError("", "expected buffers without compression, were compressed; write the stream without")


def _is_compressed(kind: str, metadata: memoryview) -> bool:
    """Tell whether a message's buffers are compressed; its metadata has been verified by Arrow."""
    header = _field(metadata, struct.unpack_from("<I", metadata)[0], _HEADER)
    if header and kind == _DICTIONARY_BATCH:
        header = _field(metadata, header, _DATA)
    return bool(header and _field(metadata, header, _COMPRESSION))


def _field(data: memoryview, table: int, place: int) -> int:
    """Return where a FlatBuffers table's field at a place leads; 0 when the field is absent."""
    vtable = table - struct.unpack_from("<i", data, table)[0]
    if vtable < 0 or 4 + 2 * place >= struct.unpack_from("<H", data, vtable)[0]:
        return 0
    offset = struct.unpack_from("<H", data, vtable + 4 + 2 * place)[0]
    return table + offset + int(struct.unpack_from("<I", data, table + offset)[0]) if offset else 0


def _batches(reader: Any, rows_max: int) -> list[pa.RecordBatch]:
    batches: list[pa.RecordBatch] = []
    rows = 0
    for number, batch in enumerate(reader):
        rows += batch.num_rows
        if rows > rows_max:
            raise ColumnsError(
                "", f"expected at most {rows_max:,} rows, were {rows:,} or more; send several tables", True
            )
        if number >= BATCHES_MAX:
            raise ColumnsError("", f"expected at most {BATCHES_MAX} record batches, were more; combine them")
        batch.validate(full=True)
        _check_dictionaries(batch)
        if batch.num_rows:
            batches.append(batch)
    if not rows:
        raise ColumnsError("", f"expected 1 to {rows_max:,} rows, were none")
    return batches


def _check_dictionaries(batch: pa.RecordBatch) -> None:
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if isinstance(column, pa.DictionaryArray) and len(column.dictionary) > DICTIONARY_ENTRIES_MAX:
            entries = len(column.dictionary)
            raise ColumnsError(
                field.name, f"expected a dictionary of at most {DICTIONARY_ENTRIES_MAX:,} entries, has {entries:,}"
            )
