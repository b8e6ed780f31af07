"""Micro-benchmarks of kernels and codec: `make micro` measures them; in the suite each runs once, and its result is checked, never its time.

Work that changes state is asked as dry runs, so that every round does the same.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from touchpoint.v1 import decision_service_pb2 as pb

from bench.catalogues import question, shelf_of
from bench.kernels.answers import OFFER, check_decision
from bench.kernels.sending import write_calls
from bench.matching import Ours, engine_of, hashes_of
from bench.operator import keys_of
from bench.requests import DECIDE, decide_request, header_block, request_of, template_of
from bench.rules import rules
from bench.wire import Answer, State, Tally, new_slots
from bench.worlds import World, built
from engine.base.keys import SubscriberKeys, read_secret
from engine.batch import DRY_RUN
from engine.dtypes.matching import ACROSS, BY_LABEL, SLICED
from engine.jit import COMPILED, frozen
from server.clock import Clock
from server.decision_id import DecisionIds
from server.failure import Failure
from server.figures import Figures
from server.front import DecisionFront
from server.subscriber_hashes import SubscriberHashes
from server.work import CallInfo

pytestmark = [
    pytest.mark.skipif(not COMPILED, reason="measures compiled code"),
    pytest.mark.filterwarnings("ignore::pytest_benchmark.logger.PytestBenchmarkWarning"),
]
Benchmark = Callable[..., Any]
ROWS, SEED, ITEMS = 2_000, 5, 256


@pytest.fixture(scope="module")
def world() -> World:
    return built(ROWS, SEED)


@pytest.fixture(scope="module")
def front(world: World) -> DecisionFront:
    secret = read_secret(world.key_secret_file)
    keys = SubscriberKeys(secret, "msisdn", "US")
    engine = engine_of(world, shelf_of(100, SEED))
    return DecisionFront(engine, SubscriberHashes(keys, secret), DecisionIds(secret, 0), Clock(), Figures())


def test_hashes_of_256_keys(benchmark: Benchmark, world: World) -> None:
    keys = SubscriberKeys(read_secret(world.key_secret_file), "msisdn", "US")
    texts = [keys_of(ROWS, SEED).key(row).removeprefix("+").encode() for row in range(ITEMS)]
    data, offsets = np.frombuffer(b"".join(texts), np.uint8), np.arange(0, 13 * ITEMS + 1, 13)
    found = benchmark(keys.hash_bytes, data, offsets)
    assert (found == hashes_of(world, np.arange(ITEMS), SEED)).all()


def test_look_up_of_256_subscribers(benchmark: Benchmark, world: World) -> None:
    ours = Ours(world, rules(10, SEED), SEED)
    prepared = benchmark(ours.gather, hashes_of(world, np.arange(ITEMS), SEED))
    assert (prepared.run.rows.found[:ITEMS] == 1).all()


@pytest.mark.parametrize("count", [10, 100, 1_000])
def test_matching_of_256_subscribers(benchmark: Benchmark, world: World, count: int) -> None:
    ours = Ours(world, rules(count, SEED), SEED)
    subscribers = hashes_of(world, np.arange(ITEMS), SEED)
    benchmark(ours.match, ours.gather(subscribers))
    assert 0 < ours.matches(subscribers).mean() < 0.5


@pytest.mark.parametrize("items", [8, 64])
@pytest.mark.parametrize("strategy", [BY_LABEL, SLICED, ACROSS])
@pytest.mark.parametrize("count", [10, 100])
def test_matching_by_each_strategy(benchmark: Benchmark, world: World, count: int, strategy: int, items: int) -> None:
    """What the costs of engine.matching and engine.matching_across are fitted to: attributes are read anew in every round."""
    ours = Ours(world, rules(count, SEED), SEED, strategy)
    subscribers = hashes_of(world, np.arange(items), SEED)
    prepared = ours.gather(subscribers)
    unread = prepared.run.rows.row[:items].copy()

    def match() -> None:
        prepared.run.rows.row[:items] = unread
        ours.match(prepared)

    benchmark(match)
    assert 0 < ours.matches(hashes_of(world, np.arange(ITEMS), SEED)).mean() < 0.5


@pytest.mark.parametrize("items", [1, 64, ITEMS])
def test_engine_decides_a_batch(benchmark: Benchmark, world: World, items: int) -> None:
    engine = engine_of(world, shelf_of(100, SEED))
    batch = engine.new_batch()
    batch.count = items
    batch.subscriber[:items] = hashes_of(world, np.arange(items), SEED)
    batch.trigger[:], batch.channel[:] = engine.bound.trigger_index["app_open"], engine.bound.channel_index["app"]
    batch.flags[:] = DRY_RUN
    batch.now_us[:] = time.time_ns() // 1_000
    decisions = benchmark(engine.decide, batch)
    assert (decisions.chosen_count > 0).mean() > 0.9


@pytest.mark.parametrize("items", [1, 64, ITEMS])
def test_front_from_bytes_to_bytes(benchmark: Benchmark, front: DecisionFront, items: int) -> None:
    keys = keys_of(ROWS, SEED)
    payloads = []
    for row in range(items):
        request = decide_request(question(1), keys, f"{row:016x}", row)
        request.dry_run = True
        payloads.append(request.SerializeToString())
    calls = [CallInfo("micro", time.monotonic_ns())] * items
    outcomes = benchmark(front.decide_batch, payloads, calls)
    offers = [pb.DecideResponse.FromString(o).offers for o in outcomes if not isinstance(o, Failure)]
    assert len(offers) == items
    assert sum(map(bool, offers)) > 0.9 * items


def test_generator_writes_64_calls(benchmark: Benchmark) -> None:
    keys = keys_of(ROWS, SEED)
    template = template_of(question(1), keys, 0)
    request = request_of(template, header_block(DECIDE, "localhost"), keys, Answer.DECISION, (1, 2))
    slots, out, starts = new_slots(64, 1_024), np.zeros(1 << 16, np.uint8), frozen(np.zeros(1, np.int64))

    def write() -> int:
        state, tally = np.zeros(len(State), np.int64), np.zeros(len(Tally), np.int64)
        slots.calls["stream"] = 0
        state[State.NEXT_STREAM], state[State.STREAM_MAX], state[State.START_AT] = 1, 1 << 30, -1
        state[State.CALLS_MAX] = state[State.WANTED] = 64
        state[State.SEND_WINDOW] = state[State.STREAM_WINDOW_NEW] = 1 << 20
        state[State.FRAME_BYTES_MAX] = 16_384
        return write_calls(out, request, state, slots, tally, starts, 1)

    written = benchmark(write)
    assert written == 64 * (9 + len(request.headers) + 9 + len(request.message))


def test_generator_checks_an_answer(benchmark: Benchmark) -> None:
    answer = pb.DecideResponse(request_id=f"{7:016x}", decision_id="s0-1-2-3")
    answer.offers.add(rank=1, offer="one", content="words " * 30)
    message, left = frozen(np.frombuffer(answer.SerializeToString(), np.uint8)), np.zeros(1, np.uint64)
    assert benchmark(check_decision, message, 0, len(message), np.uint64(7), left, 0) == OFFER
