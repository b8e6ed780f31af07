"""Decisions become bytes: DecideResponse with its offers rendered, all but the time that it took, which is appended last.

What is remembered of an answer are these bytes without server_us, so a repeated answer differs in that field alone.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from touchpoint.v1 import decision_pb2, decision_service_pb2

from engine.batch import Batch, Decisions
from engine.bound import Bound
from engine.bound_rules import Candidate
from engine.catalogue.terms import ChannelKind
from engine.limits import NEVER_US
from engine.reasons import Reason
from server.content import Content, Subscribers, parts_of
from server.decision_id import DecisionIds
from server.requests import Asked
from server.values import timestamp

_SERVER_US_TAG: Final = bytes([15 << 3])
_OFFERED: Final = int(Reason.OFFERED)


def with_time(answer: bytes, server_us: int) -> bytes:
    """Return the answer with its server_us (field 15) appended."""
    out = bytearray(answer)
    out += _SERVER_US_TAG
    number = max(server_us, 0)
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
        self._parts = [decision_pb2.ScoreParts(**parts_of(candidate)) for candidate in bound.candidates]
        self._fixed = [_fixed(candidate, parts) for candidate, parts in zip(bound.candidates, self._parts, strict=True)]
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
        return self.response(decisions, item).SerializeToString(deterministic=True)

    def response(self, decisions: Decisions, row: int) -> decision_service_pb2.DecideResponse:
        """Return the DecideResponse to one item of the prepared batch, without server_us."""
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
        for seat in range(int(decisions.chosen_count[row])):
            self._offer(response.offers.add(), decisions, row, seat)
        if asked.message.explain:
            response.candidates.extend(self.explained)
            for seat in range(int(decisions.would_be_count[row])):
                withheld = self._bound.candidates[int(decisions.would_be[row, seat])]
                response.withheld.add(rank=seat + 1, offer=withheld.offer.id, campaign=withheld.campaign.id)
        return response

    def _offer(self, offer: decision_pb2.Offer, decisions: Decisions, row: int, seat: int) -> None:
        asked = self._asked[row]
        number = int(decisions.chosen[row, seat])
        candidate = self._bound.candidates[number]
        words = self._content.words(number, asked.channel, asked.language if asked.language >= 0 else self._spoken[row])
        lookup = self._subscribers.lookup(row, candidate, asked.message)
        offer.CopyFrom(self._fixed[number])
        offer.rank = seat + 1
        offer.score = float(decisions.score[row, seat])
        offer.content = words.content.text(lookup)
        offer.language = words.language
        if words.script is not None:
            offer.script = words.script.text(lookup)
        offer.hold_until.CopyFrom(timestamp(int(decisions.expires_us[row])))
        if self._push[asked.channel]:
            offer.send_not_before.CopyFrom(timestamp(int(decisions.not_before_us[row])))
            offer.send_deadline.CopyFrom(timestamp(int(decisions.deadline_us[row])))


def _fixed(candidate: Candidate, parts: decision_pb2.ScoreParts) -> decision_pb2.Offer:
    """Return what is the same of an offer whoever gets it. Nothing is drawn by lot, so its probability is 1."""
    return decision_pb2.Offer(
        offer=candidate.offer.id,
        campaign=candidate.campaign.id,
        product=candidate.product.id,
        exclusive_group=candidate.product.exclusive_group or "",
        parts=parts,
        probability=1.0,
    )
