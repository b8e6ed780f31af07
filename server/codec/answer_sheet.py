"""The answers to a table's rows, gathered part by part as they are decided, and written as one table."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt
from touchpoint.v1 import reason_pb2

from engine.batch import Decisions
from engine.dtypes.texts import Texts
from engine.limits import OFFERS_PER_ANSWER_MAX
from loaders.columns.answers import Failed, Given, Offered, write_answers
from server.codec.answer_tables import (
    BASE,
    DECIDED_AT,
    HOLD_UNTIL,
    INSTANTS,
    NEXT_ALLOWED,
    SEAT_WORDS,
    SEND_DEADLINE,
    SEND_NOT_BEFORE,
    WORD_COLUMNS,
    Lexicon,
    Seats,
    Told,
)
from server.codec.kernels.decision_ids import ID_BYTES_MAX
from server.codec.kernels.lexicon import copy_column, index_again
from server.codec.kernels.telling import take_answers
from server.failure import Failure

_NAMES: Final = {value.number: value.name.removeprefix("REASON_") for value in reason_pb2.Reason.DESCRIPTOR.values}
REASONS: Final = tuple(_NAMES.values())
_PLACES: Final = np.zeros(256, np.int8)
_PLACES[list(_NAMES)] = np.arange(len(_NAMES))
_SEATS_FIRST: Final = 1.25
"""Room for so many offers a row is tried first."""
_ENTRIES_FIRST: Final = 64
"""Room for so many texts, and one a row, is tried first: moving them later costs more."""
_TEXT_BYTES_FIRST: Final = 64


class AnswerSheet:
    """The answers to n rows."""

    def __init__(self, rows: int, words: bool) -> None:
        """`words`: whether content, script and language are wanted."""
        self._words = words
        self._told = Told(
            reason=np.zeros(rows, np.uint8),
            replayed=np.zeros(rows, np.uint8),
            generation=np.zeros(rows, np.uint64),
            base=np.zeros(rows, np.int32),
            instants=np.empty((INSTANTS, rows), np.int64),
            ids_end=np.zeros(rows + 1, np.int32),
            ids=np.empty(rows * ID_BYTES_MAX, np.uint8),
            seats_end=np.zeros(rows + 1, np.int32),
        )
        self._seats = _seats(int(rows * _SEATS_FIRST))
        entries = rows + _ENTRIES_FIRST
        self._lexicon = _lexicon(entries, entries * _TEXT_BYTES_FIRST)
        self._failures: dict[int, Failure] = {}
        self._done = 0

    def begin(self, items: int) -> None:
        """Expect the answers to the next rows; none has one yet."""
        self._first, self._done = self._done, self._done + items
        self._answers = Texts(np.zeros(0, np.uint8), np.zeros(items, np.int64), np.zeros(items, np.int64))
        self._replayed = np.zeros(items, np.uint8)
        self._offers = 0

    def take_all(self, decisions: Decisions) -> None:
        """Take the answers to all of the next rows; instead of `begin` and `take`."""
        items = len(decisions.reason)
        self._first, self._done = self._done, self._done + items
        self._answers, self._replayed = decisions.answers(), decisions.replayed
        self._offers = _offers_max(decisions)

    def take(self, decisions: Decisions, items: npt.NDArray[np.int64], whole: bool) -> None:
        """Take the answers of decided rows: they are those of (rows,) `items`; `whole` when nothing more is decided before they are told."""
        assert whole, "rows are decided together: none of them wants an explanation"
        data, start, length_bytes = decisions.answers()
        self._answers = self._answers._replace(data=data)
        self._answers.start[items], self._answers.length_bytes[items] = start, length_bytes
        self._replayed[items] = decisions.replayed
        self._offers = _offers_max(decisions)

    def tell(self, failures: Mapping[int, Failure]) -> None:
        """Write the rows that were expected, those of items with a failure as failed."""
        self._failures.update((self._first + item, failure) for item, failure in failures.items())
        self._reserve_seats(self._first, self._offers)
        done, count = 0, len(self._replayed)
        while done < count:
            done = int(
                take_answers(
                    self._answers,
                    self._replayed,
                    done,
                    self._first,
                    self._told,
                    self._seats,
                    self._lexicon,
                    int(self._words),
                )
            )
            if done < count:
                self._grow(self._first + done)

    def table(self) -> memoryview:
        """Return the rows as an Arrow IPC stream."""
        told, seats = self._told, self._seats
        offers = int(told.seats_end[-1])
        texts = [self._texts(column) for column in range(WORD_COLUMNS)]
        offered = Offered(
            ends=told.seats_end,
            rank=seats.rank[:offers],
            score=seats.score[:offers].view(np.float64),
            words=[(seats.words[:offers, column], texts[column]) for column in range(SEAT_WORDS if self._words else 2)],
        )
        given = Given(
            reason=_PLACES[told.reason],
            answered=told.reason != 0,
            reasons=REASONS,
            ids_end=told.ids_end,
            ids=told.ids,
            generation=told.generation,
            base=(told.base, texts[BASE]),
            replayed=told.replayed,
            instants={
                "hold_until": told.instants[HOLD_UNTIL],
                "send_not_before": told.instants[SEND_NOT_BEFORE],
                "send_deadline": told.instants[SEND_DEADLINE],
                "next_allowed": told.instants[NEXT_ALLOWED],
                "decided_at": told.instants[DECIDED_AT],
            },
        )
        failed = [
            Failed(
                row,
                int(failure.code),
                failure.message,
                failure.violations[0].field if failure.violations else None,
                failure.elsewhere.owner if failure.elsewhere else None,
            )
            for row, failure in sorted(self._failures.items())
        ]
        return write_answers(given, offered, failed)

    def _texts(self, column: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
        """Return a column's texts in the order of their numbers: where each ends, and their bytes."""
        used = self._lexicon.used
        ends = np.empty(used[2 + column] + 1, np.int32)
        data = np.empty(used[2 + WORD_COLUMNS + column], np.uint8)
        copy_column(self._lexicon, column, ends, data)
        return ends, data

    def _reserve_seats(self, row: int, more: int) -> None:
        """See that there is room for so many offers from a row on."""
        used = int(self._told.seats_end[row])
        if used + more > len(self._seats.rank):
            grown = _seats(max(used + more, 2 * used))
            for name in Seats._fields:
                getattr(grown, name)[:used] = getattr(self._seats, name)[:used]
            self._seats = grown

    def _grow(self, row: int) -> None:
        """Make more room, of which there was too little for this row: of seats, or in the lexicon for twice as many entries and all texts being told."""
        if int(self._told.seats_end[row]) + OFFERS_PER_ANSWER_MAX > len(self._seats.rank):
            self._reserve_seats(row, OFFERS_PER_ANSWER_MAX)
            return
        old = self._lexicon
        entries, data_bytes = int(old.used[0]), int(old.used[1])
        more_bytes = data_bytes + int(self._answers.length_bytes.sum())
        grown = _lexicon(2 * len(old.number), max(2 * len(old.data), more_bytes))
        for name in ("column", "number", "at", "size"):
            getattr(grown, name)[:entries] = getattr(old, name)[:entries]
        grown.data[:data_bytes] = old.data[:data_bytes]
        grown.used[:] = old.used
        index_again(grown)
        self._lexicon = grown


def _offers_max(decisions: Decisions) -> int:
    return int(decisions.chosen_count.sum()) + int(np.count_nonzero(decisions.replayed)) * OFFERS_PER_ANSWER_MAX


def _seats(count: int) -> Seats:
    return Seats(np.empty(count, np.uint8), np.empty(count, np.uint64), np.empty((count, SEAT_WORDS), np.int32))


def _lexicon(entries: int, data_bytes: int) -> Lexicon:
    return Lexicon(
        slots=np.full(1 << (2 * entries).bit_length(), -1, np.int32),
        column=np.zeros(entries, np.int32),
        number=np.zeros(entries, np.int32),
        at=np.zeros(entries, np.int64),
        size=np.zeros(entries, np.int64),
        data=np.empty(data_bytes, np.uint8),
        used=np.zeros(2 + 2 * WORD_COLUMNS, np.int64),
    )
