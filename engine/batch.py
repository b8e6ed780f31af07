"""What goes into a decision and what comes out: structures of arrays, one row an item."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engine.bundles import reference
from engine.dtypes.decisions import DecisionColumns
from engine.dtypes.texts import Texts
from engine.jit import direct
from engine.kernels.storing import clear_decisions
from engine.limits import BATCH_ITEMS_MAX, OFFERS_PER_ANSWER_MAX
from engine.reasons import STAGE_COUNT
from engine.texts import TextArena, text_at

_clear_decisions: Final = direct(clear_decisions)

DRY_RUN: Final = 1
"""Hold nothing, remember nothing, do not advance ledger time."""
_SIZES_KEPT_MAX: Final = 512
"""Batch sizes whose views of the rows are kept."""


@dataclass(slots=True)
class Batch:
    """`count` items; every array's first axis is the capacity. The front's codec fills it, resolving names by the rulebook's indexes.

    `request` is a keyed 128-bit digest of (request id, subscriber); `body` a 64-bit digest of what else the request asked for.
    Field columns are the view's slots from `trigger.time` on, then the trigger fields by name (Bound.field_index), with View's meaning of values and nanos.
    """

    count: int
    request: npt.NDArray[np.uint64]
    """(capacity, 2)"""
    body: npt.NDArray[np.uint64]
    subscriber: npt.NDArray[np.uint64]
    """(capacity,): keyed hash of the subscriber's key (engine.keys)."""
    trigger: npt.NDArray[np.int32]
    channel: npt.NDArray[np.int32]
    offers_max: npt.NDArray[np.int32]
    """(capacity,): 1 to OFFERS_PER_ANSWER_MAX; 0 when the ledger could not be asked about the subscriber: STATE_UNAVAILABLE."""
    flags: npt.NDArray[np.uint8]
    now_us: npt.NDArray[np.int64]
    """(capacity,): the raw wall clock, or a dry run's assumed instant."""
    field_values: npt.NDArray[np.int64]
    """(capacity, fields)"""
    field_nanos: npt.NDArray[np.int32]
    field_known: npt.NDArray[np.uint8]


def new_batch(fields: int, capacity: int = BATCH_ITEMS_MAX) -> Batch:
    """Return an empty batch for `capacity` items with `fields` trigger-field slots."""
    assert 0 < capacity <= BATCH_ITEMS_MAX
    return Batch(
        count=0,
        request=np.zeros((capacity, 2), np.uint64),
        body=np.zeros(capacity, np.uint64),
        subscriber=np.zeros(capacity, np.uint64),
        trigger=np.zeros(capacity, np.int32),
        channel=np.zeros(capacity, np.int32),
        offers_max=np.ones(capacity, np.int32),
        flags=np.zeros(capacity, np.uint8),
        now_us=np.zeros(capacity, np.int64),
        field_values=np.zeros((capacity, fields), np.int64),
        field_nanos=np.zeros((capacity, fields), np.int32),
        field_known=np.zeros((capacity, fields), np.uint8),
    )


