"""The load generator against grpcio's server: what it sends, and that it counts what is wrong."""

import itertools
import socket
import threading
import time
from typing import Any

import grpc
import numpy as np
import pytest
from touchpoint.v1 import decision_service_pb2 as pb

from bench.connection import LoadError, frame
from bench.generator import Driven, Load, Target, drive
from bench.measured import Decisions, RunError, check_empty, measured, percentiles_ms
from bench.processes import drive_together
from bench.requests import DECIDE, DECIDE_BATCH, Keys, Question, Salts
from bench.wire import Answer
from tests.bench.handlers import Handler, serving

KEYS = Keys("+999", 10, 17, 6_180_339_887, 50)
CALLS = 60


def driven_by(handler: Handler, options: list[tuple[str, Any]] | None = None, **changes: Any) -> Driven:
    """Drive a few calls at a handler."""
    items, kind = changes.pop("items", 0), changes.pop("kind", Answer.DECISION)
    load = Load(
        **{"seconds": 20.0, "seed": 3, "connections": 2, "in_flight": 8, "calls_max": CALLS, **changes.pop("load", {})}
    )
    with serving(handler, options) as address, np.errstate(over="ignore"):
        path = DECIDE_BATCH if items else DECIDE
        target = Target(address, path, Question("app_open", "app", 2), KEYS, kind, items, 1 << 16, **changes)
        return drive(target, load, Salts(3))


def answer_to(request: pb.DecideRequest, number: int) -> pb.DecideResponse:
    """Return an answer as our server gives one."""
    offer = pb.DecideResponse().offers.add(rank=1, offer="an offer", content="words " * (number % 90))
    return pb.DecideResponse(
        request_id=request.request_id, decision_id=f"s0-{number}", offers=[offer], server_us=number
    )


