"""Counts of a scan: each item is decided as ever, then what it left behind is added to the tally of its trigger and channel."""

import numpy as np
from numba import types

from engine.dtypes.rules import ANSWERS_TYPE, RUN_TYPE, Answers, Run
from engine.dtypes.tally import (
    FIRST,
    GROUP_CHOSEN,
    GROUP_REACHED,
    REACHED,
    TALLY_TYPE,
    TIE_LOST,
    TIE_WON,
    TIED,
    WOULD_BE,
    Tally,
)
from engine.intrinsics import lowest_bit
from engine.jit import kernel
from engine.kernels.answering import answer_item, chain_items
from engine.kernels.blocks import after_block, take_block
from engine.kernels.choice import next_free
from engine.kernels.reasons import QUIET, QUIET_HOURS, eligibility_reason, never_unknown, reason_of, stopped_bits
from engine.kernels.screening import CAP, CONSENT, ELIGIBILITY, consent, pair_of
from engine.reasons import Reason

EXCLUSIVE_GROUP = int(Reason.EXCLUSIVE_GROUP)
RANKED_OUT = int(Reason.RANKED_OUT)
OFFERED = int(Reason.OFFERED)

_i8 = types.int64


@kernel(_i8(ANSWERS_TYPE, _i8), inner=True)
def judged(answers: Answers, item: int) -> int:
    """Return how many candidates the item's request came to: each is counted at some stage."""
    count = 0
    for stage in range(answers.stages.shape[1]):
        count += answers.stages[item, stage]
    return count


@kernel(_i8(RUN_TYPE, _i8), inner=True)
def choice_reason(run: Run, position: int) -> int:
    """Return what the choice made of a position that came to it."""
    if run.work.looked_at[position >> 6] >> np.uint64(position & 63) & np.uint64(1) != np.uint64(0):
        return int(run.work.reason[position])
    return RANKED_OUT


@kernel(_i8(RUN_TYPE, _i8, _i8, _i8, _i8), inner=True)
def stop_reason(run: Run, item: int, pair: int, position: int, stage: int) -> int:
    """Return why the stage stopped the position: `reason_of`, without the search for the stage."""
    candidate = run.pairs.candidate[run.pairs.pairs[pair]["first"] + position]
    if stage == CONSENT:
        return int(consent(run.rules, run.rows, item, candidate, run.items.channel[item]))
    if stage == ELIGIBILITY:
        return int(eligibility_reason(run, item, pair, position))
    if stage == QUIET:
        return QUIET_HOURS
    return int(reason_of(run, item, pair, position))


@kernel(types.void(RUN_TYPE, _i8, _i8, TALLY_TYPE, _i8), inner=True)
def count_stopped(run: Run, item: int, pair: int, tally: Tally, segment: int) -> None:
    """Count the candidates by reason; those that are plainly not eligible only where others are not so plainly."""
    counts, plain = tally.counts, never_unknown(run, pair)
    for w in range(run.pairs.pairs[pair]["words"]):
        for stage in range(CAP + 1):
            bits = stopped_bits(run, stage, w)
            if stage == ELIGIBILITY and plain:
                bits = np.uint64(0)
            while bits != np.uint64(0):
                position = w * 64 + lowest_bit(bits)
                bits &= bits - np.uint64(1)
                counts[segment, stop_reason(run, item, pair, position, stage), position] += 1
        bits = run.work.free[w]
        while bits != np.uint64(0):
            position = w * 64 + lowest_bit(bits)
            bits &= bits - np.uint64(1)
            counts[segment, choice_reason(run, position), position] += 1


@kernel(types.void(RUN_TYPE, _i8, TALLY_TYPE, _i8), inner=True)
def count_reached(run: Run, pair: int, tally: Tally, segment: int) -> None:
    """Count whom candidates, campaigns and offers reach; a campaign reaches a subscriber once however many of its offers do."""
    tally.serial[0] += 1
    for w in range(run.pairs.pairs[pair]["words"]):
        bits = run.work.left[w]
        while bits != np.uint64(0):
            position = w * 64 + lowest_bit(bits)
            bits &= bits - np.uint64(1)
            tally.counts[segment, REACHED, position] += 1
            for kind in range(2):
                group = tally.group_of[position, kind]
                if tally.stamp[GROUP_REACHED, group] != tally.serial[0]:
                    tally.stamp[GROUP_REACHED, group] = tally.serial[0]
                    tally.groups[segment, GROUP_REACHED, group] += 1


@kernel(types.void(ANSWERS_TYPE, _i8, TALLY_TYPE, _i8), inner=True)
def count_chosen(answers: Answers, item: int, tally: Tally, segment: int) -> None:
    """Count what is in the answer, or would be; after `count_reached`, whose serial it shares."""
    for seat in range(answers.chosen_count[item]):
        position = tally.position_of[answers.chosen[item, seat]]
        if seat == 0:
            tally.counts[segment, FIRST, position] += 1
        for kind in range(2):
            group = tally.group_of[position, kind]
            if tally.stamp[GROUP_CHOSEN, group] != tally.serial[0]:
                tally.stamp[GROUP_CHOSEN, group] = tally.serial[0]
                tally.groups[segment, GROUP_CHOSEN, group] += 1
    for seat in range(answers.would_be_count[item]):
        tally.counts[segment, WOULD_BE, tally.position_of[answers.would_be[item, seat]]] += 1


