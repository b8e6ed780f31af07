"""Decisions become bytes: DecideResponse with its offers rendered, all but the time that it took, which is appended last.

What is remembered of an answer are these bytes without server_us, so a repeated answer differs in that field alone. A kernel writes them, from
pieces that were encoded when the rulebook was bound; words that vary by subscriber or trigger (codec/speech.py) are handed to it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from operator import is_not
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from touchpoint.v1 import decision_pb2, decision_service_pb2

from engine.batch import Batch, Decisions
from engine.bound import Bound
from engine.bundles import reference, replaced
from engine.jit import direct, frozen
from engine.texts import KEPT_BYTES_MAX
from server.codec.dtypes import (
    EXPLAIN,
    WRITTEN_NEEDED,
    WRITTEN_OFFERS,
    WRITTEN_SAID,
    WRITTEN_USED,
    WRITTEN_VARYING,
    WRITTEN_WORDS,
    Asked,
    Rows,
    Stamp,
    Written,
)
from server.codec.kernels.answers import write_answers
from server.codec.kernels.at_once import Telling, answer_at_once
from server.codec.speech import Speech
from server.content import Content
from server.decision_id import DecisionIds

_write_answers: Final = direct(write_answers)
_answer_at_once: Final = direct(answer_at_once)

_PLACES_MAX: Final = 512


@dataclass(slots=True)
class _Places:
    """What kernels take for a batch's rows, and for where its answers go."""

    batch: Batch
    decisions: Decisions
    rows: Any
    written: Any
    data: npt.NDArray[np.uint8]
    """What the texts in `written` lie in."""
    telling: Any = None
    """What kernels take for these and for the questions and what speaks, which are:"""
    told_of: tuple[Any, ...] = (None, None, None)

    def written_to(self, data: npt.NDArray[np.uint8]) -> Any:
        """Return `written`, its texts in the arena's present data."""
        if self.data is not data:
            self.written, self.data = replaced(self.written, texts=self.decisions.answers()), data
        return self.written


class Answers:
    """Renders decisions of one bound rulebook and base."""

    def __init__(
        self,
        bound: Bound,
        content: Content,
        generation: int,
        ids: DecisionIds,
        reasons: npt.NDArray[np.int64] | None = None,
    ) -> None:
        """`reasons`, (256,), is where `at_once` counts decisions by reason."""
        assert content.rulebook is bound.rulebook
        self._bound = bound
        self._content = content
        self._pieces = reference(content.pieces)
        self._stamp = reference(_stamp(bound, generation, ids))
        self._speech = Speech(bound, content, self._stamp)
        self._state = np.zeros(WRITTEN_WORDS, np.int64)
        self._places: dict[int, _Places] = {}
        """By number of rows: where batches of so many were read from and written to."""
        self._reasons = np.zeros(256, np.int64) if reasons is None else reasons
        self._asked: Asked | None = None
        self.asked_reference: Any = None
        """What kernels take for the prepared questions."""
        self.counted = False
        """Whether the prepared batch was decided by `at_once`, and so is counted; new decisions all, with this many offers:"""
        self.offers = 0
        self.explained: list[decision_pb2.Candidate] = []
        """Set between `prepare` and the decision of a batch of one that wants an explanation."""

    def prepare(self, asked: Asked, message_of: Callable[[int], Any] | None = None) -> None:
        """Take the questions of the batch that is to be decided; `message_of` gives the DecideRequest of a row of a table."""
        before, self._asked, self.counted = self._asked, asked, False
        if before is not None and before.flags is asked.flags:  # the reader's own columns, again
            self.asked_reference = replaced(self.asked_reference, text=asked.text)
        else:
            self.asked_reference = reference(asked)
        self._speech.prepare(asked, self.asked_reference, message_of)
        self.explained = []

    def at_once(self, step: Any, batch: Batch, decisions: Decisions) -> int:
        """Decide, render and remember a usual batch in one call: engine.deciding.AtOnce."""
        places, arena, state = self._places_of(batch, decisions), decisions.texts, self._state
        varies, fields, speaker = self._speech.begin(batch)
        written, kept = places.written_to(arena.data), (self.asked_reference, fields, speaker)
        if any(map(is_not, kept, places.told_of)):
            places.told_of = kept
            places.telling = reference(
                Telling(self._pieces, self._stamp, places.rows, *kept, written, self._reasons, int(varies))
            )
        state[WRITTEN_USED] = state[WRITTEN_SAID] = 0
        took = _answer_at_once(step, places.telling)
        if not took:
            self.counted, self.offers, arena.used_bytes = True, int(state[WRITTEN_OFFERS]), int(state[WRITTEN_USED])
        return took

    def render(self, batch: Batch, decisions: Decisions, index: npt.NDArray[np.int64]) -> None:
        """Write the answers to these rows of the prepared batch, without server_us: engine.deciding.Render."""
        places, index = self._places_of(batch, decisions), frozen(index)
        said, varying = self._speech.of(batch, decisions, places.rows, index)
        state, arena, done = self._state, decisions.texts, 0
        state[WRITTEN_USED], state[WRITTEN_SAID], state[WRITTEN_VARYING] = arena.used_bytes, 0, varying
        while True:
            written = places.written_to(arena.data)
            done = int(
                _write_answers(self._pieces, self._stamp, places.rows, self.asked_reference, said, index, done, written)
            )
            arena.used_bytes = int(state[WRITTEN_USED])
            if done == len(index):
                break
            needed = int(state[WRITTEN_NEEDED])
            arena.reserve(max(needed, min(needed * (len(index) - done), KEPT_BYTES_MAX)))
        assert self._asked is not None, "prepared"
        if self._asked.flags[index[0]] & EXPLAIN:
            self._explain(decisions, int(index[0]))

    def _places_of(self, batch: Batch, decisions: Decisions) -> "_Places":
        places = self._places.get(len(decisions.reason))
        if places is None or places.batch is not batch or places.decisions is not decisions:
            if len(self._places) >= _PLACES_MAX:
                self._places.clear()
            written = reference(Written(decisions.answers(), self._state))
            places = _Places(batch, decisions, reference(_rows(batch, decisions)), written, decisions.texts.data)
            self._places[len(decisions.reason)] = places
        return places

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
