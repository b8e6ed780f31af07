"""A restart without a gap: one server drains under load, another is there, and callers with the client's retry policy see no failed call."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import grpc
import pytest
from touchpoint.v1 import decision_service_pb2 as pb
from touchpoint.v1.decision_service_pb2_grpc import DecisionServiceStub

from clients.target import Target
from tests.server.fronts.doors import CERTIFICATES, DOORS, PATIENCE_S, envoy, opened
from tests.server.operator_fixture import CUSTOMERS, Operator
from tests.server.running import Running, asking

CALLERS: Final = 6
BATCHERS: Final = 2
NOTICE_MS: Final = 300


class Callers:
    """Threads that ask one call after the other over one channel, and what became of their calls."""

    def __init__(self, target: Target) -> None:
        self.codes: Counter[grpc.StatusCode] = Counter()
        self._stop = threading.Event()
        self._target = target
        self._channel = target.channel()
        self._stub = DecisionServiceStub(self._channel)
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(CALLERS + BATCHERS)]
        for thread in self._threads:
            thread.start()

    def _ask(self, number: int) -> None:
        while not self._stop.is_set():
            try:
                request = asking(number % CUSTOMERS)
                if number < CALLERS:
                    self._stub.Decide(request, timeout=PATIENCE_S, metadata=self._target.metadata())
                else:
                    batch = pb.DecideBatchRequest(items=[request] * 8)
                    self._stub.DecideBatch(batch, timeout=PATIENCE_S, metadata=self._target.metadata())
                self.codes[grpc.StatusCode.OK] += 1
            except grpc.RpcError as error:
                self.codes[error.code()] += 1

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)
        self._channel.close()


def decided(server: Running) -> int:
    return int(server.server.decisions.figures.reasons.sum())


@pytest.mark.parametrize("name", DOORS)
def test_a_drain_under_load_fails_no_call(operator: Operator, tmp_path: Path, name: str) -> None:
    with contextlib.ExitStack() as stack:
        first, token = stack.enter_context(opened(name, operator, tmp_path, drain_notice_ms=NOTICE_MS))
        changes = {"tokens_file": str(tmp_path / "tokens.toml")} if token else {}
        second, _ = stack.enter_context(opened("native", operator, tmp_path, **changes))
        if name.startswith("envoy"):
            port, _ = stack.enter_context(envoy(name.removeprefix("envoy-"), tmp_path, first, second))
            target = Target(f"localhost:{port}", CERTIFICATES / "ca.pem", token or None)
        else:
            target = Target(f"ipv4:127.0.0.1:{first.serving.port},127.0.0.1:{second.serving.port}")
        callers = Callers(target)
        try:
            time.sleep(0.5)
            before = callers.codes[grpc.StatusCode.OK]
            assert before
            assert decided(first)
            first.stop()
            time.sleep(0.7)
        finally:
            callers.end()
        assert set(callers.codes) == {grpc.StatusCode.OK}
        assert decided(second), "the second server took over"


@pytest.mark.parametrize("name", ["grpcio", "native"])
def test_a_drain_ends_though_streams_and_watches_are_open(operator: Operator, tmp_path: Path, name: str) -> None:
    gate = threading.Event()

    def requests() -> Iterator[pb.DecideStreamRequest]:
        yield pb.DecideStreamRequest(request=asking(1, dry_run=True))
        gate.wait(PATIENCE_S)

    with opened(name, operator, tmp_path, drain_notice_ms=0, drain_grace_ms=5_000) as (server, _):
        answers = server.decisions.DecideStream(requests())
        assert next(answers).answer.offers
        began_s = time.monotonic()
        stopping = threading.Thread(target=lambda: server.on_loop(server.server.stop()))
        stopping.start()
        assert list(answers) == []
        assert answers.code() == grpc.StatusCode.OK
        gate.set()
        stopping.join(PATIENCE_S)
        assert time.monotonic() - began_s < 4
        server.channel.close()
        server.close_loop()
