"""Decisions become bytes: DecideResponse with its offers rendered, all but the time that it took, which is appended last.

What is remembered of an answer are these bytes without server_us, so a repeated answer differs in that field alone. A kernel writes them, from
pieces that were encoded when the rulebook was bound; words that vary by subscriber or trigger are rendered here, row by row, and handed to it.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from touchpoint.v1 import decision_pb2, decision_service_pb2

from engine.batch import Batch, Decisions
from engine.bound import Bound
from engine.dtypes.texts import Texts
from engine.jit import frozen
from engine.limits import OFFERS_PER_ANSWER_MAX
from engine.texts import KEPT_BYTES_MAX, texts_of
from server.codec.dtypes import (
    EXPLAIN,
    WRITTEN_NEEDED,
    WRITTEN_SAID,
    WRITTEN_USED,
    WRITTEN_WORDS,
    Asked,
    Rows,
    Stamp,
    Written,
)
from server.codec.kernels.answers import find_varying, write_answers
from server.content import GATHERED_MAX, Content, Subscribers
from server.decision_id import DecisionIds

HEARD_MAX: Final = 65_536
"""Messages kept at most, some hundred bytes each."""
_NOTHING_SAID: Final = texts_of([])


class Answers:
    """Renders decisions of one bound rulebook and base."""

    def __init__(self, bound: Bound, content: Content, generation: int, ids: DecisionIds) -> None:
        assert content.rulebook is bound.rulebook
        self._bound = bound
        self._content = content
        self._subscribers = Subscribers(bound)
        self._stamp = _stamp(bound, generation, ids)
        self._state = np.zeros(WRITTEN_WORDS, np.int64)
        self._heard: dict[tuple[int, ...], bytes] = {}
        """What was said of texts lately, by candidate, channel, language and their codes."""
        self._asked: Asked
        self.explained: list[decision_pb2.Candidate] = []
        """Set between `prepare` and the decision of a batch of one that wants an explanation."""

    def prepare(self, asked: Asked, message_of: Callable[[int], Any] | None = None) -> None:
        """Take the questions of the batch that is to be decided; `message_of` gives the DecideRequest of a row of a table."""
        self._asked = asked
        self._message_of = message_of
        self.explained = []

    def render(self, batch: Batch, decisions: Decisions, index: npt.NDArray[np.int64]) -> None:
        """Write the answers to these rows of the prepared batch, without server_us: engine.deciding.Render."""
        rows, index = _rows(batch, decisions), frozen(index)
        said = self._said(batch, decisions, rows, index) if self._content.varies else _NOTHING_SAID
        state, arena, done = self._state, decisions.texts, 0
        state[WRITTEN_USED], state[WRITTEN_SAID] = arena.used_bytes, 0
        while True:
            written = Written(decisions.answers(), state)
            done = int(write_answers(self._content.pieces, self._stamp, rows, self._asked, said, index, done, written))
            arena.used_bytes = int(state[WRITTEN_USED])
            if done == len(index):
                break
            needed = int(state[WRITTEN_NEEDED])
            arena.reserve(max(needed, min(needed * (len(index) - done), KEPT_BYTES_MAX)))
        if self._asked.flags[index[0]] & EXPLAIN:
            self._explain(decisions, int(index[0]))

    def _said(self, batch: Batch, decisions: Decisions, rows: Rows, index: npt.NDArray[np.int64]) -> Texts:
        """Return the words that vary, in the order of find_varying."""
        cells = np.empty((len(index) * OFFERS_PER_ANSWER_MAX, 3), np.int64)
        found = find_varying(self._content.pieces, self._stamp, rows, self._asked, index, cells)
        if not found:
            return _NOTHING_SAID
        said: list[bytes] = []
        items, places = np.unique(cells[:found, 0], return_inverse=True)
        for start in range(0, len(items), GATHERED_MAX):
            some = items[start : start + GATHERED_MAX]
            self._subscribers.gather(batch.subscriber[some], decisions.now_us[some])
            here = places // GATHERED_MAX == start // GATHERED_MAX
            for at, (row, seat, language) in zip(
                (places[here] - start).tolist(), cells[:found][here].tolist(), strict=True
            ):
                number = int(decisions.chosen[row, seat])
                said.append(self._words(at, row, (number, int(batch.channel[row]), language)))
        return texts_of(said)

    def _words(self, at: int, row: int, words_of: tuple[int, int, int]) -> bytes:
        """Return what a candidate says on a channel in a language to the subscriber gathered at `at`, who asked in row `row` of the batch."""
        words = self._content.words(*words_of)
        candidate = self._bound.candidates[words_of[0]]
        if words.texts is None:
            return words.said(self._subscribers.lookup(at, candidate, self._message(row)))
        key = (*words_of, *self._subscribers.texts(at, words.texts))
        text = self._heard.get(key)
        if text is None:
            if len(self._heard) >= HEARD_MAX:
                self._heard.clear()
            text = self._heard[key] = words.said(self._subscribers.lookup(at, candidate, None))
        return text

    def _message(self, item: int) -> Any:
        """Return the DecideRequest of an item."""
        start = int(self._asked.item_at[item])
        if not self._asked.item_bytes[item]:
            assert self._message_of, "only rows of a table have no bytes"
            return self._message_of(start)
        span = self._asked.text[start : start + int(self._asked.item_bytes[item])]
        return decision_service_pb2.DecideRequest.FromString(span.tobytes())

    def _explain(self, decisions: Decisions, row: int) -> None:
        """Append fields 10 and 11 to the answer that was written last."""
        more = decision_service_pb2.DecideResponse(candidates=self.explained)
        for seat in range(int(decisions.would_be_count[row])):
            withheld = self._bound.candidates[int(decisions.would_be[row, seat])]
            more.withheld.add(rank=seat + 1, offer=withheld.offer.id, campaign=withheld.campaign.id)
        text = more.SerializeToString()
        decisions.texts.add_bytes(text)
        decisions.text_bytes[row] += len(text)


def _stamp(bound: Bound, generation: int, ids: DecisionIds) -> Stamp:
    catalogue, binding = bound.rulebook.catalogue, bound.binding
    version = decision_service_pb2.DecideResponse(rulebook_generation=generation, base_version=binding.snapshot.version)
    known = {name: number for number, name in enumerate(catalogue.languages)}
    return Stamp(
        version=frozen(np.frombuffer(version.SerializeToString(), np.uint8)),
        id_key=frozen(ids.key),
        shard=frozen(np.array([ids.shard], np.int64)),
        languages=frozen(np.array([known.get(name, -1) for name in binding.language_names], np.int32)),
    )


def _rows(batch: Batch, decisions: Decisions) -> Rows:
    return Rows(
        batch.subscriber,
        batch.channel,
        decisions.reason,
        decisions.decision,
        decisions.chosen_count,
        decisions.chosen,
        decisions.score.view(np.uint64),
        decisions.expires_us,
        decisions.not_before_us,
        decisions.deadline_us,
        decisions.next_allowed_us,
        decisions.stages,
        decisions.language,
        decisions.now_us,
    )
