"""A journal taken back into a ledger and an overlay: what they held when its last record was written, whatever answers from then on."""

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from engine.base.overlay import Overlay, Write
from engine.bundles import reference
from engine.dtypes.ledger import OutcomeColumns, Requests
from engine.dtypes.texts import Texts
from engine.jit import direct, frozen
from engine.journal.records import (
    DECIDED,
    ENDED,
    KINDS,
    RECORDED,
    Began,
    Changed,
    Clock,
    Decided,
    Ended,
    Forgot,
    Named,
    Policy,
    Recorded,
    Swapped,
    decode,
    encode_decided,
)
from engine.journal.segments import Cut, JournalError, Log, Record, Run
from engine.kernels.grants import Asks
from engine.kernels.noted_rows import NotedRows
from engine.kernels.recorded_rows import WIDTHS, RecordedRows
from engine.kernels.restoring import (
    MALFORMED,
    NO_ANSWERS,
    NO_CONTACTS,
    NO_TABLE,
    OTHERWISE,
    RESTORED,
    Restoring,
    restore_noted,
    restore_run,
)
from engine.ledger.memory import MemoryLedger
from engine.ledger.port import Grants, Outcomes, Retention, columns_of
from engine.limits import BATCH_ITEMS_MAX, OFFERS_PER_ANSWER_MAX

_restore_noted: Final = direct(restore_noted)
_restore_run: Final = direct(restore_run)
_WHY: Final = {
    NO_CONTACTS: "the ledger has no room for its contacts; raise contacts_max to what it was, or more",
    NO_ANSWERS: "the memory of answers has no room for its answers; raise answers_bytes_max to what it was, or more",
    OTHERWISE: "what it holds does not follow from what comes before it; the journal was written by something else, or changed",
    MALFORMED: "it is no record of decisions; the journal was written by something else, or changed",
}
_OTHER_OUTCOMES: Final = (
    "its outcomes become something else than they did; the journal was changed, or written by something else"
)


@dataclass(slots=True)
class Recovered:
    """What a journal said."""

    next: int = 1
    """The number of the next record."""
    records: int = 0
    decisions: int = 0
    """Rows of decided records."""
    last_us: int = 0
    """The instant of its last record; 0 without any."""
    ended: bool = True
    """Whether the process that wrote it last ended in order."""
    boot: str = ""
    """Of the machine's life in which the last segment was begun."""
    cut: Cut | None = None
    serving: Swapped | None = None
    """What answered last."""
    by_kind: dict[str, int] = field(default_factory=dict)
    erasing: int = 0
    """Erasures that had not been done on disk when their record was read."""


