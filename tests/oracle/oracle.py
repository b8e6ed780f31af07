"""The whole of it: a catalogue, its subscribers and a ledger, and the calls that clients make."""

from dataclasses import dataclass, replace
from typing import Any

from tests.oracle.caps import caps_of, count_total, gives_way, subject_of, units
from tests.oracle.catalogue import Catalogue
from tests.oracle.decide import Answer, Case, Request, Verdict, answer, consent_stop, stop_invalid, zones_of
from tests.oracle.ledger import REMEMBERED_US, Contact, Ledger, Outcome
from tests.oracle.quiet import QuietHours
from tests.oracle.retention import retention_of
from tests.oracle.subscribers import Live, Said, Subscriber


@dataclass(frozen=True)
class HandOff:
    """`yes`, `not_before` (an instant) or `never`, with the reason."""

    verdict: str
    reason: str
    not_before_us: int | None = None


NEVER = "never"


class Oracle:
    """The decision server in plain Python."""

    def __init__(self, catalogue: Catalogue, subscribers: list[Subscriber], contacts_max: int = 256) -> None:
        self.ledger = Ledger(contacts_max)
        self.edit(catalogue)
        self.subscribers = {subscriber.hash: subscriber for subscriber in subscribers}
        """The rows of the base."""
        self.live: dict[int, Live] = {}
        self.erased: set[int] = set()
        self.clock_trusted = True
        self.remembered: dict[tuple[str, int], tuple[Request, Answer, int]] = {}

    def edit(self, catalogue: Catalogue) -> None:
        """An edited catalogue binds the next decision; the ledger stays as it is, but for what it no longer keeps."""
        self.catalogue = catalogue
        self.quiet = QuietHours(catalogue)
        self.ledger.keep(retention_of(catalogue))

    def new_base(self, rows: list[tuple[Subscriber, int]], as_of_us: int) -> None:
        """Other rows, each as of an instant of its own: what was said live until then is dropped, but refusals and withdrawals.

        Of those whom the base has not, what was said until the base's own as-of is dropped.
        """
        self.subscribers = {row.hash: row for row, _ in rows}
        instants = {row.hash: instant_us for row, instant_us in rows}
        for hash_, live in self.live.items():
            live.cover(instants.get(hash_, as_of_us))

    def person(self, hash_: int) -> Subscriber:
        """What is known of the subscriber: the row, and what was said live over it."""
        found = hash_ in self.subscribers
        row = self.subscribers.get(hash_, Subscriber(hash_))
        return self.live[hash_].over(row, found) if hash_ in self.live else row

    def decide_batch(self, requests: list[Request]) -> list[Answer]:
        """A batch behaves as its items one after the other."""
        return [self.decide(request) for request in requests]

    def decide(self, request: Request) -> Answer:
        """A dry run takes its own instant, advances nothing, holds nothing and is not remembered."""
        now_us = request.now_us if request.dry_run else max(self.ledger.now_us, request.now_us)
        if not request.dry_run:
            self.ledger.advance(request.now_us)
            before = self.remembered_answer(request)
            if before is not None:
                return before
        refusal = self.stopped_at_once(request)
        if refusal is not None:
            return Answer(refusal, now_us)
        found = request.subscriber in self.subscribers
        subscriber = self.person(request.subscriber)
        case = Case(request, self.catalogue, self.quiet, self.ledger, subscriber, found, now_us)
        result = answer(case)
        if result.chosen and not request.dry_run:
            self.hold(case, result)
        return result

    def remembered_answer(self, request: Request) -> Answer | None:
        """The same request gets the same answer for 24 hours; the same id with another body is an error."""
        before = self.remembered.get((request.id, request.subscriber))
        if before is None or self.ledger.now_us >= before[2] + REMEMBERED_US:
            return None
        same = replace(before[0], now_us=request.now_us) == request
        return replace(before[1], replayed=True) if same else replace(before[1], conflict=True)

    def stopped_at_once(self, request: Request) -> str | None:
        if request.subscriber in self.erased:
            return "SUBSCRIBER_ERASED"
        if request.subscriber not in self.subscribers and not self.catalogue.anonymous_offers:
            return "UNKNOWN_SUBSCRIBER"
        if self.catalogue.channels[request.channel].push and not self.clock_trusted:
            return "CLOCK_UNCONFIRMED"
        return None

    def hold(self, case: Case, result: Answer) -> None:
        """Each chosen offer becomes a contact with a live hold."""
        contacts = []
        for rank, (campaign, offer) in enumerate(result.chosen, start=1):
            contact = Contact(
                subscriber=case.subscriber.hash,
                decision=0,
                rank=rank,
                campaign=campaign,
                offer=offer,
                category=case.catalogue.offers[offer].category,
                channel=case.request.channel,
                push=case.channel.push,
                counts=case.catalogue.campaigns[campaign].counts,
                granted_us=case.now_us,
                expires_us=result.expires_us,
                deadline_us=result.deadline_us,
            )
            contacts.append(contact)
        result.decision = self.ledger.hold(contacts)
        self.remembered[case.request.id, case.subscriber.hash] = (case.request, result, case.now_us)

    def record(self, outcome: Outcome, now_us: int) -> str:
        return self.ledger.record(outcome, now_us)

    def check_hand_off(self, decision: int, rank: int, now_us: int) -> HandOff:
        """May this held offer go out now?"""
        self.ledger.advance(now_us)
        contact = self.ledger.find(decision, rank)
        if contact is None or not contact.live or self.ledger.now_us >= contact.deadline_us:
            return HandOff(NEVER, "HOLD_ENDED")
        if contact.push and "handed_off" in contact.events:
            return HandOff(NEVER, "HOLD_ENDED")
        gone = self.no_longer_valid(contact)
        if gone is not None:
            return HandOff(NEVER, gone)
        subscriber = self.person(contact.subscriber)
        purpose = self.catalogue.campaigns[contact.campaign].purpose
        stopped = consent_stop(subscriber, self.catalogue, purpose, contact.channel)
        if stopped is not None:
            return HandOff(NEVER, stopped)
        for reason, ends in (
            ("QUIET_HOURS", self.quiet_ends(contact, subscriber, now_us)),
            ("CAP_REACHED", self.cap_ends(contact, subscriber)),
        ):
            if ends:
                return self.later(reason, ends, contact)
        return HandOff("yes", "OFFERED")

    def no_longer_valid(self, contact: Contact) -> str | None:
        """Why the campaign or the offer may not be used at ledger time, or None."""
        campaign, offer = self.catalogue.campaigns.get(contact.campaign), self.catalogue.offers.get(contact.offer)
        if campaign is None or offer is None or contact.offer not in campaign.offers:
            return "OFFER_NOT_VALID"
        if contact.channel not in self.catalogue.channels:
            return "OFFER_NOT_VALID"
        verdict = Verdict(campaign, offer)
        stop_invalid(verdict, self.ledger.now_us)
        return verdict.reason

    def later(self, reason: str, ends: list[int | None], contact: Contact) -> HandOff:
        """Not before the latest end, or never when that comes too late."""
        known = [end for end in ends if end is not None]
        if len(known) < len(ends) or max(known) >= contact.deadline_us:
            return HandOff(NEVER, reason)
        return HandOff("not_before", reason, max(known))

    def quiet_ends(self, contact: Contact, subscriber: Subscriber, now_us: int) -> list[int | None]:
        channel, zones = self.catalogue.channels[contact.channel], zones_of(subscriber, self.catalogue)
        if not channel.push and channel.inbound_exempt:
            return []
        instants = [t for t in (now_us, self.ledger.now_us) if self.quiet.is_quiet(channel.class_, t, zones)]
        return [self.quiet.quiet_end(channel.class_, t, zones) for t in instants]

    def cap_ends(self, contact: Contact, subscriber: Subscriber) -> list[int | None]:
        """Caps that are over their limit with this hold included, as an edited cap may be."""
        subject, now_us, zones = subject_of(contact), self.ledger.now_us, zones_of(subscriber, self.catalogue)
        ends: list[int | None] = []
        for cap in caps_of(self.catalogue, subject):
            if cap.total:
                if count_total(cap, subject, self.ledger.everything(), now_us, self.catalogue.home_zone) > cap.limit:
                    ends.append(None)
                continue
            counted = units(cap, subject, self.ledger.contacts(contact.subscriber), now_us, zones)
            if len(counted) > cap.limit:
                ends.append(gives_way(cap, counted, now_us, zones, room=0))
        return ends

    def say(self, subscriber: int, kind: str, name: Any, value: Any, at_us: int) -> None:
        """A live change: see `Said`."""
        self.live.setdefault(subscriber, Live()).say(kind, name, Said(value, at_us))

    def forget(self, subscriber: int) -> None:
        """Erasure: every answer is SUBSCRIBER_ERASED from now on; contacts and remembered answers are dropped."""
        self.erased.add(subscriber)
        self.subscribers.pop(subscriber, None)
        self.live.pop(subscriber, None)
        self.ledger.forget(subscriber)
        for key in [key for key in self.remembered if key[1] == subscriber]:
            del self.remembered[key]
