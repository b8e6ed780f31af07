"""A CSV or Parquet file as a stream of record batches with row numbers; memory is bounded by the batch, whatever the file.

Cells of a CSV stay bytes: what a column must hold is decided by the mapping, cell by cell, so that one bad cell costs one row. DuckDB was
rejected for this step: its typed reading rounds decimals, and its reject tables hold whole lines, keys too.
"""

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.csv as pa_csv  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

BATCH_ROWS: Final = 1 << 16
BLOCK_BYTES: Final = 4 << 20
"""How much of a CSV is parsed at once. A line of up to this length is always read, one of over twice that never."""


class SourceError(Exception):
    """A file that cannot be loaded at all: what is wrong, where, what to do. The base in use stays."""


class CsvFormat(msgspec.Struct, frozen=True):
    """How a CSV is written; always UTF-8, with a heading."""

    delimiter: str = ","
    quote: str = '"'


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is read of a file: columns, which of them may come in dictionary form, and how many rows were read before."""

    columns: list[str]
    texts: list[str]
    skip_rows: int = 0
    """The rows of a whole number of batches."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows, their numbers in the file, and how far into the file they reach (0 to 1)."""

    table: pa.RecordBatch
    rows: npt.NDArray[np.int64]
    done: float


BadRows = Callable[[int, int, int], None]
"""Called with the number of a malformed row, the columns expected, and those found."""


def source_columns(path: Path, form: CsvFormat) -> dict[str, pa.DataType]:
    """Return the columns of the file with their types (bytes for all of a CSV's); raises SourceError."""
    try:
        if is_parquet(path):
            schema = pq.read_schema(path)
            names, kinds = list(schema.names), list(schema.types)
        else:
            names = _heading(path, form)
            kinds = [pa.binary()] * len(names)
    except (OSError, pa.ArrowException) as error:
        raise SourceError(f"{path}: cannot be read ({_first_line(error)})") from None
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SourceError(
            f"{path}: expected each column once, {', '.join(twice)} is there more than once; rename them in the file"
        )
    return dict(zip(names, kinds, strict=True))


def is_parquet(path: Path) -> bool:
    """Return whether the file is Parquet, by its name; everything else is read as CSV."""
    return path.suffix.lower() in (".parquet", ".pq")


def read_batches(path: Path, form: CsvFormat, wanted: Wanted, on_bad_row: BadRows) -> Iterator[Batch]:
    """Yield the wanted columns in batches that are always the same for the same file; raises SourceError when it cannot be read on."""
    passed = 0
    try:
        if is_parquet(path):
            yield from _parquet(path, wanted)
            return
        for batch in _csv(path, form, wanted.columns, on_bad_row):
            passed += len(batch.rows)
            if passed > wanted.skip_rows:
                yield batch
    except pa.ArrowException as error:
        reason = _first_line(error)
        if "straddling" in reason:
            reason = f"a line is longer than {BLOCK_BYTES:,} bytes, or a quote is never closed"
        raise SourceError(f"{path}: cannot be read on ({reason}); mend the file and load it again") from None


def rows_about(path: Path) -> int:
    """Return how many rows the file has: Parquet says it, of a CSV it is the most that there can be."""
    return int(pq.read_metadata(path).num_rows) if is_parquet(path) else path.stat().st_size // 2


def _heading(path: Path, form: CsvFormat) -> list[str]:
    with path.open("rb") as file:
        head = file.read(BLOCK_BYTES).removeprefix(b"\xef\xbb\xbf")
    try:
        text = head[: head.rfind(b"\n") + 1 or None].decode()
    except UnicodeDecodeError as error:
        text = head[: error.start].decode()
    try:
        names = next(csv.reader(io.StringIO(text), delimiter=form.delimiter, quotechar=form.quote, strict=True), [])
    except csv.Error as error:
        raise SourceError(f"{path}: expected a heading that names the columns ({error})") from None
    if not names or not all(names):
        raise SourceError(f"{path}: expected a heading in UTF-8 that names every column; add one")
    return names


def _parquet(path: Path, wanted: Wanted) -> Iterator[Batch]:
    with pq.ParquetFile(path, memory_map=True, read_dictionary=wanted.texts) as file:
        total = max(file.metadata.num_rows, 1)
        start = 0
        for groups, rows in _together([file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)]):
            if start + rows <= wanted.skip_rows:
                start += rows
                continue
            for table in file.iter_batches(BATCH_ROWS, groups, wanted.columns, use_threads=False):
                numbers = np.arange(start + 1, start + 1 + table.num_rows, dtype=np.int64)
                start += table.num_rows
                if start > wanted.skip_rows:
                    yield Batch(table, numbers, start / total)


def _together(rows: list[int]) -> Iterator[tuple[list[int], int]]:
    """Yield row groups that are read as one, and how many rows these are: opening a group takes long when it has few rows."""
    groups: list[int] = []
    count = 0
    for group, more in enumerate(rows):
        groups.append(group)
        count += more
        if count >= BATCH_ROWS or group == len(rows) - 1:
            yield groups, count
            groups, count = [], 0


def _csv(path: Path, form: CsvFormat, columns: list[str], on_bad_row: BadRows) -> Iterator[Batch]:
    bad: list[int] = []
    open_quotes: list[int] = []

    def skip(row: Any) -> str:
        if "\n" in row.text and row.text.count(form.quote) % 2:
            open_quotes.append(int(row.number))
        bad.append(int(row.number))
        on_bad_row(int(row.number), row.expected_columns, row.actual_columns)
        return "skip"

    size = max(path.stat().st_size, 1)
    with path.open("rb") as file:
        reader = pa_csv.open_csv(
            file,
            pa_csv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES),
            pa_csv.ParseOptions(
                delimiter=form.delimiter, quote_char=form.quote, newlines_in_values=True, invalid_row_handler=skip
            ),
            pa_csv.ConvertOptions(
                check_utf8=False, include_columns=columns, column_types=dict.fromkeys(columns, pa.binary()),
                null_values=[], strings_can_be_null=False,
            ),
        )  # fmt: skip
        number = 1
        for table in reader:
            _refuse(path, open_quotes)
            rows, number = _numbers(table.num_rows, number, bad)
            for start in range(0, table.num_rows, BATCH_ROWS):
                part = table.slice(start, BATCH_ROWS)
                yield Batch(part, rows[start : start + BATCH_ROWS], min(file.tell() / size, 1.0))
        _refuse(path, open_quotes)


def _refuse(path: Path, open_quotes: list[int]) -> None:
    """Raise SourceError when a quote that is never closed has taken all lines after it for one cell."""
    if open_quotes:
        raise SourceError(
            f"{path}: row {open_quotes[0]} opens a quote that is never closed, and the lines after it are lost in it; close it and load again"
        )


def _numbers(count: int, last: int, bad: list[int]) -> tuple[npt.NDArray[np.int64], int]:
    """Return the next `count` row numbers after `last` that are not those of malformed rows, and the last of them."""
    candidates = np.arange(last + 1, last + 1 + count + len(bad), dtype=np.int64)
    rows = candidates[~np.isin(candidates, bad)][:count]
    last = int(rows[-1]) if count else last
    bad[:] = [number for number in bad if number > last]
    return rows, last


def _first_line(error: Exception) -> str:
    """Return an error's first line without the row that Arrow quotes where a line of another width is no UTF-8: it may hold a number."""
    text = str(getattr(error, "strerror", None) or error).split("\n")[0][:200]
    return re.sub(r"(Expected \d+ columns, got \d+): .*", r"\1, and bytes that are not UTF-8", text)
