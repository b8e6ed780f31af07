"""One decision: the stages of engine/README.md in their order, candidate by candidate."""

from dataclasses import dataclass, field
from typing import Any

from tests.oracle.caps import Subject, caps_of, count_total, gives_way, subject_of, units
from tests.oracle.catalogue import Campaign, Catalogue, Channel, Offer
from tests.oracle.clock import local_day
from tests.oracle.condition import Facts, truth
from tests.oracle.ledger import Contact, Ledger
from tests.oracle.numbers import MINUTE_US, in_control, tie_number
from tests.oracle.quiet import QuietHours
from tests.oracle.reasons import REASONS, STAGES, stage
from tests.oracle.subscribers import Subscriber

PUSH_GRACE_US = 10 * MINUTE_US
"""A push hold expires this long after its deadline."""


@dataclass(frozen=True)
class Request:
    id: str
    subscriber: int
    """The subscriber's keyed hash."""
    trigger: str
    channel: str
    now_us: int
    offers_max: int = 1
    """0: what the ledger holds of the subscriber is not known."""
    trigger_us: int | None = None
    fields: tuple[tuple[str, Any], ...] = ()
    dry_run: bool = False


@dataclass
class Verdict:
    """What became of a candidate."""

    campaign: Campaign
    offer: Offer
    reason: str | None = None
    """None while it is in the running."""
    until_us: int | None = None
    """The earliest instant at which the reason may be gone, where one is known."""
    cap: str | None = None
    """CAP_REACHED: the first reached cap by id."""

    @property
    def key(self) -> tuple[str, str]:
        return self.campaign.id, self.offer.id


@dataclass
class Answer:
    reason: str
    now_us: int
    decision: int = 0
    chosen: list[tuple[str, str]] = field(default_factory=list)
    """(campaign, offer), best first"""
    scores: list[float] = field(default_factory=list)
    expires_us: int = 0
    not_before_us: int = 0
    deadline_us: int = 0
    language: str | None = None
    """The subscriber's, of an answer with an offer; None: not known."""
    next_allowed_us: int | None = None
    stages: list[int] = field(default_factory=lambda: [0] * STAGES)
    would_be: list[tuple[str, str]] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    """Every candidate by campaign and offer: what Explain answers."""
    replayed: bool = False
    conflict: bool = False


@dataclass
class Case:
    """Everything that one decision looks at."""

    request: Request
    catalogue: Catalogue
    quiet: QuietHours
    ledger: Ledger
    subscriber: Subscriber
    found: bool
    now_us: int
    """Ledger time; in a dry run, the request's instant."""

    @property
    def channel(self) -> Channel:
        return self.catalogue.channels[self.request.channel]

    @property
    def zones(self) -> tuple[str, ...]:
        return zones_of(self.subscriber, self.catalogue)

    @property
    def contacts(self) -> list[Contact]:
        return self.ledger.contacts(self.subscriber.hash)

    def subject(self, verdict: Verdict) -> Subject:
        return Subject(verdict.campaign.id, verdict.offer.id, verdict.offer.category, self.request.channel)


def zones_of(subscriber: Subscriber, catalogue: Catalogue) -> tuple[str, ...]:
    """The subscriber's zone; all of the country's when it is unknown."""
    return (subscriber.zone,) if subscriber.zone is not None else tuple(catalogue.zones)


def answer(case: Case) -> Answer:
    """Stages 2 to 10: everything but the request's own checks and the hold."""
    verdicts = candidates(case)
    for verdict in verdicts:
        judge_candidate(case, verdict)
    would_be = would_be_offers(case, verdicts)
    for verdict in verdicts:
        stop_control(case, verdict)
        judge_contact(case, verdict)
    chosen = choose(case, verdicts)
    for verdict in verdicts:
        if verdict.reason == "CAP_REACHED" and caps_filled_by(case, verdict, chosen):
            verdict.until_us = None
    return summary(case, verdicts, chosen, would_be)


