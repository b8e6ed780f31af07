"""Arrays of answers as one Arrow IPC stream: a record batch whose buffers are the arrays themselves, written once."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]  # it ships none

from engine.limits import NEVER_US

Texts = tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]
"""(m + 1,) ends, the first 0, and the bytes of m texts."""
Coded = tuple[npt.NDArray[np.int32], Texts]
"""Numbers of texts, -1 for null, and the texts."""
Present = tuple[pa.Buffer | None, int]
"""The bitmap of what is there, None when all is, and how many are not."""
_ALL: Final[Present] = (None, 0)
_INSTANT: Final = pa.timestamp("us", "UTC")
_WORDS: Final = ("offer", "campaign", "content", "script", "language")


class Given(NamedTuple):
    """n rows that were answered, or not."""

    reason: npt.NDArray[np.int8]
    """(n,): place in `reasons`."""
    answered: npt.NDArray[np.bool_]
    """(n,): whether anything of the row counts."""
    reasons: tuple[str, ...]
    ids_end: npt.NDArray[np.int32]
    """(n + 1,): rows with an empty id have none."""
    ids: npt.NDArray[np.uint8]
    generation: npt.NDArray[np.uint64]
    base: Coded
    replayed: npt.NDArray[np.uint8]
    instants: Mapping[str, npt.NDArray[np.int64]]
    """By name, (n,): microseconds, NEVER_US for none, and where there is no answer."""


class Offered(NamedTuple):
    """The rows' offers, row after row."""

    ends: npt.NDArray[np.int32]
    """(n + 1,)"""
    rank: npt.NDArray[np.uint8]
    score: npt.NDArray[np.float64]
    words: Sequence[Coded]
    """Offer and campaign, or those with content, script and language."""


class Failed(NamedTuple):
    """One row that failed."""

    row: int
    code: int
    message: str
    field: str | None
    shard: int | None


def write_answers(given: Given, offered: Offered, failed: Sequence[Failed]) -> memoryview:
    """Return the table's bytes; its columns are those of touchpoint.v1.DecideColumnsResponse."""
    rows, answered = len(given.reason), _present(given.answered)
    has_id = _present(given.ids_end[1:] != given.ids_end[:-1])
    columns: dict[str, pa.Array] = {
        "reason": pa.DictionaryArray.from_arrays(_numbers(given.reason, pa.int8(), answered), _constant(given.reasons)),
        "decision_id": _texts((given.ids_end, given.ids), has_id),
        "offers": _offers(offered, answered),
    }
    for name, instants in given.instants.items():
        columns[name] = _numbers(instants, _INSTANT, _present(instants != NEVER_US))
    columns["rulebook_generation"] = _numbers(given.generation, pa.uint64(), answered)
    columns["base_version"] = _coded(given.base)
    columns["replayed"] = _bools(given.replayed, answered)
    columns |= _failures(failed, rows)
    batch = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
    return _written(batch)


def _written(batch: pa.RecordBatch) -> memoryview:
    """Return the batch as a stream, in a buffer that was made large enough at once: growing one costs as much as all else."""
    counted = pa.MockOutputStream()
    _write(batch, counted)
    buffer = pa.allocate_buffer(counted.size())
    with pa.FixedSizeBufferWriter(buffer) as sink:
        _write(batch, sink)
    return memoryview(buffer)


def _write(batch: pa.RecordBatch, sink: Any) -> None:
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)


@cache
def _constant(texts: tuple[str, ...]) -> pa.Array:
    return pa.array(texts)


def _offers(offered: Offered, answered: Present) -> pa.Array:
    seats = len(offered.rank)
    children = [_numbers(offered.rank, pa.uint8()), *(_coded(words) for words in offered.words)]
    children.insert(3, _numbers(offered.score, pa.float64()))
    names = ["rank", *_WORDS[: len(offered.words)]]
    names.insert(3, "score")
    fields = [pa.field(name, child.type) for name, child in zip(names, children, strict=True)]
    struct = pa.Array.from_buffers(pa.struct(fields), seats, [None], 0, children=children)
    present, nulls = answered
    return pa.Array.from_buffers(
        pa.list_(struct.type), len(offered.ends) - 1, [present, pa.py_buffer(offered.ends)], nulls, children=[struct]
    )


def _failures(failed: Sequence[Failed], rows: int) -> dict[str, pa.Array]:
    if not failed:
        return {
            "error_code": pa.nulls(rows, pa.int32()),
            "error_message": pa.nulls(rows, pa.utf8()),
            "error_field": pa.nulls(rows, pa.utf8()),
            "error_shard": pa.nulls(rows, pa.uint16()),
        }
    by_row = {one.row: one for one in failed}
    found = [by_row.get(row) for row in range(rows)]
    return {
        "error_code": pa.array([one and one.code for one in found], pa.int32()),
        "error_message": pa.array([one and one.message for one in found], pa.utf8()),
        "error_field": pa.array([one and one.field for one in found], pa.utf8()),
        "error_shard": pa.array([one and one.shard for one in found], pa.uint16()),
    }


def _present(known: npt.NDArray[np.bool_]) -> Present:
    nulls = len(known) - int(np.count_nonzero(known))
    return (pa.py_buffer(np.packbits(known, bitorder="little")), nulls) if nulls else _ALL


def _numbers(values: npt.NDArray[Any], type_: pa.DataType, present: Present = _ALL) -> pa.Array:
    buffers = [present[0], pa.py_buffer(np.ascontiguousarray(values))]
    return pa.Array.from_buffers(type_, len(values), buffers, present[1])


def _bools(values: npt.NDArray[np.uint8], present: Present) -> pa.Array:
    bits = pa.py_buffer(np.packbits(values, bitorder="little"))
    return pa.Array.from_buffers(pa.bool_(), len(values), [present[0], bits], present[1])


def _texts(texts: Texts, present: Present = _ALL) -> pa.Array:
    ends, data = texts
    buffers = [present[0], pa.py_buffer(ends), pa.py_buffer(data[: int(ends[-1])])]
    return pa.Array.from_buffers(pa.utf8(), len(ends) - 1, buffers, present[1])


def _coded(coded: Coded) -> pa.Array:
    codes, texts = coded
    present = _present(codes >= 0)
    if present[1]:
        codes = np.maximum(codes, 0)  # some readers look at codes of nulls too
    return pa.DictionaryArray.from_arrays(_numbers(codes, pa.int32(), present), _texts(texts))
