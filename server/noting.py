"""What the journal keeps of decisions: a record for each batch, written by a kernel from what the batch was decided in."""

from operator import is_not
from typing import Any, Final

import numpy as np

from engine.batch import Batch, Decisions
from engine.bundles import reference, replaced
from engine.engine import Engine
from engine.jit import direct
from engine.journal.journal import Journal
from server.codec.kernels.message import PARTS_SIZE
from server.codec.kernels.noting import Noted, note_batch

_note_batch: Final = direct(note_batch)


class Noting:
    """Adds a record for each batch that one engine decided."""

    def __init__(self, journal: Journal, engine: Engine) -> None:
        self._journal = journal
        self._engine = engine
        self._head = np.zeros(4, np.int64)
        self._parts = np.zeros(PARTS_SIZE, np.int64)
        self._noted: Any = None
        self._noted_of: tuple[Any, ...] = (None,) * 6

    def decided(self, batch: Batch, asked: Any, decisions: Decisions) -> None:
        """Add the batch that was decided last; `asked` is what kernels take for its server.codec.dtypes.Asked."""
        journal, engine, head = self._journal, self._engine, self._head
        head[0], head[1] = batch.now_us[0], engine.ledger.now_us
        head[2], head[3] = engine.push_stopped, engine.generation.number
        noted = self._noted_by(batch, asked, decisions)
        start = journal.used_bytes
        end = int(_note_batch(noted, batch.count, head, journal.buffer, start, journal.next))
        if end < 0:
            journal.reserve(-end)
            end = int(_note_batch(noted, batch.count, head, journal.buffer, start, journal.next))
        if end > start:
            journal.added(end)

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
