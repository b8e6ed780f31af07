"""What is written to a journal comes back up to the first byte that is not right, and never anything else."""

import errno
from pathlib import Path

import pytest

from engine.journal.disk import FolderDisk
from engine.journal.journal import NEW, Journal, Writer
from engine.journal.records import Clock, Segment, decode
from engine.journal.segments import JournalError, Log, Owner, Record, segment_name
from engine.kernels.frames import HEADER_BYTES

OWNER = Owner("0/1", "check")
WRITER = Writer("test", "boot", {"contacts_max": 4})


def journal_of(folder: Path, first: int = 1, durability: str = "always") -> Journal:
    return Journal(FolderDisk(folder), OWNER, durability, first=first, writer=WRITER)  # type: ignore[arg-type]


def write(folder: Path, instants: list[int], first: int = 1) -> Path:
    """Write a record for each instant, each committed by itself; return the segment."""
    journal = journal_of(folder, first)
    for instant in instants:
        journal.add(Clock(instant))
        assert journal.commit()
    assert journal.close()
    return folder / segment_name(first)


def instants_of(log: Log) -> list[int]:
    return [decode(record.body()).now_us for record in log]


def test_log_yields_what_was_written(tmp_path: Path) -> None:
    write(tmp_path, [10, 20, 30])
    log = Log(FolderDisk(tmp_path), OWNER)
    records = list(log)
    assert [record.sequence for record in records] == [1, 2, 3]
    assert [decode(record.body()) for record in records] == [Clock(10), Clock(20), Clock(30)]
    assert (log.end, log.cut) == (4, None)
    assert log.segments == [Segment("touchpoint journal", 1, "0/1", "check", "test", "boot", 1, {"contacts_max": 4})]


def test_log_after_a_number_skips_segments_that_lie_before(tmp_path: Path) -> None:
    write(tmp_path, [10, 20, 30])
    write(tmp_path, [40, 50], first=4)
    (tmp_path / segment_name(1)).write_bytes(b"not read")
    assert instants_of(Log(FolderDisk(tmp_path), OWNER, after=4)) == [50]


def frames_of(data: bytes) -> list[int]:
    """Return where the frames end."""
    ends, at = [], 0
    while at < len(data):
        at += HEADER_BYTES + int.from_bytes(data[at + 4 : at + 8], "little")
        ends.append(at)
    return ends


def test_journal_cut_at_every_byte_of_its_last_three_records(tmp_path: Path) -> None:
    instants = [10, 1 << 40, 30, 1 << 20, 50]
    segment = write(tmp_path, instants)
    whole = segment.read_bytes()
    ends = frames_of(whole)
    for size in range(ends[-4], len(whole)):
        segment.write_bytes(whole[:size])
        log = Log(FolderDisk(tmp_path), OWNER)
        kept = sum(end <= size for end in ends[1:])
        assert instants_of(log) == instants[:kept]
        assert log.end == kept + 1
        assert (log.cut is None) == (size in ends)
        if log.cut is not None:
            assert (log.cut.at, log.cut.dropped_bytes) == (ends[kept], size - ends[kept])


