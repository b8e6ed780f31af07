"""What the journal keeps of decisions: a record for each batch, written by a kernel from what the batch was decided in."""

from collections.abc import Callable
from operator import is_not
from typing import Any, Final

import numpy as np

from engine.batch import Batch, Decisions
from engine.bundles import Reference, reference, replaced
from engine.engine import Engine
from engine.jit import direct, frozen
from engine.journal.journal import Journal
from server.codec.dtypes import Asked
from server.codec.kernels.message import PARTS_SIZE
from server.codec.kernels.noting import Noted, note_batch

_note_batch: Final = direct(note_batch)


PUSH_STOPPED, PUSH_WITHHELD = 1, 2
"""A decided record's `stopped`: push answered CLOCK_UNCONFIRMED; it answered STATE_UNAVAILABLE."""
Messages = Callable[[int], Any]


class Noting:
    """Adds a record for each batch that one engine decided."""

    def __init__(self, journal: Journal, engine: Engine) -> None:
        self._journal = journal
        self._engine = engine
        self._head = np.zeros(5, np.int64)
        self._parts = np.zeros(PARTS_SIZE, np.int64)
        self._noted: Any = None
        self._noted_of: tuple[Any, ...] = (None,) * 6

    @property
    def full(self) -> bool:
        """Whether the journal keeps nothing more; nothing is then held either, so that there is nothing that it must know."""
        return self._journal.full

    def decided(self, batch: Batch, asked: Any, decisions: Decisions, message_of: Messages | None = None) -> None:
        """Add the batch that was decided last; `asked` is what kernels take for its server.codec.dtypes.Asked.

        `message_of` gives the DecideRequest that asks what a row of a table asks; None: the batch came as messages.
        """
        journal, engine, head = self._journal, self._engine, self._head
        head[0], head[1] = batch.now_us[0], engine.ledger.now_us
        head[2] = PUSH_STOPPED * engine.push_stopped | PUSH_WITHHELD * (journal.failure is not None)
        head[3] = engine.generation.number
        noted = self._noted_by(
            batch, asked if message_of is None else _as_messages(batch, asked, message_of), decisions
        )
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


def _as_messages(batch: Batch, asked: Any, message_of: Messages) -> Any:
    """Return the questions of a table's rows with a message each."""
    parts = asked.parts if isinstance(asked, Reference) else asked._asdict()
    item_bytes, count = parts["item_bytes"], batch.count
    if item_bytes[:count].all():
        return asked
    rows = parts["item_at"][:count].tolist()
    payloads = [message_of(row).SerializeToString() for row in rows]
    sizes = np.array(list(map(len, payloads)), np.int32)
    text = frozen(np.frombuffer(b"".join(payloads), np.uint8))
    item_at = frozen(np.cumsum(sizes, dtype=np.int64) - sizes)
    return reference(Asked(**{**parts, "text": text, "item_at": item_at, "item_bytes": frozen(sizes)}))
