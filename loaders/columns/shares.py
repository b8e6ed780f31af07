"""A table of requests shared out by rows, and tables of answers put together in the order of the rows again."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # it ships none


def split(data: bytes, owners: Sequence[int]) -> dict[int, bytes]:
    """Return the rows of each owner as a stream of their own; `data` was checked (loaders.columns.table)."""
    table, owner = _read(data), np.asarray(owners)
    return {number: _written(table.take(np.flatnonzero(owner == number))) for number in np.unique(owner).tolist()}


def joined(parts: Mapping[int, bytes], owners: Sequence[int]) -> bytes:
    """Return the rows of `split`'s owners, each owner's in their order, as one stream of one record batch in the order of `owners`."""
    # What row i of all comes from: the rows of the first owner first, and so on.
    order = np.empty(len(owners), np.int64)
    order[np.argsort(np.asarray(owners), kind="stable")] = np.arange(len(owners))
    together = pa.concat_tables([_read(parts[number]) for number in sorted(parts)])
    return _written(together.unify_dictionaries().combine_chunks().take(order))


def _read(data: bytes) -> pa.Table:
    with pa.ipc.open_stream(data) as reader:
        return reader.read_all()


def _written(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    whole = table.combine_chunks()
    with pa.ipc.new_stream(sink, whole.schema) as writer:
        writer.write_table(whole)
    stream: bytes = sink.getvalue().to_pybytes()
    return stream
