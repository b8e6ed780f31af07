"""CheckHandOff: whether a held push may still go out now."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

import numpy as np

from engine.batch import Batch, new_batch
from engine.bound import Bound
from engine.deciding import Decider, Steps
from engine.dtypes.contact import LIVE, PUSH
from engine.dtypes.ledger import FOREVER_US
from engine.dtypes.rules import Run
from engine.dtypes.view import ERASED
from engine.jit import frozen
from engine.kernels.answering import PUSH_GRACE_US
from engine.kernels.hand_off import hand_off_caps_us, hand_off_quiet_us
from engine.kernels.screening import consent, validity
from engine.ledger.port import Ledger
from engine.limits import NEVER_US
from engine.reasons import Reason
from engine.runs import Prepared


class Verdict(IntEnum):
    """May it go out?"""

    YES = 1
    NOT_BEFORE = 2
    NEVER = 3


@dataclass(frozen=True, slots=True)
class HandOff:
    """The answer; `reason` is None for YES, and for NEVER when the hold has ended or is not known."""

    verdict: Verdict
    reason: Reason | None = None
    not_before_us: int = NEVER_US


ENDED: Final = HandOff(Verdict.NEVER)


def checking(decider: Decider, bound: Bound, ledger: Ledger, hold: tuple[int, int, int], raw_us: int) -> Steps[HandOff]:
    """Check the hold (subscriber hash, decision, rank) at the raw instant, by the rules of engine/README.md; ledger time moves on to it."""
    subscriber, decision, rank = hold
    instant = decider.instant(raw_us, False, False)
    record = ledger.find(subscriber, decision, rank)
    if record is None or not record["flags"] & LIVE:
        return ENDED
    if record["flags"] & PUSH and record["handed_off_us"] != NEVER_US:
        return ENDED  # it went out: whoever asks again must not send it again
    deadline_us = int(record["expires_us"]) - (PUSH_GRACE_US if record["flags"] & PUSH else 0)
    if instant.now_us >= deadline_us:
        return ENDED
    channel = bound.channel_of_code(int(record["channel"]))
    candidate = bound.candidate_of_codes(int(record["campaign"]), int(record["offer"]))
    if candidate is None or channel is None:
        return HandOff(Verdict.NEVER, Reason.OFFER_NOT_VALID)
    prepared = yield from decider.prepare(
        _asking(bound, subscriber, channel, raw_us), frozen(np.zeros(1, np.int64)), instant
    )
    stop = _stop(bound, prepared.run, candidate, channel)
    if stop is not None:
        return HandOff(Verdict.NEVER, stop)
    return _timed(prepared, candidate, deadline_us)


def _asking(bound: Bound, subscriber: int, channel: int, raw_us: int) -> Batch:
    batch = new_batch(len(bound.field_index), 1)
    batch.count = 1
    batch.subscriber[0], batch.channel[0], batch.now_us[0] = subscriber, channel, raw_us
    return batch


def _stop(bound: Bound, run: Run, candidate: int, channel: int) -> Reason | None:
    reason: Any = validity(bound.rules, candidate, run.moment.now_us)
    if not reason and run.rows.found[0] == ERASED:
        reason = Reason.SUBSCRIBER_ERASED
    if not reason:
        reason = consent(bound.rules, run.rows, 0, candidate, channel)
    return Reason(int(reason)) if reason else None


def _timed(prepared: Prepared, candidate: int, deadline_us: int) -> HandOff:
    for reason, until_us in (
        (Reason.QUIET_HOURS, hand_off_quiet_us(prepared.reference)),
        (Reason.CAP_REACHED, hand_off_caps_us(prepared.reference, candidate)),
    ):
        if until_us == NEVER_US:
            continue
        if until_us == FOREVER_US or until_us >= deadline_us:
            return HandOff(Verdict.NEVER, reason)
        return HandOff(Verdict.NOT_BEFORE, reason, int(until_us))
    return HandOff(Verdict.YES)
