"""What a decision costs on the demo operator: in the engine, and from request bytes to answer bytes; alone and in batches.

    python -m bench.decisions

Requests are real ones (desk_open on desk, six offers with scripts, holds, remembered answers), each with an id of its own, over subscribers
drawn uniformly; between rounds the subscribers are met again a month of ledger time later, so that caps do not empty the answers.
The figure is the median over rounds of processor time per decision; `offered` is the share of answers that held an offer.
"""

import argparse
import json
import statistics
import time
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from touchpoint.v1 import decision_service_pb2

from bench.machine import machine
from engine.base.keys import SubscriberKeys
from engine.base.overlay import Overlay
from engine.base.snapshot import open_current
from engine.engine import Engine
from engine.ledger.answers import RingAnswers
from engine.ledger.memory import MemoryLedger
from engine.rulebook import load_rulebook
from loaders.demo.places import msisdn_of
from loaders.demo.prepare import SECRET, prepare
from server.clock import Clock, steady_us, wall_us
from server.decision_id import DecisionIds
from server.failure import Failure
from server.figures import Figures
from server.front import DecisionFront
from server.lifecycle import settle_memory, warm_up
from server.subscriber_hashes import SubscriberHashes
from server.work import CallInfo

CUSTOMERS: Final = 4_930
MONTH_US: Final = 32 * 86_400 * 1_000_000


class Offset:
    """How far the bench has moved both clocks on."""

    us = 0


def front_of_demo() -> tuple[DecisionFront, Offset]:
    """Return a front over the demo's rulebook and base, with an empty ledger."""
    parts = prepare(datetime.now(UTC), lambda _: None)
    keys = SubscriberKeys(SECRET, "msisdn", "US")
    now_us = time.time_ns() // 1_000
    ledger = MemoryLedger(1 << 20, RingAnswers(1 << 28), outcomes_max=1 << 16, now_us=now_us)
    engine = Engine(load_rulebook(parts.rulebook), open_current(parts.base, keys), Overlay(), ledger, now_us)
    moved = Offset()
    clock = Clock(lambda: wall_us() + moved.us, lambda: steady_us() + moved.us)
    front = DecisionFront(engine, SubscriberHashes(keys, SECRET), DecisionIds(SECRET, 0), clock, Figures())
    warm_up(front)
    settle_memory()
    return front, moved


def requests(count: int, seed: int, round_number: int) -> list[bytes]:
    """Return encoded requests with ids of their own over subscribers drawn without repetition."""
    chosen = np.random.default_rng([seed, round_number]).permutation(CUSTOMERS)[:count]
    return [
        decision_service_pb2.DecideRequest(
            request_id=f"{seed}-{round_number}-{number}",
            subscriber=msisdn_of(int(customer)),
            placement="desk_open",
            channel="desk",
            max_offers=6,
        ).SerializeToString()
        for number, customer in enumerate(chosen)
    ]


def cost(front: DecisionFront, moved: Offset, batch: int, rounds: int, seed: int) -> dict[str, float]:
    """Return the median cost of a decision in batches of `batch`, and the share of answers with an offer."""
    times, offered, answered = [], 0, 0
    for number in range(rounds):
        moved.us += MONTH_US // 64 if batch == 1 else MONTH_US
        payloads = requests(batch, seed + batch, number)
        calls = [CallInfo("bench", time.monotonic_ns())] * batch
        began = time.thread_time_ns()
        outcomes = front.decide_batch(payloads, calls)
        times.append((time.thread_time_ns() - began) / batch / 1_000)
        for outcome in outcomes:
            assert not isinstance(outcome, Failure), outcome
            answered += 1
            offered += len(decision_service_pb2.DecideResponse.FromString(outcome).offers) > 0
    return {"us_per_decision": round(statistics.median(times), 1), "offered": round(offered / answered, 3)}


def run(rounds: int, seed: int) -> dict[str, Any]:
    """Measure batches of 1, 16, 256."""
    front, moved = front_of_demo()
    batches = {f"batch_{size}": cost(front, moved, size, rounds, seed) for size in (1, 16, 256)}
    return {"machine": machine(), "seed": seed, "rounds": rounds, **batches}


def main() -> None:
    """Print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    print(json.dumps(run(arguments.rounds, arguments.seed)))


if __name__ == "__main__":
    main()
