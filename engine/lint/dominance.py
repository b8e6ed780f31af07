"""Offers that never win: another candidate always comes first and takes the seat.

Candidate y *dominates* x for a trigger and a channel when, whoever asks and whatever was before, y passes every stage before the choice that x
passes, and is looked at before x:

1. both may be made there (campaign names trigger and channel, offer has content);
2. y's campaign is live, and its period with its offer's holds the whole of x's; x may be anonymous only if y may;
3. same purpose, so the same consent (the channel is the same);
4. x's condition being true implies that y's is (engine.lint.regions);
5. what could stop y alone stops x too: y's campaign has no control group or is x's; every cool-down and re-offer rule in force, and every cap
   that covers y, has a scope in which the two are equal; and if a cap covers y and y obeys caps, so does x;
6. y's tier and score are higher. Equals are ordered by a hash of the subscriber, so neither is surely first.

Then at the choice y is before x, and either is chosen, or was passed over for its exclusive group, or the seats were taken, or a cap or the ledger's
room stopped it that stops x too. So x is never chosen if a y of x's own group dominates it: the group is taken. And if candidates of as many
different groups as the channel shows offers dominate it, each of these groups is in the answer before x is looked at, so no seat is left.
x never wins if this holds for each of its triggers and channels.
"""

from collections.abc import Collection, Iterable, Iterator

import numpy as np

from engine.bound_rules import Candidate
from engine.catalogue.terms import CampaignState
from engine.lint.condition_rules import never_matches
from engine.lint.finding import Finding, Subject
from engine.lint.offer_rules import never_valid, period_of
from engine.lint.ranks import Kind, Pair, pairs_of, part_of, rank_of, stopped_by
from engine.lint.regions import Region, Regions

NEVER_WINS = "never_wins"
EVERYBODY = -1
"""The number of the condition of a campaign without one."""
FEW = 64
"""Conditions that are compared one by one; more are first sifted by their labels, all at once."""

Key = tuple[str, Kind, tuple[str, ...]]
"""Purpose, and the kinds in which the two must be equal, with their ids."""


