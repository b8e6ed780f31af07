"""Decisions become bytes: DecideResponse with its offers rendered, all but the time that it took, which is appended last.

What is remembered of an answer are these bytes without server_us, so a repeated answer differs in that field alone.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from touchpoint.v1 import decision_pb2, decision_service_pb2

from engine.batch import Decisions
from engine.bound import Bound
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
        self._stamp = decision_service_pb2.DecideResponse(
            rulebook_generation=generation, base_version=bound.binding.snapshot.version
        )

    def render(self, asked: Sequence[Asked], decisions: Decisions, rows: Sequence[int]) -> list[bytes]:
        """Return the answers of the given rows, `asked[row]` being the question, without server_us."""
        offering = [row for row in rows if decisions.chosen_count[row]]
        languages: dict[int, tuple[int, int]] = {}
        if offering:
            subscribers = np.array([asked[row].subscriber for row in offering], np.uint64)
            found = self._subscribers.gather(subscribers, decisions.now_us[offering])
            languages = {
                row: (place, language) for place, (row, language) in enumerate(zip(offering, found, strict=True))
            }
        return [
            self._response(asked[row], decisions, row, languages.get(row, (0, -1))).SerializeToString(
                deterministic=True
            )
            for row in rows
        ]

    def _response(self, asked: Asked, decisions: Decisions, row: int, gathered: tuple[int, int]) -> Any:
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
            self._offer(response.offers.add(), asked, decisions, (row, seat, *gathered))
        return response

    def _offer(self, offer: Any, asked: Asked, decisions: Decisions, place: tuple[int, int, int, int]) -> None:
        row, seat, gathered, spoken = place
        number = int(decisions.chosen[row, seat])
        candidate = self._bound.candidates[number]
        words = self._content.words(number, asked.channel, asked.language if asked.language >= 0 else spoken)
        lookup = self._subscribers.lookup(gathered, candidate, asked.message)
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


def _fixed(candidate: Any, parts: decision_pb2.ScoreParts) -> decision_pb2.Offer:
    """Return what is the same of an offer whoever gets it. Nothing is drawn by lot, so its probability is 1."""
    return decision_pb2.Offer(
        offer=candidate.offer.id,
        campaign=candidate.campaign.id,
        product=candidate.product.id,
        exclusive_group=candidate.product.exclusive_group or "",
        parts=parts,
        probability=1.0,
    )
