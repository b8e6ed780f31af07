"""Why an item's candidate was stopped, read off the rows of bits that the item left behind."""

from typing import Any

import numpy as np
from numba import types

from engine.dtypes.condition import UNKNOWN
from engine.dtypes.rules import RUN_TYPE, Run
from engine.jit import kernel
from engine.kernels.condition import evaluate_condition
from engine.kernels.cool_down import cool_down
from engine.kernels.gather import load_attributes
from engine.kernels.matching import ERROR_ROW, FALSE_ROW, UNKNOWN_ROW
from engine.kernels.screening import CAP, CONSENT, CONTROL, ELIGIBILITY, VALIDITY, consent, control, validity
from engine.reasons import Reason, Stage

UNKNOWN_SUBSCRIBER = int(Reason.UNKNOWN_SUBSCRIBER)
NOT_ELIGIBLE = int(Reason.NOT_ELIGIBLE)
CONDITION_UNKNOWN = int(Reason.CONDITION_UNKNOWN)
CONDITION_ERROR = int(Reason.CONDITION_ERROR)
QUIET_HOURS = int(Reason.QUIET_HOURS)
CAP_REACHED = int(Reason.CAP_REACHED)
RANKED_OUT = int(Reason.RANKED_OUT)
QUIET, COOL_DOWN, RANK = int(Stage.QUIET_HOURS), int(Stage.COOL_DOWN), int(Stage.RANK)

_i8 = types.int64


@kernel(types.boolean(RUN_TYPE, _i8, _i8), inner=True)
def stopped_at(run: Run, stage: int, position: int) -> bool:
    """Return whether the stage stopped the position."""
    return bool(run.work.stopped[stage, position >> 6] >> np.uint64(position & 63) & np.uint64(1) != np.uint64(0))


@kernel(_i8(RUN_TYPE, _i8), inner=True)
def stage_of(run: Run, position: int) -> int:
    """Return the first stage that stopped the position, or RANK when it came to the choice."""
    for stage in range(CAP + 1):
        if stopped_at(run, stage, position):
            return stage
    return RANK


@kernel(_i8(RUN_TYPE, _i8, _i8, _i8), inner=True)
def eligibility_reason(run: Run, item: int, pair: int, position: int) -> int:
    """Return why the position's condition did not hold."""
    k = run.pairs.condition[run.pairs.pairs[pair]["first"] + position]
    lane, matcher = run.work.block.lane[0], run.matching.matchers[run.pairs.pairs[pair]["matcher"]]
    if lane >= 0:
        if run.work.block.unsettled[k] >> np.uint64(lane) & np.uint64(1) == np.uint64(0):
            return NOT_ELIGIBLE
        load_attributes(run.base, run.plan, run.rows, item)
        number = run.matching.numbers[matcher["numbers_at"] + k]
        status = evaluate_condition(run.conditions, run.rows, item, number) & 255
        return CONDITION_UNKNOWN if status == UNKNOWN else CONDITION_ERROR
    bit = np.uint64(1) << np.uint64(k & 63)
    if run.work.matched[FALSE_ROW, k >> 6] & bit != np.uint64(0):
        return NOT_ELIGIBLE
    if run.work.matched[UNKNOWN_ROW, k >> 6] & bit != np.uint64(0):
        return CONDITION_UNKNOWN
    return CONDITION_ERROR


@kernel(_i8(RUN_TYPE, _i8, _i8, _i8), inner=True)
def reason_of(run: Run, item: int, pair: int, position: int) -> Any:
    """Return the position's reason."""
    stage = stage_of(run, position)
    candidate = run.pairs.candidate[run.pairs.pairs[pair]["first"] + position]
    reason: Any = UNKNOWN_SUBSCRIBER
    if stage == VALIDITY:
        reason = validity(run.rules, candidate, run.moment.now_us)
    elif stage == CONSENT:
        reason = consent(run.rules, run.rows, item, candidate, run.items.channel[item])
    elif stage == ELIGIBILITY:
        reason = eligibility_reason(run, item, pair, position)
    elif stage == CONTROL:
        reason = control(run.rules, run.items.subscriber[item], candidate)
    elif stage == QUIET:
        reason = QUIET_HOURS
    elif stage == COOL_DOWN:
        reason = cool_down(run, item, candidate)
    elif stage == CAP:
        reason = CAP_REACHED
    elif stage == RANK:
        looked_at = run.work.looked_at[position >> 6] >> np.uint64(position & 63) & np.uint64(1) != np.uint64(0)
        reason = np.int64(run.work.reason[position]) if looked_at else RANKED_OUT
    return reason


@kernel(types.uint64(RUN_TYPE, _i8, _i8), inner=True)
def stopped_bits(run: Run, stage: int, w: int) -> Any:
    """Return word `w` of the positions that the stage stopped, RANK all that came to the choice; what a control group withholds is CONTROL's alone."""
    if stage == RANK:
        return run.work.free[w]
    if stage > CONTROL:
        return run.work.stopped[stage, w] & ~run.work.stopped[CONTROL, w]
    return run.work.stopped[stage, w]


@kernel(types.boolean(RUN_TYPE, _i8), inner=True)
def never_unknown(run: Run, pair: int) -> bool:
    """Return whether every condition of the pair came to true or false for the last item."""
    lane, matcher = run.work.block.lane[0], run.matching.matchers[run.pairs.pairs[pair]["matcher"]]
    if lane >= 0:
        return bool(run.work.block.unsettled[matcher["conditions"]] >> np.uint64(lane) & np.uint64(1) == np.uint64(0))
    unsettled = np.uint64(0)
    for w in range(matcher["words"]):
        unsettled |= run.work.matched[UNKNOWN_ROW, w] | run.work.matched[ERROR_ROW, w]
    return bool(unsettled == np.uint64(0))