@kernel(types.void(RUN_TYPE, _i8, _i8, _i8, TALLY_TYPE, _i8), inner=True)
def count_equals(run: Run, pair: int, start: int, end: int, tally: Tally, segment: int) -> None:
    """Count the free positions of [start, end), which are equals and more than one, as tied, and which of them that gave a seat or took it."""
    offered, ranked_out = False, False
    position = start
    while position < end:
        reason = choice_reason(run, position)
        offered = offered or reason == OFFERED
        ranked_out = ranked_out or reason == RANKED_OUT
        position = next_free(run, pair, position + 1)
    position = start
    while position < end:
        reason = choice_reason(run, position)
        tally.counts[segment, TIED, position] += 1
        if reason == OFFERED and ranked_out:
            tally.counts[segment, TIE_WON, position] += 1
        elif reason == RANKED_OUT and offered:
            tally.counts[segment, TIE_LOST, position] += 1
        position = next_free(run, pair, position + 1)


@kernel(types.void(RUN_TYPE, _i8, TALLY_TYPE, _i8), inner=True)
def count_ties(run: Run, pair: int, tally: Tally, segment: int) -> None:
    """Count the equals that the choice came to: it goes through groups of equals in order, and looks at one at least of each that it comes to."""
    record = run.pairs.pairs[pair]
    position = next_free(run, pair, 0)
    while position < record["count"]:
        end = int(run.pairs.equal_end[record["first"] + position])
        looked, equals, at = False, 0, position
        while at < end:
            looked = looked or choice_reason(run, at) != RANKED_OUT
            equals += 1
            at = next_free(run, pair, at + 1)
        if not looked:
            break
        if equals > 1:
            count_equals(run, pair, position, end, tally, segment)
        position = at


@kernel(types.void(RUN_TYPE, _i8, _i8, TALLY_TYPE, ANSWERS_TYPE), inner=True)
def count_takers(run: Run, item: int, pair: int, tally: Tally, answers: Answers) -> None:
    """Count for each position that came to the choice and got no seat who had one before it: all that were chosen, or of its exclusive group the one."""
    if tally.takers.shape[0] == 0 or answers.chosen_count[item] == 0:
        return
    for w in range(run.pairs.pairs[pair]["words"]):
        bits = run.work.free[w]
        while bits != np.uint64(0):
            loser = w * 64 + lowest_bit(bits)
            bits &= bits - np.uint64(1)
            reason = choice_reason(run, loser)
            if reason == EXCLUSIVE_GROUP:
                tally.takers[tally.position_of[run.work.detail[loser]], loser] += 1
            elif reason == RANKED_OUT:
                for seat in range(answers.chosen_count[item]):
                    tally.takers[tally.position_of[answers.chosen[item, seat]], loser] += 1


@kernel(types.void(RUN_TYPE, _i8, TALLY_TYPE, ANSWERS_TYPE), inner=True)
def leave_behind(run: Run, item: int, tally: Tally, answers: Answers) -> None:
    """Write what a comparison of rulebooks asks of the item: whom it reached, and who came first."""
    tally.first[item] = tally.position_of[answers.chosen[item, 0]] if answers.chosen_count[item] else -1
    for w in range(tally.reached.shape[1]):
        tally.reached[item, w] = run.work.left[w]


@kernel(types.void(RUN_TYPE, _i8, TALLY_TYPE, ANSWERS_TYPE), inner=True)
def tally_item(run: Run, item: int, tally: Tally, answers: Answers) -> None:
    """Add an item that was just decided to every segment that it falls into."""
    pair = pair_of(run, item)
    candidates = judged(answers, item)
    tally.first[item] = -1
    for w in range(tally.reached.shape[1]):
        tally.reached[item, w] = np.uint64(0)
    for split in range(tally.segment.shape[1]):
        segment = int(tally.segment[item, split])
        tally.looked[segment] += 1
        tally.reasons[segment, answers.reason[item]] += 1
        if candidates > 0:
            tally.judged[segment] += 1
            count_stopped(run, item, pair, tally, segment)
            count_reached(run, pair, tally, segment)
            count_chosen(answers, item, tally, segment)
            count_ties(run, pair, tally, segment)
    if candidates > 0:
        count_takers(run, item, pair, tally, answers)
        leave_behind(run, item, tally, answers)


@kernel(types.void(RUN_TYPE, types.int64, ANSWERS_TYPE, TALLY_TYPE), inner=True)
def tally_chain(run: Run, item: int, answers: Answers, tally: Tally) -> None:
    """Decide the item and those that are chained after it, as `answer_chain` does, and count what became of each before the next is decided."""
    lane = run.work.block.lane
    while item >= 0:
        pair = pair_of(run, item)
        count = take_block(run, item, pair)
        for k in range(count):
            lane[0] = k if lane[0] >= 0 else -1
            answer_item(run, run.work.block.item[k], pair, answers)
            tally_item(run, run.work.block.item[k], tally, answers)
        item = after_block(run, count)


@kernel(types.void(RUN_TYPE, ANSWERS_TYPE, TALLY_TYPE))
def tally_run(run: Run, answers: Answers, tally: Tally) -> None:
    """Decide every item of a run, all of the tally's trigger and channel, as `answer_run` does, and count what became of it."""
    chain_items(run, answers)
    for item in range(run.moment.items):
        if answers.reason[item]:
            tally_item(run, item, tally, answers)
    for item in range(run.moment.items):
        if run.work.block.first[item]:
            tally_chain(run, item, answers, tally)
