"""Answers as protobuf writes them, from the catalogue itself: the specification of server.answers."""

from collections.abc import Callable
from typing import Any

from touchpoint.v1 import decision_pb2, decision_service_pb2

from engine.batch import Batch, Decisions
from engine.bound import Bound
from engine.bound_rules import Candidate
from engine.catalogue.slots import offer_variables, template_variables
from engine.catalogue.terms import ChannelKind
from engine.limits import NEVER_US
from engine.reasons import Reason
from engine.templates import LENGTH_MAX, compile_template, render
from server.content import parts_of
from server.decision_id import DecisionIds
from server.values import timestamp

Lookup = Callable[[str], str | None]


class AnswerOracle:
    """Builds whole messages, one at a time."""

    def __init__(self, bound: Bound, generation: int, ids: DecisionIds) -> None:
        self.bound = bound
        self.generation = generation
        self.ids = ids

    def answer(self, batch: Batch, decisions: Decisions, row: int, message: Any, lookup: Lookup) -> Any:
        """Return the DecideResponse of a row without candidates and server_us; `lookup` knows subscriber and trigger."""
        answer = decision_service_pb2.DecideResponse(
            request_id=message.request_id,
            reason=int(decisions.reason[row]),  # type: ignore[arg-type]
            decided_at=timestamp(int(decisions.now_us[row])),
            rulebook_generation=self.generation,
            base_version=self.bound.binding.snapshot.version,
        )
        if decisions.decision[row]:
            answer.decision_id = self.ids.write(int(decisions.decision[row]), int(batch.subscriber[row]))
        for stage, count in enumerate(decisions.stages[row].tolist(), 1):
            if count:
                answer.stages.add(stage=stage, count=count)
        if decisions.reason[row] != Reason.OFFERED and decisions.next_allowed_us[row] != NEVER_US:
            answer.next_allowed.CopyFrom(timestamp(int(decisions.next_allowed_us[row])))
        if message.explain:
            for seat in range(int(decisions.would_be_count[row])):
                withheld = self.bound.candidates[int(decisions.would_be[row, seat])]
                answer.withheld.add(rank=seat + 1, offer=withheld.offer.id, campaign=withheld.campaign.id)
        for seat in range(int(decisions.chosen_count[row])):
            answer.offers.append(self.offer(batch, decisions, (row, seat), message.language, lookup))
        return answer

    def offer(self, batch: Batch, decisions: Decisions, place: tuple[int, int], asked: str, lookup: Lookup) -> Any:
        row = place[0]
        candidate = self.bound.candidates[int(decisions.chosen[place])]
        channel = self.bound.rulebook.catalogue.channels[int(batch.channel[row])]
        wanted = self.wanted(asked, int(decisions.language[row]))
        content, spoken = self.text(candidate, candidate.offer.content[channel.id], wanted, lookup)
        lines = candidate.offer.script.get(channel.id)
        offer = decision_pb2.Offer(
            rank=place[1] + 1,
            offer=candidate.offer.id,
            campaign=candidate.campaign.id,
            product=candidate.product.id,
            exclusive_group=candidate.product.exclusive_group or "",
            score=float(decisions.score[place]),
            parts=decision_pb2.ScoreParts(**parts_of(candidate)),
            probability=1.0,
            content=content[: channel.content_chars_max or LENGTH_MAX],
            script=self.text(candidate, lines, wanted, lookup)[0] if lines else "",
            language=spoken,
            hold_until=timestamp(int(decisions.expires_us[row])),
        )
        if channel.kind is ChannelKind.PUSH:
            offer.send_not_before.CopyFrom(timestamp(int(decisions.not_before_us[row])))
            offer.send_deadline.CopyFrom(timestamp(int(decisions.deadline_us[row])))
        return offer

    def wanted(self, asked: str, code: int) -> str:
        """The language asked for, else the subscriber's, else the first."""
        languages = self.bound.rulebook.catalogue.languages
        spoken = self.bound.binding.language_names[code] if code >= 0 else ""
        return asked or (spoken if spoken in languages else languages[0])

    def text(self, candidate: Candidate, sources: dict[str, str], wanted: str, lookup: Lookup) -> tuple[str, str]:
        catalogue = self.bound.rulebook.catalogue
        spoken = wanted if wanted in sources else catalogue.languages[0]
        order = (spoken, *(other for other in catalogue.languages if other != spoken))
        variables = template_variables(catalogue) | offer_variables(candidate.offer, candidate.product, order)
        names = {"campaign.id": candidate.campaign.id}
        return render(
            compile_template(sources[spoken], variables), lambda name: names.get(name) or lookup(name)
        ), spoken
