"""A running server whose clock is set forward and back by an hour and a day (libfaketime): push stops until it is confirmed, quiet hours and caps hold."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from touchpoint.v1 import admin_service_pb2 as admin
from touchpoint.v1 import decision_pb2, reason_pb2
from touchpoint.v1 import decision_service_pb2 as pb
from touchpoint.v1.admin_service_pb2_grpc import AdminServiceStub
from touchpoint.v1.decision_service_pb2_grpc import DecisionServiceStub

from tests.server.operator_fixture import CATALOGUE, Operator, write_operator
from tests.server.process import Process
from tests.server.running import asking

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
pytestmark = pytest.mark.skipif(not LIBRARIES, reason="libfaketime is not installed here; apt-get install faketime")
CAP = 2
CAPPED = CATALOGUE.replace(
    "  cool_down:",
    f"    - {{id: few, scope: channel, target: desk, per: subscriber, counts: decided, window: {{rolling: 7d}}, limit: {CAP}}}\n  cool_down:",
)


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    assert CAPPED != CATALOGUE
    return write_operator(tmp_path_factory.mktemp("operator"), CAPPED)


class Jumping:
    """A server whose wall clock is off by what a file says."""

    def __init__(self, folder: Path, process: Process) -> None:
        self._file, self._process = folder / "offset", process
        channel = process.channel()
        self.decisions, self.admin = DecisionServiceStub(channel), AdminServiceStub(channel)

    def jump(self, seconds: int) -> None:
        part = self._file.with_suffix(".part")
        part.write_text(f"{seconds:+d}\n", encoding="ascii")
        part.replace(self._file)
        time.sleep(0.1)

    def confirmed(self) -> bool:
        return bool(self.admin.GetStatus(admin.GetStatusRequest()).clock_confirmed)

    def push(self, number: int) -> pb.DecideResponse:
        event = decision_pb2.TriggerEvent(type="usage")
        return self.decisions.Decide(asking(number, channel="sms", trigger=event), timeout=30)

    def desk(self, number: int) -> pb.DecideResponse:
        return self.decisions.Decide(asking(number), timeout=30)


@pytest.fixture
def server(operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jumping]:
    (tmp_path / "offset").write_text("+0\n", encoding="ascii")
    for name, value in {
        "LD_PRELOAD": str(LIBRARIES[0]),
        "FAKETIME_TIMESTAMP_FILE": str(tmp_path / "offset"),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }.items():
        monkeypatch.setenv(name, value)
    flags: dict[str, Any] = {name: str(path) for name, path in operator._asdict().items() if name != "folder"}
    with Process(tmp_path, **flags, journal=str(tmp_path / "journal"), management_listen="") as process:
        yield Jumping(tmp_path, process)


@pytest.mark.parametrize("seconds", [3_600, 86_400, -3_600, -86_400])
def test_a_jump_stops_push_until_it_is_confirmed_and_passes_no_cap(server: Jumping, seconds: int) -> None:
    assert server.confirmed()
    given = [len(server.desk(20).offers) > 0 for _ in range(CAP)]
    assert given == [True] * CAP
    assert not server.desk(20).offers
    server.jump(seconds)
    stopped = server.push(33)
    assert (list(stopped.offers), stopped.reason) == ([], reason_pb2.REASON_CLOCK_UNCONFIRMED)
    assert not server.confirmed()
    assert not server.desk(20).offers, "ledger time never goes backwards, and a week has not passed"
    assert server.desk(21).offers, "pull goes on"
    server.jump(0)
    assert server.push(33).reason == reason_pb2.REASON_CLOCK_UNCONFIRMED, "back again, and nobody confirmed"
    assert not server.desk(20).offers
    assert server.admin.ConfirmClock(admin.ConfirmClockRequest()).was_unconfirmed
    assert server.push(34).reason != reason_pb2.REASON_CLOCK_UNCONFIRMED
    assert not server.desk(20).offers
