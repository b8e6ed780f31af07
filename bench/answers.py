"""What an answer costs once it is decided: rendered, remembered and put together, on the demo operator, by size of batch.

    python -m bench.answers

The decisions are real: six desk offers with scripts in the subscriber's language, held; most answers hold some. Subscribers are met again a month of
ledger time later, so that caps do not empty the answers. Figures are medians over rounds of processor time, in microseconds an item.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from bench.decisions import CUSTOMERS, MONTH_US
from bench.machine import machine
from engine.base.keys import SubscriberKeys
from engine.base.overlay import Overlay
from engine.base.snapshot import open_current
from engine.batch import Batch, Decisions
from engine.dtypes.texts import Texts
from engine.engine import Engine
from engine.jit import frozen
from engine.ledger.answers import RingAnswers
from engine.ledger.memory import MemoryLedger
from engine.ledger.port import Done, Requests
from engine.rulebook import load_rulebook
from loaders.demo.places import msisdn_of
from loaders.demo.prepare import SECRET, prepare
from server.answers import Answers
from server.codec.dtypes import Asked
from server.codec.leaving import Leaving
from server.content import Content
from server.decision_id import DecisionIds

T = TypeVar("T")
SIZES: Final = (1, 16, 50, 256, 4_096)
ID_BYTES: Final = 20


class Stopwatch:
    """Processor time of this thread by what it went to."""

    def __init__(self) -> None:
        self.spent_ns: dict[str, int] = {}

    def timed(self, what: str, work: Callable[[], T]) -> T:
        """Return what `work` returns, its time added to `what`."""
        began = time.thread_time_ns()
        result = work()
        self.spent_ns[what] = self.spent_ns.get(what, 0) + time.thread_time_ns() - began
        return result


class TimedMemory(RingAnswers):
    """The memory of answers with a stopwatch on what it is given."""

    def __init__(self, capacity_bytes: int, stopwatch: Stopwatch) -> None:
        super().__init__(capacity_bytes)
        self.stopwatch = stopwatch

    def remember(self, requests: Requests, index: npt.NDArray[np.int64], now_us: int, answers: Texts) -> Done[bool]:
        """Remember n answers."""
        return self.stopwatch.timed(
            "remember", lambda: super(TimedMemory, self).remember(requests, index, now_us, answers)
        )


class Subject:
    """The demo's engine, with what renders and sends its answers."""

    def __init__(self) -> None:
        parts = prepare(datetime.now(UTC), lambda _: None)
        keys = SubscriberKeys(SECRET, "msisdn", "US")
        self.stopwatch = Stopwatch()
        self.now_us = time.time_ns() // 1_000
        memory = TimedMemory(1 << 28, self.stopwatch)
        ledger = MemoryLedger(1 << 20, memory, outcomes_max=1 << 16, now_us=self.now_us)
        rulebook = load_rulebook(parts.rulebook)
        self.engine = Engine(rulebook, open_current(parts.base, keys), Overlay(), ledger, self.now_us)
        self.answers = Answers(self.engine.bound, Content(rulebook), 1, DecisionIds(SECRET, 0))
        self.leaving = Leaving(lambda _: b"")
        self.hashes = keys.hash_many([msisdn_of(customer) for customer in range(CUSTOMERS)])

    def batch(self, count: int, rng: np.random.Generator) -> Batch:
        """Return a batch of new requests at the desk over subscribers drawn without repetition."""
        bound, batch = self.engine.bound, self.engine.new_batch(count)
        batch.count = count
        batch.request[:] = rng.integers(0, 2**63, (count, 2))
        batch.subscriber[:] = self.hashes[rng.permutation(CUSTOMERS)[:count]]
        batch.trigger[:] = bound.trigger_index["desk_open"]
        batch.channel[:] = bound.channel_index["desk"]
        batch.offers_max[:] = 6
        batch.now_us[:] = self.now_us
        return batch

    def decide(self, batch: Batch) -> tuple[float, int]:
        """Decide, render, remember, put together; return the share of answers with an offer, and the bytes that leave."""
        stopwatch, count = self.stopwatch, batch.count
        self.answers.prepare(asked(count))
        decisions = self.engine.decide(batch, self.render)
        server_us = np.full(count, 1_000)

        def assemble() -> bytes:
            self.leaving.take_all(decisions)
            return self.leaving.together({}, server_us)

        message = stopwatch.timed("assemble", assemble)
        stopwatch.timed("assemble singly", lambda: self.leaving.singly({}, server_us))
        return float(np.mean(decisions.chosen_count > 0)), len(message)

    def render(self, batch: Batch, decisions: Decisions, index: npt.NDArray[np.int64]) -> None:
        """Render with the stopwatch on."""
        self.stopwatch.timed("render", lambda: self.answers.render(batch, decisions, index))


def asked(count: int) -> Asked:
    """Return what the codec knows of requests that ask for no language, with ids of ID_BYTES."""
    at = np.arange(count) * ID_BYTES
    size = np.full(count, ID_BYTES, np.int32)
    text = frozen(np.frombuffer(b"0123456789abcdef0123" * count, np.uint8))
    return Asked(
        text,
        frozen(at),
        frozen(size),
        frozen(at),
        frozen(size),
        frozen(np.full(count, -1, np.int32)),
        frozen(np.zeros(count, np.uint8)),
    )


def cost(subject: Subject, count: int, rounds: int, rng: np.random.Generator) -> dict[str, float]:
    """Return the medians for batches of `count`."""
    spent: dict[str, list[float]] = {}
    offered, size = [], []
    for _ in range(rounds):
        subject.now_us += MONTH_US // 64 if count == 1 else MONTH_US
        subject.stopwatch.spent_ns = {"render": 0, "remember": 0, "assemble": 0, "assemble singly": 0}
        share, length = subject.decide(subject.batch(count, rng))
        offered.append(share)
        size.append(length / count)
        for what, ns in subject.stopwatch.spent_ns.items():
            spent.setdefault(what, []).append(ns / count / 1_000)
    medians = {f"{what.replace(' ', '_')}_us": round(statistics.median(times), 3) for what, times in spent.items()}
    whole = round(medians["render_us"] + medians["remember_us"] + medians["assemble_us"], 3)
    return {
        **medians,
        "all_us": whole,
        "offered": round(statistics.mean(offered), 3),
        "answer_bytes": round(statistics.mean(size)),
    }


def run(rounds: int, seed: int, sizes: tuple[int, ...] = SIZES) -> dict[str, Any]:
    """Measure batches of these sizes; fewer rounds for the largest."""
    subject, rng = Subject(), np.random.default_rng(seed)
    found = {f"batch_{size}": cost(subject, size, max(2, min(rounds, rounds * 256 // size)), rng) for size in sizes}
    return {"machine": machine(), "seed": seed, "rounds": rounds, **found}


def main() -> None:
    """Print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    print(json.dumps(run(arguments.rounds, arguments.seed)))


if __name__ == "__main__":
    main()
