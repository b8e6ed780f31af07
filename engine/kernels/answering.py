"""One run of items from screened candidates to answers: request stops, quiet hours, the choice, what control withheld, counts by stage."""

import numpy as np
from numba import types

from engine.dtypes.rules import ANSWERS_TYPE, RUN_TYPE, Answers, Run
from engine.dtypes.view import ERASED, FOUND, UNKNOWN
from engine.intrinsics import lowest_bit, popcount
from engine.jit import kernel, writable
from engine.kernels.blocks import after_block, chain, take_block
from engine.kernels.choice import choose, reached_cap, weigh
from engine.kernels.condition import evaluate_condition
from engine.kernels.counting import count_contacts, zone_row
from engine.kernels.gather import load_attributes
from engine.kernels.reasons import (
    COOL_DOWN,
    NOT_ELIGIBLE,
    QUIET,
    RANK,
    never_unknown,
    reason_of,
    stage_of,
    stopped_at,
    stopped_bits,
)
from engine.kernels.screening import CAP, CONTROL, ELIGIBILITY, VALIDITY, pair_of, screen, sooner
from engine.kernels.until import candidate_until_us, quiet_until_us
from engine.kernels.wall_clock import next_quiet_start
from engine.limits import MICROSECONDS_PER_SECOND, NEVER_US
from engine.reasons import Reason

UNKNOWN_SUBSCRIBER = int(Reason.UNKNOWN_SUBSCRIBER)
SUBSCRIBER_ERASED = int(Reason.SUBSCRIBER_ERASED)
CLOCK_UNCONFIRMED = int(Reason.CLOCK_UNCONFIRMED)
NO_CANDIDATE = int(Reason.NO_CANDIDATE)
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
    return 0 if run.pairs.pairs[pair_of(run, item)]["count"] else NO_CANDIDATE


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


@kernel(types.void(RUN_TYPE, types.int64, types.boolean), inner=True)
def free_positions(run: Run, pair: int, with_control: bool) -> None:
    """Fill work.free with what may be chosen; `with_control`, as if nobody were in a control group."""
    work = run.work
    for w in range(run.pairs.pairs[pair]["words"]):
        work.free[w] = work.left[w] & ~work.stopped[COOL_DOWN, w] & ~work.stopped[CAP, w]
        if not with_control:
            work.free[w] &= ~work.stopped[CONTROL, w]


@kernel(types.boolean(RUN_TYPE, types.int64), inner=True)
def any_in_control(run: Run, pair: int) -> bool:
    """Return whether a control group withholds a position."""
    held = np.uint64(0)
    for w in range(run.pairs.pairs[pair]["words"]):
        held |= run.work.stopped[CONTROL, w]
    return bool(held != np.uint64(0))


@kernel(types.void(RUN_TYPE, types.int64, types.int64, ANSWERS_TYPE), inner=True)
def would_be(run: Run, item: int, pair: int, answers: Answers) -> None:
    """Write the would-be offers: those of the choice without control groups that one withholds."""
    free_positions(run, pair, True)
    picked = choose(run, item, pair)
    record, kept = run.pairs.pairs[pair], 0
    for at in range(picked):
        for position in range(record["count"]):
            if run.pairs.candidate[record["first"] + position] == run.work.seats[at] and stopped_at(
                run, CONTROL, position
            ):
                answers.would_be[item, kept] = run.work.seats[at]
                kept += 1
    answers.would_be_count[item] = kept


@kernel(types.void(RUN_TYPE, types.int64), inner=True)
def count_item(run: Run, item: int) -> None:
    """Start a pass of the choice: count the item's contacts."""
    count_contacts(run.rules, run.clock, run.contacts, item, zone_row(run, item), run.moment.now_us, run.work)


@kernel(types.void(RUN_TYPE, types.int64, types.int64, ANSWERS_TYPE), inner=True)
def choose_offers(run: Run, item: int, pair: int, answers: Answers) -> None:
    """Choose among what is left, for the answer and for what control groups withhold."""
    count_item(run, item)
    weigh(run, item, pair)
    if any_in_control(run, pair):
        would_be(run, item, pair, answers)
        count_item(run, item)
    free_positions(run, pair, False)
    picked = choose(run, item, pair)
    answers.chosen_count[item] = picked
    for at in range(picked):
        answers.chosen[item, at] = run.work.seats[at]
        answers.score[item, at] = run.rules.candidates[run.work.seats[at]]["score"]


