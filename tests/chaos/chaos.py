"""Lives of a server, each ended by `kill -9`: at a random moment under load, within its start, or at a failpoint; then all that was promised is looked at."""

import os
import random
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple
from unittest import mock

import grpc
from touchpoint.v1 import decision_service_pb2 as decision
from touchpoint.v1 import outcome_service_pb2 as outcome
from touchpoint.v1.decision_service_pb2_grpc import DecisionServiceStub
from touchpoint.v1.outcome_service_pb2_grpc import OutcomeServiceStub

from tests.chaos.counter import Counter, timeless
from tests.chaos.load import OPTIONS, Load
from tests.chaos.shop import write_shop
from tests.server.process import Process

THREADS: Final = 4
LOADED_S_MAX: Final = 1.5
START_S_MAX: Final = 3.0
FAILPOINTS: Final = ("journal.append", "journal.sync", "journal.before_ack", "journal.after_ack")
SAMPLE: Final = 100
VARIABLE: Final = "TOUCHPOINT_FAILPOINTS"
GIVE_UP_S: Final = 20.0


class Life(NamedTuple):
    """How one life began and ended."""

    end: str
    """`under load`, `within its start`, or a failpoint."""
    ready_s: float
    """Until it was ready; 0 for one that never was."""


class Chaos:
    """One journal, and the lives of the servers that write it."""

    def __init__(self, folder: Path, durability: str, seed: int) -> None:
        self._rng = random.Random(seed)
        self._folder, self._seed = folder, seed
        self._address = f"127.0.0.1:{free_port()}"
        self._flags: dict[str, Any] = write_shop(folder / "shop") | {
            "journal": str(folder / "journal"),
            "journal_durability": durability,
            "management_listen": "",
            "listen": self._address,
            "answers_bytes_max": 64 << 20,
        }
        self.counter = Counter()
        self.lives: list[Life] = []

    def run(self, kills: int, tell: Callable[[str], None]) -> list[str]:
        """Live and be killed so many times, then once more; return what was not as promised."""
        load = Load(self._address, self.counter, THREADS, self._seed)
        try:
            for number in range(kills):
                life = self._live(number)
                self.lives.append(life)
                tell(f"{number + 1:4} killed {life.end:20} ready after {life.ready_s:5.2f} s")
                if self.counter.violations:
                    break
        finally:
            with self._process(kills, "") as process:
                process.address()
                load.stop()
                self._look()
                process.signal(signal.SIGTERM)
                process.end()
        self.counter.check_caps()
        return self.counter.violations

    def _live(self, number: int) -> Life:
        drawn = self._rng.random()
        point = self._rng.choice(FAILPOINTS) if drawn < 0.4 else ""
        armed = f"{point}=kill@{self._rng.randrange(1, 400)}" if point else ""
        with self._process(number, armed) as process:
            started_s = time.monotonic()
            if not point and drawn > 0.85:
                time.sleep(self._rng.uniform(0.2, 2.5))
                self._kill(process)
                return Life("within its start", 0.0)
            try:
                process.address()
            except AssertionError:
                if point and process.popen.poll() == -signal.SIGKILL:
                    return Life(point, 0.0)
                raise
            ready_s = time.monotonic() - started_s
            if point:
                return Life(self._await_end(process, point), ready_s)
            self._look()
            time.sleep(self._rng.uniform(0.0, LOADED_S_MAX))
            self._kill(process)
            return Life("under load", ready_s)

    def _await_end(self, process: Process, point: str) -> str:
        """Wait until it ends itself at its failpoint, or end it when no sync comes, as durability may have it."""
        end_s = time.monotonic() + LOADED_S_MAX
        while process.popen.poll() is None and time.monotonic() < end_s:
            time.sleep(0.01)
        if process.popen.poll() is None:
            self._kill(process)
            return "under load"
        assert process.end() == -signal.SIGKILL, process.text()
        return point

    def _kill(self, process: Process) -> None:
        os.kill(process.popen.pid, signal.SIGKILL)
        assert process.end() == -signal.SIGKILL, process.text()

    def _process(self, number: int, failpoints: str) -> Process:
        folder = self._folder / f"life_{number}"
        folder.mkdir()
        with mock.patch.dict(os.environ, {VARIABLE: failpoints}):
            return Process(folder, **self._flags)

    def _look(self) -> None:
        """See that what was acknowledged before is still so, and that no cap is broken."""
        counter = self.counter
        counter.check_caps()
        answered, recorded = list(counter.answered), list(counter.recorded)
        with grpc.insecure_channel(self._address, OPTIONS) as channel:
            decisions, outcomes = DecisionServiceStub(channel), OutcomeServiceStub(channel)
            for request, answer in self._rng.sample(answered, min(SAMPLE, len(answered))):
                again = decisions.Decide(
                    decision.DecideRequest.FromString(request), timeout=GIVE_UP_S, wait_for_ready=True
                )
                if timeless(again) != answer:
                    was = decision.DecideResponse.FromString(answer)
                    counter.violations.append(f"after a kill a request is answered otherwise: {was} and {again}")
            for request in self._rng.sample(recorded, min(SAMPLE, len(recorded))):
                report = outcome.RecordOutcomesRequest.FromString(request)
                status = outcomes.RecordOutcomes(report, timeout=GIVE_UP_S, wait_for_ready=True).results[0].status
                if status != outcome.OUTCOME_STATUS_DUPLICATE:
                    counter.violations.append(
                        f"an outcome was acknowledged, and is {outcome.OutcomeStatus.Name(status)} after a kill"
                    )


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
