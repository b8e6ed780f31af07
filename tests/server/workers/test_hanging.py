"""A worker that hangs (stopped by a signal) costs its own subscribers alone: the queue, the status, a reload and the end do not wait for it."""

import asyncio
import os
import signal
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from touchpoint.v1 import admin_service_pb2 as admin
from touchpoint.v1 import decision_service_pb2 as pb

from engine.journal.segments import JournalError
from server.lifecycle import server_of
from server.workers import metrics, processes
from tests.server.operator_fixture import Operator
from tests.server.running import PATIENCE_S, Running, asking, running, settings_for
from tests.server.sharing import customers_by_owner
from tests.server.workers.test_router import pid, retried, status, until, workers

OF: Final = 2
QUEUE: Final = 64


@pytest.fixture(scope="module", params=["grpcio", "native"])
def small(operator: Operator, request: pytest.FixtureRequest) -> Iterator[Running]:
    with running(settings_for(operator, workers=OF, front=request.param, queue_items_max=QUEUE)) as started:
        yield started


@pytest.fixture(scope="module")
def customers(operator: Operator) -> list[list[int]]:
    return customers_by_owner(operator, OF)


@contextmanager
def hanging(server: Running, number: int) -> Iterator[None]:
    process = pid(server, number)
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def code(call: Any) -> grpc.StatusCode:
    error = call.exception(PATIENCE_S)
    return error.code() if error else grpc.StatusCode.OK


