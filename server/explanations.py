"""What became of every candidate, in words: particulars, when the reason ends by itself, and the nearest change that would alter it."""

import datetime
from dataclasses import dataclass
from typing import Final

from touchpoint.v1 import decision_pb2

from engine.bound import Bound
from engine.bound_rules import Candidate
from engine.catalogue.model import Channel
from engine.catalogue.policy import FOREVER_US, Cap
from engine.catalogue.terms import Scope, ValueType, WindowKind
from engine.explaining import Explained, Explanation
from engine.limits import MICROSECONDS_PER_SECOND, NEVER_US
from engine.reasons import Reason
from engine.shard import Shard
from engine.templates import format_value
from server.content import parts_of
from server.values import timestamp

_RANKED: Final = (Reason.EXCLUSIVE_GROUP, Reason.RANKED_OUT, Reason.OFFERED)


@dataclass(frozen=True, slots=True)
class _Case:
    """One candidate with what its words are made of."""

    explained: Explained
    candidate: Candidate
    channel: Channel
    winner: str
    """The offer that has the exclusive group's place."""


class Explanations:
    """Words for the explanations of one rulebook."""

    def __init__(self, bound: Bound) -> None:
        self._candidates = bound.candidates
        self._channels = bound.rulebook.catalogue.channels
        self._policy = bound.rulebook.catalogue.contact_policy
        self._caps = {cap.id: cap for cap in self._policy.caps}
        self._shard = bound.binding.snapshot.shard
        self._universal_share = bound.rulebook.catalogue.control.universal_share

    def of(self, explanation: Explanation, channel: int) -> list[decision_pb2.Candidate]:
        """Return every candidate of an explained request, in rank order."""
        return [self._candidate(explained, channel) for explained in explanation.candidates]

    def _candidate(self, explained: Explained, channel: int) -> decision_pb2.Candidate:
        candidate = self._candidates[explained.candidate]
        winner = self._candidates[explained.winner].offer.id if explained.winner >= 0 else ""
        case = _Case(explained, candidate, self._channels[channel], winner)
        found = decision_pb2.Candidate(
            offer=candidate.offer.id,
            campaign=candidate.campaign.id,
            stage=explained.reason // 10 + 1,  # type: ignore[arg-type]  # the numbers are the engine's
            reason=int(explained.reason),  # type: ignore[arg-type]
            detail=self._detail(case),
            nearest_change=self._nearest_change(case),
        )
        if explained.until_us != NEVER_US:
            found.until.CopyFrom(timestamp(explained.until_us))
        if explained.reason in _RANKED:
            found.score = candidate.score
            found.parts.CopyFrom(decision_pb2.ScoreParts(**parts_of(candidate)))
        return found

    def _detail(self, case: _Case) -> str:
        campaign, offer, explained = case.candidate.campaign, case.candidate.offer, case.explained
        match explained.reason:
            case Reason.CAMPAIGN_NOT_LIVE:
                return f"campaign {campaign.id} is {campaign.state}"
            case Reason.CAMPAIGN_NOT_STARTED:
                return f"campaign {campaign.id} starts at {_said(campaign.from_us)}"
            case Reason.CAMPAIGN_ENDED:
                return f"campaign {campaign.id} ended at {_said(campaign.until_us)}"
            case Reason.OFFER_NOT_VALID:
                return f"offer {offer.id} is valid from {_said(offer.from_us)} until {_said(offer.until_us)}"
            case Reason.CONSENT_MISSING | Reason.CONSENT_REFUSED:
                said = "refused" if explained.reason == Reason.CONSENT_REFUSED else "not given"
                return f"consent for {campaign.purpose} on {case.channel.id} was {said}"
            case Reason.NOT_ELIGIBLE | Reason.CONDITION_UNKNOWN | Reason.CONDITION_ERROR:
                said = {Reason.NOT_ELIGIBLE: "false", Reason.CONDITION_UNKNOWN: "unknown"}.get(
                    explained.reason, "an error"
                )
                return f"{said}: {explained.term}"
            case Reason.CONTROL_UNIVERSAL:
                return f"in the universal control group ({self._universal_share:.1%} of subscribers)"
            case Reason.CONTROL_CAMPAIGN:
                return f"in the control group of {campaign.id} ({campaign.control_share:.1%} of subscribers)"
            case Reason.CAP_REACHED:
                return _cap_words(self._caps[explained.cap], self._shard)
            case Reason.EXCLUSIVE_GROUP:
                group = case.candidate.product.exclusive_group or case.candidate.product.id
                return f"{case.winner} has the place of {group}"
            case Reason.OFFERED:
                return f"offered as number {explained.seat}"
        return self._contact_detail(case)

    def _contact_detail(self, case: _Case) -> str:
        cool_down, reoffer = self._policy.cool_down, self._policy.reoffer
        match case.explained.reason:
            case Reason.UNKNOWN_SUBSCRIBER:
                return f"offer {case.candidate.offer.id} is not for subscribers whom the base does not hold"
            case Reason.QUIET_HOURS:
                return f"quiet hours of {case.channel.channel_class} channels, where the subscriber is"
            case Reason.COOL_DOWN_REFUSED:
                scope, for_us = cool_down.refusal_scope, cool_down.after_refusal_us
                return f"{_covered(scope, case.candidate)} was refused, which holds {_lasting(for_us)}"
            case Reason.COOL_DOWN_NOT_NOW:
                scope, for_us = cool_down.not_now_scope, cool_down.after_not_now_us
                return f"{_covered(scope, case.candidate)} got a not now, which holds {_lasting(for_us)}"
            case Reason.ALREADY_ACCEPTED:
                return f"{_covered(reoffer.scope, case.candidate)} was accepted, which holds {_lasting(reoffer.after_acceptance_us)}"
            case Reason.LEDGER_FULL:
                return "the ledger has no room for one more contact"
            case Reason.STATE_UNAVAILABLE:
                return "the ledger that replicas share does not answer"
            case Reason.RANKED_OUT:
                return "better ranked offers have every seat"
        return ""

    def _nearest_change(self, case: _Case) -> str:
        explained, campaign = case.explained, case.candidate.campaign
        wait = f"wait until {_said(explained.until_us)}" if explained.until_us != NEVER_US else ""
        changes = {
            Reason.UNKNOWN_SUBSCRIBER: "mark the offer anonymous, or load a base that holds the subscriber",
            Reason.CAMPAIGN_NOT_LIVE: f"set the state of {campaign.id} to live",
            Reason.CAMPAIGN_ENDED: f"extend {campaign.id}",
            Reason.OFFER_NOT_VALID: wait or f"extend the validity of {case.candidate.offer.id}",
            Reason.CONSENT_MISSING: f"get consent for {campaign.purpose} on {case.channel.id}",
            Reason.CONSENT_REFUSED: "none but the subscriber's own new consent",
            Reason.NOT_ELIGIBLE: f"make it true: {explained.term}",
            Reason.CONDITION_UNKNOWN: f"give the values that are missing or out of date in: {explained.term}",
            Reason.CONDITION_ERROR: f"mend the condition: {explained.term}",
            Reason.CAP_REACHED: f"{wait}, or raise cap {explained.cap}" if wait else f"raise cap {explained.cap}",
            Reason.LEDGER_FULL: wait or "wait until older contacts no longer matter",
            Reason.STATE_UNAVAILABLE: "ask again when the shared ledger answers",
            Reason.EXCLUSIVE_GROUP: f"rank above {case.winner}",
            Reason.RANKED_OUT: "a higher score or priority, or more seats (max_offers)",
        }
        return "" if explained.reason == Reason.OFFERED else changes.get(explained.reason, wait)