def test_journal_with_any_bit_of_its_last_three_records_flipped(tmp_path: Path) -> None:
    instants = [10, 1 << 40, 30, 1 << 20, 50]
    segment = write(tmp_path, instants)
    whole = segment.read_bytes()
    ends = frames_of(whole)
    for bit in range(8 * ends[-4], 8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        segment.write_bytes(damaged)
        log = Log(FolderDisk(tmp_path), OWNER)
        assert instants_of(log) == instants[: sum(end <= bit // 8 for end in ends[1:])]
        assert log.cut is not None


def test_segment_header_with_any_bit_flipped_gives_nothing(tmp_path: Path) -> None:
    segment = write(tmp_path, [10, 20])
    whole = segment.read_bytes()
    for bit in range(8 * frames_of(whole)[0]):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        segment.write_bytes(damaged)
        log = Log(FolderDisk(tmp_path), OWNER)
        assert instants_of(log) == []
        assert log.cut is not None
        assert log.cut.at == 0


def test_a_missing_segment_is_refused(tmp_path: Path) -> None:
    write(tmp_path, [10, 20])
    write(tmp_path, [30], first=3)
    write(tmp_path, [40], first=4)
    (tmp_path / segment_name(3)).unlink()
    with pytest.raises(JournalError, match="records 3 to 3 are missing before it"):
        list(Log(FolderDisk(tmp_path), OWNER))
    (tmp_path / segment_name(1)).unlink()
    with pytest.raises(JournalError, match="records 1 to 3 are missing"):
        Log(FolderDisk(tmp_path), OWNER)


def test_damage_before_the_last_segment_is_refused(tmp_path: Path) -> None:
    segment = write(tmp_path, [10, 20])
    write(tmp_path, [30], first=3)
    segment.write_bytes(segment.read_bytes()[:-1])
    with pytest.raises(JournalError, match="and more segments follow"):
        list(Log(FolderDisk(tmp_path), OWNER))


@pytest.mark.parametrize(
    ("owner", "message"),
    [(Owner("1/2", "check"), "expected that of shard 1/2, was 0/1"), (Owner("0/1", "other"), "another key secret")],
)
def test_somebody_elses_journal_is_refused(tmp_path: Path, owner: Owner, message: str) -> None:
    write(tmp_path, [10])
    with pytest.raises(JournalError, match=message):
        list(Log(FolderDisk(tmp_path), owner))


def test_a_newer_or_foreign_segment_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.journal.journal.FORMAT", 2)
    write(tmp_path, [10])
    with pytest.raises(JournalError, match="expected format 1, was 2, by Touchpoint test"):
        list(Log(FolderDisk(tmp_path), OWNER))
    (tmp_path / "seven.journal").write_bytes(b"")
    with pytest.raises(JournalError, match=r"seven\.journal: expected a segment's name"):
        Log(FolderDisk(tmp_path), OWNER)


class Failing(FolderDisk):
    """A disk whose appends and syncs fail when told to."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.broken = ""

    def create(self, name: str):  # type: ignore[no-untyped-def]
        file, disk = super().create(name), self

        class Guarded:
            def append(self, data: memoryview) -> None:
                if disk.broken == "append":
                    file.append(data[: len(data) // 2])
                    raise OSError(errno.ENOSPC, "No space left on device")
                file.append(data)

            def sync(self) -> None:
                if disk.broken == "sync":
                    raise OSError(errno.EIO, "Input/output error")
                file.sync()

            forget, truncate, close = file.forget, file.truncate, file.close

        return Guarded()


@pytest.mark.parametrize("durability", ["always", "everysec", "none"])
@pytest.mark.parametrize("broken", ["append", "sync"])
def test_what_could_not_be_written_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str, durability: str
) -> None:
    monkeypatch.setattr("engine.journal.journal.RETRY_S", 0.0)
    disk = Failing(tmp_path)
    journal = Journal(disk, OWNER, durability)  # type: ignore[arg-type]
    journal.add(Clock(1))
    assert journal.commit()
    journal.sync()
    disk.broken = broken
    for instant in (2, 3, 4):
        journal.add(Clock(instant))
        safe = journal.commit()
        journal.sync()
        assert not safe or (broken == "sync" and (durability == "none" or (instant == 2 and durability == "everysec")))
    assert instants_of(Log(disk, OWNER))[:1] == [1]
    disk.broken = ""
    journal.add(Clock(5))
    assert journal.commit()
    assert journal.failure is None
    assert journal.close()
    assert instants_of(Log(disk, OWNER)) == [1, 2, 3, 4, 5]
    assert NEW not in disk.names()


def test_segments_follow_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.journal.journal.SEGMENT_BYTES", 200)
    for durability in ("always", "everysec", "none"):
        folder = tmp_path / durability
        journal = journal_of(folder, durability=durability)
        for instant in range(100):
            journal.add(Clock(instant))
            assert journal.commit()
            if instant % 7 == 0:
                journal.sync()
        assert journal.close()
        disk = FolderDisk(folder)
        assert len(disk.names()) > 10
        assert instants_of(Log(disk, OWNER)) == list(range(100))


def test_record_positions_are_those_of_the_segment(tmp_path: Path) -> None:
    segment = write(tmp_path, [10])
    record = next(iter(Log(FolderDisk(tmp_path), OWNER)))
    assert isinstance(record, Record)
    assert segment.read_bytes()[record.start : record.end] == bytes(record.body())


def test_what_is_urgent_is_synced_at_everysec(tmp_path: Path) -> None:
    disk = Failing(tmp_path)
    journal = Journal(disk, OWNER, "everysec")
    journal.add(Clock(1))
    assert journal.commit()
    before = journal.syncs
    journal.add(Clock(2))
    assert journal.commit()
    assert journal.syncs == before
    journal.add(Clock(3), urgent=True)
    assert journal.commit()
    assert (journal.syncs, journal.unsafe_bytes) == (before + 1, 0)
    disk.broken = "sync"
    journal.add(Clock(4))
    assert journal.commit()
    journal.add(Clock(5), urgent=True)
    assert not journal.commit()
    assert journal.promised
    journal.add(Clock(6))
    assert not journal.commit()
    assert not journal.promised, "that one may be answered"


def test_a_sync_by_the_other_thread_makes_safe_only_what_was_written(tmp_path: Path) -> None:
    disk = FolderDisk(tmp_path)
    journal = Journal(disk, OWNER, "everysec")
    journal.add(Clock(1))
    assert journal.commit()
    file = journal._file
    assert file is not None
    append = file.append

    def after_a_sync(data: memoryview) -> None:
        journal.sync()
        append(data)

    file.append = after_a_sync  # type: ignore[method-assign]
    journal.add(Clock(2))
    assert journal.commit()
    assert journal.unsafe_bytes > 0, "it was written after that sync"

    def fails_after_a_sync(_data: memoryview) -> None:
        journal.sync()
        raise OSError(errno.ENOSPC, "No space left on device")

    file.append = fails_after_a_sync  # type: ignore[method-assign,assignment]
    journal.add(Clock(3))
    assert not journal.commit()
    assert journal._unsafe[-1][0] == 3
    assert instants_of(Log(disk, OWNER)) == [1, 2]


def test_what_failed_while_another_thread_synced_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.journal.journal.RETRY_S", 0.0)
    disk = FolderDisk(tmp_path)
    journal = Journal(disk, OWNER, "everysec")
    journal.add(Clock(1))
    assert journal.commit()
    assert journal._file is not None

    def fails(_data: memoryview) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    journal._file.append = fails  # type: ignore[method-assign,assignment]
    journal.add(Clock(2))
    journal.commit()
    journal.sync()
    journal.add(Clock(3))
    assert journal.commit()
    assert journal.close()
    assert instants_of(Log(disk, OWNER)) == [1, 2, 3]
