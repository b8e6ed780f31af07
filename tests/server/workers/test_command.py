"""`serve --workers n` as operators run it: signals, a drain under load, mistakes in the call, and no worker that outlives its router."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from threading import Event, Thread
from typing import Any

import grpc
import pytest
from touchpoint.v1 import admin_service_pb2 as admin
from touchpoint.v1.admin_service_pb2_grpc import AdminServiceStub
from touchpoint.v1.decision_service_pb2_grpc import DecisionServiceStub

from tests.server.operator_fixture import CUSTOMERS, Operator
from tests.server.process import PATIENCE_S, ROOT, Process
from tests.server.running import asking


def parts(operator: Operator) -> dict[str, Any]:
    paths = {name: path for name, path in operator._asdict().items() if name != "folder"}
    return {**paths, "management_listen": "127.0.0.1:0", "contacts_max": 100_000, "answers_bytes_max": 64 << 20}


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def workers_of(process: Process) -> list[int]:
    found = [
        pid
        for pid in _descendants(process.popen.pid)
        if b"--end-with-input" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    assert found
    return found


def _descendants(pid: int) -> list[int]:
    return [each for child in children(pid) for each in (child, *_descendants(child))]


def until(true: Any) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("front", ["grpcio", "native"])
def test_sigterm_under_load_fails_no_call_that_had_begun(operator: Operator, tmp_path: Path, front: str) -> None:
    codes: Counter[tuple[bool, grpc.StatusCode]] = Counter()
    stop, stopping = Event(), Event()
    with Process(tmp_path, workers=2, front=front, drain_notice_ms=300, **parts(operator)) as process:
        with process.channel() as channel:
            decisions = DecisionServiceStub(channel)

            def ask(number: int) -> None:
                while not stop.is_set():
                    late = stopping.is_set()
                    try:
                        decisions.Decide(asking(number % CUSTOMERS), timeout=20)
                        codes[late, grpc.StatusCode.OK] += 1
                    except grpc.RpcError as error:
                        codes[late, error.code()] += 1
                        time.sleep(0.01)

            threads = [Thread(target=ask, args=(n,)) for n in range(6)]
            for thread in threads:
                thread.start()
            time.sleep(0.7)
            workers = workers_of(process)
            assert len(workers) == 2
            process.signal(signal.SIGTERM)
            time.sleep(0.1)
            stopping.set()
            assert process.end() == 0
            stop.set()
            for thread in threads:
                thread.join(PATIENCE_S)
        assert {code for late, code in codes if not late} == {grpc.StatusCode.OK}
        assert set(codes) <= {
            (False, grpc.StatusCode.OK),
            (True, grpc.StatusCode.OK),
            (True, grpc.StatusCode.UNAVAILABLE),
            (True, grpc.StatusCode.CANCELLED),  # of a call that came as it closed; both are to be sent again
        }
        assert not any(alive(pid) for pid in workers)
        assert "Traceback" not in process.text()


def test_sighup_reloads_all(operator: Operator, tmp_path: Path) -> None:
    with Process(tmp_path, workers=2, **parts(operator)) as process, process.channel() as channel:
        stub = AdminServiceStub(channel)
        assert not stub.GetStatus(admin.GetStatusRequest()).HasField("reloaded_at")
        process.signal(signal.SIGHUP)
        until(lambda: process.text().count("reloaded") == 2)
        assert stub.GetStatus(admin.GetStatusRequest()).HasField("reloaded_at")


def begun(process: Process) -> None:
    """Return once its first worker has begun to start."""
    until(lambda: any(b"--end-with-input" in command(pid) for pid in _descendants(process.popen.pid)))


def command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""


def test_a_start_that_is_ended_leaves_nothing(
    operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sockets = tmp_path / "tmp"
    sockets.mkdir()
    monkeypatch.setenv("TMPDIR", str(sockets))
    with Process(tmp_path, workers=2, **parts(operator)) as process:
        begun(process)
        workers = workers_of(process)
        process.signal(signal.SIGTERM)
        assert process.end() == 0
        assert not any(alive(pid) for pid in workers)
        assert not list(sockets.iterdir())
        assert "Traceback" not in process.text()


def test_a_sighup_while_it_starts_is_done_afterwards(operator: Operator, tmp_path: Path) -> None:
    with Process(tmp_path, workers=2, **parts(operator)) as process:
        begun(process)
        process.signal(signal.SIGHUP)
        until(lambda: process.text().count("reloaded") == 2)


def test_an_address_that_cannot_be_announced_ends_all(
    operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sockets = tmp_path / "tmp"
    sockets.mkdir()
    monkeypatch.setenv("TMPDIR", str(sockets))
    with Process(tmp_path, workers=2, announce=tmp_path / "nosuch" / "address", **parts(operator)) as process:
        assert process.end() == 1
        assert "nosuch" in process.text()
        assert process.text().count("draining") == 3
        assert not list(sockets.iterdir())
        assert "Traceback" not in process.text()


def test_no_worker_outlives_a_router_that_was_killed(operator: Operator, tmp_path: Path) -> None:
    with Process(tmp_path, workers=2, **parts(operator)) as process:
        process.address()
        workers = workers_of(process)
        process.signal(signal.SIGKILL)
        process.end()
        until(lambda: not any(alive(pid) for pid in workers))


def test_a_worker_that_cannot_start_is_said_once(operator: Operator, tmp_path: Path) -> None:
    (tmp_path / "rulebook").write_bytes(b"no rulebook")
    flags = {**parts(operator), "rulebook": tmp_path / "rulebook"}
    with Process(tmp_path, workers=3, **flags) as process:
        assert process.end() == 1
        text = process.text()
    assert text.count(" Error ") == 2, text
    assert "worker 0 of 3 ended with code 1 before it was ready; its message is above" in " ".join(
        text.replace("│", "").split()
    )
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--workers", "0"), "workers"),
        (("--workers", "65"), "workers"),
        (("--workers", "x"), "workers"),
        (("--workers", "2", "--shard", "0/2"), "workers: 2 with shard 0/2: expected one of them"),
        (("--workers", "2"), "rulebook: expected a path"),
    ],
)
def test_a_mistake_in_the_call_gets_code_2_and_one_message(words: tuple[str, ...], said: str) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}"}
    done = subprocess.run(
        [sys.executable, "-m", "server", "serve", *words], capture_output=True, text=True, timeout=60, env=environment
    )
    assert done.returncode == 2, done.stderr
    assert said in " ".join(done.stderr.replace("│", "").split())
    assert done.stderr.count("Error") == 1
    assert "Traceback" not in done.stderr