@kernel(types.void(RUN_TYPE, types.int64, types.int64, ANSWERS_TYPE), inner=True)
def count_stages(run: Run, item: int, pair: int, answers: Answers) -> None:
    """Count by stage what was stopped, and what the choice made of the rest."""
    work, words = run.work, run.pairs.pairs[pair]["words"]
    for w in range(words):
        for stage in range(CAP + 1):
            answers.stages[item, stage] += popcount(stopped_bits(run, stage, w))
        looked = work.looked_at[w]
        answers.stages[item, RANK] += popcount(work.free[w] & ~looked)
        while looked != np.uint64(0):
            answers.stages[item, work.reason[w * 64 + lowest_bit(looked)] // 10] += 1
            looked &= looked - np.uint64(1)


@kernel(types.void(RUN_TYPE, types.int64, types.int64, types.int64, ANSWERS_TYPE), inner=True)
def look_into(run: Run, item: int, pair: int, stage: int, answers: Answers) -> None:
    """Let the positions that one stage stopped raise the item's reason and bring its next allowed instant nearer."""
    record = run.pairs.pairs[pair]
    for w in range(record["words"]):
        bits = stopped_bits(run, stage, w)
        while bits != np.uint64(0):
            position = w * 64 + lowest_bit(bits)
            bits &= bits - np.uint64(1)
            reason = reason_of(run, item, pair, position)
            if reason > answers.reason[item]:
                answers.reason[item] = reason
            until = candidate_until_us(run, item, run.pairs.candidate[record["first"] + position], reason)
            answers.next_allowed_us[item] = sooner(answers.next_allowed_us[item], until)


@kernel(types.void(RUN_TYPE, types.int64, types.int64, ANSWERS_TYPE), inner=True)
def explain_nothing(run: Run, item: int, pair: int, answers: Answers) -> None:
    """For an answer without an offer: write the reason that got furthest, and the next instant at which a candidate may pass."""
    answers.reason[item] = 0
    for back in range(RANK + 1):
        stage = RANK - back
        if not answers.stages[item, stage] and stage != RANK:
            continue
        furthest = answers.reason[item] // 10 <= stage
        if stage == VALIDITY and run.rows.found[item] == FOUND and not furthest:
            answers.next_allowed_us[item] = sooner(answers.next_allowed_us[item], run.work.valid_span_us[pair, 2])
        elif stage == ELIGIBILITY and furthest and never_unknown(run, pair):
            answers.reason[item] = NOT_ELIGIBLE
        elif furthest or stage >= QUIET or stage == VALIDITY:
            look_into(run, item, pair, stage, answers)


@kernel(types.void(RUN_TYPE, types.int64, ANSWERS_TYPE), inner=True)
def clear(run: Run, item: int, answers: Answers) -> None:
    """Make the item's row empty."""
    answers.chosen_count[item] = answers.would_be_count[item] = 0
    for seat in range(answers.chosen.shape[1]):
        answers.chosen[item, seat] = answers.would_be[item, seat] = -1
        answers.score[item, seat] = 0.0
    for stage in range(answers.stages.shape[1]):
        answers.stages[item, stage] = 0
    answers.next_allowed_us[item] = NEVER_US
    answers.not_before_us[item] = answers.deadline_us[item] = answers.expires_us[item] = run.moment.now_us


@kernel(types.void(RUN_TYPE, types.int64, types.int64, ANSWERS_TYPE), inner=True)
def answer_item(run: Run, item: int, pair: int, answers: Answers) -> None:
    """Decide one item of the block."""
    screen(run, item, pair)
    if may_contact(run, item, answers):
        choose_offers(run, item, pair, answers)
    else:
        for w in range(run.pairs.pairs[pair]["words"]):
            run.work.stopped[QUIET, w] = run.work.left[w] & ~run.work.stopped[CONTROL, w]
            run.work.free[w] = np.uint64(0)
    count_stages(run, item, pair, answers)
    answers.reason[item] = OFFERED
    if not answers.chosen_count[item]:
        explain_nothing(run, item, pair, answers)


@kernel(types.void(RUN_TYPE, ANSWERS_TYPE), inner=True)
def chain_items(run: Run, answers: Answers) -> None:
    """Chain the run's items by pair, the first of each marked in block.first; those that are stopped before they have candidates are answered instead."""
    for item in range(run.moment.items):
        clear(run, item, answers)
        run.work.block.first[item] = 0
        answers.reason[item] = request_stop(run, item)
        if not answers.reason[item]:
            chain(run, item, pair_of(run, item))


@kernel(types.void(RUN_TYPE, types.int64, ANSWERS_TYPE), inner=True)
def answer_chain(run: Run, item: int, answers: Answers) -> None:
    """Decide the item and those of its pair that are chained after it, block by block."""
    lane = run.work.block.lane
    while item >= 0:
        pair = pair_of(run, item)
        count = take_block(run, item, pair)
        for k in range(count):
            lane[0] = k if lane[0] >= 0 else -1
            answer_item(run, run.work.block.item[k], pair, answers)
        item = after_block(run, count)


@kernel(types.void(RUN_TYPE, ANSWERS_TYPE), apart=True)
def answer_run(run: Run, answers: Answers) -> None:
    """Decide every item of a run; what one chooses is not yet in the ledger when another is decided."""
    chain_items(run, answers)
    for item in range(run.moment.items):
        if run.work.block.first[item]:
            answer_chain(run, item, answers)


@kernel(types.void(RUN_TYPE, writable(np.uint8), writable(np.int32), writable(np.int64)))
def explain_run(run: Run, reason: np.ndarray, detail: np.ndarray, until_us: np.ndarray) -> None:
    """For Explain, right after `answer_run` of a run of one item: write for each position why it stands where it stands.

    `detail`: for conditions the term that decided, for caps the first that is reached, for exclusive groups the candidate that has the place.
    `until_us`: the instant at which the position may next pass, or NEVER_US.
    """
    pair = pair_of(run, 0)
    first = run.pairs.pairs[pair]["first"]
    for position in range(len(reason)):
        reason[position] = reason_of(run, 0, pair, position)
        until_us[position] = candidate_until_us(run, 0, run.pairs.candidate[first + position], int(reason[position]))
    count_item(run, 0)
    for position in range(len(reason)):
        candidate = run.pairs.candidate[first + position]
        detail[position] = run.work.detail[position]
        if stopped_at(run, CAP, position):
            detail[position] = reached_cap(run, 0, candidate)
        elif stage_of(run, position) == ELIGIBILITY:
            condition = run.rules.candidates[candidate]["condition"]
            load_attributes(run.base, run.plan, run.rows, 0)
            detail[position] = evaluate_condition(run.conditions, run.rows, 0, condition) >> 8