@dataclass(slots=True)
class Decisions:
    """The answers to a batch, row for row; n items, k = OFFERS_PER_ANSWER_MAX seats, of which `chosen_count[i]` are filled, best first."""

    reason: npt.NDArray[np.uint8]
    """(n,): engine.reasons.Reason; OFFERED when something was chosen."""
    decision: npt.NDArray[np.uint64]
    """(n,): sequence number in this shard; 0 when nothing was held."""
    chosen_count: npt.NDArray[np.int32]
    chosen: npt.NDArray[np.int32]
    """(n, k): candidate numbers of the rulebook (Rulebook.candidates); -1 in empty seats."""
    score: npt.NDArray[np.float64]
    """(n, k)"""
    expires_us: npt.NDArray[np.int64]
    """(n,): when the hold ends; the same for all offers of one answer."""
    not_before_us: npt.NDArray[np.int64]
    """(n,): push: when it may be sent; else now."""
    deadline_us: npt.NDArray[np.int64]
    """(n,): push: until when, exclusive; else the hold's expiry."""
    next_allowed_us: npt.NDArray[np.int64]
    """(n,): without an offer: the earliest instant at which something may change; NEVER_US when none is known."""
    stages: npt.NDArray[np.int32]
    """(n, STAGE_COUNT): candidates stopped at each stage; the last column counts the offers made."""
    would_be_count: npt.NDArray[np.int32]
    would_be: npt.NDArray[np.int32]
    """(n, k): the offers that control groups withheld."""
    language: npt.NDArray[np.int16]
    """(n,): the subscriber's own language, as Binding.language_names has it; -1 when it is not known."""
    texts: TextArena
    """Holds the bytes of the answers, until the next batch is decided."""
    text_start: npt.NDArray[np.int64]
    """(n,): where the answer starts in `texts`: as it was rendered, or as it is remembered."""
    text_bytes: npt.NDArray[np.int64]
    """(n,): how long it is; 0 when there is none, as in a conflict or without a renderer."""
    replayed: npt.NDArray[np.uint8]
    """(n,): 1 when the answer is the remembered one of the same request; nothing else of the row then counts."""
    conflict: npt.NDArray[np.uint8]
    """(n,): 1 when the request id was used before with another body; 2 when the memory of answers is full; the row then holds nothing."""
    now_us: npt.NDArray[np.int64]
    """(n,): the ledger instant of the decision."""

    def text(self, item: int) -> bytes | None:
        """Return an item's answer; None when there is none."""
        return text_at(self.answers(), item) or None

    def write(self, item: int, text: bytes) -> None:
        """Take over an item's answer: for whoever renders one at a time."""
        self.text_start[item], self.text_bytes[item] = self.texts.add_bytes(text), len(text)

    def answers(self) -> Texts:
        """Return the (n,) answers."""
        return Texts(self.texts.data, self.text_start, self.text_bytes)


class DecisionRows:
    """Room for the answers to one batch after the other: `begin` gives rows that hold until the next `begin`."""

    def __init__(self, texts: TextArena, capacity: int = BATCH_ITEMS_MAX) -> None:
        n, k = capacity, OFFERS_PER_ANSWER_MAX
        self.columns = DecisionColumns(
            reason=np.zeros(n, np.uint8),
            decision=np.zeros(n, np.uint64),
            chosen_count=np.zeros(n, np.int32),
            chosen=np.zeros((n, k), np.int32),
            score=np.zeros((n, k), np.float64),
            expires_us=np.zeros(n, np.int64),
            not_before_us=np.zeros(n, np.int64),
            deadline_us=np.zeros(n, np.int64),
            next_allowed_us=np.zeros(n, np.int64),
            stages=np.zeros((n, STAGE_COUNT), np.int32),
            would_be_count=np.zeros(n, np.int32),
            would_be=np.zeros((n, k), np.int32),
            language=np.zeros(n, np.int16),
            text_start=np.zeros(n, np.int64),
            text_bytes=np.zeros(n, np.int64),
            replayed=np.zeros(n, np.uint8),
            conflict=np.zeros(n, np.uint8),
            now_us=np.zeros(n, np.int64),
        )
        self.reference: Any = reference(self.columns)
        """What kernels take for the columns."""
        self._texts = texts
        self._kept: dict[int, Decisions] = {}

    def begin(self, items: int) -> Decisions:
        """Return the first `items` rows, of items that nothing was decided for."""
        _clear_decisions(self.reference, items)
        kept = self._kept.get(items)
        if kept is None:
            if len(self._kept) >= _SIZES_KEPT_MAX:
                self._kept.clear()
            columns = {name: column[:items] for name, column in self.columns._asdict().items()}
            kept = self._kept[items] = Decisions(texts=self._texts, **columns)
        return kept
