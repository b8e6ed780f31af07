"""What the journal keeps of decisions: a record for each batch, written by a kernel from what the batch was decided in."""

from operator import is_not
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from engine.batch import Batch, Decisions
from engine.bundles import Reference, reference, replaced
from engine.engine import Engine
from engine.jit import direct, frozen
from engine.journal.journal import Journal
from engine.limits import BATCH_ITEMS_MAX
from server.codec.dtypes import Asked
from server.codec.kernels.message import PARTS_SIZE
from server.codec.kernels.messages import Asking, write_messages
from server.codec.kernels.noting import Noted, note_batch

if TYPE_CHECKING:
    from server.codec.rows import Rows

_note_batch: Final = direct(note_batch)
_write_messages: Final = direct(write_messages)


PUSH_STOPPED, PUSH_WITHHELD = 1, 2
"""A decided record's `stopped`: push answered CLOCK_UNCONFIRMED; it answered STATE_UNAVAILABLE."""


class Noting:
    """Adds a record for each batch that one engine decided."""

    def __init__(self, journal: Journal, engine: Engine) -> None:
        self._journal = journal
        self._engine = engine
        self._head = np.zeros(5, np.int64)
        self._parts = np.zeros(PARTS_SIZE, np.int64)
        self._messages = TableMessages()
        self._noted: Any = None
        self._noted_of: tuple[Any, ...] = (None,) * 6

    @property
    def full(self) -> bool:
        """Whether the journal keeps nothing more; nothing is then held either, so that there is nothing that it must know."""
        return self._journal.full

    def decided(self, batch: Batch, asked: Any, decisions: Decisions, table: "Rows | None" = None) -> None:
        """Add the batch that was decided last; `asked` is what kernels take for its server.codec.dtypes.Asked.

        `table`: what the batch is rows of; None: it came as messages.
        """
        journal, engine, head = self._journal, self._engine, self._head
        head[0], head[1] = batch.now_us[0], engine.ledger.now_us
        head[2] = PUSH_STOPPED * engine.push_stopped | PUSH_WITHHELD * (journal.failure is not None)
        head[3] = engine.generation.number
        noted = self._noted_by(batch, asked if table is None else self._as_messages(batch, asked, table), decisions)
        start = journal.used_bytes
        end = int(_note_batch(noted, batch.count, head, journal.buffer, start, journal.next))
        if end < 0:
            journal.reserve(-end)
            end = int(_note_batch(noted, batch.count, head, journal.buffer, start, journal.next))
        if end > start:
            journal.added(end, urgent=bool(head[4]))

    def _noted_by(self, batch: Batch, asked: Any, decisions: Decisions) -> Any:
        requests, columns = self._engine.columns_of(batch)
        texts, rules = decisions.texts.data, self._engine.bound.rules
        kept = asked, requests, columns, rules, batch.channel, texts
        if any(map(is_not, kept[:5], self._noted_of)):
            noted = Noted(asked, requests, columns, reference(rules), batch.channel, batch.flags, texts, self._parts)
            self._noted = reference(noted)
        elif texts is not self._noted_of[5]:
            self._noted = replaced(self._noted, texts=texts)
        self._noted_of = kept
        return self._noted

    def _as_messages(self, batch: Batch, asked: Any, table: "Rows") -> Any:
        """Return the questions of a table's rows with a message each."""
        parts = asked.parts if isinstance(asked, Reference) else asked._asdict()
        count, text = batch.count, parts["text"]
        item_at, item_bytes = parts["item_at"][:count], parts["item_bytes"][:count]
        if not item_bytes.any() and int(item_at[-1]) - int(item_at[0]) == count - 1:
            text, item_at, item_bytes = self._messages.written(table, int(item_at[0]), count)
        else:  # some are messages already, having been in a form that only Python reads; or some were taken out
            spans = zip(item_at.tolist(), item_bytes.tolist(), strict=True)
            payloads = [
                text[at : at + size].tobytes() if size else table.message(at).SerializeToString() for at, size in spans
            ]
            item_bytes = np.array(list(map(len, payloads)), np.int32)
            text, item_at = (
                np.frombuffer(b"".join(payloads), np.uint8),
                np.cumsum(item_bytes, dtype=np.int64) - item_bytes,
            )
        columns = {"text": frozen(text), "item_at": frozen(item_at), "item_bytes": frozen(item_bytes)}
        return reference(Asked(**{**parts, **columns}))


class TableMessages:
    """Rows of tables as messages, one table after the other."""

    def __init__(self) -> None:
        self._of: Rows | None = None
        self._asking: Any = None
        self._sheet: Any = None
        self._out = np.zeros(1 << 16, np.uint8)
        self._item_at, self._item_bytes = np.zeros(BATCH_ITEMS_MAX, np.int64), np.zeros(BATCH_ITEMS_MAX, np.int32)

    def written(
        self, rows: "Rows", first: int, count: int
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int32]]:
        """Return the messages of the table's rows from `first` on, one behind the other, where each begins, and its length; they hold until the next call."""
        if self._of is None or self._of.sheet is not rows.sheet:
            names = [name.encode() for name in rows.fields]
            name_at = frozen(np.cumsum([0, *map(len, names)], dtype=np.int64))
            self._of, self._sheet = rows, reference(rows.sheet)
            self._asking = reference(Asking(self._sheet, frozen(np.frombuffer(b"".join(names), np.uint8)), name_at))
        while True:
            used = int(_write_messages(self._asking, first, count, self._out, self._item_at, self._item_bytes))
            if used >= 0:
                return self._out[:used], self._item_at[:count], self._item_bytes[:count]
            self._out = np.zeros(max(-used, 2 * len(self._out)), np.uint8)
