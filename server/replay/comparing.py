"""What another rulebook would have done with a journal's requests: offers, reach and caps, by campaign, beside what was done.

Both decide the same requests in the same order, each over its own ledger. An outcome that was reported of an offer also comes to the other's hold if
that answered the same request with the same offer, at whatever rank; else it did not happen there.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import msgspec

from engine.journal.disk import Disk
from engine.journal.records import DECIDED, Decided, Policy, Recorded, Swapped, decode, decode_decided
from engine.journal.recovery import outcomes_of
from engine.journal.segments import JournalError, Record
from engine.ledger.port import Outcomes
from engine.reasons import Reason
from engine.rulebook import Rulebook
from engine.shard import Shard
from server.front import DecisionFront
from server.replay.again import Again, askable, decide_again
from server.replay.world import Known, World, begin

Seats = list[tuple[str, str]]
"""(campaign, offer) of each seat."""


@dataclass(slots=True)
class Side:
    """What one rulebook did."""

    offers: int = 0
    held: int = 0
    """Decisions that offered something."""
    reasons: Counter[str] = field(default_factory=Counter)
    by_campaign: Counter[str] = field(default_factory=Counter)
    """Offers made."""
    reached: dict[str, set[int]] = field(default_factory=dict)
    """By campaign: the subscribers who were offered something of it."""

    def count(self, subscriber: int, reason: int, seats: Seats) -> None:
        """Count an answer."""
        self.reasons[Reason(reason).name] += 1
        self.held += bool(seats)
        self.offers += len(seats)
        for campaign, _ in seats:
            self.by_campaign[campaign] += 1
            self.reached.setdefault(campaign, set()).add(subscriber)


@dataclass(slots=True)
class Comparison:
    """Both sides, and how their answers differ."""

    was: Side = field(default_factory=Side)
    becomes: Side = field(default_factory=Side)
    decisions: int = 0
    same: int = 0
    """Answers with the same offers in the same order, or none on both sides."""
    gained: int = 0
    """Something instead of nothing."""
    lost: int = 0
    other_first: int = 0
    not_asked: int = 0
    """Requests that the other rulebook cannot be asked: it has no such trigger, channel or field."""
    repeated: int = 0
    """Requests sent again that were answered with nothing, but with something by the other, which repeats that."""
    erased: int = 0

    def count(self, was: Seats, becomes: Seats) -> None:
        """Count how two answers differ."""
        self.decisions += 1
        self.same += was == becomes
        self.gained += not was and bool(becomes)
        self.lost += bool(was) and not becomes
        self.other_first += bool(was) and bool(becomes) and was[0] != becomes[0]

    def told(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        names = sorted(self.was.by_campaign.keys() | self.becomes.by_campaign.keys())
        return {
            **{
                name: getattr(self, name)
                for name in ("decisions", "same", "gained", "lost", "other_first", "not_asked", "repeated", "erased")
            },
            **{name: _side_told(side) for name, side in (("was", self.was), ("becomes", self.becomes))},
            "campaigns": {
                name: {
                    "offers": [self.was.by_campaign[name], self.becomes.by_campaign[name]],
                    "subscribers": [len(side.reached.get(name, ())) for side in (self.was, self.becomes)],
                }
                for name in names
            },
        }


def _side_told(side: Side) -> dict[str, Any]:
    return {"offers": side.offers, "decisions_with_an_offer": side.held, "reasons": dict(side.reasons.most_common())}


class Comparing:
    """Follows a journal in two worlds."""

    def __init__(self, disk: Disk, known: Known, shard: Shard, against: Rulebook, *, first: int = 1) -> None:
        """Begin where the journal does, or before record `first`, in both; raises JournalError."""
        self._known, self._against = known, against
        self._was, self._recovery, self.log = begin(disk, known, shard, first)
        self._becomes, self._other_recovery, _ = begin(disk, known, shard, first)
        if (serving := self._other_recovery.recovered.serving) is not None:
            self._becomes.answer_by(against, known.bases[serving.base], serving)
        self._both_hold_below = self._was.ledger.statistics()["decision_next"]
        """Decisions before the first that is made again are in both ledgers."""
        self._holds: dict[int, tuple[int, list[str], list[str]]] = {}
        """By decision: the other's, and the offers of both, by rank."""
        self.comparison = Comparison()

    def follow(self, record: Record) -> None:
        """Take the next record; raises JournalError."""
        if record.kind == DECIDED:
            self._decide(decode_decided(record.body()))
            return
        small = decode(record.body())
        self._recovery.take_small(small)
        if isinstance(small, Recorded):
            self._record(small)
            return
        if isinstance(small, Policy) and self._becomes.front is not None:
            self._becomes.front.engine.tick(small.now_us)  # how long events matter to its own rules
            return
        self._other_recovery.take_small(small)
        if isinstance(small, Swapped):
            self._was.swap(small)
            self._becomes.answer_by(self._against, self._known.bases[small.base], small)

    def _decide(self, decided: Decided) -> None:
        if self._was.front is None or self._becomes.front is None:
            raise JournalError("it comes before the journal said what answers")
        for erased, stretch in groupby(decided.rows, lambda row: not row.message):
            part = msgspec.structs.replace(decided, rows=list(stretch))
            if erased:  # in its place: decisions are numbered by what comes before them
                self.comparison.erased += len(part.rows)
                self._recovery.take_decided(part)
            else:
                self._decide_by_both(self._was.front, self._becomes.front, part)

    def _decide_by_both(self, was: DecisionFront, becomes: DecisionFront, left: Decided) -> None:
        comparison, before = self.comparison, decide_again(was, left)
        first = [_answer(self._was, before, row) for row in range(len(left.rows))]
        rows = askable(becomes, left)
        comparison.not_asked += len(left.rows) - len(rows)
        part = msgspec.structs.replace(left, rows=[left.rows[row] for row in rows])
        again = decide_again(becomes, part) if rows else None
        for place, row in enumerate(rows):
            assert again is not None
            if again.decisions.replayed[place] or again.decisions.conflict[place]:
                comparison.repeated += 1
                continue
            subscriber, (decision, reason, seats) = left.rows[row].subscriber, first[row]
            other_decision, other_reason, other_seats = _answer(self._becomes, again, place)
            comparison.was.count(subscriber, reason, seats)
            comparison.becomes.count(subscriber, other_reason, other_seats)
            comparison.count(seats, other_seats)
            if decision and other_decision:
                self._holds[decision] = other_decision, [o for _, o in seats], [o for _, o in other_seats]

    def _record(self, said: Recorded) -> None:
        """Report to the other ledger what concerns an offer that it made too."""
        outcomes, kept = outcomes_of(said), []
        decision, rank = outcomes.decision.copy(), outcomes.rank.copy()
        for place in range(len(outcomes.body)):
            if outcomes.decision[place] < self._both_hold_below:
                kept.append(place)
                continue
            hold = self._holds.get(int(outcomes.decision[place]))
            offer = hold[1][int(rank[place]) - 1] if hold and 1 <= int(rank[place]) <= len(hold[1]) else None
            if hold and offer in hold[2]:
                decision[place], rank[place] = hold[0], hold[2].index(offer) + 1
                kept.append(place)
        self._becomes.ledger.advance(said.now_us)
        if kept:
            columns = {
                name: getattr(outcomes, name)[kept] for name in ("outcome", "body", "subscriber", "kind", "event_us")
            }
            self._becomes.ledger.record(Outcomes(**columns, decision=decision[kept], rank=rank[kept]))