def candidates(case: Case) -> list[Verdict]:
    """The (campaign, offer) pairs for this trigger and channel that have content for the channel."""
    found = []
    for campaign in case.catalogue.campaigns.values():
        if case.request.trigger not in campaign.triggers or case.request.channel not in campaign.channels:
            continue
        offers = [case.catalogue.offers[offer] for offer in set(campaign.offers)]
        found += [Verdict(campaign, offer) for offer in offers if case.request.channel in offer.channels]
    return sorted(found, key=lambda verdict: verdict.key)


def stop(verdict: Verdict, reason: str, until_us: int | None = None, cap: str | None = None) -> None:
    """Stop a candidate that nothing has stopped yet."""
    if verdict.reason is None:
        verdict.reason, verdict.until_us, verdict.cap = reason, until_us, cap


def judge_candidate(case: Case, verdict: Verdict) -> None:
    """The stages before control, which look at the candidate and the subscriber only."""
    if not case.found and not verdict.offer.anonymous:
        stop(verdict, "UNKNOWN_SUBSCRIBER")
    stop_invalid(verdict, case.now_us)
    stop_without_consent(case, verdict)
    stop_ineligible(case, verdict)


def stop_invalid(verdict: Verdict, now_us: int) -> None:
    campaign, offer = verdict.campaign, verdict.offer
    if campaign.state != "live":
        stop(verdict, "CAMPAIGN_NOT_LIVE")
    if campaign.from_us is not None and now_us < campaign.from_us:
        stop(verdict, "CAMPAIGN_NOT_STARTED", campaign.from_us)
    if campaign.until_us is not None and now_us >= campaign.until_us:
        stop(verdict, "CAMPAIGN_ENDED")
    if offer.until_us is not None and now_us >= offer.until_us:
        stop(verdict, "OFFER_NOT_VALID")
    if offer.from_us is not None and now_us < offer.from_us:
        stop(verdict, "OFFER_NOT_VALID", offer.from_us)


def consent_stop(subscriber: Subscriber, catalogue: Catalogue, purpose: str, channel: str) -> str | None:
    """Why (purpose, channel) may not be used for the subscriber, or None."""
    if (purpose, channel) in subscriber.refused:
        return "CONSENT_REFUSED"
    if catalogue.basis[purpose] == "opt_in" and (purpose, channel) not in subscriber.granted:
        return "CONSENT_MISSING"
    return None


def stop_without_consent(case: Case, verdict: Verdict) -> None:
    reason = consent_stop(case.subscriber, case.catalogue, verdict.campaign.purpose, case.request.channel)
    if reason is not None:
        stop(verdict, reason)


def stop_ineligible(case: Case, verdict: Verdict) -> None:
    condition = verdict.campaign.condition
    if verdict.reason is not None or condition is None:
        return
    facts = Facts(
        labels=case.subscriber.label_truths(case.catalogue, case.now_us),
        attributes=case.subscriber.attributes,
        zone=case.subscriber.zone,
        now_us=case.now_us,
        trigger_us=case.request.trigger_us,
        fields=dict(case.request.fields),
    )
    reason = {"false": "NOT_ELIGIBLE", "unknown": "CONDITION_UNKNOWN", "error": "CONDITION_ERROR"}.get(
        truth(condition, facts)
    )
    if reason is not None:
        stop(verdict, reason)


def stop_control(case: Case, verdict: Verdict) -> None:
    subscriber, catalogue = case.subscriber.hash, case.catalogue
    if in_control(subscriber, catalogue.control_salt, "*", catalogue.universal_share):
        stop(verdict, "CONTROL_UNIVERSAL")
    if in_control(subscriber, catalogue.control_salt, verdict.campaign.id, verdict.campaign.control_share):
        stop(verdict, "CONTROL_CAMPAIGN")


def judge_contact(case: Case, verdict: Verdict) -> None:
    """The stages after control, which look at the instant and at earlier contacts."""
    stop_in_quiet_hours(case, verdict)
    stop_in_cool_down(case, verdict)
    stop_at_caps(case, verdict)


