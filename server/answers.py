"""Decisions become bytes: DecideResponse with its offers rendered, all but the time that it took, which is appended last.

What is remembered of an answer are these bytes without server_us, so a repeated answer differs in that field alone. A kernel writes them, from
pieces that were encoded when the rulebook was bound; words that vary by subscriber or trigger (codec/speech.py) are handed to it.
"""

import numpy as np
import numpy.typing as npt
from touchpoint.v1 import decision_pb2, decision_service_pb2

from engine.batch import Batch, Decisions
from engine.bound import Bound
from engine.jit import frozen
from engine.texts import KEPT_BYTES_MAX
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
from server.codec.kernels.answers import write_answers
from server.codec.speech import Speech
from server.content import Content
from server.decision_id import DecisionIds


class Answers:
    """Renders decisions of one bound rulebook and base."""

    def __init__(self, bound: Bound, content: Content, generation: int, ids: DecisionIds) -> None:
        assert content.rulebook is bound.rulebook
        self._bound = bound
        self._content = content
        self._stamp = _stamp(bound, generation, ids)
        self._speech = Speech(bound, content, self._stamp)
        self._state = np.zeros(WRITTEN_WORDS, np.int64)
        self._asked: Asked
        self.explained: list[decision_pb2.Candidate] = []
        """Set between `prepare` and the decision of a batch of one that wants an explanation."""

    def prepare(self, asked: Asked) -> None:
        """Take the questions of the batch that is to be decided."""
        self._asked = asked
        self.explained = []

    def render(self, batch: Batch, decisions: Decisions, index: npt.NDArray[np.int64]) -> None:
        """Write the answers to these rows of the prepared batch, without server_us: engine.deciding.Render."""
        rows, index = _rows(batch, decisions), frozen(index)
        said = self._speech.of(batch, decisions, rows, self._asked, index)
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
