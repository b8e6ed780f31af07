"""A batch's requests read: those in usual form by kernels, the others one by one in Python, with the same rows whichever way they went.

A string of a trigger field that conditions ask for and that no request brought since codes were last forgotten goes the slow way once.
"""

from collections.abc import Iterator
from dataclasses import fields
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.batch import DRY_RUN, Batch
from engine.bound import Bound
from engine.breathing import breathe
from engine.bundles import reference
from engine.jit import direct, frozen
from engine.limits import BATCH_ITEMS_MAX, MICROSECONDS_PER_SECOND
from engine.shard import WHOLE, Shard, owners
from server.codec.binding import new_coded, tables_of
from server.codec.dtypes import EXPLAIN, Asked
from server.codec.items import Items
from server.codec.kernels import reading
from server.codec.kernels.message import PARTS_SIZE
from server.codec.kernels.naming import add_coded
from server.codec.kernels.reading import identify_rows, read_requests
from server.codec.kernels.sheets import begin_fields, read_rows
from server.codec.request_tables import Coded, Columns, Sheet, Tables
from server.elsewhere import elsewhere
from server.failure import Failure, RefusedError
from server.requests import Question, Requests
from server.subscriber_hashes import SubscriberHashes

_read_requests: Final = direct(read_requests)

if TYPE_CHECKING:
    from server.codec.rows import Rows

assert reading.DRY_RUN == DRY_RUN
_COLUMNS: Final = tuple(field.name for field in fields(Batch) if field.name != "count")


class Reading(NamedTuple):
    """What a batch's items ask; its arrays are the reader's own and hold until it reads again."""

    batch: Batch
    asked: Asked
    """Row for row with `batch`."""
    failures: dict[int, Failure]
    """By item: those that have no row. The rows are the other items', in their order."""

    odd: int
    """How many items were not in usual form; only of such may a row want an explanation."""
    foreign: int = 0
    """How many of the failures are of subscribers that other shards own."""

    def stretches(self) -> Iterator[tuple[Batch, Asked]]:
        """Yield the rows in parts that may be decided together: a row that wants an explanation must see the state at its own place, and goes alone."""
        count = self.batch.count
        if not self.odd or not self.asked.flags[:count].any():
            if count:
                yield self.batch, self.asked
            return
        wanted = np.flatnonzero(self.asked.flags[:count] & EXPLAIN)
        cuts = sorted({0, *wanted.tolist(), *(wanted + 1).tolist(), count})
        for start, end in pairwise(cuts):
            part = Batch(end - start, *(getattr(self.batch, name)[start:end] for name in _COLUMNS))
            yield part, Asked._make([self.asked.text, *(column[start:end] for column in self.asked[1:])])


class Codes:
    """The codes of strings of trigger fields, for the kernels and for Python; apart from the reader, so that it ends with its last user and no later."""

    def __init__(self, bound: Bound, tables: Tables, parts: npt.NDArray[np.int64]) -> None:
        self.keep(new_coded())
        self._bound = bound
        self._tables = tables
        self._names = {column: name.encode() for name, column in bound.field_index.items()}
        self._parts = parts

    def keep(self, coded: Coded) -> None:
        """Keep the codes in `coded` from now on."""
        self.coded = coded
        self.reference = reference(coded)
        """What kernels take for `coded`."""

    def of(self, column: int, text: str) -> int:
        """Return the string's code, which the kernels know from now on if it is one that conditions ask for."""
        code = self._bound.conditions.interner.intern(self._bound.field_slot + column, text)
        if self._tables.field_coded[column]:
            name = self._names[column]
            data = np.frombuffer(name + text.encode(), np.uint8)
            add_coded(self.coded, data, len(name), column, code, self._tables.keys, self._parts)
        return code

    def forget(self) -> None:
        """Take every string from the kernels."""
        self.coded.slots[:] = -1
        self.coded.used[:] = 0