def _said(us: int | None) -> str:
    """Return an instant as people read it; None and instants beyond the calendar are open ends."""
    try:
        if us is not None:
            return (
                f"{datetime.datetime.fromtimestamp(us // MICROSECONDS_PER_SECOND, datetime.UTC):%Y-%m-%d %H:%M:%S} UTC"
            )
    except (OverflowError, ValueError, OSError):
        pass
    return "no date"


def _covered(scope: Scope, candidate: Candidate) -> str:
    target = {
        Scope.OFFER: candidate.offer.id,
        Scope.CAMPAIGN: candidate.campaign.id,
        Scope.CATEGORY: candidate.product.category,
    }.get(scope, "")
    return (
        f"an offer of {scope} {target}"
        if target and scope != Scope.OFFER
        else f"offer {target}"
        if target
        else "an offer"
    )


def _lasting(us: int) -> str:
    """Return how long something holds, as the catalogue writes it."""
    if us == FOREVER_US:
        return "for good"
    return "for " + format_value(ValueType.DURATION, us // MICROSECONDS_PER_SECOND)


def _cap_words(cap: Cap, shard: Shard) -> str:
    whom = "of the subscriber" if cap.per == "subscriber" else "in total"
    if whom == "in total" and shard.of > 1:
        whom += f", {shard.share(cap.limit)} of them by shard {shard.number} of {shard.of}"
    of = f"{cap.scope} {cap.target}" if cap.target else f"each {cap.scope}" if cap.scope != "all" else "all"
    kind = cap.window.kind
    window = (
        f"in {format_value(ValueType.DURATION, cap.window.duration_us // MICROSECONDS_PER_SECOND)}"
        if kind == WindowKind.ROLLING
        else "ever"
        if kind == WindowKind.LIFETIME
        else f"a {kind}"
    )
    return f"cap {cap.id}: at most {cap.limit} {cap.counts} {window}, {of}, {whom}"
