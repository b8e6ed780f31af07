"""Candidates as lint compares them: where each may be made, what stops it beside its condition, and which comes first whoever asks."""

from collections.abc import Sequence
from typing import NamedTuple

from engine.bound_rules import Candidate
from engine.catalogue.model import Catalogue
from engine.catalogue.policy import FOREVER_US, Cap
from engine.catalogue.terms import Scope

Pair = tuple[str, str]
"""(trigger, channel)"""
Kind = tuple[str, ...]
"""Some of offer, campaign and category."""


class Rank(NamedTuple):
    """A candidate's place: higher tier first, then higher score; between equals a hash decides, so nobody is surely first."""

    tier: float
    score: float

    def before(self, other: "Rank") -> bool:
        """Return whether it surely comes before the other."""
        return (self.tier, self.score) > (other.tier, other.score)


def rank_of(catalogue: Catalogue, candidate: Candidate) -> Rank:
    """Return the place, with the figures that the engine compares."""
    return Rank(float(candidate.offer.priority) if catalogue.ranking.priority_first else 0.0, candidate.score)


def pairs_of(candidate: Candidate) -> list[Pair]:
    """Return where the candidate may be made: its campaign's triggers and channels, for which the offer has content."""
    channels = sorted(set(candidate.campaign.channels) & set(candidate.offer.content))
    return [(trigger, channel) for trigger in sorted(set(candidate.campaign.triggers)) for channel in channels]


def part_of(candidate: Candidate, scope: str) -> str:
    """Return the candidate's offer, campaign or category."""
    return {
        Scope.OFFER: candidate.offer.id,
        Scope.CAMPAIGN: candidate.campaign.id,
        Scope.CATEGORY: candidate.category,
    }[Scope(scope)]


def covers(cap: Cap, candidate: Candidate) -> bool:
    """Return whether a cap counts the candidate's offer, on some channel."""
    if cap.scope == Scope.ALL:
        return True
    if cap.scope == Scope.CHANNEL:
        return any(cap.target in (None, channel) for _, channel in pairs_of(candidate))
    return cap.target in (None, part_of(candidate, cap.scope))


def stopped_by(catalogue: Catalogue, candidate: Candidate) -> tuple[Kind, bool]:
    """Return what could stop the candidate alone: the kinds in which another one must be equal to be stopped too, and whether it must obey caps.

    A refusal, a "not now" or an acceptance stops its scope; a campaign's control group its campaign; a cap what it covers, unless exempt.
    """
    policy = catalogue.contact_policy
    scopes: list[Scope] = []
    for duration_us, scope in (
        (policy.cool_down.after_refusal_us, policy.cool_down.refusal_scope),
        (policy.cool_down.after_not_now_us, policy.cool_down.not_now_scope),
        (policy.reoffer.after_acceptance_us, policy.reoffer.scope),
    ):
        assert 0 <= duration_us <= FOREVER_US
        if duration_us:
            scopes.append(scope)
    if candidate.campaign.control_share > 0:
        scopes.append(Scope.CAMPAIGN)
    capped = candidate.campaign.obeys_caps and any(covers(cap, candidate) for cap in policy.caps)
    if capped:
        scopes += [cap.scope for cap in policy.caps if covers(cap, candidate)]
    return _narrow(scopes), capped


def _narrow(scopes: Sequence[Scope]) -> Kind:
    """Return the scopes that are narrower than a decision: whatever stops a channel, or all, stops both of two candidates."""
    return tuple(scope for scope in (Scope.OFFER, Scope.CAMPAIGN, Scope.CATEGORY) if scope in scopes)
