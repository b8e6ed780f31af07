"""A disk that is full or broken: push fails closed, pull degrades, nothing that was written is harmed, and all is well once it is well again."""

import errno
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from touchpoint.v1 import decision_pb2
from touchpoint.v1 import decision_service_pb2 as pb
from touchpoint.v1 import outcome_service_pb2 as outcome
from touchpoint.v1 import reason_pb2 as reasons

from engine.journal.disk import FolderDisk, FolderFile
from engine.journal.segments import Log
from tests.server.operator_fixture import Operator, write_operator
from tests.server.running import Running, asking, running, settings_for, timeless


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    return write_operator(tmp_path_factory.mktemp("operator"))


class Disk:
    """What the files of all journals do: fail when told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error = 0
        append, sync = FolderFile.append, FolderFile.sync

        def appended(file: FolderFile, data: memoryview) -> None:
            if self.error == errno.ENOSPC:
                append(file, data[: len(data) // 2])
                raise OSError(self.error, "No space left on device")
            append(file, data)

        def synced(file: FolderFile) -> None:
            if self.error == errno.EIO:
                raise OSError(self.error, "Input/output error")
            sync(file)

        monkeypatch.setattr(FolderFile, "append", appended)
        monkeypatch.setattr(FolderFile, "sync", synced)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    return Disk(monkeypatch)


def open_files_in(folder: Path) -> int:
    """Return how many files of the folder this process has open."""
    count = 0
    for each in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # it was closed meanwhile
            count += each.readlink().is_relative_to(folder)
    return count


def push(number: int) -> pb.DecideRequest:
    return asking(number, channel="sms", trigger=decision_pb2.TriggerEvent(type="usage"))


def served(operator: Operator, folder: Path, durability: str) -> Any:
    return running(settings_for(operator, journal=str(folder / "journal"), journal_durability=durability))


def healed(server: Running) -> None:
    end = time.monotonic() + 20
    while server.server.decisions.journal.failure is not None:  # type: ignore[union-attr]
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_everysec_goes_on_with_pull_and_stops_push(operator: Operator, tmp_path: Path, disk: Disk, error: int) -> None:
    with served(operator, tmp_path, "everysec") as server:
        journal = server.server.decisions.journal
        assert journal is not None
        before = [server.decisions.Decide(asking(number)) for number in range(14, 18)]
        assert server.decisions.Decide(push(33)).offers
        disk.error = error
        asked = [asking(number) for number in range(18, 22)]
        during = [server.decisions.Decide(request) for request in asked[:2]]
        end = time.monotonic() + 20
        while journal.failure is None:
            assert time.monotonic() < end
            server.decisions.Decide(asking(14))
            time.sleep(0.1)
        during += [server.decisions.Decide(request) for request in asked[2:]]
        assert all(answer.offers for answer in during)
        refused = server.decisions.Decide(push(34))
        assert (list(refused.offers), refused.reason) == ([], reasons.REASON_STATE_UNAVAILABLE)
        assert server.decisions.Decide(asking(14, dry_run=True)).reason != reasons.REASON_STATE_UNAVAILABLE
        disk.error = 0
        healed(server)
        assert server.decisions.Decide(push(35)).offers
    assert before[0].offers
    with served(operator, tmp_path, "everysec") as server:
        assert [timeless(server.decisions.Decide(request)) for request in asked] == [timeless(a) for a in during]


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_always_promises_nothing_until_it_can_be_kept(
    operator: Operator, tmp_path: Path, disk: Disk, error: int
) -> None:
    with served(operator, tmp_path, "always") as server:
        answer = server.decisions.Decide(asking(14))
        disk.error = error
        request = asking(15)
        with pytest.raises(grpc.RpcError) as caught:
            server.decisions.Decide(request)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        withheld = server.decisions.Decide(asking(16))
        assert (list(withheld.offers), withheld.reason) == ([], reasons.REASON_STATE_UNAVAILABLE)
        sent = outcome.Outcome(outcome_id="o", decision_id=answer.decision_id, rank=1, kind=outcome.OUTCOME_KIND_SEEN)
        with pytest.raises(grpc.RpcError) as caught:
            server.outcomes.RecordOutcomes(outcome.RecordOutcomesRequest(outcomes=[sent]))
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        disk.error = 0
        healed(server)
        again = server.decisions.Decide(request)
        assert again.offers
        results = server.outcomes.RecordOutcomes(outcome.RecordOutcomesRequest(outcomes=[sent])).results
        assert results[0].status == outcome.OUTCOME_STATUS_RECORDED
    log = Log(FolderDisk(tmp_path / "journal"), None)
    assert sum(1 for _ in log) == log.end - 1
    with served(operator, tmp_path, "always") as server:
        assert timeless(server.decisions.Decide(request)) == timeless(again)


def test_when_no_more_can_be_kept_pull_offers_nothing_either(
    operator: Operator, tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(operator, tmp_path, "everysec") as server:
        journal = server.server.decisions.journal
        assert journal is not None
        server.decisions.Decide(asking(14))
        monkeypatch.setattr("engine.journal.journal.UNSAFE_BYTES_MAX", 1_000)
        disk.error = errno.ENOSPC
        answers = [server.decisions.Decide(asking(number)) for number in range(15, 25)]
        reached = [answer.reason for answer in answers].index(reasons.REASON_STATE_UNAVAILABLE)
        assert 1 <= reached < 5
        assert all(not answer.offers for answer in answers[reached:])
        assert journal.full
        disk.error = 0
        healed(server)
        assert server.decisions.Decide(asking(30)).offers


@pytest.mark.parametrize("durability", ["always", "everysec"])
def test_a_start_on_a_full_disk_serves_until_what_was_left_can_be_put_aside(
    operator: Operator, tmp_path: Path, disk: Disk, durability: str
) -> None:
    folder = tmp_path / "journal"
    with served(operator, tmp_path, durability) as server:
        kept = [(request, server.decisions.Decide(request)) for request in map(asking, range(14, 18))]
    (last,) = folder.glob("*.journal")
    whole = last.read_bytes()
    last.write_bytes(whole[:-1])
    disk.error = errno.ENOSPC
    with served(operator, tmp_path, durability) as server:
        end = time.monotonic() + 20
        while server.server.decisions.journal.failure is None:
            assert time.monotonic() < end
            time.sleep(0.05)
        refused = server.decisions.Decide(push(34))
        assert (list(refused.offers), refused.reason) == ([], reasons.REASON_STATE_UNAVAILABLE)
        assert last.read_bytes() == whole[:-1], "nothing was changed"
        opened = open_files_in(folder)
        time.sleep(1.5)
        assert open_files_in(folder) < opened + 3, "attempts leave none open"
        if durability == "everysec":
            request = asking(18)
            kept.append((request, server.decisions.Decide(request)))
        disk.error = 0
        healed(server)
        assert server.decisions.Decide(push(35)).offers
    (aside,) = folder.glob("*.cut-*")
    assert whole.startswith(last.read_bytes() + aside.read_bytes())
    with served(operator, tmp_path, durability) as server:
        for request, answer in kept:
            assert timeless(server.decisions.Decide(request)) == timeless(answer)