class Implied:
    """For each condition of a rulebook those that are true whenever it is."""

    def __init__(self, regions: Regions) -> None:
        self._regions = regions
        self._conditions = regions.rulebook.conditions.conditions
        found = [regions.of(condition) for condition in self._conditions]
        self._of_each = found
        self._words = max(1, (len(regions.rulebook.schema.labels) + 63) // 64)
        self._has = self._bits(region.has for region in found)
        self._lacks = self._bits(region.lacks for region in found)
        self._found: dict[int, frozenset[int]] = {EVERYBODY: frozenset((EVERYBODY,))}

    def by(self, number: int) -> frozenset[int]:
        """Return the numbers of conditions that condition `number` implies; itself and EVERYBODY are among them."""
        if number not in self._found:
            region = self._of_each[number]
            fits = [n for n in self._fitting(region) if self._regions.implies(region, self._conditions[n])]
            self._found[number] = frozenset((number, EVERYBODY, *fits))
        return self._found[number]

    def among(self, number: int, conditions: Collection[int]) -> list[int]:
        """Return those of `conditions` that condition `number` implies."""
        if len(conditions) > FEW or number in self._found:
            return [n for n in self.by(number) if n in conditions]
        region = self._of_each[number]
        return [n for n in conditions if n in (number, EVERYBODY) or self._regions.implies(region, self._conditions[n])]

    def _bits(self, masks: Iterable[int]) -> "np.ndarray[tuple[int, int], np.dtype[np.uint64]]":
        rows = [list(np.frombuffer(mask.to_bytes(8 * self._words, "little"), np.uint64)) for mask in masks]
        return np.array(rows, np.uint64).reshape(len(rows), self._words)

    def _fitting(self, region: Region) -> list[int]:
        """Return the conditions that ask for no label, present or absent, beyond the region's."""
        beyond = self._has & ~self._bits([region.has]) | self._lacks & ~self._bits([region.lacks])
        return [int(n) for n in np.flatnonzero(~beyond.any(axis=1))]


class Dominance:
    """Who dominates whom among a rulebook's candidates."""

    def __init__(self, regions: Regions) -> None:
        rulebook = regions.rulebook
        self.catalogue = rulebook.catalogue
        self.candidates = rulebook.candidates
        self._implied = Implied(regions)
        campaigns = sorted(campaign.id for campaign in self.catalogue.campaigns)
        conditions = dict(zip(campaigns, rulebook.campaign_conditions, strict=True))
        self._condition = [conditions[candidate.campaign.id] for candidate in self.candidates]
        self._rank = [rank_of(self.catalogue, candidate) for candidate in self.candidates]
        self._pairs = [frozenset(pairs_of(candidate)) for candidate in self.candidates]
        self._stops = [stopped_by(self.catalogue, candidate) for candidate in self.candidates]
        self._seats = {channel.id: channel.max_offers for channel in self.catalogue.channels}
        self._kinds = sorted({kinds for kinds, _ in self._stops})
        self._by_key: dict[Key, dict[int, list[int]]] = {}
        """By key, then by condition."""
        dead = never_matches(regions)
        self.alive = [_alive(candidate, dead) for candidate in self.candidates]
        """Candidates that something else does not stop for good already."""
        for number, candidate in enumerate(self.candidates):
            if self.alive[number]:
                key = _key(candidate, self._stops[number][0])
                self._by_key.setdefault(key, {}).setdefault(self._condition[number], []).append(number)

    def takers(self, x: int) -> dict[Pair, list[int]] | None:
        """Return for each of the candidate's triggers and channels those that take its seat, or None when it may win somewhere."""
        dominators = [y for y in self._first(x) if self._dominates(y, x)]
        found = {}
        for pair in sorted(self._pairs[x]):
            there = [y for y in dominators if pair in self._pairs[y]]
            taken = self._taken(x, there, self._seats[pair[1]])
            if not taken:
                return None
            found[pair] = taken
        return found or None

    def _taken(self, x: int, there: list[int], seats: int) -> list[int]:
        """Return the dominators that leave no seat; none when they may."""
        groups: dict[str, int] = {}
        for y in there:
            if self.candidates[y].group == self.candidates[x].group:
                return [y]
            groups.setdefault(self.candidates[y].group, y)
        return list(groups.values())[:seats] if len(groups) >= seats else []

    def _first(self, x: int) -> Iterator[int]:
        """Yield candidates whose condition x's implies, equal where they must be (3, 4 and the first part of 5)."""
        for kinds in self._kinds:
            by_condition = self._by_key.get(_key(self.candidates[x], kinds), {})
            for condition in self._implied.among(self._condition[x], by_condition.keys()):
                yield from by_condition[condition]

    def _dominates(self, y: int, x: int) -> bool:
        """Return whether the rest holds: 2, 6 and the last part of 5; 1 is looked at for each trigger and channel."""
        if y == x or not self._rank[y].before(self._rank[x]):
            return False
        above, below = self.candidates[y], self.candidates[x]
        (start, end), (from_us, until_us) = _period(above), _period(below)
        return (
            start <= from_us
            and until_us <= end
            and (above.offer.anonymous or not below.offer.anonymous or not self.catalogue.anonymous_offers)
            and (not self._stops[y][1] or below.campaign.obeys_caps)
        )


def dominance_findings(regions: Regions) -> Iterator[Finding]:
    """Yield the candidates that never win though nothing else stops them."""
    dominance = Dominance(regions)
    for number, candidate in enumerate(dominance.candidates):
        takers = dominance.takers(number) if dominance.alive[number] else None
        if takers is not None:
            yield _finding(dominance, candidate, takers)


def _finding(dominance: Dominance, candidate: Candidate, takers: dict[Pair, list[int]]) -> Finding:
    names = {pair: _names(dominance, numbers) for pair, numbers in takers.items()}
    if len(set(names.values())) == 1:
        because = f"{next(iter(names.values()))} always comes first and leaves no seat, on every trigger and channel"
    else:
        because = "; ".join(
            f"on {trigger} and {channel} {text} always comes first" for (trigger, channel), text in names.items()
        )
    return Finding(
        NEVER_WINS,
        Subject("campaign", candidate.campaign.id, "offers", candidate.offer.id),
        f"{candidate.offer.id} of campaign {candidate.campaign.id} is never made",
        because,
        "raise its priority or worth, narrow the condition of what comes first, or take it out",
    )


def _names(dominance: Dominance, numbers: list[int]) -> str:
    chosen = [dominance.candidates[number] for number in numbers]
    return " and ".join(f"{candidate.offer.id} of {candidate.campaign.id}" for candidate in chosen)


def _alive(candidate: Candidate, dead: set[str]) -> bool:
    return (
        candidate.campaign.state == CampaignState.LIVE
        and candidate.campaign.id not in dead
        and not never_valid(candidate.campaign, candidate.offer)
    )


def _period(candidate: Candidate) -> tuple[int, int]:
    return period_of(candidate.campaign, candidate.offer)


def _key(candidate: Candidate, kinds: Kind) -> Key:
    return candidate.campaign.purpose, kinds, tuple(part_of(candidate, kind) for kind in kinds)
