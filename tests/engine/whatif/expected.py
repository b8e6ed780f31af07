"""What a scan must count, in plain Python: one decision of the oracle after the other, and what became of each candidate written down."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from tests.oracle.catalogue import Catalogue
from tests.oracle.decide import (
    Answer,
    Case,
    Request,
    Verdict,
    answer,
    candidates,
    judge_candidate,
    judge_contact,
    reached_caps,
    score,
    stop_control,
)
from tests.oracle.oracle import Oracle
from tests.oracle.reasons import REASONS
from tests.oracle.subscribers import Subscriber

Key = tuple[str, str]
CONTROL = ("CONTROL_UNIVERSAL", "CONTROL_CAMPAIGN")


@dataclass
class Expected:
    """Counts of some subscribers on one trigger and channel."""

    looked: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    stopped: dict[Key, Counter[str]] = field(default_factory=dict)
    """By candidate, OFFERED left out."""
    reach: Counter[Key] = field(default_factory=Counter)
    """Candidates; campaigns as (id, ""), offers as ("", id)."""
    first: Counter[Key] = field(default_factory=Counter)
    chosen: Counter[Key] = field(default_factory=Counter)
    would_be: Counter[Key] = field(default_factory=Counter)
    tied: Counter[Key] = field(default_factory=Counter)
    tie_won: Counter[Key] = field(default_factory=Counter)
    tie_lost: Counter[Key] = field(default_factory=Counter)
    takers: dict[Key, Counter[Key]] = field(default_factory=dict)
    """By loser, then winner."""


@dataclass
class Seen:
    """What one decision left to be compared."""

    reached: set[Key]
    first: Key | None


def things(keys: Iterable[Key]) -> set[Key]:
    """The candidates, their campaigns and their offers, each once."""
    return {thing for c, o in keys for thing in ((c, o), (c, ""), ("", o))}


def case_of(oracle: Oracle, request: Request) -> Case:
    found = request.subscriber in oracle.subscribers
    person = oracle.person(request.subscriber)
    return Case(request, oracle.catalogue, oracle.quiet, oracle.ledger, person, found, request.now_us)


def reached_by(case: Case) -> set[Key]:
    """The candidates that pass validity, consent and eligibility."""
    verdicts = candidates(case)
    for verdict in verdicts:
        judge_candidate(case, verdict)
    return {verdict.key for verdict in verdicts if verdict.reason is None}


def competing(case: Case) -> set[Key]:
    """The candidates among which the choice is made."""
    verdicts = candidates(case)
    for verdict in verdicts:
        judge_candidate(case, verdict)
        stop_control(case, verdict)
        judge_contact(case, verdict)
    return {verdict.key for verdict in verdicts if verdict.reason is None}


def equals(catalogue: Catalogue, verdicts: list[Verdict]) -> list[list[Verdict]]:
    """The verdicts in groups of one rank."""
    groups: dict[Any, list[Verdict]] = {}
    for verdict in verdicts:
        tier = verdict.offer.priority if catalogue.priority_first else 0
        groups.setdefault((tier, score(catalogue, verdict)), []).append(verdict)
    return list(groups.values())


def holder(chosen: list[Key], verdict: Verdict, catalogue: Catalogue) -> Key:
    """Who has the place of the verdict's exclusive group."""
    group = verdict.offer.exclusive_group
    return next(key for key in chosen if catalogue.offers[key[1]].exclusive_group == group)


def look(oracle: Oracle, request: Request, into: list[Expected]) -> Seen:
    """Add one subscriber to each of these."""
    refusal = oracle.stopped_at_once(request)
    case = case_of(oracle, request)
    found = Answer(refusal, request.now_us) if refusal else answer(case)
    reached = set() if refusal else reached_by(case)
    for one in into:
        one.looked += 1
        one.reasons[found.reason] += 1
        one.reach.update(things(reached))
        one.chosen.update(things(found.chosen))
        one.would_be.update(found.would_be)
        if found.chosen:
            one.first.update(things(found.chosen[:1]))
        for verdict in found.verdicts:
            if verdict.reason != "OFFERED":
                one.stopped.setdefault(verdict.key, Counter())[str(verdict.reason)] += 1
        if found.chosen or found.verdicts:
            look_at_choice(case, found, one)
    return Seen(reached, found.chosen[0] if found.chosen else None)


def look_at_choice(case: Case, found: Answer, into: Expected) -> None:
    """Count ties, and who had the seats that others did not get."""
    among = competing(case)
    verdicts = [verdict for verdict in found.verdicts if verdict.key in among]
    for group in equals(case.catalogue, verdicts):
        reasons = {verdict.reason for verdict in group}
        if len(group) > 1 and reasons != {"RANKED_OUT"}:
            into.tied.update(verdict.key for verdict in group)
            if "RANKED_OUT" in reasons and "OFFERED" in reasons:
                into.tie_won.update(v.key for v in group if v.reason == "OFFERED")
                into.tie_lost.update(v.key for v in group if v.reason == "RANKED_OUT")
    for verdict in verdicts:
        takers = into.takers.setdefault(verdict.key, Counter())
        if verdict.reason == "RANKED_OUT":
            takers.update(found.chosen)
        elif verdict.reason == "EXCLUSIVE_GROUP":
            takers[holder(found.chosen, verdict, case.catalogue)] += 1


def scan(
    oracle: Oracle,
    requests: list[Request],
    segments: Callable[[Subscriber, bool], list[str]] = lambda _person, _found: [],
) -> tuple[Expected, dict[str, Expected], list[Seen]]:
    """Return the counts of all, by segment, and what each request left; `segments` names those of a subscriber, who may not be found."""
    everybody, seen = Expected(), []
    parts: dict[str, Expected] = {}
    for request in requests:
        case = case_of(oracle, request)
        names = segments(case.subscriber, case.found)
        into = [everybody, *(parts.setdefault(name, Expected()) for name in names)]
        seen.append(look(oracle, request, into))
    return everybody, parts, seen


@dataclass
class Rounds:
    """What caps did, by round."""

    decisions: list[list[int]]
    """With an offer, offers, stopped by a cap, left without by a cap."""
    caps: list[Counter[str]]


def caps_of_answer(case: Case, found: Answer) -> set[str]:
    """Every cap that stopped a candidate: all that were reached before, or the first by id that the answer's own offers filled."""
    stopped: set[str] = set()
    for verdict in found.verdicts:
        if verdict.reason == "CAP_REACHED":
            stopped |= set(reached_caps(case, case.subject(verdict))) or {str(verdict.cap)}
    return stopped


def play_rounds(oracle: Oracle, requests: list[Request], count: int) -> Rounds:
    """Have each subscriber ask so many times, and hold what is offered; caps in total are taken away first."""
    oracle.catalogue = replace(oracle.catalogue, caps=[cap for cap in oracle.catalogue.caps if not cap.total])
    found = Rounds([[0, 0, 0, 0] for _ in range(count)], [Counter() for _ in range(count)])
    for number in range(count):
        for request in requests:
            again = replace(request, id=f"{request.id} {number}", dry_run=False)
            if oracle.stopped_at_once(again):
                continue
            case = case_of(oracle, again)
            result = answer(case)
            caps, offers = caps_of_answer(case, result), len(result.chosen)
            row = (offers > 0, offers, bool(caps), bool(caps) and not offers)
            found.decisions[number] = [a + b for a, b in zip(found.decisions[number], row, strict=True)]
            found.caps[number].update(caps)
            if offers:
                oracle.hold(case, result)
    return found


assert set(CONTROL) <= REASONS.keys()
