"""The rare methods: each takes a request's bytes to a response's, on the decision thread, in its place among decisions."""

import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Final

from google.protobuf.message import Message
from touchpoint.v1 import admin_service_pb2 as admin
from touchpoint.v1 import decision_service_pb2 as decision
from touchpoint.v1 import subscriber_service_pb2 as subscriber
from touchpoint.v1.reason_pb2 import (
    REASON_CLOCK_UNCONFIRMED,
    REASON_HOLD_ENDED,
    REASON_OFFERED,
    REASON_STATE_UNAVAILABLE,
    Reason,
)

from engine.base.overlay import OverlayFullError
from engine.handing_off import HandOff, Verdict
from engine.ledger.port import LedgerFullError
from engine.limits import NEVER_US, OFFERS_PER_ANSWER_MAX
from engine.shard import Shard
from server.elsewhere import check_owned, made_elsewhere
from server.failure import Code, Failure, RefusedError, invalid
from server.figures import memory_bytes
from server.front import DecisionFront
from server.load import Load
from server.outcomes import OutcomeReader
from server.subscribers import ChangeReader, change_failure, described, parsed
from server.values import timestamp
from server.work import CallInfo

Rpc = Callable[[bytes, CallInfo], bytes]
CLOCK_RETRY_US: Final = 60_000_000
"""When to ask again while the clock is not trusted."""
STATE_RETRY_US: Final = 1_000_000
"""When to ask again while the ledger that replicas share does not answer."""


