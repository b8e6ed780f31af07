"""A journal that is kept for audits: all of it is replayed, checked, dumped and erased from, and none of it makes a start slower or stops it."""

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from touchpoint.v1 import outcome_service_pb2 as outcome
from touchpoint.v1 import subscriber_service_pb2 as subscribers
from touchpoint.v1 import value_pb2

from engine.journal.disk import Disk, FolderDisk
from engine.journal.erasing import erase, waiting
from engine.journal.records import FORGOT, decode
from engine.journal.retiring import Keep, retire
from engine.journal.segments import Log, finished, first_of, segment_names
from engine.journal.snapshot import next_of, read, snapshot_names
from engine.journal.starting import shard_in, snapshot_of_segments
from loaders.catalogue.load import compile_catalogue
from server import journal_snapshots
from server.commands.journal import journal as command
from server.journalling import open_journal
from server.replay.comparing import compare
from server.replay.proving import Proof, prove
from server.replay.world import known_of
from server.stores import secret_of
from tests.server.journal.test_erasure import found_in
from tests.server.journal.test_snapshots import restored_in
from tests.server.operator_fixture import CATALOGUE, NAMES, Operator, msisdn, write_operator
from tests.server.running import Running, asking, running, settings_for

LIVES = 6
GAP_US = 20 * 3_600_000_000
"""From life to life; the last one is now. Outcome ids are remembered for longer."""
KEPT = 3
"""So many gaps are kept."""
ACCEPTED = outcome.OUTCOME_KIND_ACCEPTED
GONE = 20
"""Who is erased: a customer with holds, outcomes and changes in every life."""


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    return write_operator(tmp_path_factory.mktemp("operator"))


def settings_of(operator: Operator, folder: Path, **changes: Any) -> Any:
    return settings_for(operator, journal=str(folder), journal_durability="always", **changes)


def work(server: Running, life: int, earlier: list[outcome.Outcome]) -> list[outcome.Outcome]:
    """Report what became of `earlier` decisions, decide, report and change; return what may be reported later: the same again, and something else."""
    later = []
    for sent in earlier:
        server.outcomes.RecordOutcomes(outcome.RecordOutcomesRequest(outcomes=[sent]))
    for number in (*range(14 + life, 19 + life), GONE):
        answer = server.decisions.Decide(asking(number, request_id=f"{life} of {msisdn(number)}"))
        if answer.decision_id:
            kind = outcome.OUTCOME_KIND_SEEN
            sent = outcome.Outcome(outcome_id=f"o{life}-{number}", decision_id=answer.decision_id, rank=1, kind=kind)
            server.outcomes.RecordOutcomes(outcome.RecordOutcomesRequest(outcomes=[sent]))
            again = outcome.Outcome(
                outcome_id=f"l{life}-{number}", decision_id=answer.decision_id, rank=1, kind=ACCEPTED
            )
            later += [sent, again]
        change = subscribers.UpdateSubscriberRequest(subscriber=msisdn(number), language="es")
        name = subscribers.AttributeChange(id="first_name", value=value_pb2.Value(string_value=NAMES[life % 3]))
        change.attributes.append(name)
        server.subscribers.UpdateSubscriber(change)
    return later


