"""Words of a batch that vary by subscriber or trigger: said by a kernel, and in Python where only Python says a value exactly, in one order."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from touchpoint.v1 import decision_service_pb2

from engine.batch import Batch, Decisions
from engine.bound import Bound
from engine.breathing import breathe
from engine.bundles import reference
from engine.dtypes import base
from engine.dtypes.texts import Texts
from engine.dtypes.view import new_view
from engine.jit import direct, frozen
from engine.limits import BATCH_ITEMS_MAX, OFFERS_PER_ANSWER_MAX
from engine.texts import KEPT_BYTES_MAX, texts_of
from engine.zones import bind_zones
from server.codec.dtypes import Asked
from server.codec.kernels.message import PARTS_SIZE
from server.codec.kernels.saying import say_varying
from server.codec.saying_tables import string_slots, strings_of
from server.codec.sayings import (
    SAID_LEFT,
    SAID_TEXTS,
    SAID_USED,
    SAID_WORDS,
    Fields,
    Hearers,
    Said,
    Sayings,
    Speaker,
    Strings,
)
from server.content import GATHERED_MAX, Content, Subscribers

_say_varying: Final = direct(say_varying)

HEARERS_MAX: Final = 256
"""Subscribers read at once for what messages say of them."""
FIRST_BYTES: Final = 1 << 16
_NOTHING_SAID: Final = texts_of([])


class Speech:
    """Says words of one rulebook to subscribers of one base."""

    def __init__(self, bound: Bound, content: Content, stamp: Any) -> None:
        """`stamp`: server.codec.dtypes.Stamp."""
        self._bound = bound
        self._words = content.words
        self._pieces: Any = reference(content.pieces)
        self._stamp: Any = reference(stamp)
        self._subscribers = Subscribers(bound)
        self._speaker = Speaker(
            sayings=content.sayings,
            strings=strings_named(bound, content.sayings),
            hearers=new_hearers(bound, HEARERS_MAX),
            said=new_said(BATCH_ITEMS_MAX * OFFERS_PER_ANSWER_MAX, FIRST_BYTES),
        )
        self._kept: Any = reference(self._speaker)
        self._batch: Batch | None = None
        self._fields: Any = None

    def prepare(self, asked: Asked, kept: Any, of_table: Callable[[int], Any] | None = None) -> None:
        """Take the questions of the batch that is to be decided; `kept`: the same as kernels take it; `of_table`: the DecideRequest of a table's row."""
        self._asked, self._asked_reference, self._of_table = asked, kept, of_table

    def begin(self, batch: Batch) -> tuple[bool, Any, Any]:
        """Begin to say the words of a batch; return whether any may vary, and what kernels take for the batch's fields and for what speaks."""
        if not self._words:
            return False, self._fields_of(batch), self._kept
        if len(self._speaker.said.texts.data) > KEPT_BYTES_MAX:
            self._take_room(np.empty(FIRST_BYTES, np.uint8))
        self._bound.binding.bind_names()
        self._speaker.said.state[:] = 0
        return True, self._fields_of(batch), self._kept

    def of(self, batch: Batch, decisions: Decisions, rows: Any, index: npt.NDArray[np.int64]) -> tuple[Texts, int]:
        """Return the words of rows `index` of the prepared batch that vary, by row, then by seat, and how many; they hold until the next call."""
        varies, fields, _ = self.begin(batch)
        if not varies:
            return _NOTHING_SAID, 0
        assert len(index) * OFFERS_PER_ANSWER_MAX <= len(self._speaker.said.left)
        state, asked = self._speaker.said.state, self._asked_reference
        while not _say_varying(self._pieces, self._stamp, rows, asked, index, fields, self._kept):
            self._grow(1)
        if state[SAID_LEFT]:
            self._say_left(batch, decisions)
        return self._speaker.said.texts, int(state[SAID_TEXTS])

    def _fields_of(self, batch: Batch) -> Any:
        if batch is not self._batch:
            self._batch = batch
            self._fields = reference(Fields(batch.field_values, batch.field_nanos, batch.field_known))
        return self._fields

    def _say_left(self, batch: Batch, decisions: Decisions) -> None:
        """Say in Python what the kernel left, behind what it said."""
        state, left = self._speaker.said.state, self._speaker.said.left
        cells = left[: int(state[SAID_LEFT])]
        said: list[bytes] = []
        for start in range(0, len(cells), GATHERED_MAX):
            rows = cells[start : start + GATHERED_MAX, 1]
            self._subscribers.gather(batch.subscriber[rows], decisions.now_us[rows])
            for at, (_, row, words) in enumerate(cells[start : start + GATHERED_MAX].tolist()):
                said.append(self._words[words].said(self._subscribers.lookup(at, self._message(row))))
        added = texts_of(said)
        self._grow(len(added.data))
        texts, used = self._speaker.said.texts, int(state[SAID_USED])
        texts.data[used : used + len(added.data)] = added.data
        texts.start[cells[:, 0]], texts.length_bytes[cells[:, 0]] = added.start + used, added.length_bytes

    def _message(self, row: int) -> Any:
        """Return the DecideRequest of a row."""
        if self._asked.item_bytes[row]:
            return message_of(self._asked, row)
        assert self._of_table, "only rows of a table have no bytes"
        return self._of_table(int(self._asked.item_at[row]))

    def _grow(self, more_bytes: int) -> None:
        """See that so many bytes are free, in a buffer of at least twice the size when there were not."""
        data, used = self._speaker.said.texts.data, int(self._speaker.said.state[SAID_USED])
        if more_bytes == 1 or used + more_bytes > len(data):
            grown = np.empty(max(used + more_bytes, 2 * len(data)), np.uint8)
            grown[:used] = data[:used]
            self._take_room(grown)

    def _take_room(self, data: npt.NDArray[np.uint8]) -> None:
        said = self._speaker.said
        self._speaker = self._speaker._replace(said=said._replace(texts=said.texts._replace(data=data)))
        self._kept = reference(self._speaker)


