"""A snapshot is what taking back the records before it comes to, and a start from it is the same as one from the beginning."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from touchpoint.v1 import decision_service_pb2 as pb
from touchpoint.v1 import subscriber_service_pb2 as subscribers

from engine.dtypes.ledger import GRAIN_BYTES
from engine.journal.disk import FolderDisk
from engine.journal.retiring import retire
from engine.journal.segments import JournalError, segment_names
from engine.journal.snapshot import snapshot_names
from engine.journal.starting import Restored, new_state, restored, sizes_in, snapshot_of_segments
from server.journal_snapshots import END_WITH_INPUT
from tests.server.operator_fixture import Operator, msisdn, write_operator
from tests.server.process import ROOT
from tests.server.running import Running, asking, running, settings_for, timeless


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    return write_operator(tmp_path_factory.mktemp("operator"))


def worked(operator: Operator, folder: Path, numbers: range) -> list[tuple[pb.DecideRequest, bytes]]:
    """Serve some customers with a journal in the folder; return requests and answers."""
    with running(settings_for(operator, journal=str(folder), journal_durability="always")) as server:
        found = []
        for number in numbers:
            request = asking(number)
            found.append((request, timeless(server.decisions.Decide(request))))
            change = subscribers.UpdateSubscriberRequest(subscriber=msisdn(number), language="es")
            server.subscribers.UpdateSubscriber(change)
        server.subscribers.ForgetSubscriber(subscribers.ForgetSubscriberRequest(subscriber=msisdn(numbers[0])))
    return found


def restored_in(folder: Path) -> Restored:
    disk = FolderDisk(folder)
    sizes = sizes_in(disk)
    return restored(disk, None, lambda: new_state(sizes))


def state_of(found: Restored) -> dict[str, Any]:
    """Return everything, but for where in the arena answers lie and the room of those that were forgotten."""
    found.ledger.read(np.zeros(0, np.uint64))  # after which totals have room for every name
    state: dict[str, Any] = {name: array.copy() for name, array in found.ledger.state().items()}
    entries, data, at, answers = state.pop("answers"), state.pop("answer_bytes"), 0, []
    for entry in entries:
        size = int(entry["length_bytes"])
        if entry["high"] or entry["low"]:
            answers.append(
                (
                    entry[[name for name in entry.dtype.names if name != "grain"]].tolist(),
                    data[at : at + size].tobytes(),
                )
            )
        at += -(-size // GRAIN_BYTES) * GRAIN_BYTES
    state["answers"] = answers
    persons, changes, names = found.overlay.state()
    return state | {"persons": persons, "changes": changes, "names": names, "codes": found.ledger.names.given()}


def assert_same(one: Restored, other: Restored) -> None:
    assert one.recovered == other.recovered
    first, second = state_of(one), state_of(other)
    assert first.keys() == second.keys()
    for name, value in first.items():
        same = np.array_equal(value, second[name]) if isinstance(value, np.ndarray) else value == second[name]
        assert same, (name, value, second[name])


@pytest.fixture
def journal(operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A journal of several segments, by two processes' lives."""
    monkeypatch.setattr("engine.journal.journal.SEGMENT_BYTES", 10_000)
    for numbers in (range(14, 40), range(40, 60)):
        worked(operator, tmp_path / "journal", numbers)
    return tmp_path / "journal"


def test_a_start_from_a_snapshot_is_one_from_the_beginning(journal: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(journal, whole)
    disk = FolderDisk(journal)
    assert len(segment_names(disk)) > 4
    name = snapshot_of_segments(disk)
    assert snapshot_names(disk) == [name]
    assert snapshot_of_segments(disk) == "", "nothing is new"
    found = restored_in(journal)
    assert found.snapshot == name
    assert_same(found, restored_in(whole))


def test_a_snapshot_of_an_older_format_is_passed_over(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = restored_in(journal)
    with monkeypatch.context() as patch:
        patch.setattr("engine.journal.snapshot.FORMAT", 1)
        assert snapshot_of_segments(FolderDisk(journal))
    found = restored_in(journal)
    assert found.snapshot == ""
    assert "of format 2, was one of 1; use the version that wrote it" in found.passed_over[0]
    assert_same(found, plain)


def test_what_snapshots_cover_is_removed_once_there_are_two(operator: Operator, journal: Path, tmp_path: Path) -> None:
    disk = FolderDisk(journal)
    first = snapshot_of_segments(disk)
    before = segment_names(disk)
    worked(operator, journal, range(2, 14))
    whole = tmp_path / "whole"
    shutil.copytree(journal, whole)
    second = snapshot_of_segments(disk)
    retire(disk)
    assert snapshot_names(disk) == [first, second]
    assert not set(before[:-1]) & set(segment_names(disk))
    assert_same(restored_in(journal), restored_in(whole))
    (journal / second).write_bytes((journal / second).read_bytes()[:-1])
    found = restored_in(journal)
    assert found.snapshot == first
    assert "damaged" in found.passed_over[0]
    assert_same(found, restored_in(whole))


def test_a_damaged_snapshot_whose_segments_are_gone_is_refused(operator: Operator, journal: Path) -> None:
    disk = FolderDisk(journal)
    snapshot_of_segments(disk)
    worked(operator, journal, range(2, 14))
    snapshot_of_segments(disk)
    retire(disk)
    for name in snapshot_names(disk):
        damaged = bytearray((journal / name).read_bytes())
        damaged[len(damaged) // 2] ^= 1
        (journal / name).write_bytes(damaged)
    with pytest.raises(JournalError, match=r"damaged at byte .*: records 1 to .* are missing"):
        restored_in(journal)


def test_a_server_starts_from_a_snapshot(operator: Operator, tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    found = worked(operator, folder, range(14, 30))
    with running(settings_for(operator, journal=str(folder))):
        pass
    snapshot_of_segments(FolderDisk(folder))
    with running(settings_for(operator, journal=str(folder), journal_durability="always")) as server:
        assert [timeless(server.decisions.Decide(request)) for request, _ in found[1:]] == [
            answer for _, answer in found[1:]
        ]
        assert isinstance(server, Running)


def test_a_server_has_snapshots_made(operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.journal.journal.SEGMENT_BYTES", 4_000)
    monkeypatch.setattr("server.journal_snapshots.BYTES_MIN", 8_000)
    folder = tmp_path / "journal"
    with running(settings_for(operator, journal=str(folder), journal_durability="always")) as server:
        end = time.monotonic() + 60
        while not server.server._upkeep.chores.done["snapshot"]:  # type: ignore[union-attr]
            assert time.monotonic() < end
            for number in range(2, 40):
                server.decisions.Decide(asking(number))
    whole = restored_in(folder)
    assert whole.snapshot
    assert whole.recovered.ended


def test_who_works_on_a_journal_ends_with_its_server() -> None:
    code = "from server.journal_snapshots import be_a_chore; import time; be_a_chore(); print('begun', flush=True); time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", code, END_WITH_INPUT],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as chore:
        assert chore.stdin is not None
        assert chore.stdout is not None
        assert chore.stdout.readline() == b"begun\n"
        assert chore.poll() is None
        chore.stdin.close()
        assert chore.wait(20) == 1