def quiet_until(case: Case) -> tuple[bool, int | None]:
    """Whether raw or ledger time is quiet on the channel, and the latest end (None: no end)."""
    class_, zones = case.channel.class_, case.zones
    instants = [t for t in (case.request.now_us, case.now_us) if case.quiet.is_quiet(class_, t, zones)]
    ends = [case.quiet.quiet_end(class_, t, zones) for t in instants]
    return bool(instants), None if None in ends else max((end for end in ends if end is not None), default=None)


def stop_in_quiet_hours(case: Case, verdict: Verdict) -> None:
    channel = case.channel
    if verdict.reason is not None or (not channel.push and channel.inbound_exempt):
        return
    quiet, end_us = quiet_until(case)
    waits = channel.push and channel.defer_quiet_hours
    if quiet and not (waits and end_us is not None and end_us < case.now_us + channel.queue_deadline_us):
        stop(verdict, "QUIET_HOURS", end_us)


def stop_in_cool_down(case: Case, verdict: Verdict) -> None:
    """The rules stand in the order of their reason codes: the smallest code wins, with its latest end."""
    if verdict.reason is not None:
        return
    subject = case.subject(verdict)
    for rule in case.catalogue.cool_downs:
        starts = [
            contact.events[rule.event]
            for contact in case.contacts
            if rule.event in contact.events and subject_of(contact).target(rule.scope) == subject.target(rule.scope)
        ]
        if rule.length_us is None and starts:
            stop(verdict, rule.reason)
        elif rule.length_us is not None and starts and case.now_us < max(starts) + rule.length_us:
            stop(verdict, rule.reason, max(starts) + rule.length_us)


def stop_at_caps(case: Case, verdict: Verdict) -> None:
    """Several reached caps: the latest of their ends, none if one of them has none; the first by id is named."""
    if verdict.reason is not None:
        return
    reached = reached_caps(case, case.subject(verdict))
    if reached:
        ends = list(reached.values())
        until_us = None if None in ends else max(end for end in ends if end is not None)
        stop(verdict, "CAP_REACHED", until_us, min(reached))
    elif case.request.offers_max < 1:
        stop(verdict, "STATE_UNAVAILABLE")
    elif case.ledger.room(case.subscriber.hash) <= 0:
        stop(verdict, "LEDGER_FULL")


def reached_caps(case: Case, subject: Subject) -> dict[str, int | None]:
    """The caps of the candidate that are at their limit, each with the instant at which it gives way."""
    reached: dict[str, int | None] = {}
    for cap in caps_of(case.catalogue, subject):
        if cap.total:
            count = count_total(cap, subject, case.ledger.everything(), case.now_us, case.catalogue.home_zone)
            if count >= cap.limit:
                reached[cap.id] = None
            continue
        counted = units(cap, subject, case.contacts, case.now_us, case.zones)
        if len(counted) >= cap.limit:
            reached[cap.id] = gives_way(cap, counted, case.now_us, case.zones, room=1)
    return reached


def score(catalogue: Catalogue, verdict: Verdict) -> float:
    factors = {
        "propensity": verdict.offer.propensity,
        "value": verdict.offer.value,
        "lever": verdict.campaign.lever,
        "priority": float(verdict.offer.priority),
    }
    propensity, value, lever, priority = (f if name in catalogue.factors else 1.0 for name, f in factors.items())
    return ((propensity * value) * lever) * priority


def ranked(case: Case, verdicts: list[Verdict]) -> list[Verdict]:
    """Best first."""
    catalogue, hash_ = case.catalogue, case.subscriber.hash
    today = local_day(case.now_us, case.subscriber.zone or catalogue.home_zone)

    def order(verdict: Verdict) -> tuple[float, float, int, str, str]:
        campaign, offer = verdict.key
        tier = verdict.offer.priority if catalogue.priority_first else 0
        tie = tie_number(hash_, catalogue.policy_version, today, offer, campaign)
        return -tier, -score(catalogue, verdict), -tie, campaign, offer

    return sorted(verdicts, key=order)


