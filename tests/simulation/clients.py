"""Front ends and a push gateway: they ask, ask again with the same id until they are answered, show and send what they got, and report what became of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from touchpoint.v1 import decision_service_pb2 as decision
from touchpoint.v1 import outcome_service_pb2 as outcome
from touchpoint.v1 import subscriber_service_pb2 as subscriber

from server.failure import Code, Failure
from tests.simulation.clock import HOUR_US, MINUTE_US, SECOND_US
from tests.simulation.network import patience_us
from tests.simulation.receiver import ViolationError, instant
from tests.simulation.world import DAY_US, PUSH, START_US

ATTEMPTS_MAX: Final = 12
FINAL: Final = {
    outcome.OUTCOME_STATUS_UNKNOWN_DECISION,
    outcome.OUTCOME_STATUS_INVALID,
    outcome.OUTCOME_STATUS_CONFLICT,
}
RECORDED: Final = outcome.OUTCOME_STATUS_RECORDED
DUPLICATE: Final = outcome.OUTCOME_STATUS_DUPLICATE
LATER: Final = {Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED}
"""What a caller sends again for; anything else that is no answer is a mistake of somebody's."""
KINDS: Final = {
    "handed_off": outcome.OUTCOME_KIND_HANDED_OFF,
    "seen": outcome.OUTCOME_KIND_SEEN,
    "accepted": outcome.OUTCOME_KIND_ACCEPTED,
    "refused": outcome.OUTCOME_KIND_REFUSED,
    "not_now": outcome.OUTCOME_KIND_NOT_NOW,
    "failed": outcome.OUTCOME_KIND_FAILED,
}


@dataclass
class Attempted:
    """Something that is sent until it is answered: a rare method, whose answer goes to `take`."""

    sim: Any
    name: str
    payload: bytes
    take: Callable[[bytes, int], None]
    done: bool = False
    attempts: int = 0
    at_once: bool = False
    attempts_max: int = ATTEMPTS_MAX
    first_moment: int = -1

    def send(self) -> None:
        """Send it, and again later unless it is answered by then."""
        if self.done or self.attempts >= self.attempts_max:
            return
        if self.first_moment < 0:
            self.first_moment = self.sim.network.moment
        self.attempts += 1
        self.sim.network.send(lambda: self.sim.arrive_call(self.name, self.payload, self))
        self.sim.schedule.after(patience_us(self.attempts), self.send)

    def answered(self, result: Any, moment: int) -> None:
        """Take the answer, once."""
        if isinstance(result, Failure):
            refused = {Code.FAILED_PRECONDITION, Code.NOT_FOUND}
            if self.sim.plan.clock_jumps:
                refused.add(Code.INVALID_ARGUMENT)  # what it says of an instant is ahead of a clock that was set back
            if result.code not in LATER | refused:
                raise ViolationError(f"{self.name}: {result}")
            self.done = self.done or result.code not in LATER
        elif not self.done:
            self.done = True
            self.take(result, moment)


@dataclass
class Ask:
    """One request for a decision."""

    sim: Any
    id: str
    subscriber: str
    channel: str
    payload: bytes
    first_moment: int
    first_us: int
    attempts: int = 0
    answer: bytes | None = None
    """The bytes of the first answer that made an offer."""
    answer_moment: int = -1
    settled: bool = False
    """Whether it was answered, with an offer or without."""
    at_once: bool = field(default=False)

    def send(self) -> None:
        """Send it, and again later unless it is answered by then."""
        if self.settled or self.attempts >= ATTEMPTS_MAX or self.sim.clock.wall_us() > self.first_us + 2 * HOUR_US:
            return
        self.attempts += 1
        self.sim.network.send(lambda: self.sim.arrive_ask(self))
        self.sim.schedule.after(patience_us(self.attempts), self.send)

    def answered(self, result: Any, moment: int) -> None:
        """Take an answer; there may be several, all of which must say the same."""
        if isinstance(result, Failure):
            if result.code not in LATER:
                raise ViolationError(f"{self.id}: {result}")
            return
        answer = decision.DecideResponse.FromString(result)
        answer.server_us = 0
        self.settled = True
        self.sim.note(f"{self.id} {answer.reason} {[offer.offer for offer in answer.offers]}")
        if not answer.offers:
            if self.answer is not None and self.promised(moment):
                raise ViolationError(f"{self.id}: answered without an offer, having made one before: {answer}")
            return
        data = answer.SerializeToString()
        first = self.sim.clients.decided.setdefault(answer.decision_id, self.id)
        if first != self.id:
            raise ViolationError(f"{self.id}: has the decision id of {first}: {answer.decision_id}")
        if self.answer is None:
            self.answer, self.answer_moment = data, moment
            self.sim.receiver.answered(self, answer, moment, self.sim.high_us)
            self.sim.begin_offers(self, answer)
        elif data != self.answer and self.promised(moment):
            before = decision.DecideResponse.FromString(self.answer)
            raise ViolationError(f"{self.id}: two answers to one request: {before} and {answer}")

    def promised(self, moment: int) -> bool:
        """Whether an answer of this turn must be the one that was given before; one of an earlier turn is late."""
        erasing = self.sim.receiver.standing[self.subscriber].erasing
        recent = self.sim.clock.wall_us() < self.first_us + 20 * HOUR_US
        return moment >= self.answer_moment and not erasing and recent


