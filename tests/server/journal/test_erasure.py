"""Who was erased is in no file of the journal any more, and what is left still holds together."""

import base64
import time
from pathlib import Path

import pytest
from touchpoint.v1 import decision_pb2, value_pb2
from touchpoint.v1 import outcome_service_pb2 as outcome
from touchpoint.v1 import subscriber_service_pb2 as subscribers

from engine.journal.disk import File, FolderDisk
from engine.journal.erasing import KEY, erase, waiting
from engine.journal.segments import segment_names
from engine.journal.snapshot import snapshot_names
from engine.journal.starting import shard_in
from server.replay.proving import prove
from server.replay.world import known_of
from tests.server.journal.test_snapshots import restored_in
from tests.server.operator_fixture import Operator, msisdn, write_operator
from tests.server.running import Running, asking, running, settings_for

ERASED = 20


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    return write_operator(tmp_path_factory.mktemp("operator"))


def encodings(number: str) -> list[bytes]:
    """Return how a number might lie in a file: digits, with its plus, UTF-16, packed two digits a byte, both ways round, base64, hexadecimal text."""
    digits = number.lstrip("+")
    padded = digits + "f" * (len(digits) % 2)
    swapped = "".join(padded[k + 1] + padded[k] for k in range(0, len(padded), 2))
    return [
        digits.encode(),
        digits.encode("utf-16-le"),
        bytes.fromhex(padded),
        bytes.fromhex(swapped),
        base64.b64encode(digits.encode()).rstrip(b"="),
        digits.encode().hex().encode(),
    ]


def found_in(folder: Path, number: str) -> list[str]:
    return [
        f"{path.name}: {form!r}" for path in folder.iterdir() for form in encodings(number) if form in path.read_bytes()
    ]


def lived(server: Running) -> None:
    """Decisions, outcomes and changes of several customers; the one who goes has the number in fields and ids, too."""
    for number in range(14, 30):
        key = msisdn(number)
        event = decision_pb2.TriggerEvent(type="usage")
        event.fields["app"].CopyFrom(value_pb2.Value(string_value=key))
        push = asking(number, request_id=f"push for {key}", channel="sms", trigger=event)
        server.decisions.Decide(push)
        answer = server.decisions.Decide(asking(number, request_id=f"{key} at the desk", agent=key))
        if answer.decision_id:
            sent = outcome.Outcome(
                outcome_id=f"{key}-1", decision_id=answer.decision_id, rank=1, kind=outcome.OUTCOME_KIND_SEEN
            )
            server.outcomes.RecordOutcomes(outcome.RecordOutcomesRequest(outcomes=[sent]))
        change = subscribers.UpdateSubscriberRequest(subscriber=key, language="es")
        server.subscribers.UpdateSubscriber(change)


def forget(server: Running, number: int) -> None:
    server.subscribers.ForgetSubscriber(subscribers.ForgetSubscriberRequest(subscriber=msisdn(number)))


def test_the_erased_are_in_no_file_and_replay_says_so(operator: Operator, tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    settings = settings_for(operator, journal=str(folder))
    with running(settings) as server:
        lived(server)
        assert found_in(folder, msisdn(ERASED))
        forget(server, ERASED)
        server.decisions.Decide(asking(ERASED, request_id=f"after {msisdn(ERASED)}"))
    with running(settings) as server:
        server.decisions.Decide(asking(14))
    disk, before = FolderDisk(folder), restored_in(folder)
    assert len(waiting(disk)) == 1
    assert erase(disk, lambda: bytes(range(16))) == 1
    assert waiting(disk) == {}
    assert found_in(folder, msisdn(ERASED)) == []
    assert found_in(folder, msisdn(14)), "others stay"
    after = restored_in(folder)
    assert after.snapshot
    assert (before.recovered.erasing, after.recovered.erasing) == (1, 0), "no start looks for it again"
    same = ("subscribers", "contacts", "live_contacts")
    assert [after.ledger.statistics()[name] for name in same] == [before.ledger.statistics()[name] for name in same]
    known = known_of([operator.rulebook], [operator.base], operator.key_secret_file)
    proof = prove(disk, known, shard_in(disk))
    assert proof.difference is None
    assert proof.erased == 2
    assert proof.decisions > 20
    for name in snapshot_names(disk):
        disk.remove(name)
    alone = restored_in(folder)
    assert [alone.ledger.statistics()[name] for name in same] == [before.ledger.statistics()[name] for name in same]


def test_stand_ins_are_derived_from_a_key_that_nobody_knows(operator: Operator, tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    for number in (ERASED, 21):
        with running(settings_for(operator, journal=str(folder))) as server:
            server.decisions.Decide(asking(number))
            forget(server, number)

    def ends() -> bytes:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        erase(FolderDisk(folder), ends)
    assert KEY not in FolderDisk(folder).names()
    full = FullDisk(folder)
    with pytest.raises(OSError, match="No space left"):
        erase(full, lambda: bytes(range(16)))
    assert KEY not in full.names()
    assert erase(FolderDisk(folder), lambda: bytes(range(16))) == 1


class FullDisk(FolderDisk):
    """Has room for names and for nothing else."""

    def create(self, name: str) -> File:
        """Return a file that nothing is written to."""
        file = super().create(name)

        def fails(_data: memoryview) -> None:
            raise OSError(28, "No space left on device")

        if "snapshot" not in name:
            file.append = fails  # type: ignore[method-assign,assignment]
        return file


def test_a_server_erases_by_itself(operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.journal_snapshots.ERASE_AFTER_S", 0.5)
    folder = tmp_path / "journal"
    with running(settings_for(operator, journal=str(folder))) as server:
        lived(server)
        forget(server, ERASED)
        end = time.monotonic() + 60
        upkeep = server.server._upkeep
        assert upkeep is not None
        while not upkeep.chores.done["erasure"]:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert found_in(folder, msisdn(ERASED)) == []
    assert len(segment_names(FolderDisk(folder))) > 1
    with running(settings_for(operator, journal=str(folder))) as server:
        assert server.decisions.Decide(asking(ERASED)).reason != 0
        assert not server.decisions.Decide(asking(ERASED)).offers
