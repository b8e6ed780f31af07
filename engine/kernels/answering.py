"""One run of items from screened candidates to answers: request stops, quiet hours, the choice, what control withheld, counts by stage."""

import numpy as np
from numba import types

from engine.dtypes.rules import ANSWERS_TYPE, RUN_TYPE, Answers, Run
from engine.dtypes.view import ERASED, UNKNOWN
from engine.jit import kernel, writable
from engine.kernels.choice import choose
from engine.kernels.counting import zone_row
from engine.kernels.until import candidate_until_us, quiet_until_us
from engine.kernels.wall_clock import next_quiet_start
from engine.limits import MICROSECONDS_PER_SECOND, NEVER_US
from engine.reasons import Reason

UNKNOWN_SUBSCRIBER = int(Reason.UNKNOWN_SUBSCRIBER)
SUBSCRIBER_ERASED = int(Reason.SUBSCRIBER_ERASED)
CLOCK_UNCONFIRMED = int(Reason.CLOCK_UNCONFIRMED)
NO_CANDIDATE = int(Reason.NO_CANDIDATE)
QUIET_HOURS = int(Reason.QUIET_HOURS)
OFFERED = int(Reason.OFFERED)
PUSH_GRACE_US = 600 * MICROSECONDS_PER_SECOND
"""A push hold outlives its deadline by this: the hand-off may have begun just before."""


@kernel(types.int64(RUN_TYPE, types.int64), inner=True)
def request_stop(run: Run, item: int) -> int:
    """Return the reason that stops the item before it has candidates, or 0."""
    found = run.rows.found[item]
    if found == ERASED:
        return SUBSCRIBER_ERASED
    if found == UNKNOWN and not run.rules.settings[0]["anonymous_offers"]:
        return UNKNOWN_SUBSCRIBER
    if run.moment.push_stopped and run.rules.channels[run.items.channel[item]]["push"]:
        return CLOCK_UNCONFIRMED
    pair = run.items.trigger[item] * run.rules.settings[0]["channels"] + run.items.channel[item]
    if run.rules.pair_start[pair] == run.rules.pair_start[pair + 1]:
        return NO_CANDIDATE
    return 0


@kernel(types.boolean(RUN_TYPE, types.int64, ANSWERS_TYPE), inner=True)
def may_contact(run: Run, item: int, answers: Answers) -> bool:
    """Set when the answer may be sent, until when, and when its hold ends; return False when quiet hours stop it."""
    channel = run.rules.channels[run.items.channel[item]]
    now_us = run.moment.now_us
    until = quiet_until_us(run, item)
    answers.not_before_us[item] = now_us
    answers.deadline_us[item] = answers.expires_us[item] = now_us + channel["hold_us"]
    if until != NEVER_US:
        if not channel["defer"] or until >= now_us + channel["queue_deadline_us"]:
            return False
        answers.not_before_us[item] = max(until, now_us)
    if channel["push"]:
        deadline = now_us + channel["queue_deadline_us"]
        if channel["quiet_class"] >= 0:
            row = channel["quiet_class"] * (run.rules.settings[0]["zones"] + 1) + zone_row(run, item)
            deadline = min(deadline, next_quiet_start(run.clock, row, answers.not_before_us[item]))
        answers.deadline_us[item] = deadline
        answers.expires_us[item] = deadline + PUSH_GRACE_US
    return True


@kernel(types.void(RUN_TYPE, types.int64, types.int64), inner=True)
def stop_for_quiet(run: Run, item: int, count: int) -> None:
    """Give every passing position the reason QUIET_HOURS."""
    for position in range(count):
        if run.work.reason[item, position] == 0 and run.work.control[item, position] == 0:
            run.work.reason[item, position] = QUIET_HOURS


@kernel(types.void(RUN_TYPE, types.int64, types.int64, ANSWERS_TYPE), inner=True)
def withhold(run: Run, item: int, count: int, answers: Answers) -> None:
    """When any position is in control, write the would-be offers: those of the choice without control that control stopped."""
    any_control = False
    for position in range(count):
        any_control = any_control or (run.work.control[item, position] != 0 and run.work.reason[item, position] == 0)
    if not any_control:
        return
    picked = choose(run, item, True)
    pair = run.items.trigger[item] * run.rules.settings[0]["channels"] + run.items.channel[item]
    first = run.rules.pair_start[pair]
    kept = 0
    for at in range(picked):
        for position in range(count):
            if run.rules.pair[first + position] == run.work.seats[at] and run.work.control[item, position]:
                answers.would_be[item, kept] = run.work.seats[at]
                kept += 1
    answers.would_be_count[item] = kept


@kernel(types.void(RUN_TYPE, types.int64, types.int64, ANSWERS_TYPE), inner=True)
def summarize(run: Run, item: int, count: int, answers: Answers) -> None:
    """Settle each position's reason and from them the decision's reason, its counts by stage and its next allowed instant."""
    work = run.work
    reason = 0
    for position in range(count):
        if work.reason[item, position] == 0:
            work.reason[item, position] = work.control[item, position]
        reason = max(reason, work.reason[item, position])
        answers.stages[item, work.reason[item, position] // 10] += 1
    answers.reason[item] = reason
    if reason == OFFERED:
        return
    soonest = NEVER_US
    for position in range(count):
        until = candidate_until_us(run, item, position)
        if until != NEVER_US and (soonest == NEVER_US or until < soonest):
            soonest = until
    answers.next_allowed_us[item] = soonest


@kernel(types.void(RUN_TYPE, types.int64, ANSWERS_TYPE), inner=True)
def clear(run: Run, item: int, answers: Answers) -> None:
    """Make the item's row empty."""
    answers.chosen_count[item] = answers.would_be_count[item] = 0
    answers.chosen[item, :] = -1
    answers.would_be[item, :] = -1
    answers.stages[item, :] = 0
    answers.next_allowed_us[item] = NEVER_US
    answers.not_before_us[item] = answers.deadline_us[item] = answers.expires_us[item] = run.moment.now_us


@kernel(types.void(RUN_TYPE, types.int64, ANSWERS_TYPE), inner=True)
def answer_item(run: Run, item: int, answers: Answers) -> None:
    """Decide one item whose candidates are screened."""
    clear(run, item, answers)
    stop = request_stop(run, item)
    if stop:
        answers.reason[item] = stop
        return
    pair = run.items.trigger[item] * run.rules.settings[0]["channels"] + run.items.channel[item]
    count = run.rules.pair_start[pair + 1] - run.rules.pair_start[pair]
    if may_contact(run, item, answers):
        withhold(run, item, count, answers)
        picked = choose(run, item, False)
        answers.chosen_count[item] = picked
        for at in range(picked):
            answers.chosen[item, at] = run.work.seats[at]
    else:
        stop_for_quiet(run, item, count)
    summarize(run, item, count, answers)


@kernel(types.void(RUN_TYPE, ANSWERS_TYPE))
def answer_run(run: Run, answers: Answers) -> None:
    """Decide every item of a run, in order; what one chooses is not yet in the ledger when the next is decided."""
    for item in range(len(run.items.subscriber)):
        answer_item(run, item, answers)


@kernel(types.void(RUN_TYPE, writable(np.int64)))
def untils(run: Run, until_us: np.ndarray) -> None:
    """For Explain, right after `answer_run` of a run of one item: write for each position the instant at which it may next pass, or NEVER_US."""
    for position in range(len(until_us)):
        until_us[position] = candidate_until_us(run, 0, position)
