"""What goes of a journal goes from its front, once no start needs it and its records are old enough, whatever clocks and files say."""

import os
from pathlib import Path

import pytest

from engine.journal.disk import FolderDisk
from engine.journal.journal import Journal, Writer
from engine.journal.records import Clock, decode
from engine.journal.retiring import Keep, retire, retired
from engine.journal.segments import Log, Owner, first_of, segment_names
from engine.journal.snapshot import next_of, snapshot_names
from engine.journal.starting import new_state, restored, snapshot_of_segments

OWNER = Owner("0/1", "check")
SIZES = {"contacts_max": 64, "outcomes_max": 16, "answers_bytes_max": 65_536, "overlay_subscribers_max": 16}
DAY_US = 86_400_000_000
DAYS = 12
RECORDS_A_DAY = 3


def live(folder: Path, days: range = range(1, DAYS + 1), ahead: int = 0) -> FolderDisk:
    """Journal some records each day, in two segments, and snapshot what is finished; the records' clock is so many days ahead."""
    disk = FolderDisk(folder)
    for day in days:
        journal = Journal(disk, OWNER, "none", first=(day - 1) * RECORDS_A_DAY + 1, writer=Writer("test", "", SIZES))
        for number in range(RECORDS_A_DAY):
            journal.rotate = number == 1
            journal.add(Clock((day + ahead) * DAY_US + number))
            assert journal.commit()
        assert journal.close()
        if len(segment_names(disk)) > 1:
            snapshot_of_segments(disk)
    return disk


def first_day(disk: FolderDisk) -> int:
    """Return the day of the first record that can be replayed: it is there, and so is the state before it."""
    names, first = snapshot_names(disk), first_of(segment_names(disk)[0])
    begin = 1 if first == 1 else next(next_of(name) for name in names if next_of(name) >= first)
    return int(decode(next(iter(Log(disk, None, after=begin - 1))).body()).now_us // DAY_US)


def keep(days: int, today: int = DAYS) -> Keep:
    return Keep(days * DAY_US, today * DAY_US + RECORDS_A_DAY)


def test_without_days_what_a_start_needs_is_left(tmp_path: Path) -> None:
    disk = live(tmp_path)
    retire(disk)
    assert len(snapshot_names(disk)) == 2
    assert first_day(disk) == DAYS - 1
    assert retired(disk) == []


@pytest.mark.parametrize("days", [1, 2, 3, 5, 8, 11, 40])
def test_everything_younger_than_the_days_stays_with_the_state_before_it(tmp_path: Path, days: int) -> None:
    disk = live(tmp_path)
    retire(disk, keep(days))
    wanted = max(1, min(DAYS - days, DAYS - 1))
    assert first_day(disk) <= wanted
    assert first_day(disk) >= max(1, wanted - 1), "no more than what shares a snapshot with it"
    found = restored(disk, OWNER, lambda: new_state(SIZES))
    assert found.snapshot == snapshot_names(disk)[-1]
    assert found.recovered.records == DAYS * RECORDS_A_DAY


def test_what_is_kept_goes_day_by_day(tmp_path: Path) -> None:
    disk, firsts = live(tmp_path, range(1, 3)), []
    for day in range(3, DAYS + 1):
        live(tmp_path, range(day, day + 1))
        retire(disk, keep(4, day))
        firsts.append(first_day(disk))
    assert firsts == sorted(firsts)
    assert firsts[0] == 1
    assert DAYS - 5 <= firsts[-1] <= DAYS - 4


def test_a_clock_that_is_not_trusted_makes_nothing_old(tmp_path: Path) -> None:
    assert retired(live(tmp_path), Keep(DAY_US, 0)) == []


def test_a_wall_clock_that_is_ahead_makes_nothing_old_before_records_are(tmp_path: Path) -> None:
    disk = live(tmp_path)
    assert retired(disk, keep(5, today=4_000)) == retired(disk, keep(5))


def test_records_that_are_ahead_make_nothing_else_old(tmp_path: Path) -> None:
    disk = live(tmp_path)
    before = retired(disk, keep(5))
    live(tmp_path, range(DAYS + 1, DAYS + 2), ahead=4_000)
    live(tmp_path, range(DAYS + 2, DAYS + 3))
    assert retired(disk, keep(5)) == before


def test_a_wall_clock_that_is_behind_makes_nothing_old(tmp_path: Path) -> None:
    assert retired(live(tmp_path), keep(5, today=2)) == []


def test_files_times_say_nothing(tmp_path: Path) -> None:
    disk = live(tmp_path)
    before = retired(disk, keep(5))
    for path in tmp_path.iterdir():
        os.utime(path, (1, 1))
    assert retired(disk, keep(5)) == before


def test_a_snapshot_that_says_no_time_does_not_begin_what_is_kept(tmp_path: Path) -> None:
    disk = live(tmp_path)
    begins = next(name for name in snapshot_names(disk) if name not in retired(disk, keep(5)))
    (tmp_path / begins).write_bytes(b"damaged")
    gone = retired(disk, keep(5))
    assert begins not in gone
    assert gone
    retire(disk, keep(5))
    assert begins in snapshot_names(disk)


def test_what_is_left_holds_together_wherever_retiring_ends(tmp_path: Path) -> None:
    disk = live(tmp_path)
    for name in retired(disk, keep(5)):
        disk.remove(name)
        first = first_day(disk)
        after = next((next_of(s) for s in snapshot_names(disk) if next_of(s) >= first_of(segment_names(disk)[0])), 1)
        assert len(list(Log(disk, OWNER, after=after - 1))) >= (DAYS - first) * RECORDS_A_DAY
    assert retired(disk, keep(5)) == []
