"""Asking for decisions by the table: for event feeds and nightly runs. Needs Arrow (`pip install touchpoint[columns]`), which no other client does.

Tables go out as they are, in calls that a server takes, and come back row for row; the columns are described at touchpoint.v1.DecideColumnsRequest
and DecideColumnsResponse. Rows that fail have `error_code`, `error_message` and `error_field`, and no other row minds.
With a ShardsClient each row goes to the shard that owns its subscriber, and rows of a shard that does not answer fail.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import grpc
import pyarrow as pa  # type: ignore[import-untyped]  # it ships none

from clients.decisions import DecisionClient
from clients.shards import ROUNDS_MAX, ShardsClient
from clients.target import CallError

ROWS_MAX: Final = 4_096
"""Of one call."""
CALL_BYTES: Final = 900_000
"""A call is cut in halves until it has no more, which a server takes unless it was told to take less."""


def decide_columns(
    client: DecisionClient | ShardsClient,
    requests: pa.Table | pa.RecordBatch | Mapping[str, Sequence[Any]],
    *,
    words: bool = True,
) -> pa.Table:
    """Return the answers to any number of requests, row for row, with the requests' ids as the first column.

    Columns may also be given as lists by name. Rows get new ids when there is no column `request_id`; give one to be able to ask again. Without
    `words` content, script and language are left out. Calls follow each other, so when one fails (CallError), those before it were decided; with a
    ShardsClient the rows of that shard which are left fail, and CallError is for when no shard answered.
    """
    table = _table(requests)
    if "request_id" not in table.column_names:
        table = table.append_column(
            "request_id", pa.array([uuid.uuid4().hex for _ in range(table.num_rows)], pa.utf8())
        )
    if not table.num_rows:
        raise ValueError("expected at least one row, was none")
    if isinstance(client, ShardsClient):
        answers = _of_shards(client, table, words)
    else:
        answers = pa.concat_tables(
            [_answers(client.decide_table(part, omit_words=not words)) for part in _parts(table)]
        )
    return answers.add_column(0, "request_id", table.column("request_id"))


def _of_shards(client: ShardsClient, table: pa.Table, words: bool) -> pa.Table:
    """Return the answers to the rows in their order, each from the shard that owns its subscriber; rows that were refused for that go on to their owners."""
    keys: list[Any] = (
        table.column("subscriber").to_pylist() if "subscriber" in table.column_names else [None] * table.num_rows
    )
    left = {row: client.owner(key) if isinstance(key, str) else None for row, key in enumerate(keys)}
    answers: list[pa.Table] = []
    places: list[int] = []
    failed: list[tuple[CallError, list[int]]] = []
    for sent in range(ROUNDS_MAX):
        groups: dict[int | None, list[int]] = defaultdict(list)
        for row, owner in left.items():
            groups[owner].append(row)
        left = {}
        for owner, asked in groups.items():
            parts, error = _of_shard(client, table.take(asked), owner, words)
            owners = [other for part in parts for other in part.column("error_shard").to_pylist()]
            if error is not None:
                failed.append((error, asked[len(owners) :]))
            if not parts:
                continue
            done = [place for place, other in enumerate(owners) if other is None or sent == ROUNDS_MAX - 1]
            # Of no places Arrow would not know the type.
            answers.append(pa.concat_tables(parts).take(pa.array(done, pa.int64())))
            places += [asked[place] for place in done]
            for place in set(range(len(owners))).difference(done):
                left[asked[place]] = owners[place]
                client.learn(keys[asked[place]], owners[place])
    if not answers:
        raise failed[0][0]
    for error, rows in failed:
        answers.append(_failed(len(rows), error, answers[0].schema))
        places += rows
    order = sorted(range(len(places)), key=places.__getitem__)
    return pa.concat_tables(answers).unify_dictionaries().combine_chunks().take(order)


def _of_shard(
    client: ShardsClient, table: pa.Table, owner: int | None, words: bool
) -> tuple[list[pa.Table], CallError | None]:
    """Return the answers to the first rows, to all unless a call failed, and why it did: what follows is not asked, lest each call waits in vain."""
    answers = []
    try:
        for part in _parts(table):
            answers.append(_answers(client.decide_table(part, owner, omit_words=not words)))  # noqa: PERF401  # stays when the next fails
    except CallError as error:
        return answers, error
    return answers, None


def _failed(rows: int, error: CallError, schema: pa.Schema) -> pa.Table:
    """Return the answers to rows whose call failed."""
    columns = {field.name: pa.nulls(rows, field.type) for field in schema}
    status = error.status or grpc.StatusCode.UNAVAILABLE
    columns["error_code"] = pa.array([status.value[0]] * rows, schema.field("error_code").type)
    columns["error_message"] = pa.array([str(error)] * rows, schema.field("error_message").type)
    return pa.table(columns, schema)


def _table(requests: pa.Table | pa.RecordBatch | Mapping[str, Sequence[Any]]) -> pa.Table:
    if isinstance(requests, pa.Table):
        return requests
    return pa.Table.from_batches([requests]) if isinstance(requests, pa.RecordBatch) else pa.table(dict(requests))


def _parts(table: pa.Table) -> Iterator[bytes]:
    """Yield the rows in order, as streams of at most ROWS_MAX rows and, unless a row has more, CALL_BYTES."""
    for start in range(0, table.num_rows, ROWS_MAX):
        yield from _small(table.slice(start, ROWS_MAX))


def _small(table: pa.Table) -> Iterator[bytes]:
    sink = pa.BufferOutputStream()
    # One batch: what is left of a table in many is copied together, and a dictionary goes out once.
    whole = table.combine_chunks()
    with pa.ipc.new_stream(sink, whole.schema) as writer:
        writer.write_table(whole)
    stream = sink.getvalue()
    if stream.size <= CALL_BYTES or table.num_rows == 1:
        yield stream.to_pybytes()
        return
    half = table.num_rows // 2
    yield from _small(table.slice(0, half))
    yield from _small(table.slice(half))


def _answers(stream: bytes) -> pa.Table:
    return pa.ipc.open_stream(stream).read_all()
