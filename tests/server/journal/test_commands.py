"""`touchpoint journal`: says what is there, refuses what is wrong in one line, mends by putting aside and not without being told to."""

import json
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result

from engine.journal import records
from engine.journal.disk import FolderDisk
from engine.journal.records import Changed, Decided, Forgot, Hold, Policy, Row, Segment, decode, encode
from engine.journal.segments import Log
from engine.journal.starting import snapshot_of_segments
from engine.kernels.frames import HEADER_BYTES, seal_frame
from server.commands import journal as command
from server.commands.journal import journal
from server.journal_report import _repaired
from tests.server.journal.test_keeping import EndingDisk
from tests.server.operator_fixture import Operator, msisdn, write_operator
from tests.server.running import asking, running, settings_for

ASKED = range(14, 30)


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    return write_operator(tmp_path_factory.mktemp("operator"))


@pytest.fixture
def folder(operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A journal of several segments."""
    monkeypatch.setattr("engine.journal.journal.SEGMENT_BYTES", 4_000)
    with running(settings_for(operator, journal=str(tmp_path / "journal"), journal_durability="always")) as server:
        for number in ASKED:
            server.decisions.Decide(asking(number))
    return tmp_path / "journal"


def ran(*words: str | Path) -> Result:
    return CliRunner().invoke(journal, [str(word) for word in words])


def test_check_says_what_a_start_comes_to(folder: Path) -> None:
    done = ran("check", folder)
    assert done.exit_code == 0
    assert f"{len(ASKED)} decisions" in done.output
    assert "ended in order" in done.output
    told = json.loads(ran("check", folder, "--json").output)
    assert told["decisions"] == len(ASKED)
    assert told["by_kind"]["decided"] == len(ASKED)
    assert told["ledger"]["answers"] == len(ASKED)
    assert len(told["segments"]) > 2


def test_dump_prints_records_as_json(folder: Path) -> None:
    lines = [json.loads(line) for line in ran("dump", folder).output.splitlines()]
    assert [line["record"] for line in lines] == list(range(1, len(lines) + 1))
    decided = [line for line in lines if line["kind"] == "decided"]
    assert len(decided) == len(ASKED)
    row = decided[0]["rows"][0]
    assert row["asked"]["placement"] == "desk_open"
    assert set(row["asked"]["subscriber"]) == {"0"}
    assert row["answer"]["reason"] == "REASON_OFFERED"
    assert row["hold"]["decision"] > 0
    assert msisdn(14).lstrip("+") not in ran("dump", folder).output
    only = [
        json.loads(line)["kind"]
        for line in ran("dump", folder, "--kind", "began", "--kind", "ended").output.splitlines()
    ]
    assert only == ["began", "ended"]
    some = [
        json.loads(line)["record"] for line in ran("dump", folder, "--first", "5", "--last", "7").output.splitlines()
    ]
    assert some == [5, 6, 7]


def test_check_of_a_folder_of_workers_journals_says_so(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "all" / "shard-0")
    checked = ran("check", tmp_path / "all")
    assert checked.exit_code == 1
    assert "were those of workers (shard-0)" in checked.output


def test_repair_of_a_right_journal_does_nothing(folder: Path) -> None:
    assert "nothing is to be repaired" in ran("repair", folder, "--give-up").output


def test_a_damaged_segment_in_the_middle_is_refused_and_given_up_only_when_told_to(folder: Path) -> None:
    segments = sorted(folder.glob("*.journal"))
    damaged = bytearray(segments[1].read_bytes())
    damaged[-10] ^= 4
    segments[1].write_bytes(damaged)
    checked = ran("check", folder)
    assert checked.exit_code == 1
    assert f"{segments[1].name}: right up to byte" in checked.output
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert "nothing was changed; --give-up does it" in ran("repair", folder).output
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    done = ran("repair", folder, "--give-up")
    assert done.exit_code == 0, done.output
    assert ran("check", folder).exit_code == 0
    aside = b"".join(path.read_bytes() for path in folder.glob("*.cut-*"))
    assert damaged.endswith(aside)
    assert len(list(folder.glob("*.given-up"))) == len(segments) - 2


def test_damage_behind_a_damaged_snapshot_is_what_repair_gives_up(folder: Path) -> None:
    name = snapshot_of_segments(FolderDisk(folder))
    (folder / name).write_bytes((folder / name).read_bytes()[:-1])
    segments = sorted(folder.glob("*.journal"))
    segments[1].write_bytes(segments[1].read_bytes()[:-1])
    assert ran("check", folder).exit_code == 1
    assert f"{segments[1].name}: right up to byte" in ran("repair", folder, "--give-up").output
    done = ran("check", folder)
    assert (done.exit_code, "a snapshot was passed over" in done.output) == (1, True)
    (folder / name).unlink()
    assert ran("check", folder).exit_code == 0


def test_repair_ended_at_any_step_is_done_by_the_next(folder: Path, tmp_path: Path) -> None:
    segments = sorted(folder.glob("*.journal"))
    segments[1].write_bytes(segments[1].read_bytes()[:-1])
    whole, step, ended = ran("repair", shutil.copytree(folder, tmp_path / "whole"), "--give-up"), 0, True
    assert whole.exit_code == 0
    while ended:
        copy, ended = Path(shutil.copytree(folder, tmp_path / f"copy {step}")), False
        disk = EndingDisk(copy, step)
        try:
            list(_repaired(copy, disk, give_up=True))
        except OSError:
            ended = True
        assert ran("repair", copy, "--give-up").exit_code == 0
        left = [sorted((p.name, p.read_bytes()) for p in each.iterdir()) for each in (copy, tmp_path / "whole")]
        assert left[0] == left[1]
        step += 1
    assert step > len(segments) - 2


def test_what_repair_cannot_help_it_leaves_as_it_is(folder: Path, tmp_path: Path) -> None:
    newer = Path(shutil.copytree(folder, tmp_path / "newer"))
    for segment in newer.glob("*.journal"):
        segment.write_bytes(with_format(segment.read_bytes(), 2))
    headless = Path(shutil.copytree(folder, tmp_path / "headless"))
    min(headless.glob("*.journal")).unlink()
    strange = Path(shutil.copytree(folder, tmp_path / "strange"))
    (strange / "notes.snapshot").write_bytes(b"somebody's")
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    last = max(other.glob("*.journal"))
    with_one_more(last)
    for each, why in (
        (newer, "expected format 1, was 2"),
        (headless, "records 1 to "),
        (strange, "notes.snapshot: expected a snapshot's name"),
        (other, "it begins a segment, and lies within one"),
    ):
        before = {path.name: path.read_bytes() for path in each.iterdir()}
        for words in (["check"], ["repair"], ["repair", "--give-up"]):
            done = ran(*words, each)
            assert (done.exit_code, why in " ".join(done.output.split())) == (1, True), (words, done.output)
            assert "Traceback" not in done.output
        assert {path.name: path.read_bytes() for path in each.iterdir()} == before


HELD = Hold(1 << 60, (1 << 62) + 5, [(60_000, 1, 1, 1, 4)])


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (Changed(-5, 5, [(7, "language", "", 0, "language", "es")]), "out of bounds"),
        (Forgot(5, (1 << 64) - 1), "to convert"),
        (Policy(5, [1], 0, [0]), "missing"),
        (Decided(5, 1 << 62, 0, 1, [Row(bytes(16), 0, 5, b"m", b"a", HELD)]), "does not follow"),
        (Decided(5, 1 << 62, 0, 1, [Row(bytes(16), 0, 5, b"\xff", 0, None)]), ""),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_record_that_means_nothing_is_named(folder: Path, record: object, why: str) -> None:
    segment = max(folder.glob("*.journal"))
    *_, last = Log(FolderDisk(folder), None)
    segment.write_bytes(segment.read_bytes() + framed(encode(record), last.sequence + 1))
    for words in (["check"], ["repair"], ["dump"]):
        done = ran(*words, folder)
        if words == ["dump"] and not isinstance(record, Decided):
            assert done.exit_code == 0
        elif words == ["dump"] or why:
            said = " ".join(done.output.split())
            assert (done.exit_code, type(done.exception)) == (1, SystemExit), said
            assert f"record {last.sequence + 1}: " in said
            assert words == ["dump"] or why in said


def with_format(segment: bytes, number: int) -> bytes:
    """Return a segment that says it is of another format."""
    end = HEADER_BYTES + int.from_bytes(segment[4:8], "little")
    said = msgspec.structs.replace(decode(segment[HEADER_BYTES:end]), format=number)
    return framed(encode(said), int.from_bytes(segment[8:16], "little")) + segment[end:]


def with_one_more(segment: Path) -> None:
    """Add a record whose checksum is right, and which nobody would have written there."""
    *_, last = Log(FolderDisk(segment.parent), None)
    said = Segment("touchpoint journal", 1, "0/1", "", "", "", 1, {})
    segment.write_bytes(segment.read_bytes() + framed(encode(said), last.sequence + 1))


def framed(body: bytes, sequence: int) -> bytes:
    """Return a frame of the journal."""
    frame = np.zeros(HEADER_BYTES + len(body), np.uint8)
    frame[HEADER_BYTES:] = np.frombuffer(body, np.uint8)
    seal_frame(frame, 0, len(frame), sequence)
    return frame.tobytes()


def test_a_missing_segment_is_named(folder: Path) -> None:
    segments = sorted(folder.glob("*.journal"))
    segments[1].unlink()
    checked = ran("check", folder)
    assert checked.exit_code == 1
    assert f"{segments[2].name}: records " in checked.output
    assert "missing" in checked.output


def test_repair_while_a_server_writes_is_refused(operator: Operator, tmp_path: Path) -> None:
    with running(settings_for(operator, journal=str(tmp_path / "journal"))):
        done = ran("repair", tmp_path / "journal")
    assert done.exit_code == 1
    assert "another process writes this journal" in done.output


def test_a_folder_without_a_journal_is_said_to_be_one(tmp_path: Path) -> None:
    done = ran("check", tmp_path)
    assert done.exit_code == 1
    assert "expected segments of a journal of Touchpoint" in done.output


def test_the_kinds_that_can_be_asked_for_are_those_there_are() -> None:
    assert records.KINDS[1:] == command.KINDS