@dataclass
class Together:
    """Requests that go out in one message, and those of them that stay unanswered by themselves later."""

    sim: Any
    asks: list[Ask]
    at_once: bool = False

    def send(self) -> None:
        """Send them once, together."""
        items = [decision.DecideRequest.FromString(ask.payload) for ask in self.asks]
        payload = decision.DecideBatchRequest(items=items).SerializeToString()
        self.sim.network.send(lambda: self.sim.arrive_together(payload, self))
        for ask in self.asks:
            self.sim.schedule.after(patience_us(1), ask.send)

    def answered(self, result: Any, moment: int) -> None:
        """Take the answers, each as if it had come alone."""
        if isinstance(result, Failure):
            for ask in self.asks:
                ask.answered(result, moment)
            return
        results = decision.DecideBatchResponse.FromString(result).results
        for ask, each in zip(self.asks, results, strict=True):
            if each.HasField("answer"):
                ask.answered(each.answer.SerializeToString(), moment)
            else:
                ask.answered(Failure(Code(each.error.code), each.error.message), moment)


class Clients:
    """Everybody who calls the server of one simulation."""

    def __init__(self, sim: Any) -> None:
        self.sim = sim
        self.asks: list[Ask] = []
        self.outcomes: list[tuple[str, bytes, int, int]] = []
        """(subscriber, request, turn, instant) of each outcome that was recorded."""
        self.consents: dict[tuple[str, str, str], tuple[int, int]] = {}
        """By subscriber, purpose and channel: (state, turn) of what was acknowledged last."""
        self.changing: set[str] = set()
        self.decided: dict[str, str] = {}
        """By decision id: the request that it answered, whatever was lost since."""
        self.begun: set[str] = set()
        """Decisions whose offers were shown or sent: front ends keep that for themselves."""

    def ask(self, key: str, channel: str, offers_max: int) -> Ask:
        """Return a new request, which nobody has sent."""
        number, sim = len(self.asks), self.sim
        request = decision.DecideRequest(
            request_id=f"request {number}", subscriber=key, placement="open", channel=channel, max_offers=offers_max
        )
        made = Ask(
            sim, request.request_id, key, channel, request.SerializeToString(), sim.network.moment, sim.clock.wall_us()
        )
        self.asks.append(made)
        return made

    def begin_offers(self, ask: Ask, answer: Any) -> None:
        """Show or send what an answer offers, now or when it may be."""
        rng, sim = self.sim.rng, self.sim
        if answer.decision_id in self.begun:
            return
        self.begun.add(answer.decision_id)
        if ask.channel in PUSH:
            offer = answer.offers[0]
            until_us = instant(offer.send_not_before) - sim.clock.wall_us()
            sim.schedule.after(max(until_us, 0) + rng.choice([0, MINUTE_US, HOUR_US]), lambda: self.check(ask, answer))
            return
        drawn = rng.random()
        if drawn < 0.1:  # the window was closed: the hold runs out
            return
        for offer in answer.offers:
            if sim.clock.wall_us() < instant(offer.hold_until):
                kinds = ["seen", "seen", "accepted", "refused", "not_now", "failed"] if drawn > 0.2 else ["handed_off"]
                self.report(ask.subscriber, answer.decision_id, offer, rng.choice(kinds))

    def check(self, ask: Ask, answer: Any) -> None:
        """Ask whether a push may go out, and send it at that instant if so."""
        request = decision.CheckHandOffRequest(decision_id=answer.decision_id, rank=1)
        call = Attempted(self.sim, "check_hand_off", request.SerializeToString(), lambda *_: None, at_once=True)
        call.take = lambda data, _: self.checked(ask, answer, data, call.first_moment)
        call.attempts_max = 6
        call.send()

    def checked(self, ask: Ask, answer: Any, data: bytes, asked_moment: int) -> None:
        """Send the push, or check again when it may be sent."""
        found, sim = decision.CheckHandOffResponse.FromString(data), self.sim
        sim.note(f"{ask.id} hand-off {found.hand_off} {found.reason}")
        offer = answer.offers[0]
        if found.hand_off == decision.HAND_OFF_NOT_BEFORE and found.HasField("not_before"):
            wait_us = instant(found.not_before) - sim.clock.wall_us()
            if 0 < wait_us < 3 * HOUR_US:
                sim.schedule.after(wait_us, lambda: self.check(ask, answer))
        if found.hand_off != decision.HAND_OFF_YES:
            return
        drawn = sim.rng.random()
        if drawn < 0.1:
            self.report(ask.subscriber, answer.decision_id, offer, "failed")
            return
        sim.receiver.sent(answer.decision_id, 1, sim.span(), asked_moment)
        if drawn > 0.35:  # else it went out, and nobody hears of it
            self.report(
                ask.subscriber, answer.decision_id, offer, sim.rng.choice(["handed_off", "seen", "accepted", "refused"])
            )

    def report(self, key: str, decision_id: str, offer: Any, kind: str) -> None:
        """Report what became of an offer at this instant, until the server has it."""
        sim, span = self.sim, self.sim.span()
        report = outcome.Outcome(
            outcome_id=f"{decision_id} {offer.rank} {kind}", decision_id=decision_id, rank=offer.rank, kind=KINDS[kind]
        )
        report.time.FromMicroseconds(span.earliest_us)
        payload = outcome.RecordOutcomesRequest(outcomes=[report]).SerializeToString()

        def take(data: bytes, moment: int) -> None:
            status = outcome.RecordOutcomesResponse.FromString(data).results[0].status
            sim.note(f"{report.outcome_id} {status}")
            if status in FINAL:
                return
            self.outcomes.append((key, payload, moment, sim.clock.wall_us()))
            in_time = sim.high_us < instant(offer.hold_until if offer.HasField("hold_until") else offer.send_deadline)
            if status == RECORDED or (status == DUPLICATE and in_time):
                sim.receiver.confirmed(decision_id, offer.rank, kind, span, moment)

        delay_us = sim.rng.choice([0, SECOND_US, MINUTE_US, 20 * MINUTE_US])
        sim.schedule.after(delay_us, Attempted(sim, "record_outcomes", payload, take).send)

    def say(self, key: str, purpose: str, channel: str, state: int) -> None:
        """Have a subscriber grant or refuse, one thing at a time."""
        if key in self.changing:
            return
        self.changing.add(key)
        standing, pair = self.sim.receiver.standing[key], (purpose, channel)
        self.consents.pop((key, *pair), None)
        if state == subscriber.CONSENT_STATE_GRANTED:
            standing.refused.pop(pair, None)
        request = subscriber.UpdateSubscriberRequest(subscriber=key)
        request.consents.add(purpose=purpose, channel=channel, state=state)
        request.at.FromMicroseconds(self.sim.clock.wall_us())

        def take(data: bytes, moment: int) -> None:
            self.changing.discard(key)
            self.consents[key, purpose, channel] = state, moment
            if state == subscriber.CONSENT_STATE_REFUSED:
                standing.refused[pair] = moment

        Attempted(self.sim, "update_subscriber", request.SerializeToString(), take).send()

    def label(self, key: str, present: bool) -> None:
        """Set a label of a subscriber, or say late that it went, before the base was made under which this is told."""
        request = subscriber.UpdateSubscriberRequest(subscriber=key)
        request.labels.add(id="heavy", present=present)
        if not present:
            request.at.FromMicroseconds(START_US - 2 * DAY_US)
        Attempted(self.sim, "update_subscriber", request.SerializeToString(), lambda *_: None).send()

    def erase(self, key: str) -> None:
        """Have a subscriber erased."""
        standing = self.sim.receiver.standing[key]
        standing.erasing = True
        payload = subscriber.ForgetSubscriberRequest(subscriber=key).SerializeToString()

        def take(data: bytes, moment: int) -> None:
            standing.erased_moment = moment

        Attempted(self.sim, "forget_subscriber", payload, take).send()

    def lose(self, moment: int) -> None:
        """Take it that the server may know nothing of what it did after this turn."""
        for ask in self.asks:
            if ask.answer_moment > moment:
                ask.answer = None
        self.outcomes = [one for one in self.outcomes if one[2] <= moment]
        self.consents = {key: said for key, said in self.consents.items() if said[1] <= moment}