def test_the_queue_has_room_for_the_others_and_nothing_is_decided_too_late(
    small: Running, customers: list[list[int]]
) -> None:
    assert small.decisions.Decide(asking(customers[0][0])).request_id
    before = status(small).decision_count
    with hanging(small, 0):
        held = [small.decisions.Decide.future(asking(customers[0][n % 5]), timeout=5) for n in range(2 * QUEUE)]
        until(lambda: small.server.thread.load.waiting_items >= QUEUE // 4)
        for number in range(20):
            assert small.decisions.Decide(asking(customers[1][number % 5]), timeout=5).request_id
        batch = pb.DecideBatchRequest(items=[asking(customers[owner][n]) for n in range(8) for owner in (0, 1)])
        results = small.decisions.DecideBatch(batch, timeout=20).results
        assert [result.error.code for result in results] == [8, 0] * 8, "what there is no room for fails alone"
        codes = Counter(code(call) for call in held)
        assert set(codes) == {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert codes[grpc.StatusCode.DEADLINE_EXCEEDED] >= QUEUE // 4
        until(lambda: small.server.thread.load.waiting_items == 0)
    assert small.decisions.Decide(asking(customers[0][0]), timeout=5).request_id
    # The others' 20 and 8 and the last one; of the first's what it had read when it was stopped, which it may find out only then.
    assert status(small).decision_count - before <= 20 + 8 + 1 + 2


def test_the_status_of_the_others_is_there_before_callers_give_up(small: Running, customers: list[list[int]]) -> None:
    with hanging(small, 1):
        told = small.admin.GetStatus(admin.GetStatusRequest(), timeout=5)
        assert (told.worker_count, told.worker_ready_count) == (OF, OF - 1)
        with pytest.raises(grpc.RpcError) as caught:
            small.admin.Reload(admin.ReloadRequest(), timeout=20)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "worker 1 of 2 did not answer in time" in str(caught.value.details())
        assert "1 others reloaded" in str(caught.value.details())
    assert small.decisions.Decide(asking(customers[1][0])).request_id


def test_metrics_wait_for_all_that_hang_at_once(small: Running) -> None:
    url = f"http://127.0.0.1:{small.serving.management_port}/metrics"
    with hanging(small, 0), hanging(small, 1):
        began = time.monotonic()
        text = urllib.request.urlopen(url, timeout=10).read().decode()
        assert time.monotonic() - began < OF * metrics.PATIENCE_S
    assert text.count("touchpoint_worker_restarts_total{") == OF
    assert "touchpoint_decisions_total" not in text


def test_a_reload_reaches_all_although_its_caller_has_gone(small: Running) -> None:
    done = [_reloads(small, number) for number in range(OF)]
    with hanging(small, 1):
        asked = small.admin.Reload.future(admin.ReloadRequest(), timeout=0.8)
        assert code(asked) is grpc.StatusCode.DEADLINE_EXCEEDED
    until(lambda: [_reloads(small, number) for number in range(OF)] == [count + 1 for count in done])


def _reloads(server: Running, number: int) -> int:
    """Return how often a worker has reloaded, as its metrics say."""
    url = f"http://127.0.0.1:{server.serving.management_port}/metrics"
    lines = urllib.request.urlopen(url, timeout=10).read().decode().splitlines()
    return sum(
        int(float(line.rpartition(" ")[2]))
        for line in lines
        if line.startswith("touchpoint_reloads_total{") and f'shard="{number}"' in line and "failed" not in line
    )


def test_a_router_does_not_wait_long_for_its_end(
    operator: Operator, customers: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_END_S", 1.0)
    with running(settings_for(operator, workers=OF, front="grpcio", drain_grace_ms=500)) as routed:
        hung = pid(routed, 0)
        os.kill(hung, signal.SIGSTOP)
        held = routed.decisions.Decide.future(asking(customers[0][0]), timeout=60)
        until(lambda: routed.server.thread.load.waiting_items == 1)
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 15
    assert code(held) in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
    assert not Path(f"/proc/{hung}").exists()


def test_a_worker_that_the_system_has_no_process_for_is_tried_again(
    operator: Operator, customers: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = processes.Workers._begin
    failed: list[processes.Worker] = []

    async def none_at_first(self: Any, worker: processes.Worker) -> None:
        if len(failed) < 2:
            failed.append(worker)
            raise BlockingIOError(11, "Resource temporarily unavailable")
        await begin(self, worker)

    with running(settings_for(operator, workers=OF)) as routed:
        url = f"http://127.0.0.1:{routed.serving.management_port}/readyz"
        monkeypatch.setattr(processes.Workers, "_begin", none_at_first)
        monkeypatch.setattr(processes, "_PAUSE_S", 0.05)
        for number in range(OF):
            os.kill(pid(routed, number), signal.SIGKILL)
        until(lambda: not any(worker.ready for worker in workers(routed)))
        with pytest.raises(urllib.error.HTTPError, match="503") as caught:
            urllib.request.urlopen(url, timeout=10)
        assert caught.value.read() == b"no worker is ready\n"
        for own in customers:
            assert retried(lambda own=own: routed.decisions.Decide(asking(own[0]))).request_id  # type: ignore[misc]
        assert len(failed) == 2
        assert urllib.request.urlopen(url, timeout=10).read() == b"ok\n"


def test_one_server_and_workers_do_not_begin_anew_beside_each_others_journals(
    operator: Operator, tmp_path: Path
) -> None:
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    with running(settings_for(operator, journal=str(alone))) as server:
        server.decisions.Decide(asking(0))
    with running(settings_for(operator, workers=OF, journal=str(shared))) as routed:
        routed.decisions.Decide(asking(0))
    with running(settings_for(operator, shard="000/02", journal=str(shared / "shard-0"))):
        pass  # the same shard, however it is written
    found = [sorted(path.name for path in folder.rglob("*")) for folder in (alone, shared)]
    for changes, said in (
        ({"workers": OF, "journal": str(alone)}, "was the journal of one server"),
        ({"journal": str(shared)}, r"were those of workers \(shard-0, shard-1\)"),
    ):
        with pytest.raises(JournalError, match=said):
            asyncio.run(_started(settings_for(operator, **changes)))
    assert found == [sorted(path.name for path in folder.rglob("*")) for folder in (alone, shared)]


async def _started(settings: Any) -> None:
    await server_of(settings).start()