def message_of(asked: Asked, row: int) -> Any:
    """Return the DecideRequest of a row that has one."""
    start = int(asked.item_at[row])
    span = asked.text[start : start + int(asked.item_bytes[row])]
    return decision_service_pb2.DecideRequest.FromString(span.tobytes())


def strings_named(bound: Bound, sayings: Sayings) -> Strings:
    """Return the base's dictionaries of those attributes that templates name. What live changes may add to them is left to Python."""
    dictionaries = bound.binding.dictionaries
    named = [(slot, dictionaries[slot]) for slot in string_slots(sayings)]
    return strings_of(named, len(bound.rulebook.catalogue.attributes))


def new_hearers(bound: Bound, count: int) -> Hearers:
    """Return room for `count` hearers, read by the bound rulebook from the bound base."""
    binding = bound.binding
    subscriber, now_us = np.zeros(count, np.uint64), np.zeros(count, np.int64)
    slots = max(bound.slots, len(bound.rulebook.catalogue.attributes))
    return Hearers(
        rows=binding.snapshot.rows,
        plan=binding.plan,
        live=binding.live,
        asked=base.Asked(frozen(subscriber), frozen(now_us), np.zeros(count, np.int16)),
        gathered=new_view(count, binding.label_words, slots),
        zones=bind_zones([*binding.zone_names, bound.rulebook.catalogue.country.home_zone]),
        place=np.zeros(count, np.int64),
        subscriber=subscriber,
        now_us=now_us,
    )


def new_said(texts: int, size: int) -> Said:
    """Return room for so many texts, and for their bytes."""
    start, length_bytes = np.zeros(texts, np.int64), np.zeros(texts, np.int64)
    breathe()
    left = np.zeros((texts, 3), np.int64)
    breathe()
    return Said(
        texts=Texts(np.empty(size, np.uint8), start, length_bytes),
        left=left,
        state=np.zeros(SAID_WORDS, np.int64),
        parts=np.zeros(PARTS_SIZE, np.int64),
    )