@pytest.fixture(scope="module")
def kept(operator: Operator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What servers of six lives left, of which the first are gone."""
    folder, now_ns = tmp_path_factory.mktemp("kept") / "journal", time.time_ns
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.journal.journal.SEGMENT_BYTES", 3_000)
        later: list[outcome.Outcome] = []
        for life in range(LIVES):
            back_us = (LIVES - 1 - life) * GAP_US
            patch.setattr("server.clock.time.time_ns", lambda back_us=back_us: now_ns() - back_us * 1_000)
            with running(settings_of(operator, folder)) as server:
                later = work(server, life, later)
            snapshot_of_segments(FolderDisk(folder))
            retire(FolderDisk(folder), Keep(KEPT * GAP_US, time.time_ns() // 1_000))
    disk = FolderDisk(folder)
    assert len(snapshot_names(disk)) > 3
    assert first_of(segment_names(disk)[0]) > 1
    return folder


@pytest.fixture
def journal(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, for a test to change."""
    monkeypatch.setattr("engine.journal.journal.SEGMENT_BYTES", 3_000)
    return Path(shutil.copytree(kept, tmp_path / "journal"))


def proof_of(operator: Operator, folder: Path, first: int = 1) -> Proof:
    known = known_of([operator.rulebook], [operator.base], operator.key_secret_file)
    return prove(FolderDisk(folder), known, shard_in(FolderDisk(folder)), first=first)


def checked(folder: Path) -> tuple[int, Any]:
    done = CliRunner().invoke(command, ["check", str(folder), "--json"])
    return done.exit_code, json.loads(done.output)


def test_all_that_is_kept_comes_out_the_same(operator: Operator, journal: Path) -> None:
    disk = FolderDisk(journal)
    kept = proof_of(operator, journal)
    assert kept.difference is None
    assert kept.decisions >= KEPT * 5
    later = proof_of(operator, journal, first=next_of(snapshot_names(disk)[1]))
    assert later.difference is None
    assert later.records == kept.records - (next_of(snapshot_names(disk)[1]) - next_of(snapshot_names(disk)[0]))
    retire(disk)
    assert proof_of(operator, journal).decisions < kept.decisions
    assert len(snapshot_names(disk)) == 2


def test_another_rulebook_is_asked_from_a_snapshot_on(operator: Operator, journal: Path, tmp_path: Path) -> None:
    known = known_of([operator.rulebook], [operator.base], operator.key_secret_file)
    disk, (rulebook,) = FolderDisk(journal), known.rulebooks.values()
    same = compare(disk, known, shard_in(disk), rulebook)
    assert same.decisions == same.same == proof_of(operator, journal).decisions
    with running(settings_of(operator, journal)) as server:
        for number in range(30, 40):
            server.decisions.Decide(asking(number))
        snapshot_of_segments(disk)
        for number in range(40, 45):
            server.decisions.Decide(asking(number))
    source = tmp_path / "catalogue"
    source.mkdir()
    (source / "all.yaml").write_text(CATALOGUE.replace("state: live", "state: paused"), encoding="utf-8")
    less = compile_catalogue(source, now_us=time.time_ns() // 1_000)
    first = next_of(snapshot_names(disk)[-1])
    found = compare(disk, known, shard_in(disk), less, first=first)
    assert 0 < found.decisions < same.decisions
    assert (found.becomes.offers, found.was.offers > 0) == (0, True)


def test_what_is_kept_is_dumped_and_checked(journal: Path) -> None:
    code, told = checked(journal)
    assert (code, told["problem"], told["damaged"]) == (0, "", [])
    assert told["from_snapshot"] == snapshot_names(FolderDisk(journal))[-1]
    dumped = [json.loads(line) for line in CliRunner().invoke(command, ["dump", str(journal)]).output.splitlines()]
    assert [line["record"] for line in dumped] == list(
        range(first_of(segment_names(FolderDisk(journal))[0]), told["next"])
    )
    instants = [line["now_us"] for line in dumped if line["kind"] == "decided"]
    assert instants[-1] - instants[0] > (KEPT - 1) * GAP_US


class CountingDisk(FolderDisk):
    """Notes what is read."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.names_read: list[str] = []

    def read(self, name: str, bytes_max: int = -1) -> Any:
        self.names_read.append(name)
        return super().read(name, bytes_max)


def test_a_start_reads_nothing_before_the_newest_snapshot(operator: Operator, journal: Path) -> None:
    settings, counting = settings_of(operator, journal, journal_keep_days=3), CountingDisk(journal)

    def around(_: Disk) -> Disk:
        return counting

    newest = snapshot_names(counting)[-1]
    kept, _, _ = open_journal(settings, secret_of(settings), time.time_ns() // 1_000, around=around)
    assert kept.lock is not None
    kept.lock.close()
    assert counting.names_read
    segments = segment_names(counting)
    for name in counting.names_read:
        following = [each for each in segments if each > name][:1]
        assert name == newest or (name in segments and (not following or first_of(following[0]) > next_of(newest)))


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_damage_in_what_is_kept_stops_no_start_and_is_reported(operator: Operator, journal: Path) -> None:
    disk = FolderDisk(journal)
    segments, snapshots = segment_names(disk), snapshot_names(disk)
    damaged = next(name for name in segments if first_of(name) > next_of(snapshots[0]))
    spoil(journal / damaged)
    spoil(journal / snapshots[1])
    missing = segments[segments.index(damaged) + 2]
    following = segments[segments.index(missing) + 1]
    assert first_of(following) < next_of(snapshots[-2])
    (journal / missing).unlink()
    with running(settings_of(operator, journal, journal_keep_days=3)) as server:
        assert server.decisions.Decide(asking(30)).reason != 0
    code, told = checked(journal)
    assert (code, told["problem"]) == (1, "")
    assert [why.partition(":")[0] for why in told["damaged"]] == [snapshots[1], damaged, following]
    assert "are missing before it" in told["damaged"][2]
    assert "kept for audits" in CliRunner().invoke(command, ["check", str(journal)]).output
    assert proof_of(operator, journal, first=next_of(snapshots[-2])).difference is None


def forget(operator: Operator, journal: Path, number: int = GONE) -> None:
    with running(settings_of(operator, journal)) as server:
        server.subscribers.ForgetSubscriber(subscribers.ForgetSubscriberRequest(subscriber=msisdn(number)))
        server.decisions.Decide(asking(21))
    with running(settings_of(operator, journal)) as server:
        server.decisions.Decide(asking(22))


def hash_of(journal: Path) -> int:
    said = [
        decode(record.body()) for record in Log(FolderDisk(journal), None, _before(journal)) if record.kind == FORGOT
    ]
    return int(said[-1].subscriber)


def _before(journal: Path) -> int:
    return first_of(segment_names(FolderDisk(journal))[0]) - 1


def knowing(journal: Path, subscriber: int) -> set[str]:
    """Return the files that have a subscriber's hash in them, as any number is written."""
    forms = (subscriber.to_bytes(8), subscriber.to_bytes(8, "little"))
    return {path.name for path in journal.iterdir() if any(form in path.read_bytes() for form in forms)}


def test_the_erased_are_in_nothing_that_is_kept_and_the_rest_comes_out_the_same(
    operator: Operator, journal: Path
) -> None:
    disk = FolderDisk(journal)
    assert found_in(journal, msisdn(GONE))
    forget(operator, journal)
    before, ledger, gone = proof_of(operator, journal), restored_in(journal).ledger.statistics(), hash_of(journal)
    kept = snapshot_names(disk), segment_names(disk)
    assert {name for name in knowing(journal, gone) if name.endswith("snapshot")} == set(kept[0])
    (journal / "snapshot.new").write_bytes(f"left by who was killed {msisdn(GONE)}".encode())
    assert erase(disk, lambda: bytes(range(16))) == 1
    assert waiting(disk) == {}
    assert found_in(journal, msisdn(GONE)) == []
    newest = snapshot_names(disk)[-1]
    assert (snapshot_names(disk), segment_names(disk)) == ([*kept[0], newest], kept[1]), "nothing else goes"
    last = segment_names(disk)[-1]
    names_it = [
        name
        for name, following in zip(kept[1], [*kept[1][1:], last], strict=True)
        if any(record.kind == FORGOT for record in (finished(disk, name, following) if name != last else ()))
    ]
    assert knowing(journal, gone) == {newest, *names_it}, "the erasure itself, and that somebody was erased"
    after = proof_of(operator, journal)
    assert after.difference is None
    assert after.records == before.records
    assert after.erased >= KEPT
    assert after.decisions + after.erased == before.decisions
    for first in map(next_of, kept[0]):
        assert proof_of(operator, journal, first=first).difference is None
    found = restored_in(journal)
    assert [found.ledger.statistics()[name] for name in ("contacts", "live_contacts")] == [
        ledger[name] for name in ("contacts", "live_contacts")
    ]
    assert checked(journal)[0] == 0


def test_words_that_were_said_of_the_erased_alone_go_as_well(operator: Operator, journal: Path) -> None:
    disk, name = FolderDisk(journal), NAMES[5]
    with running(settings_of(operator, journal)) as server:
        change = subscribers.UpdateSubscriberRequest(subscriber=msisdn(GONE))
        change.attributes.append(subscribers.AttributeChange(id="first_name", value=value_pb2.Value(string_value=name)))
        server.subscribers.UpdateSubscriber(change)
    with running(settings_of(operator, journal)):
        pass
    snapshot_of_segments(disk)

    def says_it() -> list[str]:
        return [
            each
            for each in snapshot_names(disk)
            if name in {text for _, text in read(disk, each, None)[0].overlay_names}
        ]

    assert says_it()
    forget(operator, journal)
    assert erase(disk, lambda: bytes(range(16))) == 1
    assert says_it() == []
    assert proof_of(operator, journal).difference is None


def test_an_erasure_that_ends_at_any_step_is_done_by_the_next(
    operator: Operator, journal: Path, tmp_path: Path
) -> None:
    forget(operator, journal)
    gone, ended, step = hash_of(journal), 0, 0
    while True:
        copy = Path(shutil.copytree(journal, tmp_path / f"copy {step}"))
        disk = EndingDisk(copy, step)
        try:
            erase(disk, lambda: bytes(range(16)))
        except OSError:
            ended += 1
            erase(FolderDisk(copy), lambda: bytes(range(16, 32)))
        assert found_in(copy, msisdn(GONE)) == []
        assert len(knowing(copy, gone)) == 2
        assert proof_of(operator, copy).difference is None
        if disk.steps_left > 0:
            break
        step += 4
    assert ended > 3


class EndingDisk(FolderDisk):
    """Fails for good after so many changes."""

    def __init__(self, path: Path, steps: int) -> None:
        super().__init__(path)
        self.steps_left = steps

    def create(self, name: str) -> Any:
        self._step()
        return super().create(name)

    def rename(self, name: str, to: str) -> None:
        self._step()
        super().rename(name, to)

    def remove(self, name: str) -> None:
        self._step()
        super().remove(name)

    def _step(self) -> None:
        if self.steps_left <= 0:
            raise OSError("no more")
        self.steps_left -= 1


def test_what_is_damaged_is_erased_too(operator: Operator, journal: Path) -> None:
    disk = FolderDisk(journal)
    segments, snapshots = segment_names(disk), snapshot_names(disk)
    damaged = next(name for name in segments if first_of(name) > next_of(snapshots[0]))
    data = bytearray((journal / damaged).read_bytes())
    data[200:] = msisdn(GONE).lstrip("+").encode() * (len(data) // 11)
    (journal / damaged).write_bytes(data)
    spoil(journal / snapshots[1])
    forget(operator, journal)
    assert erase(disk, lambda: bytes(range(16))) == 1
    assert found_in(journal, msisdn(GONE)) == []
    assert snapshots[1] not in snapshot_names(disk)
    assert checked(journal)[1]["problem"] == ""
    assert proof_of(operator, journal, first=next_of(snapshots[-2])).difference is None


@pytest.mark.parametrize("days", [0, 1])
def test_a_server_keeps_what_it_is_told_to(
    operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    monkeypatch.setattr("engine.journal.journal.SEGMENT_BYTES", 4_000)
    monkeypatch.setattr("server.journal_snapshots.BYTES_MIN", 8_000)
    folder = tmp_path / "journal"
    with running(settings_of(operator, folder, journal_keep_days=days)) as server:
        upkeep, end = server.server._upkeep, time.monotonic() + 120
        assert upkeep is not None
        while upkeep.chores.done["snapshot"] < 3:
            assert time.monotonic() < end
            for number in range(2, 40):
                server.decisions.Decide(asking(number))
            time.sleep(0.2)  # what makes snapshots gives way to everybody
    disk = FolderDisk(folder)
    assert (first_of(segment_names(disk)[0]) == 1, len(snapshot_names(disk)) >= 3) == (days == 1, days == 1)
    assert proof_of(operator, folder).difference is None


def test_fewer_days_after_a_restart_free_the_disk_at_once(operator: Operator, journal: Path) -> None:
    disk = FolderDisk(journal)
    before = len(snapshot_names(disk))
    with running(settings_of(operator, journal, journal_keep_days=1)) as server:
        upkeep, end = server.server._upkeep, time.monotonic() + 60
        assert upkeep is not None
        while not upkeep.chores.done["retirement"]:
            assert time.monotonic() < end
            time.sleep(0.05)
    assert 2 < len(snapshot_names(disk)) < before
    assert proof_of(operator, journal).difference is None


def test_what_is_old_goes_even_where_a_snapshot_has_no_room(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Disk) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journal_snapshots, "snapshot_of_segments", full)
    monkeypatch.setattr(journal_snapshots, "be_a_chore", lambda: None)
    for words, left in ((["1", "--clock-untrusted"], True), (["1"], False)):
        before = set(FolderDisk(journal).names())
        monkeypatch.setattr(sys, "argv", ["journal_snapshots", str(journal), *words])
        with pytest.raises(SystemExit, match="No space left"):
            journal_snapshots.main()
        assert (set(FolderDisk(journal).names()) == before) == left