def seats(case: Case) -> int:
    return min(case.request.offers_max, case.channel.max_offers)


def choose(case: Case, verdicts: list[Verdict]) -> list[Verdict]:
    """Fill the seats in rank order with what is left; everything gets its final reason."""
    chosen: list[Verdict] = []
    for verdict in ranked(case, [v for v in verdicts if v.reason is None]):
        if len(chosen) == seats(case):
            stop(verdict, "RANKED_OUT")
        elif verdict.offer.exclusive_group in [v.offer.exclusive_group for v in chosen]:
            stop(verdict, "EXCLUSIVE_GROUP")
        elif full := caps_filled_by(case, verdict, chosen):
            stop(verdict, "CAP_REACHED", cap=min(full))
        elif case.ledger.room(case.subscriber.hash) <= len(chosen):
            stop(verdict, "LEDGER_FULL")
        else:
            stop(verdict, "OFFERED")
            chosen.append(verdict)
    return chosen


def caps_filled_by(case: Case, verdict: Verdict, chosen: list[Verdict]) -> list[str]:
    """The caps of the candidate that this answer's own offers fill. One decision counts once for `channel` and `all`."""
    subject, full = case.subject(verdict), []
    for cap in caps_of(case.catalogue, subject):
        if cap.scope in ("channel", "all"):
            continue
        own = [
            v for v in chosen if v.campaign.counts and case.subject(v).target(cap.scope) == subject.target(cap.scope)
        ]
        if cap.total:
            before = count_total(cap, subject, case.ledger.everything(), case.now_us, case.catalogue.home_zone)
        else:
            before = len(units(cap, subject, case.contacts, case.now_us, case.zones))
        if before < cap.limit <= before + len(own):
            full.append(cap.id)
    return full


def would_be_offers(case: Case, verdicts: list[Verdict]) -> list[tuple[str, str]]:
    """What control groups withhold: the answer made with nobody in control, less what is not in control."""
    controlled = [Verdict(v.campaign, v.offer, v.reason) for v in verdicts]
    free = [Verdict(v.campaign, v.offer, v.reason) for v in verdicts]
    for verdict in controlled:
        stop_control(case, verdict)
    withheld = {v.key for v in controlled if v.reason in ("CONTROL_UNIVERSAL", "CONTROL_CAMPAIGN")}
    if not withheld:
        return []
    for verdict in free:
        judge_contact(case, verdict)
    return [v.key for v in choose(case, free) if v.key in withheld]


def push_window(case: Case) -> tuple[int, int]:
    """When a push may be sent: [not before, deadline)."""
    _, end_us = quiet_until(case)
    not_before_us = max(case.now_us, end_us) if end_us is not None else case.now_us
    deadline_us = case.now_us + case.channel.queue_deadline_us
    next_quiet_us = case.quiet.next_start(case.channel.class_, not_before_us, deadline_us, case.zones)
    return not_before_us, deadline_us if next_quiet_us is None else next_quiet_us


def summary(case: Case, verdicts: list[Verdict], chosen: list[Verdict], would_be: list[tuple[str, str]]) -> Answer:
    reasons = [verdict.reason or "" for verdict in verdicts]
    result = Answer(
        max(reasons, key=lambda r: REASONS[r], default="NO_CANDIDATE"),
        case.now_us,
        verdicts=verdicts,
        would_be=would_be,
    )
    for reason in reasons:
        result.stages[stage(reason)] += 1
    if not chosen:
        result.next_allowed_us = min((v.until_us for v in verdicts if v.until_us is not None), default=None)
        return result
    result.language = case.subscriber.language
    result.chosen = [verdict.key for verdict in chosen]
    result.scores = [score(case.catalogue, verdict) for verdict in chosen]
    if case.channel.push:
        result.not_before_us, result.deadline_us = push_window(case)
        result.expires_us = result.deadline_us + PUSH_GRACE_US
    else:
        result.not_before_us, result.expires_us = case.now_us, case.now_us + case.channel.hold_us
        result.deadline_us = result.expires_us
    return result
