"""Why each candidate of one request stands where it stands: a dry run through the same kernels, with what they left behind kept."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine.batch import Batch, DecisionRows, Decisions
from engine.bound import Bound
from engine.deciding import Decider, Steps
from engine.jit import frozen
from engine.kernels.answering import answer_run, explain_run
from engine.limits import NEVER_US
from engine.reasons import Reason
from engine.texts import TextArena


@dataclass(frozen=True, slots=True)
class Explained:
    """One candidate, in rank order before the subscriber's own order among equals."""

    candidate: int
    """Number in Bound.candidates."""
    reason: Reason
    seat: int
    """1 is the first offer of the answer; 0 when it is not in it."""
    term: str
    """For conditions: the source of the term that decided; else empty."""
    cap: str
    """For caps: the id of the first that is reached; else empty."""
    winner: int
    """For exclusive groups: the candidate that has the group's place; else -1."""
    until_us: int
    """The earliest instant at which this stage may let it through; NEVER_US when none is known."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision that held nothing, and its candidates; none when the request itself was stopped."""

    decisions: Decisions
    candidates: list[Explained]


class _Why(NamedTuple):
    """What `explain_run` writes."""

    reason: npt.NDArray[np.uint8]
    detail: npt.NDArray[np.int32]
    until_us: npt.NDArray[np.int64]


def explaining(decider: Decider, bound: Bound, batch: Batch, push_stopped: bool) -> Steps[Explanation]:
    """Explain the only item of the batch as a dry run."""
    assert batch.count == 1
    index = frozen(np.zeros(1, np.int64))
    instant = decider.instant(int(batch.now_us[0]), True, push_stopped)
    prepared = yield from decider.prepare(batch, index, instant)
    rows = DecisionRows(TextArena(), 1)
    decisions = rows.begin(1)
    decisions.now_us[0] = instant.now_us
    answer_run(prepared.reference, decider.runs.answers_reference)
    decider.store(rows, index, 1)
    if decisions.reason[0] < Reason.CAMPAIGN_NOT_LIVE and not decisions.stages[0].any():
        return Explanation(decisions, [])
    pair = bound.pairs.pairs[int(batch.trigger[0]) * len(bound.rules.channels) + int(batch.channel[0])]
    count = int(pair["count"])
    why = _Why(np.zeros(count, np.uint8), np.full(count, -1, np.int32), np.full(count, NEVER_US, np.int64))
    explain_run(prepared.reference, *why)
    assert why.reason.all(), "explanations find what decisions found"
    seats = {int(candidate): seat for seat, candidate in enumerate(decisions.chosen[0], 1) if candidate >= 0}
    numbers = bound.pairs.candidate[pair["first"] : pair["first"] + count].tolist()
    return Explanation(decisions, [_explained(bound, number, seats, why, at) for at, number in enumerate(numbers)])


def _explained(bound: Bound, number: int, seats: dict[int, int], why: _Why, at: int) -> Explained:
    reason, detail = Reason(int(why.reason[at])), int(why.detail[at])
    condition = int(bound.rules.candidates[number]["condition"])
    stopped_by_term = Reason.NOT_ELIGIBLE <= reason <= Reason.CONDITION_ERROR
    return Explained(
        candidate=number,
        reason=reason,
        seat=seats.get(number, 0),
        term=bound.rulebook.terms[condition][detail] if stopped_by_term and condition >= 0 else "",
        cap=bound.cap_ids[detail] if reason == Reason.CAP_REACHED else "",
        winner=detail if reason == Reason.EXCLUSIVE_GROUP else -1,
        until_us=int(why.until_us[at]),
    )