class Desk:
    """Answers as it should, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[pb.DecideRequest] = []
        self.metadata: set[tuple[str, str]] = set()

    async def decide(self, payload: bytes, context: Any) -> bytes:
        """Answer one request."""
        request = pb.DecideRequest.FromString(payload)
        self.asked.append(request)
        self.metadata |= {(key, value) for key, value in context.invocation_metadata()}
        return self.answer(request).SerializeToString()

    async def decide_batch(self, payload: bytes, _context: Any) -> bytes:
        """Answer a batch."""
        requests = pb.DecideBatchRequest.FromString(payload).items
        self.asked += requests
        return pb.DecideBatchResponse(
            results=[pb.DecideBatchResult(answer=self.answer(request)) for request in requests]
        ).SerializeToString()

    def answer(self, request: pb.DecideRequest) -> pb.DecideResponse:
        """Return the answer to a request."""
        return answer_to(request, len(self.asked) * 1_000 + int(request.request_id[-4:], 16))


def test_requests_are_what_a_client_would_send() -> None:
    desk = Desk()
    driven = driven_by(desk.decide)
    assert driven.tally["calls"] == driven.tally["offered"] == len(desk.asked) == CALLS
    assert driven.tally["failed"] == driven.tally["wrong"] == 0
    assert len({request.request_id for request in desk.asked}) == CALLS
    assert {request.subscriber for request in desk.asked} <= {KEYS.key(row) for row in range(KEYS.rows)}
    assert len({request.subscriber for request in desk.asked}) > KEYS.rows // 3
    for request in desk.asked:
        assert (request.placement, request.channel, request.max_offers) == ("app_open", "app", 2)
        assert not request.dry_run
    assert ("user-agent", "touchpoint-bench") in desk.metadata
    assert (driven.latency_ns > 0).all()
    Decisions().check(driven)


def test_runs_of_one_server_share_no_request_id() -> None:
    desk, salts = Desk(), Salts(3)
    with serving(desk.decide) as address, np.errstate(over="ignore"):
        target = Target(address, DECIDE, Question("app_open", "app", 2), KEYS, Answer.DECISION)
        for seed in (3, 3):
            drive(target, Load(20.0, seed, 1, 4, calls_max=10), salts)
    assert len({request.request_id for request in desk.asked}) == 20


def test_subscribers_are_drawn_uniformly_and_by_seed() -> None:
    drawn = []
    for seed in (4, 4, 5):
        desk = Desk()
        driven_by(desk.decide, load={"seed": seed, "connections": 1, "in_flight": 1})
        drawn.append([request.subscriber for request in desk.asked])
    assert drawn[0] == drawn[1] != drawn[2]


def test_batches_are_checked_item_by_item() -> None:
    desk = Desk()
    driven = driven_by(desk.decide_batch, items=20, kind=Answer.BATCH, load={"calls_max": 6})
    assert driven.tally["items"] == driven.tally["offered"] == len(desk.asked) == 120
    assert driven.tally["wrong"] == 0
    Decisions().check(driven)


def test_batches_that_go_out_in_pieces_over_several_connections_keep_their_ids() -> None:
    desk = Desk()
    options = [("grpc.http2.lookahead_bytes", 16_384), ("grpc.http2.bdp_probe", 0)]
    driven = driven_by(
        desk.decide_batch, options, items=3_000, kind=Answer.ANY, load={"calls_max": 6, "connections": 3}
    )
    assert driven.tally["calls"] >= 6
    assert len({request.request_id for request in desk.asked}) == len(desk.asked) == 3_000 * driven.tally["calls"]


def test_batch_larger_than_every_window_arrives_whole() -> None:
    desk = Desk()
    options = [("grpc.http2.lookahead_bytes", 16_384), ("grpc.http2.bdp_probe", 0)]
    driven = driven_by(
        desk.decide_batch, options, items=3_000, kind=Answer.ANY, load={"calls_max": 3, "connections": 1}
    )
    assert len(desk.asked) == len({request.request_id for request in desk.asked}) == 9_000
    assert driven.tally["calls"] == 3


def test_batch_without_an_answer_for_each_item_fails_the_run() -> None:
    desk = Desk()

    async def short(payload: bytes, context: Any) -> bytes:
        whole = pb.DecideBatchResponse.FromString(await desk.decide_batch(payload, context))
        del whole.results[3]
        return whole.SerializeToString()

    with pytest.raises(RunError, match="well formed"):
        Decisions().check(driven_by(short, items=8, kind=Answer.BATCH, load={"calls_max": 4}))


def test_failed_item_of_a_batch_fails_the_run() -> None:
    desk = Desk()

    async def failing(payload: bytes, context: Any) -> bytes:
        whole = pb.DecideBatchResponse.FromString(await desk.decide_batch(payload, context))
        whole.results[2].error.message = "no"
        return whole.SerializeToString()

    with pytest.raises(RunError, match="well formed"):
        Decisions().check(driven_by(failing, items=8, kind=Answer.BATCH, load={"calls_max": 4}))


def test_status_that_is_not_ok_is_a_failure() -> None:
    desk, numbers = Desk(), itertools.count()

    async def failing(payload: bytes, context: Any) -> bytes:
        if next(numbers) % 4 == 0:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")
        return await desk.decide(payload, context)

    driven = driven_by(failing)
    assert driven.tally["failed"] == CALLS // 4
    assert driven.tally["status_last"] == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    with pytest.raises(RunError, match="45 of 60 held one, 15 calls failed, the last with status 8"):
        Decisions().check(driven)
    with pytest.raises(RunError, match="every call to succeed"):
        check_empty(driven)


def test_answers_without_an_offer_fail_the_run() -> None:
    class Stingy(Desk):
        def answer(self, request: pb.DecideRequest) -> pb.DecideResponse:
            whole = super().answer(request)
            if len(self.asked) % 12 == 0:
                return pb.DecideResponse(request_id=whole.request_id)
            return whole

    with pytest.raises(RunError, match="at least 95% of the answers, 55 of 60"):
        Decisions().check(driven_by(Stingy().decide))


def test_one_answer_in_twenty_may_be_without_an_offer() -> None:
    class Fair(Desk):
        def answer(self, request: pb.DecideRequest) -> pb.DecideResponse:
            whole = super().answer(request)
            return pb.DecideResponse(request_id=whole.request_id) if len(self.asked) % 20 == 0 else whole

    driven = driven_by(Fair().decide)
    Decisions().check(driven)
    assert measured(driven, 0.1).offered_share == 0.95


def test_repeated_decision_fails_the_run_and_a_later_one() -> None:
    class Forgetful(Desk):
        def answer(self, request: pb.DecideRequest) -> pb.DecideResponse:
            return answer_to(request, min(len(self.asked), CALLS - 1))

    with pytest.raises(RunError, match="1 of 60 repeat another"):
        Decisions().check(driven_by(Forgetful().decide))
    met = Decisions()
    met.check(driven_by(Desk().decide, load={"connections": 1, "in_flight": 1}))
    with pytest.raises(RunError, match="60 of 120 repeat another"):
        met.check(driven_by(Desk().decide, load={"connections": 1, "in_flight": 1}))


@pytest.mark.parametrize("wrong", ["other request", "no message", "cut", "empty"])
def test_answer_that_is_not_of_its_request_fails_the_run(wrong: str) -> None:
    desk = Desk()

    async def answer(payload: bytes, context: Any) -> bytes:
        whole = await desk.decide(payload, context)
        if len(desk.asked) != 7:
            return whole
        request = pb.DecideRequest(request_id="0" * 16)
        return {
            "other request": answer_to(request, 1).SerializeToString(),
            "no message": b"\xff" * 40,
            "cut": whole[:-1],
            "empty": b"",
        }[wrong]

    with pytest.raises(RunError, match="1 of 60 were not"):
        Decisions().check(driven_by(answer))


def test_stream_ids_that_are_used_up_go_on_over_a_new_connection() -> None:
    desk = Desk()
    driven = driven_by(desk.decide, stream_id_max=15)
    assert driven.tally["calls"] == len({request.request_id for request in desk.asked}) == CALLS
    Decisions().check(driven)


def test_server_that_takes_few_calls_at_once_gets_no_more() -> None:
    desk, now, most = Desk(), 0, 0

    async def counting(payload: bytes, context: Any) -> bytes:
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        answer = await desk.decide(payload, context)
        now -= 1
        return answer

    driven_by(counting, [("grpc.max_concurrent_streams", 3)], load={"connections": 1, "in_flight": 8})
    assert 1 <= most <= 3


def test_open_loop_counts_latency_from_the_intended_start() -> None:
    """The server takes one call at a time and stops for a fifth of a second once: all calls meant for that time are late, not only the one that met it."""
    desk = Desk()

    async def stopping(payload: bytes, context: Any) -> bytes:
        if len(desk.asked) == 20:
            time.sleep(0.2)
        return await desk.decide(payload, context)

    one_at_a_time = [("grpc.max_concurrent_streams", 1)]
    driven = driven_by(
        stopping, one_at_a_time, load={"seconds": 1.0, "rate_per_s": 200.0, "calls_max": 0, "connections": 1}
    )
    assert 120 < driven.tally["calls"] < 280
    late = int((driven.latency_ns > 50_000_000).sum())
    assert late >= 15
    Decisions().check(driven)


def test_server_that_leaves_fails_the_run() -> None:
    """It settles the connection, takes the first calls, and is gone."""
    listener = socket.create_server(("127.0.0.1", 0))

    def leave() -> None:
        taken, _ = listener.accept()
        with taken:
            taken.sendall(frame(4, 0, 0, b""))
            while len(taken.recv(65_536)) < 500:
                pass

    server = threading.Thread(target=leave)
    server.start()
    target = Target(f"127.0.0.1:{listener.getsockname()[1]}", DECIDE, Question("a", "b", 1), KEYS, Answer.ANY)
    try:
        with pytest.raises(LoadError, match=r"the server (closed|ended) the connection"), np.errstate(over="ignore"):
            drive(target, Load(20.0, 1, 1, 8), Salts(1))
    finally:
        server.join(20)
        listener.close()


def test_several_processes_drive_one_load_together() -> None:
    desk = Desk()
    with serving(desk.decide) as address:
        target = Target(address, DECIDE, Question("app_open", "app", 2), KEYS, Answer.DECISION)
        driven = drive_together(target, Load(30.0, 3, 4, 8, calls_max=CALLS), Salts(3), 2)
    assert driven.processes == 2
    assert driven.tally["calls"] == driven.tally["offered"] == len(driven.decisions) == CALLS
    assert len({request.request_id for request in desk.asked}) == CALLS
    Decisions().check(driven)


def test_salts_given_apart_share_no_id() -> None:
    salts = Salts(9)
    taken = [salts.take(), salts.apart().take(), salts.apart().take(), salts.take()]
    assert len(set(taken)) == 4
    assert min(abs(a - b) for a in taken for b in taken if a != b) >= 1 << 36


def test_arrivals_of_the_open_loop_are_those_of_its_seed() -> None:
    from bench.generator import _arrivals

    load = Load(20.0, 9, rate_per_s=500.0)
    first, again, other = (_arrivals(one, 5) for one in (load, load, load._replace(seed=8)))
    assert (first == again).all()
    assert len(other) != len(first) or (other != first).any()
    gaps_s = np.diff(first) / 1e9
    assert 0.9 < gaps_s.mean() * 500 < 1.1
    assert 0.9 < gaps_s.std() * 500 < 1.1


def test_percentiles_are_those_of_the_values() -> None:
    latency_ns = np.arange(1, 100_001, dtype=np.int64) * 1_000
    found = percentiles_ms(latency_ns)
    for name, expected in (("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99_9", 99.9), ("p99_99", 99.99)):
        assert found[name] == pytest.approx(expected, rel=2e-3)
