"""Decisions become bytes: DecideResponse with its offers rendered, all but the time that it took, which is appended last.

What is remembered of an answer are these bytes without server_us, so a repeated answer differs in that field alone. The bytes of a message are those
of its fields one after the other, in any order, so what is the same of an offer whoever gets it is encoded once and joined with the rest.
"""

import struct
from collections.abc import Sequence
from typing import Final

import numpy as np
from touchpoint.v1 import decision_pb2, decision_service_pb2

from engine.batch import Batch, Decisions
from engine.bound import Bound
from engine.bound_rules import Candidate
from engine.catalogue.terms import ChannelKind
from engine.limits import NEVER_US, OFFERS_PER_ANSWER_MAX
from engine.reasons import Reason
from server.content import Content, Subscribers, Words, parts_of
from server.decision_id import DecisionIds
from server.requests import Asked
from server.values import timestamp

_OFFERS_TAG: Final = bytes([4 << 3 | 2])
_SERVER_US_TAG: Final = bytes([15 << 3])
_RANK_AND_SCORE: Final = struct.Struct("<BBBd")
_RANK_TAG: Final = 1 << 3
_SCORE_TAG: Final = 6 << 3 | 1
assert OFFERS_PER_ANSWER_MAX < 0x80, "a rank is one byte on the wire"
_OFFERED: Final = int(Reason.OFFERED)


def with_time(answer: bytes, server_us: int) -> bytes:
    """Return the answer with its server_us (field 15) appended."""
    return answer + _SERVER_US_TAG + _varint(max(server_us, 0))


def _varint(number: int) -> bytes:
    """Return a number from 0 up as protobuf encodes it."""
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


class Answers:
    """Renders decisions of one bound rulebook and base."""

    def __init__(self, bound: Bound, generation: int, ids: DecisionIds) -> None:
        catalogue = bound.rulebook.catalogue
        self._bound = bound
        self._ids = ids
        self._content = Content(catalogue, bound.candidates)
        self._subscribers = Subscribers(bound)
        self._push = [channel.kind is ChannelKind.PUSH for channel in catalogue.channels]
        self._encoded: dict[tuple[int, int, int], bytes] = {}
        self.explained: list[decision_pb2.Candidate] = []
        """Set between `prepare` and the decision of a batch of one that wants an explanation."""
        self._asked: Sequence[Asked] = ()
        self._spoken: list[int] = []
        self._stamp = decision_service_pb2.DecideResponse(
            rulebook_generation=generation, base_version=bound.binding.snapshot.version
        )

    def prepare(self, asked: Sequence[Asked], batch: Batch) -> None:
        """Read what messages say of the batch's subscribers; `asked[item]` is the question of each item."""
        self._asked = asked
        self.explained = []
        count = batch.count
        self._spoken = self._subscribers.gather(batch.subscriber[:count], batch.now_us[:count])

    def render(self, _batch: Batch, decisions: Decisions, item: int) -> bytes:
        """Return the answer to one item of the prepared batch, without server_us: engine.deciding.Render."""
        answer = self._without_offers(decisions, item).SerializeToString(deterministic=True)
        if not decisions.chosen_count[item]:
            return answer
        times = self._times(decisions, item)
        parts = [answer]
        for seat in range(int(decisions.chosen_count[item])):
            offer = self._offer(decisions, item, seat) + times
            parts += (_OFFERS_TAG, _varint(len(offer)), offer)
        return b"".join(parts)

    def _without_offers(self, decisions: Decisions, row: int) -> decision_service_pb2.DecideResponse:
        asked = self._asked[row]
        response = decision_service_pb2.DecideResponse()
        response.CopyFrom(self._stamp)
        response.request_id = asked.message.request_id
        response.reason = int(decisions.reason[row])  # type: ignore[assignment]  # the numbers are the engine's
        response.decided_at.CopyFrom(timestamp(int(decisions.now_us[row])))
        for stage in np.flatnonzero(decisions.stages[row]).tolist():
            response.stages.add(stage=stage + 1, count=int(decisions.stages[row, stage]))
        if decisions.decision[row]:
            response.decision_id = self._ids.write(int(decisions.decision[row]), asked.subscriber)
        if decisions.reason[row] != _OFFERED and decisions.next_allowed_us[row] != NEVER_US:
            response.next_allowed.CopyFrom(timestamp(int(decisions.next_allowed_us[row])))
        if asked.message.explain:
            response.candidates.extend(self.explained)
            for seat in range(int(decisions.would_be_count[row])):
                withheld = self._bound.candidates[int(decisions.would_be[row, seat])]
                response.withheld.add(rank=seat + 1, offer=withheld.offer.id, campaign=withheld.campaign.id)
        return response

    def _times(self, decisions: Decisions, row: int) -> bytes:
        """Return the fields of an Offer that are the same for all offers of one answer."""
        times = decision_pb2.Offer(hold_until=timestamp(int(decisions.expires_us[row])))
        if self._push[self._asked[row].channel]:
            times.send_not_before.CopyFrom(timestamp(int(decisions.not_before_us[row])))
            times.send_deadline.CopyFrom(timestamp(int(decisions.deadline_us[row])))
        return times.SerializeToString()

    def _offer(self, decisions: Decisions, row: int, seat: int) -> bytes:
        """Return an Offer's bytes but for its times."""
        asked, number = self._asked[row], int(decisions.chosen[row, seat])
        language = asked.language if asked.language >= 0 else self._spoken[row]
        words = self._content.words(number, asked.channel, language)
        key = (number, asked.channel, language)
        if key not in self._encoded:
            self._encoded[key] = _fixed(self._bound.candidates[number], words).SerializeToString()
        ranked = _RANK_AND_SCORE.pack(_RANK_TAG, seat + 1, _SCORE_TAG, decisions.score[row, seat])
        if words.constant:
            return self._encoded[key] + ranked
        lookup = self._subscribers.lookup(row, self._bound.candidates[number], asked.message)
        said = decision_pb2.Offer(content=words.content.text(lookup))
        if words.script is not None:
            said.script = words.script.text(lookup)
        return self._encoded[key] + ranked + said.SerializeToString()


def _fixed(candidate: Candidate, words: Words) -> decision_pb2.Offer:
    """Return what is the same of an offer whoever gets it. Nothing is drawn by lot, so its probability is 1."""
    return decision_pb2.Offer(
        offer=candidate.offer.id,
        campaign=candidate.campaign.id,
        product=candidate.product.id,
        exclusive_group=candidate.product.exclusive_group or "",
        parts=decision_pb2.ScoreParts(**parts_of(candidate)),
        probability=1.0,
        language=words.language,
        content=words.content.constant or "",
        script=(words.script.constant or "") if words.script else "",
    )
