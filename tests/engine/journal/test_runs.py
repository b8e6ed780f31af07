"""Decisions and outcomes that are taken back in runs come to what they come to one record after the other, and what is wrong is told alike."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest

from engine.base.overlay import Overlay
from engine.dtypes.contact import COUNTS
from engine.jit import COMPILED
from engine.journal.disk import FolderDisk
from engine.journal.records import DECIDED, RECORDED, Changed, Clock, Decided, Hold, Named, Policy, Recorded, Row
from engine.journal.recovery import Recovered, Recovery, outcomes_of, recover
from engine.journal.segments import JournalError, Log, Run
from engine.ledger.answers import RingAnswers
from engine.ledger.memory import MemoryLedger
from engine.ledger.names import LedgerFullError
from engine.limits import BATCH_ITEMS_MAX
from tests.engine.journal.test_segments import OWNER, journal_of

HOUR_US = 3_600_000_000
NOW_US = 1 << 50
MANY = BATCH_ITEMS_MAX if COMPILED else 300
"""Of which columns are longer than the shorter forms of bytes say."""
STEPS, SEEDS = (120, 12) if COMPILED else (40, 2)
Sizes = tuple[int, int]
ROOM: Sizes = 20_000, 20_000


def new(sizes: Sizes = ROOM) -> tuple[MemoryLedger, Overlay]:
    contacts_max, outcomes_max = sizes
    return MemoryLedger(contacts_max, RingAnswers(1 << 20), outcomes_max=outcomes_max), Overlay(64)


class Told:
    """Records as a server tells them, with what became of their outcomes."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.recovery = Recovery(*new())
        self.ledger = self.recovery._ledger
        self.records: list[Any] = []
        self.now_us, self.decision = NOW_US, 1
        self.given: list[tuple[int, int]] = []
        self.ids = 0
        names = Named([("offer", "a"), ("campaign", "b"), ("category", "c"), ("channel", "d")])
        for record in (names, Policy(1, [9 * HOUR_US] * 6, 0, [0])):
            self.recovery.take_small(record)
            self.records.append(record)

    def decide(self, rows: int, *, holds: float = 0.8) -> None:
        self.now_us += self.rng.randrange(HOUR_US // 4)
        told = []
        for _ in range(rows):
            subscriber, hold = self.rng.randrange(1, 40), None
            if self.rng.random() < holds:
                self.decision += self.rng.choice([0, 0, 0, 3])
                seats = [(1, 1, 1, 1, COUNTS)] * self.rng.randrange(1, 3)
                hold = Hold(self.decision, self.now_us + self.rng.choice([HOUR_US // 60, HOUR_US]), seats)
                self.given.append((subscriber, self.decision))
                self.decision += 1
            answer = b"a" * self.rng.randrange(1, 90) if hold else self.rng.randrange(1 << 62)
            told.append(Row(self.rng.randbytes(16), self.rng.getrandbits(64), subscriber, b"asked", answer, hold))
        record = Decided(self.now_us, self.now_us, 0, 1, told)
        self.recovery.take_decided(record)
        self.records.append(record)

    def outcomes(self, count: int, *, now_us: int = 0) -> None:
        self.now_us += self.rng.randrange(HOUR_US // 8)
        columns = {
            name: bytearray() for name in ("outcome", "body", "subscriber", "decision", "rank", "kind", "event_us")
        }
        for _ in range(count):
            again = self.ids and self.rng.random() < 0.1
            subscriber, decision = self.rng.choice(self.given) if self.given else (1, 1)
            self.ids += not again
            columns["outcome"] += (self.rng.randrange(self.ids) if again else self.ids).to_bytes(16, "little")
            columns["body"] += self.rng.randrange(2).to_bytes(8, "little")
            columns["subscriber"] += subscriber.to_bytes(8, "little")
            columns["decision"] += decision.to_bytes(8, "little")
            columns["rank"].append(self.rng.choice([1, 1, 2, 9]))
            columns["kind"].append(self.rng.randrange(10))
            columns["event_us"] += (self.now_us - self.rng.choice([0, 9, 99 * HOUR_US])).to_bytes(8, "little")
        record = Recorded(
            now_us or self.now_us, **{name: bytes(column) for name, column in columns.items()}, results=b""
        )
        self.ledger.advance(record.now_us)
        results = self.ledger.record(outcomes_of(record)).result().tobytes()
        self.records.append(msgspec.structs.replace(record, results=results))

    def small(self) -> None:
        self.records.append(self.rng.choice([Clock(self.now_us), Changed(self.rng.randrange(1, 40), self.now_us, [])]))


def written(folder: Path, records: list[Any]) -> FolderDisk:
    journal = journal_of(folder)
    for record in records:
        journal.add(record)
    assert journal.commit()
    assert journal.close()
    return FolderDisk(folder)


Outcome = tuple[Recovered, dict[str, np.ndarray[Any, Any]]] | str


def taken(disk: FolderDisk, sizes: Sizes, take: Callable[[Log, MemoryLedger, Overlay], Recovered]) -> Outcome:
    """Return what the journal came to, or why it could not be taken back."""
    ledger, overlay = new(sizes)
    try:
        recovered = take(Log(disk, OWNER), ledger, overlay)
    except (JournalError, LedgerFullError) as error:
        return str(error)
    return recovered, ledger.state()


def one_by_one(log: Log, ledger: MemoryLedger, overlay: Overlay) -> Recovered:
    recovery = Recovery(ledger, overlay)
    for record in log:
        recovery.take(record)
    recovery.recovered.next, recovery.recovered.boot = log.end, log.segments[-1].boot
    return recovery.recovered


def agree(disk: FolderDisk, sizes: Sizes = ROOM) -> Outcome:
    """Return what both ways come to."""
    found, expected = taken(disk, sizes, recover), taken(disk, sizes, one_by_one)
    if isinstance(found, str) or isinstance(expected, str):
        assert found == expected
        return found
    assert found[0] == expected[0]
    assert found[1].keys() == expected[1].keys()
    assert [name for name, array in found[1].items() if array.tobytes() != expected[1][name].tobytes()] == []
    return found


def told(seed: int) -> Told:
    told = Told(seed)
    for _ in range(STEPS):
        kind = told.rng.randrange(3)
        if kind == 0:
            told.small()
        elif kind == 1:
            told.decide(told.rng.randrange(1, 9))
        else:
            told.outcomes(told.rng.randrange(9))
    return told


@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
def test_runs_come_to_what_single_records_come_to(tmp_path: Path, seed: int) -> None:
    each = told(seed)
    each.outcomes(MANY)
    each.decide(9)
    found = agree(written(tmp_path, each.records))
    assert not isinstance(found, str)
    recovered, state = found
    assert recovered.records == len(each.records)
    assert recovered.last_us == each.now_us
    assert recovered.by_kind["decided"] + recovered.by_kind["recorded"] > STEPS // 2
    expected = each.ledger.state()
    assert [
        name
        for name in ("pool", "state", "lifetime", "outcome_ids")
        if state[name].tobytes() != expected[name].tobytes()
    ] == []


def test_most_are_taken_in_runs(tmp_path: Path) -> None:
    disk, alone = written(tmp_path, told(1).records), list[int]()

    class Watched(Recovery):
        def take(self, record: Any) -> None:
            alone.append(record.kind)
            super().take(record)

    log = Log(disk, OWNER)
    recovery = Watched(*new())
    log.take_run = recovery.take_run
    for record in log:
        recovery.take(record)
    by_kind = recovery.recovered.by_kind
    assert recovery.recovered.records == len(alone) + by_kind["decided"] + by_kind["recorded"]
    assert not {DECIDED, RECORDED} & set(alone)


def test_what_does_not_fit_is_told_alike(tmp_path: Path) -> None:
    each = told(2)
    disk = written(tmp_path, each.records)
    assert "contacts_max" in str(agree(disk, (16, 20_000)))
    assert "outcome" in str(agree(disk, (20_000, 4)))
    for contacts_max in range(20, 200, 15 if COMPILED else 60):
        agree(disk, (contacts_max, 20_000))


def test_an_instant_of_few_bytes_and_no_outcomes_at_all(tmp_path: Path) -> None:
    each = Told(3)
    each.outcomes(0, now_us=5)
    each.outcomes(0)
    assert not isinstance(agree(written(tmp_path, each.records)), str)


def changed(record: Recorded, **fields: bytes) -> Recorded:
    return msgspec.structs.replace(record, **fields)


@pytest.mark.parametrize("field", ["outcome", "body", "subscriber", "decision", "rank", "kind", "event_us", "results"])
@pytest.mark.parametrize("length", [-1, 1, 300])
def test_columns_of_another_length_are_told_alike(tmp_path: Path, field: str, length: int) -> None:
    each = told(4)
    each.outcomes(7)
    record = each.records[-1]
    column = getattr(record, field)
    each.records[-1] = changed(record, **{field: column[:length] if length < 0 else column + bytes(length)})
    disk = written(tmp_path, [*each.records, Clock(each.now_us)])
    assert f"record {len(each.records)}: " in str(agree(disk))


def test_outcomes_that_become_something_else_are_refused(tmp_path: Path) -> None:
    each = told(5)
    each.outcomes(7)
    record = each.records[-1]
    other = bytes([record.results[0] ^ 1]) + record.results[1:]
    each.records[-1] = changed(record, results=other)
    assert f"record {len(each.records)}: its outcomes become something else" in str(
        agree(written(tmp_path, each.records))
    )


def test_a_run_ends_before_the_record_of_the_next_segment_and_at_damage(tmp_path: Path) -> None:
    each = Told(6)
    for _ in range(6):
        each.decide(2)
    disk = written(tmp_path, each.records)
    (name,) = disk.names()
    data = disk.read(name)
    start = int(next(iter(Log(disk, OWNER))).start) - 16
    for following, expected in ((5, 5), (9, 9), (None, 9)):
        recovery = Recovery(*new())
        for record in each.records[:2]:
            recovery.take_small(record)
        at, sequence = start, 1
        for record in list(Log(disk, OWNER))[:2]:
            at, sequence = record.end, record.sequence + 1
        found = recovery.take_run(Run(data, at, sequence, following))
        assert found[1] == expected
        assert recovery.recovered.records == expected - 3
    damaged = data.copy()
    damaged[-1] ^= 1
    recovery = Recovery(*new())
    for record in each.records[:2]:
        recovery.take_small(record)
    assert recovery.take_run(Run(damaged, at, sequence, None))[1] == 8