class Recovery:
    """Takes records back, one after the other."""

    def __init__(self, ledger: MemoryLedger, overlay: Overlay, before: Recovered | None = None) -> None:
        """`ledger` and `overlay` are as a snapshot left them that said `before`; else new, and ledger time lies before the first record."""
        n, k = BATCH_ITEMS_MAX, OFFERS_PER_ANSWER_MAX
        self.recovered = before or Recovered()
        self._ledger, self._overlay = ledger, overlay
        overlay.base = "" if self.recovered.serving is None else self.recovered.serving.base
        self._head = np.zeros(6, np.int64)
        self._rows = _new_rows(n, k)
        asks = _new_asks(n, k)
        subscriber = np.zeros(n, np.uint64)
        grants = columns_of(Grants(subscriber=subscriber, **asks._asdict()))
        requests = reference(Requests(self._rows.request, self._rows.body, self._rows.subscriber))
        self._kept = (reference(self._rows), requests, subscriber, reference(asks), grants)
        self._index = np.zeros(n, np.int64)
        self._place = np.zeros(6, np.int64)
        self._outcomes = (reference(ledger.outcome_ids), *_outcomes_room(n))
        self._stopped = 0, RESTORED
        """The number of the record with which a run stopped, and why."""
        self._restoring: Any = None
        self._in_memory: Any = None
        self._data: Any = None

    def take(self, record: Record) -> None:
        """Take back the next record; raises JournalError naming it, and then ledger and overlay are of no use."""
        try:
            if record.kind == DECIDED:
                self._take_decided(record)
            elif self._stopped == (record.sequence, OTHERWISE):
                raise ValueError(_OTHER_OUTCOMES)
            else:
                self.take_small(decode(record.body()))
        except (ValueError, AssertionError, LookupError, TypeError, OverflowError) as error:
            raise JournalError(f"record {record.sequence:,}: {error or 'it is not what was expected'}") from error
        self._took(record.kind, 1)

    def take_run(self, run: Run) -> tuple[int, int]:
        """Take back decisions and outcomes until something else comes, or goes wrong, which `take` then sees to; return the byte and the number there."""
        recovered, place, following = self.recovered, self._place, -1 if run.following is None else run.following
        place[0], place[1], place[5] = run.at, run.sequence, recovered.last_us
        status = int(_restore_run(self._restoring_of(run.data), following, self._head, place))
        at, sequence, records, decisions, outcomes, recovered.last_us = place.tolist()
        self._stopped = sequence, status
        recovered.decisions += decisions
        for kind, taken in ((DECIDED, records - outcomes), (RECORDED, outcomes)):
            if taken:
                self._took(kind, taken)
        return at, sequence

    def _took(self, kind: int, records: int) -> None:
        recovered, name = self.recovered, KINDS[kind]
        recovered.records += records
        recovered.ended = kind == ENDED
        recovered.by_kind[name] = recovered.by_kind.get(name, 0) + records

    def _take_decided(self, record: Record) -> None:
        ledger, head, rows, moved = self._ledger, self._head, self._rows, -1
        number, status = self._stopped
        if number != record.sequence or status == RESTORED:
            head[5] = 0
            status = self._restored(record)
        while True:
            row = int(head[5])
            if status == NO_TABLE:
                ledger.reserve_subscribers(BATCH_ITEMS_MAX)
            elif (
                status == NO_CONTACTS
                and row != moved
                and ledger.compact(int(rows.subscriber[row]), int(rows.seats[row]))
            ):
                moved = row
            else:
                break
            status = self._restored(record)
        if status != RESTORED:
            raise JournalError(f"record {record.sequence:,}: {_WHY[status]}")
        self.recovered.last_us = int(self._head[1])
        self.recovered.decisions += int(self._head[4])

    def _restored(self, record: Record) -> int:
        return int(_restore_noted(self._restoring_of(record.data), record.start, record.end, self._head))

    def take_decided(self, decided: Decided) -> None:
        """Take back what a decided record holds, without its being decided again; raises JournalError."""
        data = np.frombuffer(bytearray(encode_decided(decided)), np.uint8)
        self._take_decided(Record(0, DECIDED, data, 0, len(data)))

    def _restoring_of(self, data: npt.NDArray[np.uint8]) -> Any:
        """Return what the kernels take, with the segment in it."""
        in_memory, _ = self._ledger.in_memory(BATCH_ITEMS_MAX)
        if in_memory is not self._in_memory:
            self._in_memory, self._data = in_memory, None
        if data is not self._data:
            self._data = data
            answers = Texts(data, self._rows.answer_at, self._rows.answer_bytes)
            self._restoring = reference(Restoring(in_memory, *self._kept, answers, self._index, *self._outcomes))
        return self._restoring

    def take_small(self, record: Any) -> None:
        """Take back a record of another kind than decided."""
        recovered, ledger = self.recovered, self._ledger
        recovered.last_us = max(recovered.last_us, getattr(record, "now_us", 0))
        match record:
            case Recorded():
                self._take_outcomes(record)
            case Changed(subscriber, at_us, writes):
                if writes:
                    self._overlay.write(subscriber, [Write(*write) for write in writes], at_us)
            case Forgot(subscriber, now_us, stand_in):
                ledger.advance(now_us)  # what had expired by then was counted, and is not released
                self._overlay.erase(subscriber)
                ledger.forget(subscriber)
                if stand_in:
                    ledger.forget(stand_in)
                else:
                    recovered.erasing += 1
            case Policy():
                ledger.advance(record.now_us)
                retention = Retention(*record.retention)
                ledger.set_policy(retention, record.first_day, np.array(record.day_starts_us, np.int64))
            case Named(names):
                for kind, name in names:
                    ledger.names.code(kind, name)
            case Swapped():
                recovered.serving, self._overlay.base = record, record.base
            case Began(now_us):
                ledger.advance(now_us)
                ledger.number_from(now_us)
            case Clock() | Ended():
                pass
            case _:
                raise ValueError("it begins a segment, and lies within one")

    def _take_outcomes(self, record: Recorded) -> None:
        _, *columns = msgspec.structs.astuple(record)
        if [len(column) for column in columns] != [width * len(record.results) for width in WIDTHS]:
            raise ValueError("its columns are not of one length; the journal was written by something else, or changed")
        self._ledger.advance(record.now_us)
        if self._ledger.record(outcomes_of(record)).result().tobytes() != record.results:
            raise ValueError(_OTHER_OUTCOMES)


