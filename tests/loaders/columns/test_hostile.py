"""Bytes that no honest client sends: each gets one clear error or a table that is whole, and nothing is read out of bounds."""

import struct
from collections.abc import Iterator
from random import Random
from typing import Any, Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # it ships none
import pytest

from loaders.columns.stream import BATCHES_MAX, DICTIONARY_ENTRIES_MAX, MESSAGES_MAX, ColumnsError
from loaders.columns.table import Table, Wanted, read_table
from loaders.columns.values import Kind

WANTED: Final = Wanted({"a": Kind.STRING, "b": Kind.INT, "c": Kind.TIMESTAMP}, ("a",), "field.", 8)
ROWS: Final = 37


def written(*tables: pa.Table, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, tables[0].schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        for table in tables:
            writer.write_batch(
                table.combine_chunks().to_batches()[0]
                if table.num_rows
                else pa.RecordBatch.from_pylist([], table.schema)
            )
    data: bytes = sink.getvalue().to_pybytes()
    return data


def honest(text: pa.DataType, rows: int = ROWS) -> pa.Table:
    """Return a table of every kind of column, its texts of this type."""
    texts = [None if row % 5 == 4 else f"text {row % 7} " * (row % 3) for row in range(rows)]
    numbers = pa.array([None if row % 6 == 1 else row for row in range(rows)], pa.int64())
    return pa.table(
        {
            "a": pa.array(texts).dictionary_encode() if pa.types.is_dictionary(text) else pa.array(texts, text),
            "b": numbers.cast(pa.int16()),
            "c": numbers.cast(pa.timestamp("ms", "UTC")),
            "field.d": numbers.cast(pa.duration("ns")),
            "field.e": numbers.cast(pa.float32()),
            "field.f": pa.array([row % 2 == 0 for row in range(rows)]),
            "field.g": pa.array(texts, text if not pa.types.is_dictionary(text) else pa.utf8()),
        }
    )


def seen_whole(table: Table) -> int:
    """Look at everything a table points to, as kernels would; return how much that is."""
    assert 1 <= table.rows <= 64
    looked = 0
    for column in table.texts.values():
        assert len(column.code) == table.rows
        assert column.code.dtype == np.int32
        assert column.code.max(initial=-1) < len(column.at) == len(column.size)
        assert column.code.min(initial=-1) >= -1
        for entry in column.code[column.code >= 0]:
            at, size = int(column.at[entry]), int(column.size[entry])
            assert 0 <= at <= at + size <= len(table.text)
            table.text[at : at + size].decode()
            looked += 1
    for values in table.values.values():
        assert len(values.value) == len(values.nanos) == len(values.known) == table.rows
        assert set(values.known.tolist()) <= {0, 1}
        looked += table.rows
    return looked


TEXTS: Final = (pa.utf8(), pa.large_utf8(), pa.string_view(), pa.dictionary(pa.int32(), pa.utf8()))


@pytest.mark.parametrize("text", TEXTS, ids=str)
def test_an_honest_table_is_read_whole(text: pa.DataType) -> None:
    made = honest(text)
    table = read_table(written(made), 64, WANTED)
    assert seen_whole(table) > 200
    column = table.texts["a"]
    found = [None if code < 0 else table.text[column.at[code] :][: column.size[code]].decode() for code in column.code]
    assert found == made.column("a").to_pylist()


def test_entries_of_dictionaries_that_are_null_are_no_texts() -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 2, 1], pa.int8()), pa.array(["x", None, "y"]))
    table = read_table(written(pa.table({"a": column})), 64, WANTED)
    assert table.texts["a"].code.tolist() == [0, -1, -1, 2, -1]