class Reader:
    """Reads for one rulebook bound to a base; owned by the thread that decides."""

    def __init__(self, bound: Bound, hashes: SubscriberHashes, batch: Batch, shard: Shard = WHOLE) -> None:
        """`batch`, with room for BATCH_ITEMS_MAX items, is what is filled; subscribers of other shards than `shard` are refused."""
        self._bound = bound
        self._hashes = hashes
        self._shard = shard
        self._tables = tables_of(bound, hashes)
        breathe()
        self._batch = batch
        self._columns = _columns_of(batch)
        self._kept = reference(self._tables), reference(self._columns)
        """What kernels take for these."""
        breathe()
        self._parts = np.zeros(PARTS_SIZE, np.int64)
        self._codes = Codes(bound, self._tables, self._parts)
        self._requests = Requests(bound, hashes, self._codes.of)
        self._asked = _asked_of(self._columns)

    def read(self, items: "Items | Rows", now_us: int) -> Reading:
        """Return what the items ask at `now_us`, at most BATCH_ITEMS_MAX of them."""
        count, columns = len(items), self._columns
        if self._bound.conditions.interner.reset_if_needed(count):
            self._codes.forget()
        columns.item_at[:count], columns.item_bytes[:count] = items.item_at, items.item_bytes
        text = np.frombuffer(items.text, np.uint8)
        failures: dict[int, Failure] = {}
        odd = self._read_usual(text, count, now_us) if isinstance(items, Items) else self._read_rows(items, now_us)
        if odd:
            text, failures = self._read_odd(items, now_us)
        self._batch.count, wrong = count - len(failures), len(failures)
        if self._shard.of > 1:
            self._take_out_foreign(count, failures)
        return Reading(self._batch, self._asked._replace(text=text), failures, odd, len(failures) - wrong)

    def _take_out_foreign(self, count: int, failures: dict[int, Failure]) -> None:
        """Take the rows of subscribers that other shards own out, and add them to the failures of the `count` items."""
        rows, columns = self._batch.count, self._columns
        foreign = self._shard.foreign(columns.subscriber[:rows])
        if not len(foreign):
            return
        items = np.delete(np.arange(count), list(failures))[foreign] if failures else foreign
        owner = owners(columns.subscriber[foreign], self._shard.of)
        failures.update(zip(items.tolist(), map(partial(elsewhere, self._shard), owner.tolist()), strict=True))
        kept = np.delete(np.arange(rows), foreign)
        for column in columns:
            column[: len(kept)] = column[kept]
        self._batch.count = len(kept)

    def _read_usual(self, text: npt.NDArray[np.uint8], count: int, now_us: int) -> int:
        """Fill the rows of items in usual form; return how many are not."""
        tables, columns = self._kept
        return _read_requests(text, count, now_us, tables, self._codes.reference, columns, self._parts)

    def _read_rows(self, rows: "Rows", now_us: int) -> int:
        """Fill the rows of a table's rows in usual form; return how many are not."""
        span = frozen(np.array([rows.start, rows.end], np.int64))
        tables, columns = self._kept
        odd = read_rows(self._sheet(rows), span, now_us, tables, self._codes.reference, columns, self._parts)
        rows.odd.append(odd)
        return odd

    def _sheet(self, rows: "Rows") -> Sheet:
        """Return the table's columns, its trigger fields bound to those of the rulebook."""
        if not rows.fields:
            return rows.sheet
        names = [name.encode() for name in rows.fields]
        start = frozen(np.cumsum([0, *map(len, names)], dtype=np.int64))
        column = frozen(np.array([self._bound.field_index.get(name, -1) for name in rows.fields], np.int32))
        begun = np.zeros((len(names), 4), np.uint64)
        text = np.frombuffer(b"".join(names), np.uint8)
        begin_fields(text, start, rows.sheet.field_kind, self._tables.keys, begun)
        return rows.sheet._replace(field_column=column, field_begun=frozen(begun))

    def _read_odd(self, items: "Items | Rows", now_us: int) -> tuple[npt.NDArray[np.uint8], dict[int, Failure]]:
        """Fill the rows of what the kernels left; return the bytes that all rows now lie in, and the failures, whose rows are taken out."""
        count = len(items)
        questions: dict[int, Question] = {}
        failures: dict[int, Failure] = {}
        for item in np.flatnonzero(self._columns.odd[:count]).tolist():
            try:
                questions[item] = self._requests.read(items.payload(item))
            except RefusedError as error:
                failures[item] = error.failure
        text = self._fill(items.text, questions, now_us)
        if failures:
            kept = np.setdiff1d(np.arange(count), list(failures), assume_unique=True)
            for column in self._columns:
                column[: len(kept)] = column[kept]
        return text, failures

    def _fill(self, text: bytes, questions: dict[int, Question], now_us: int) -> npt.NDArray[np.uint8]:
        """Fill the questions' rows; return the text with theirs behind it."""
        if not questions:
            return np.frombuffer(text, np.uint8)
        columns = self._columns
        index = np.fromiter(questions, np.int64, len(questions))
        for item, question in questions.items():
            self._fill_row(item, question, now_us)
        sizes = np.array([len(question.text) for question in questions.values()], np.int32)
        columns.item_at[index] = len(text) + np.cumsum(sizes) - sizes
        columns.item_bytes[index] = sizes
        columns.subscriber[index] = self._hashes.hashes([question.key for question in questions.values()])
        whole = np.frombuffer(b"".join((text, *(question.text for question in questions.values()))), np.uint8)
        left = identify_rows(whole, frozen(index), self._tables.keys, columns, self._parts)
        assert left == 0, "what protobuf writes is in usual form"
        return whole

    def _fill_row(self, item: int, question: Question, now_us: int) -> None:
        columns = self._columns
        columns.trigger[item] = question.trigger
        columns.channel[item] = question.channel
        columns.language[item] = question.language
        columns.offers_max[item] = question.offers_max
        columns.flags[item] = DRY_RUN if question.dry_run else 0
        columns.now_us[item] = now_us = now_us if question.assumed_now_us is None else question.assumed_now_us
        time_us = now_us if question.time_us is None else question.time_us
        seconds, rest_us = divmod(time_us, MICROSECONDS_PER_SECOND)
        columns.field_known[item] = 0
        for column, value, nanos in ((0, seconds, rest_us * 1_000), *question.fields):
            columns.field_values[item, column] = value
            columns.field_nanos[item, column] = nanos
            columns.field_known[item, column] = 1


def _columns_of(batch: Batch) -> Columns:
    n = BATCH_ITEMS_MAX
    return Columns(
        item_at=np.zeros(n, np.int64),
        item_bytes=np.zeros(n, np.int32),
        request=batch.request,
        body=batch.body,
        subscriber=batch.subscriber,
        trigger=batch.trigger,
        channel=batch.channel,
        offers_max=batch.offers_max,
        flags=batch.flags,
        now_us=batch.now_us,
        field_values=batch.field_values,
        field_nanos=batch.field_nanos,
        field_known=batch.field_known,
        id_at=np.zeros(n, np.int64),
        id_bytes=np.zeros(n, np.int32),
        language=np.zeros(n, np.int32),
        wants=np.zeros(n, np.uint8),
        odd=np.zeros(n, np.uint8),
    )


def _asked_of(columns: Columns) -> Asked:
    return Asked(
        text=frozen(np.zeros(0, np.uint8)),
        item_at=frozen(columns.item_at),
        item_bytes=frozen(columns.item_bytes),
        id_at=frozen(columns.id_at),
        id_bytes=frozen(columns.id_bytes),
        language=frozen(columns.language),
        flags=frozen(columns.wants),
    )
