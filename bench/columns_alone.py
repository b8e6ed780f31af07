"""What a decision costs through tables without gRPC, from the request's bytes to the answer's, and where the time goes.

    python -m bench.columns_alone

The world, the catalogue and the questions are those of `touchpoint bench columns`; every request has an id of its own, offers are held and answers
remembered. The figures are medians over tables of processor time for each decision.
"""

import argparse
import json
import time
from statistics import median
from typing import Any, Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # it ships none
from touchpoint.v1 import decision_service_pb2

from bench.catalogues import CHANNEL, PLACEMENT, shelf_of
from bench.machine import machine
from bench.matching import engine_of
from bench.measured import OFFERED_MIN, RunError
from bench.worlds import built, keys
from engine.base.keys import SubscriberKeys
from engine.limits import BATCH_ITEMS_MAX
from server import framing
from server.clock import Clock
from server.decision_id import DecisionIds
from server.decision_thread import CALL_ROWS_MAX
from server.figures import Figures
from server.front import DecisionFront
from server.lifecycle import settle_memory, warm_up
from server.subscriber_hashes import SubscriberHashes
from server.work import CallInfo

STAGES: Final = ("read", "decide", "write")


class Timed:
    """How long stages took, in nanoseconds of processor time."""

    def __init__(self) -> None:
        self.spent: dict[str, list[int]] = {stage: [] for stage in STAGES}
        self._began = 0

    def begin(self) -> None:
        """Start the clock."""
        self._began = time.thread_time_ns()

    def end(self, stage: str) -> None:
        """Count what has passed to a stage, and go on."""
        now = time.thread_time_ns()
        self.spent[stage].append(now - self._began)
        self._began = now


def front_of(rows: int, offers: int, seed: int, decisions_max: int) -> DecisionFront:
    """Return a front over a bench world, with room for so many decisions."""
    world = built(rows, seed)
    engine = engine_of(world, shelf_of(offers, seed), 8 * decisions_max)
    secret = bytes.fromhex(world.key_secret_file.read_text().strip())
    keys_ = SubscriberKeys(secret, "msisdn", "US")
    front = DecisionFront(engine, SubscriberHashes(keys_, secret), DecisionIds(secret, 0), Clock(), Figures())
    warm_up(front)
    settle_memory()
    return front


def request(number: int, subscribers: list[str]) -> bytes:
    """Return a DecideColumnsRequest about these subscribers, each row with an id of its own."""
    count = len(subscribers)
    names = pa.array(np.zeros(count, np.int32))
    table = pa.record_batch(
        {
            "request_id": [f"{number:08x}{row:08x}" for row in range(count)],
            "subscriber": subscribers,
            "placement": pa.DictionaryArray.from_arrays(names, [PLACEMENT]),
            "channel": pa.DictionaryArray.from_arrays(names, [CHANNEL]),
            "max_offers": pa.array(np.ones(count, np.int8)),
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_batch(table)
    return decision_service_pb2.DecideColumnsRequest(table=sink.getvalue().to_pybytes()).SerializeToString()


def answered(front: DecisionFront, payload: bytes, timed: Timed) -> bytes:
    """Return the DecideColumnsResponse of a request."""
    timed.begin()
    rows, answers = framing.table_rows(payload)
    timed.end("read")
    for piece in rows.pieces(CALL_ROWS_MAX):
        front.decide_rows(piece, CallInfo("bench", time.monotonic_ns()), answers)
    timed.end("decide")
    response = framing.table_response(answers)
    timed.end("write")
    return response


def run(rows: int, offers: int, tables: int, seed: int) -> dict[str, Any]:
    """Measure, raising RunError when few answers hold an offer."""
    count = min(BATCH_ITEMS_MAX, rows)
    front = front_of(rows, offers, seed, (tables + 2) * count)
    rng = np.random.default_rng([seed, 11])
    timed, offered, sizes = Timed(), 0, (0, 0)
    for number in range(tables + 1):
        payload = request(number, keys(rng.integers(0, rows, count), seed))
        response = answered(front, payload, timed if number else Timed())
        sizes = len(payload), len(response)
        table = pa.ipc.open_stream(decision_service_pb2.DecideColumnsResponse.FromString(response).table).read_all()
        offered += sum(reason == "OFFERED" for reason in table.column("reason").to_pylist()) if number else 0
    if offered < OFFERED_MIN * tables * count:
        raise RunError(f"expected an offer in at least {OFFERED_MIN:.0%} of the answers, {offered} held one")
    stages = {stage: round(median(spent) / count / 1_000, 4) for stage, spent in timed.spent.items()}
    whole = median(sum(each) for each in zip(*timed.spent.values(), strict=True)) / count / 1_000
    return {
        "us_per_decision": round(whole, 4),
        "decisions_per_processor_s": round(1e6 / whole),
        "us_by_stage": stages,
        "request_bytes": sizes[0],
        "answer_bytes": sizes[1],
        "offered_share": round(offered / (tables * count), 4),
    }


def main() -> None:
    """Print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--offers", type=int, default=100)
    parser.add_argument("--tables", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print(json.dumps({"machine": machine(), **run(given.rows, given.offers, given.tables, given.seed)}))


if __name__ == "__main__":
    main()