class Rpcs:
    """The rare methods over one front; `load` gives the queue's figures once there is a queue."""

    def __init__(
        self, front: DecisionFront, shard: Shard, reload_error: Callable[[], str], reloaded_us: Callable[[], int]
    ) -> None:
        self._front = front
        self._shard = shard
        self._reload_error = reload_error
        self._reloaded_us = reloaded_us
        self._outcomes = OutcomeReader(front.ids, shard, front.hashes.digest, shared=front.around is not None)
        self._started_us = front.clock.now_us()
        self._started_ns = time.monotonic_ns()
        self.load = Load()

    def table(self) -> dict[str, Rpc]:
        """Return the methods by "<service>/<method>"."""
        return {
            "touchpoint.v1.DecisionService/CheckHandOff": self.check_hand_off,
            "touchpoint.v1.DecisionService/GetShard": self.get_shard,
            "touchpoint.v1.OutcomeService/RecordOutcomes": self.record_outcomes,
            "touchpoint.v1.SubscriberService/GetSubscriber": self.get_subscriber,
            "touchpoint.v1.SubscriberService/UpdateSubscriber": self.update_subscriber,
            "touchpoint.v1.SubscriberService/ForgetSubscriber": self.forget_subscriber,
            "touchpoint.v1.AdminService/GetStatus": self.get_status,
            "touchpoint.v1.AdminService/ConfirmClock": self.confirm_clock,
        }

    def check_hand_off(self, payload: bytes, _info: CallInfo) -> bytes:
        """CheckHandOff."""
        request = parsed(decision.CheckHandOffRequest, payload)
        if not 1 <= request.rank <= OFFERS_PER_ANSWER_MAX:
            raise invalid("rank", f"expected 1 to {OFFERS_PER_ANSWER_MAX}, was {request.rank:,}")
        try:
            name = self._front.ids.read(request.decision_id)
        except ValueError as error:
            raise invalid("decision_id", str(error)) from None
        if self._front.around is None:
            check_owned(self._shard, name.subscriber)
            if name.shard != self._shard.number:
                raise invalid("decision_id", made_elsewhere(name.shard, self._shard))
        now_us = self._front.now_us()
        if self._front.engine.push_stopped:
            found = HandOff(Verdict.NOT_BEFORE, None, now_us + CLOCK_RETRY_US)
            return _hand_off(found, REASON_CLOCK_UNCONFIRMED)
        checked = self._front.check_hand_off((name.subscriber, name.sequence, request.rank), now_us)
        if checked is None:
            return _hand_off(HandOff(Verdict.NOT_BEFORE, None, now_us + STATE_RETRY_US), REASON_STATE_UNAVAILABLE)
        found = checked
        ended = REASON_OFFERED if found.verdict == Verdict.YES else REASON_HOLD_ENDED
        return _hand_off(found, ended if found.reason is None else int(found.reason))  # type: ignore[arg-type]

    def get_shard(self, payload: bytes, _info: CallInfo) -> bytes:
        """GetShard."""
        parsed(decision.GetShardRequest, payload)
        return _bytes(decision.GetShardResponse(**self._shard._asdict()))

    def _owned(self, subscriber_key: str) -> int:
        """Return the hash of a key as it was sent; raises RefusedError, also when another shard owns it."""
        name = self._front.hashes.one(subscriber_key)
        check_owned(self._shard, name)
        return name

    def record_outcomes(self, payload: bytes, _info: CallInfo) -> bytes:
        """RecordOutcomes."""
        now_us, front = self._front.now_us(), self._front
        try:
            response, results = self._outcomes.record(payload, now_us, lambda outcomes: front.record(outcomes, now_us))
        except LedgerFullError:
            message = "the memory of outcome ids is full, nothing was recorded; send again later"
            raise RefusedError(Failure(Code.RESOURCE_EXHAUSTED, message)) from None
        counts = self._front.figures.outcomes
        for result in results:
            counts[result] = counts.get(result, 0) + 1
        return response

    def get_subscriber(self, payload: bytes, _info: CallInfo) -> bytes:
        """GetSubscriber."""
        engine = self._front.engine
        name = self._owned(parsed(subscriber.GetSubscriberRequest, payload).subscriber)
        description = self._front.describe(name, self._front.now_us())
        return described(description, engine.rulebook.catalogue, engine.snapshot.version)

    def update_subscriber(self, payload: bytes, _info: CallInfo) -> bytes:
        """UpdateSubscriber."""
        request = parsed(subscriber.UpdateSubscriberRequest, payload)
        name, now_us = self._owned(request.subscriber), self._front.now_us()
        change = ChangeReader(self._front.engine.rulebook.catalogue).read(request, now_us)
        self._front.check_kept()
        try:
            self._front.update(name, change)
        except Exception as error:
            if failure := change_failure(error):
                raise RefusedError(failure) from None
            raise
        return _bytes(subscriber.UpdateSubscriberResponse(applied_at=timestamp(now_us)))

    def forget_subscriber(self, payload: bytes, _info: CallInfo) -> bytes:
        """ForgetSubscriber."""
        name = self._owned(parsed(subscriber.ForgetSubscriberRequest, payload).subscriber)
        now_us = self._front.now_us()
        try:
            self._front.forget(name)
        except OverlayFullError as error:
            failure = change_failure(error)
            assert failure
            raise RefusedError(failure) from None
        return _bytes(subscriber.ForgetSubscriberResponse(erased_at=timestamp(now_us)))

    def confirm_clock(self, payload: bytes, _info: CallInfo) -> bytes:
        """ConfirmClock."""
        parsed(admin.ConfirmClockRequest, payload)
        now_us = self._front.now_us()
        was_unconfirmed = self._front.clock.confirm()
        self._front.engine.push_stopped = False
        if was_unconfirmed and self._front.engine.keeping is not None:
            self._front.engine.keeping.confirmed(now_us)
        return _bytes(admin.ConfirmClockResponse(now=timestamp(now_us), was_unconfirmed=was_unconfirmed))

    def get_status(self, payload: bytes, _info: CallInfo) -> bytes:
        """GetStatus."""
        parsed(admin.GetStatusRequest, payload)
        front, engine, figures = self._front, self._front.engine, self._front.figures
        catalogue = engine.rulebook.catalogue
        front.now_us()
        status = admin.GetStatusResponse(
            version=version("touchpoint"),
            catalogue=catalogue.id,
            rulebook_generation=engine.generation.number,
            base_version=engine.snapshot.version,
            subscriber_count=len(engine.snapshot.own_rows),
            campaign_count=len(catalogue.campaigns),
            offer_count=len(catalogue.offers),
            candidate_count=len(engine.bound.candidates),
            decision_count=int(figures.reasons.sum()),
            offer_made_count=figures.offers,
            outcome_count=figures.outcomes.get("RECORDED", 0) + figures.outcomes.get("RECORDED_LATE", 0),
            started_at=timestamp(self._started_us),
            uptime_ms=(time.monotonic_ns() - self._started_ns) // 1_000_000,
            memory_bytes=memory_bytes(),
            clock_confirmed=front.clock.trusted,
            clock_jump_ms=front.clock.jump_us // 1_000,
            last_reload_error=self._reload_error(),
            ledger=front.statistics(),
            # This call itself waits no more.
            queue_depth=max(self.load.waiting_items - 1, 0),
            shard=self._shard.number,
            shard_count=self._shard.of,
        )
        if reloaded_us := self._reloaded_us():
            status.reloaded_at.CopyFrom(timestamp(reloaded_us))
        return _bytes(status)


def _hand_off(found: HandOff, reason: "Reason.ValueType") -> bytes:
    response = decision.CheckHandOffResponse(hand_off=int(found.verdict), reason=reason)  # type: ignore[arg-type]  # same numbers
    if found.verdict == Verdict.NOT_BEFORE and found.not_before_us != NEVER_US:
        response.not_before.CopyFrom(timestamp(found.not_before_us))
    return _bytes(response)


def _bytes(message: Message) -> bytes:
    return message.SerializeToString()
