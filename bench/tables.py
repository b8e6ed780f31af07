"""Requests as tables, and tables of answers checked: what the load generator sends through DecideColumns and gets."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]  # it ships none
from google.protobuf.message import DecodeError
from touchpoint.v1 import decision_service_pb2 as pb

from bench.kernels.answers import digest_texts
from bench.wire import PREFIX_BYTES, Finished, Tally
from engine.jit import frozen


def request_table(requests: Sequence[pb.DecideRequest], times: int = 1) -> bytes:
    """Return placement requests, all of them so many times over, as a client would write them: names that are few as dictionaries."""
    found = [request for request in requests for _ in range(times)]
    table = pa.record_batch(
        {
            "request_id": [request.request_id for request in found],
            "subscriber": [request.subscriber for request in found],
            "placement": pa.array([request.placement for request in found]).dictionary_encode(),
            "channel": pa.array([request.channel for request in found]).dictionary_encode(),
            "max_offers": pa.array([request.max_offers for request in found], pa.int8()),
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_batch(table)
    written: bytes = sink.getvalue().to_pybytes()
    return written


def check_table(message: npt.NDArray[np.uint8], items: int, tally: npt.NDArray[np.int64], finished: Finished) -> None:
    """Count the rows of a gRPC message's DecideColumnsResponse, which should have so many; digests of the decisions of offers go to `finished`."""
    try:
        response = pb.DecideColumnsResponse.FromString(message[PREFIX_BYTES:].tobytes())
        (batch,) = pa.ipc.open_stream(response.table)
    except (ValueError, OSError, DecodeError):
        tally[Tally.WRONG] += 1
        return
    failed = batch.num_rows - batch.column("error_code").null_count
    tally[Tally.ITEMS] += batch.num_rows
    tally[Tally.WRONG] += failed + (batch.num_rows != items)
    held = held_by(batch)
    place = int(tally[Tally.OFFERED])
    ends = np.frombuffer(batch.column("decision_id").buffers()[1], np.int32, batch.num_rows + 1)
    data = np.frombuffer(batch.column("decision_id").buffers()[2], np.uint8)
    found = np.zeros(batch.num_rows, np.uint64)
    with np.errstate(over="ignore"):
        digest_texts(data, frozen(ends), found)
    tally[Tally.OFFERED] += held.sum()
    finished.decision[place : place + int(held.sum())] = found[held]


def held_by(batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
    """Return which rows have an offer and a decision id, and are no repeats."""
    offers = np.diff(np.frombuffer(batch.column("offers").buffers()[1], np.int32, batch.num_rows + 1)) > 0
    known = batch.column("decision_id").is_valid().to_numpy(zero_copy_only=False)
    new = ~batch.column("replayed").fill_null(True).to_numpy(zero_copy_only=False)
    held: npt.NDArray[np.bool_] = offers & known & new
    return held