def _answer(world: World, again: Again, row: int) -> tuple[int, int, Seats]:
    """Return decision number, reason and seats of a row of the batch that was decided last."""
    assert world.front is not None
    decisions, candidates = again.decisions, world.front.engine.bound.candidates
    chosen = [candidates[int(number)] for number in decisions.chosen[row, : int(decisions.chosen_count[row])]]
    seats = [(candidate.campaign.id, candidate.offer.id) for candidate in chosen]
    return int(decisions.decision[row]), int(decisions.reason[row]), seats


def compare(
    disk: Disk,
    known: Known,
    shard: Shard,
    against: Rulebook,
    tell: Callable[[int], None] = lambda _: None,
    *,
    first: int = 1,
) -> Comparison:
    """Return what another rulebook would have done; raises JournalError when the journal cannot be read or was decided by something not given."""
    comparing = Comparing(disk, known, shard, against, first=first)
    for record in comparing.log:
        try:
            comparing.follow(record)
        except (JournalError, ValueError, LookupError) as error:
            raise JournalError(f"record {record.sequence:,}: {error}") from error
        if record.sequence % 1_000 == 0:
            tell(comparing.comparison.decisions)
    return comparing.comparison


def lines(comparison: Comparison) -> list[str]:
    """Return it as text."""
    was, becomes = comparison.was, comparison.becomes
    told = [
        f"{comparison.decisions:,} decisions: {comparison.same:,} the same, {comparison.gained:,} with an offer where there was none,"
        f" {comparison.lost:,} without where there was one, {comparison.other_first:,} with another first offer",
        f"offers: {was.offers:,} -> {becomes.offers:,}; decisions with an offer: {was.held:,} -> {becomes.held:,}",
    ]
    told += [
        f"  {name:<22} {was.reasons[name]:>10,} -> {becomes.reasons[name]:>10,}"
        for name in sorted(was.reasons | becomes.reasons, key=lambda name: (-was.reasons[name], name))
    ]
    told.append(f"{'campaign':<32} {'offers':>21} {'subscribers':>21}")
    for name, each in comparison.told()["campaigns"].items():
        told.append(
            f"{name:<32} {each['offers'][0]:>9,} -> {each['offers'][1]:>8,} {each['subscribers'][0]:>9,} -> {each['subscribers'][1]:>8,}"
        )
    if comparison.not_asked:
        told.append(f"{comparison.not_asked:,} requests cannot be asked of the other rulebook, and are left out")
    if comparison.erased:
        told.append(f"{comparison.erased:,} requests are of subscribers who were erased, and are left out")
    return told
