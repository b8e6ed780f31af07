"""Failpoints: what is armed fails where it says, what says nothing known is refused, and a server that fails on purpose keeps its promises."""

import errno
import os
import signal
from pathlib import Path

import grpc
import pytest
from touchpoint.v1 import decision_service_pb2 as pb
from touchpoint.v1.decision_service_pb2_grpc import DecisionServiceStub

from engine.journal.disk import FolderDisk
from server.failpoints import Failpoints, read_failpoints
from server.lifecycle import Server
from server.settings import SettingsError
from tests.server.operator_fixture import Operator
from tests.server.process import Process
from tests.server.running import asking, settings_for, timeless


def armed(text: str) -> Failpoints:
    found = read_failpoints(text)
    assert found is not None
    return found


def failures(points: Failpoints, point: str, times: int) -> list[int]:
    """Return which of so many times the point failed."""
    hit, found = points.hit(point), []
    for number in range(1, times + 1):
        try:
            hit()
        except OSError as error:
            found.append(number if error.errno == errno.ENOSPC else -1)
    return found


def answered(stub: DecisionServiceStub, requests: list[pb.DecideRequest]) -> list[pb.DecideResponse]:
    """Return the answers up to the first call that fails."""
    answers = []
    for request in requests:
        try:
            answers.append(stub.Decide(request, timeout=20))
        except grpc.RpcError:
            break
    return answers


def test_nothing_is_armed_by_an_empty_text() -> None:
    assert read_failpoints("") is None
    assert read_failpoints(" ; ") is None


def test_a_point_fails_always_or_once_or_about_so_often() -> None:
    assert failures(armed("journal.sync=error:ENOSPC"), "journal.sync", 3) == [1, 2, 3]
    assert failures(armed("journal.sync=error:ENOSPC@2"), "journal.sync", 4) == [2]
    assert failures(armed("journal.sync=error:ENOSPC@0%"), "journal.sync", 100) == []
    assert 20 <= len(failures(armed("journal.sync=error:ENOSPC@5%"), "journal.sync", 800)) <= 60
    assert failures(armed("journal.sync=error:ENOSPC"), "journal.append", 3) == []


@pytest.mark.parametrize(
    "text",
    [
        "journal.sink=kill",
        "journal.sync=explode",
        "journal.sync=error:EMANY",
        "journal.before_ack=error:EIO",
        "journal.sync=kill@101%",
        "journal.sync=kill@0",
        "journal.sync",
        "journal.sync=sleep:2s",
    ],
)
def test_what_says_nothing_known_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"TOUCHPOINT_FAILPOINTS: .*expected"):
        read_failpoints(f"journal.append=error:EIO;{text}")


def test_a_full_disk_leaves_a_part(tmp_path: Path) -> None:
    disk = armed("journal.append=error:ENOSPC@2").disk(FolderDisk(tmp_path))
    file = disk.create("one")
    file.append(memoryview(b"whole"))
    with pytest.raises(OSError, match="failpoint"):
        file.append(memoryview(b"half"))
    assert disk.read("one").tobytes() == b"wholeha"


def test_failpoints_without_a_journal_are_refused(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOUCHPOINT_FAILPOINTS", "journal.sync=kill")
    with pytest.raises(SettingsError, match="no journal is set"):
        Server(settings_for(operator))


@pytest.mark.parametrize("point", ["journal.append", "journal.sync", "journal.before_ack", "journal.after_ack"])
def test_a_server_killed_at_a_point_keeps_its_promises(
    operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    flags = {name: str(path) for name, path in operator._asdict().items() if name != "folder"}
    flags |= {"journal": str(tmp_path / "journal"), "journal_durability": "always", "management_listen": ""}
    requests = [asking(number) for number in range(14, 34)]
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    monkeypatch.setenv("TOUCHPOINT_FAILPOINTS", f"{point}=kill@9")
    with Process(first, **flags) as process:
        stub = DecisionServiceStub(process.channel())
        answers = answered(stub, requests)
        assert process.end() == -signal.SIGKILL
        assert "FAILPOINTS ARE ARMED" in process.text()
    assert 5 <= len(answers) < len(requests)
    monkeypatch.delenv("TOUCHPOINT_FAILPOINTS")
    with Process(second, **flags) as process:
        stub = DecisionServiceStub(process.channel())
        assert [timeless(stub.Decide(request)) for request in requests[: len(answers)]] == [
            timeless(answer) for answer in answers
        ]
        assert "FAILPOINTS" not in process.text()
    assert "TOUCHPOINT_FAILPOINTS" not in os.environ
