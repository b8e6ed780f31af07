"""Which caps stopped candidates of the items of a run: the rounds of a scan."""

import numpy as np
from numba import types

from engine.dtypes.rules import ANSWERS_TYPE, RUN_TYPE, Answers, Run
from engine.dtypes.tally import ROUNDS_TYPE, Rounds
from engine.intrinsics import lowest_bit
from engine.jit import kernel
from engine.kernels.answering import answer_item, chain_items, count_item
from engine.kernels.blocks import after_block, take_block
from engine.kernels.counting import used_of
from engine.kernels.reasons import stopped_bits
from engine.kernels.screening import CAP, pair_of
from engine.reasons import Reason

CAP_REACHED = int(Reason.CAP_REACHED)
WITH_OFFER, OFFERS, STOPPED, LEFT_WITHOUT = 0, 1, 2, 3
"""Columns of Rounds.decisions."""

_i8 = types.int64


@kernel(types.uint64(RUN_TYPE, _i8, _i8), inner=True)
def caps_among(run: Run, start: int, count: int) -> np.uint64:
    """Return, a bit each, the caps at their limit among `count` entries of cap_of from `start`; the item's contacts must be counted."""
    caps = np.uint64(0)
    for entry in range(start, start + count):
        instance = run.rules.cap_of[entry]
        if used_of(run.rules, run.totals, instance, run.work) >= run.rules.instances[instance]["limit"]:
            caps |= np.uint64(1) << np.uint64(run.rules.instances[instance]["cap"])
    return caps


@kernel(types.uint64(RUN_TYPE, _i8), inner=True)
def filled_caps(run: Run, pair: int) -> np.uint64:
    """Return, a bit each, the caps that this answer's own offers filled before a candidate was looked at: the first by id of each candidate."""
    caps = np.uint64(0)
    for w in range(run.pairs.pairs[pair]["words"]):
        bits = run.work.free[w] & run.work.looked_at[w]
        while bits != np.uint64(0):
            position = w * 64 + lowest_bit(bits)
            bits &= bits - np.uint64(1)
            if run.work.reason[position] == CAP_REACHED:
                caps |= np.uint64(1) << np.uint64(run.work.detail[position])
    return caps


@kernel(types.uint64(RUN_TYPE, _i8, _i8), inner=True)
def stopping_caps(run: Run, item: int, pair: int) -> np.uint64:
    """Return, a bit each, the caps that stopped a candidate of the item that was just decided; counts its contacts anew."""
    caps = filled_caps(run, pair)
    record, channel = run.pairs.pairs[pair], run.rules.channels[run.items.channel[item]]
    stopped = np.uint64(0)
    for w in range(record["words"]):
        stopped |= stopped_bits(run, CAP, w)
    if stopped == np.uint64(0):
        return caps
    count_item(run, item)
    caps |= caps_among(run, channel["cap_start"], channel["cap_count"])
    for w in range(record["words"]):
        bits = stopped_bits(run, CAP, w)
        while bits != np.uint64(0):
            row = run.rules.candidates[run.pairs.candidate[record["first"] + w * 64 + lowest_bit(bits)]]
            bits &= bits - np.uint64(1)
            caps |= caps_among(run, row["cap_start"], row["cap_count"])
    return caps


@kernel(types.void(RUN_TYPE, types.int64, types.int64, ANSWERS_TYPE, ROUNDS_TYPE), inner=True)
def count_capped(run: Run, item: int, pair: int, answers: Answers, rounds: Rounds) -> None:
    """Count under the present round what caps stopped of the item that was decided last."""
    decisions, caps_row = rounds.decisions, rounds.round[0]
    caps = stopping_caps(run, item, pair) if answers.reason[item] >= CAP_REACHED else np.uint64(0)
    count = answers.chosen_count[item]
    decisions[caps_row, WITH_OFFER] += count > 0
    decisions[caps_row, OFFERS] += count
    decisions[caps_row, STOPPED] += caps != np.uint64(0)
    decisions[caps_row, LEFT_WITHOUT] += caps != np.uint64(0) and count == 0
    while caps != np.uint64(0):
        rounds.caps[caps_row, lowest_bit(caps)] += 1
        caps &= caps - np.uint64(1)


@kernel(types.void(RUN_TYPE, types.int64, ANSWERS_TYPE, ROUNDS_TYPE), inner=True)
def cap_chain(run: Run, item: int, answers: Answers, rounds: Rounds) -> None:
    """Decide the item and those that are chained after it, as `answer_chain` does, and count each before the next is decided."""
    lane = run.work.block.lane
    while item >= 0:
        pair = pair_of(run, item)
        count = take_block(run, item, pair)
        for k in range(count):
            lane[0] = k if lane[0] >= 0 else -1
            answer_item(run, run.work.block.item[k], pair, answers)
            count_capped(run, run.work.block.item[k], pair, answers, rounds)
        item = after_block(run, count)


@kernel(types.void(RUN_TYPE, ANSWERS_TYPE, ROUNDS_TYPE))
def cap_run(run: Run, answers: Answers, rounds: Rounds) -> None:
    """Decide every item of a run as `answer_run` does, and count under the present round what caps stopped."""
    chain_items(run, answers)
    for item in range(run.moment.items):
        if run.work.block.first[item]:
            cap_chain(run, item, answers, rounds)