def outcomes_of(record: Recorded) -> Outcomes:
    """Return the outcomes of a record."""
    return Outcomes(
        outcome=np.frombuffer(record.outcome, "<u8").astype(np.uint64, copy=False).reshape(-1, 2),
        body=np.frombuffer(record.body, "<u8").astype(np.uint64, copy=False),
        subscriber=np.frombuffer(record.subscriber, "<u8").astype(np.uint64, copy=False),
        decision=np.frombuffer(record.decision, "<u8").astype(np.uint64, copy=False),
        rank=np.frombuffer(record.rank, np.uint8),
        kind=np.frombuffer(record.kind, np.uint8),
        event_us=np.frombuffer(record.event_us, "<i8").astype(np.int64, copy=False),
    )


def _new_rows(n: int, k: int) -> NotedRows:
    words: dict[str, Any] = {name: np.zeros(n, np.uint64) for name in ("body", "subscriber", "digest", "decision")}
    spans: dict[str, Any] = {
        f"{text}_{what}": np.zeros(n, np.int64) for text in ("message", "answer") for what in ("at", "bytes")
    }
    return NotedRows(
        request=np.zeros((n, 2), np.uint64),
        expires_us=np.zeros(n, np.int64),
        seats=np.zeros(n, np.int32),
        codes=np.zeros((n, k, 4), np.uint16),
        flags=np.zeros((n, k), np.uint8),
        **words,
        **spans,
    )


def _outcomes_room(n: int) -> tuple[Any, Any, npt.NDArray[np.uint8]]:
    """Return room for n outcomes, as kernels write it and as they read it, and for what becomes of them."""
    words: list[Any] = [np.zeros(n, np.uint64) for _ in range(3)]
    columns = [np.zeros((n, 2), np.uint64), *words, np.zeros(n, np.uint8), np.zeros(n, np.uint8), np.zeros(n, np.int64)]
    written = RecordedRows(*[*columns, np.zeros(8, np.int64)])
    return reference(written), reference(OutcomeColumns(*map(frozen, columns))), np.zeros(n, np.uint8)


def _new_asks(n: int, k: int) -> Asks:
    seats: dict[str, Any] = {name: np.zeros((n, k), np.uint16) for name in ("offer", "campaign", "category", "channel")}
    totals: dict[str, Any] = {name: np.zeros(0, np.int64) for name in Asks._fields[8:]}
    return Asks(
        count=np.zeros(n, np.int32),
        expires_us=np.zeros(n, np.int64),
        flags=np.zeros((n, k), np.uint8),
        total_start=np.zeros(n + 1, np.int64),
        **seats,
        **totals,
    )


def recover(log: Log, ledger: MemoryLedger, overlay: Overlay, before: Recovered | None = None) -> Recovered:
    """Take back all records of a log, after what a snapshot said; raises JournalError, and then ledger and overlay are of no use."""
    recovery = Recovery(ledger, overlay, before)
    log.take_run = recovery.take_run
    for record in log:
        recovery.take(record)
    recovered = recovery.recovered
    recovered.next, recovered.cut = log.end, log.cut
    recovered.boot = log.segments[-1].boot if log.segments else recovered.boot
    return recovered