def spoilt(data: bytes, rng: Random) -> bytes:
    """Return the bytes with some of them changed, cut off, doubled or taken from elsewhere in them."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5])):
        at = rng.randrange(len(out))
        end = min(len(out), at + rng.choice([1, 4, 8, 64]))
        match rng.randrange(6):
            case 0:
                out[at] ^= 1 << rng.randrange(8)
            case 1:
                word = rng.choice([0, -1, 1, 1 << 30, -(1 << 31), (1 << 31) - 1, rng.randrange(-99, 9_999)])
                at = at & ~3
                out[at : at + 4] = struct.pack("<i", word)
            case 2:
                at = at & ~7
                out[at : at + 8] = struct.pack("<q", rng.choice([1 << 40, -1, (1 << 63) - 1, -(1 << 63), 1 << 31]))
            case 3:
                del out[at : rng.choice([end, len(out)])]
            case 4:
                out[at:at] = out[at:end]
            case _:
                out[at:end] = rng.randbytes(end - at)
        if not out:
            return b""
    return bytes(out)


def outcome(data: bytes) -> int:
    """Return how much a table shows of itself, 0 when it is refused in a few words, -1 when in none or many; nothing else may happen."""
    try:
        return seen_whole(read_table(data, 64, WANTED))
    except ColumnsError as error:
        return 0 if 0 < len(str(error)) < 500 else -1
    except Exception as error:
        raise AssertionError(f"expected a table or a ColumnsError, was {error!r}") from error


def tables() -> Iterator[bytes]:
    for text in TEXTS:
        made = honest(text)
        yield written(made)
        yield written(made.slice(0, 9), made.slice(9, 9), made.slice(18))
        yield written(made, compression="lz4")


@pytest.mark.parametrize("seed", range(8))
def test_spoilt_bytes_get_an_error_or_a_table_that_is_whole(seed: int) -> None:
    rng, read, refused = Random(seed), 0, 0
    for data in tables():
        for _ in range(150):
            found = outcome(spoilt(data, rng))
            read += found > 0
            refused += found == 0
    assert read > 100, "what is spoilt where nothing looks is still a table"
    assert read + refused == 150 * 12


@pytest.mark.parametrize("text", TEXTS, ids=str)
def test_every_beginning_of_a_table_gets_an_error_or_no_more_than_its_rows(text: pa.DataType) -> None:
    data = written(honest(text, 5))
    for end in range(0, len(data), 3):
        try:
            said = f"{read_table(data[:end], 64, WANTED).rows} rows"
        except ColumnsError as error:
            said = str(error)
        assert said == "5 rows" or "Arrow IPC stream" in said or "rows, were none" in said


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_compressed_buffers_are_refused_before_they_are_opened(compression: str) -> None:
    table = pa.table({"a": ["x" * 1_000_000] * 64})
    data = written(table, compression=compression)
    assert len(data) < 1_000_000
    before = pa.total_allocated_bytes()
    with pytest.raises(ColumnsError, match="without compression"):
        read_table(data, 64, WANTED)
    assert pa.total_allocated_bytes() - before < 1_000_000


def test_compressed_dictionaries_are_refused_before_they_are_opened() -> None:
    table = pa.table({"a": pa.array(["x" * 1_000_000] * 9).dictionary_encode()})
    plain, packed = (
        list(pa.ipc.MessageReader.open_stream(written(table, compression=compression)))
        for compression in (None, "zstd")
    )
    assert [message.type for message in plain] == ["schema", "dictionary", "record batch"]
    data = b"".join(message.serialize().to_pybytes() for message in (plain[0], packed[1], plain[2]))
    with pytest.raises(ColumnsError, match="without compression"):
        read_table(data, 64, WANTED)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (written(*[pa.table({"a": ["x"]}).slice(1)] * (BATCHES_MAX + 1)), "at most 64 record batches"),
        (written(*[pa.table({"a": ["x"]}).slice(1)] * (MESSAGES_MAX + 1)), "at most 1,024 messages"),
        (written(pa.table({"a": ["x"] * 65})), "at most 64 rows, were 65"),
        (written(pa.table({"a": pa.DictionaryArray.from_arrays([0], pa.array(["x"] * (DICTIONARY_ENTRIES_MAX + 1)))})), "at most 65,536 entries"),
        (written(pa.table({"a": ["x"]}).replace_schema_metadata({"m": "x" * 300_000})), "bytes of metadata"),
        (written(pa.table([["x"], ["y"]], ["a", "a"])), "expected one column of this name"),
        (written(pa.table({"a": ["x"], "b" * 5_000: [1]})), "expected one of the columns"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_too_much_of_anything_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(ColumnsError) as caught:
        read_table(data, 64, WANTED)
    assert words in str(caught.value)
    assert len(str(caught.value)) + len(caught.value.column) < 6_000


def nested(levels: int) -> pa.Table:
    column = pa.array([1])
    for _ in range(levels):
        column = pa.StructArray.from_arrays([column], ["n"])
    return pa.table({"a": ["x"], "field.n": column})


@pytest.mark.parametrize("levels", [1, 30, 63])
def test_nested_columns_are_refused_by_their_type(levels: int) -> None:
    with pytest.raises(ColumnsError) as caught:
        read_table(written(nested(levels)), 64, WANTED)
    assert caught.value.column in ("field.n", "")
    assert len(str(caught.value)) < 400


def test_texts_that_are_no_utf8_are_refused() -> None:
    data = written(pa.table({"a": ["mark"]})).replace(b"mark", b"\xff\xfe\xfd\xfc")
    with pytest.raises(ColumnsError, match="expected an Arrow IPC stream"):
        read_table(data, 64, WANTED)


@pytest.mark.parametrize("offset", [1 << 30, -4, 99])
def test_offsets_that_lead_out_of_the_table_are_refused(offset: int) -> None:
    plain = written(pa.table({"a": ["mark"]}))
    at = plain.rindex(struct.pack("<ii", 0, 4))
    with pytest.raises(ColumnsError, match="expected an Arrow IPC stream"):
        read_table(plain[:at] + struct.pack("<ii", 0, offset) + plain[at + 8 :], 64, WANTED)
