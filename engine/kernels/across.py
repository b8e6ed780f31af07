"""A list's conditions evaluated for a block of items at once: operands made word by word, conditions joined, answers turned back to a row an item."""

import numpy as np
from numba import types

from engine.dtypes.across import BLOCK_ITEMS, HELD_AT
from engine.dtypes.base import PLAIN
from engine.dtypes.condition import FALSE, KNOWN, RANGE, TRUE
from engine.dtypes.rules import RUN_TYPE, Run
from engine.intrinsics import lowest_bit, prefetch
from engine.jit import kernel, writable
from engine.kernels.cel_load import is_known
from engine.kernels.condition import evaluate_condition
from engine.kernels.gather import CACHE_LINE_BYTES, load_attributes, read_slot, stored_value
from engine.kernels.matching import column_value
from engine.kernels.transpose import SIDE, transpose

_i8 = types.int64


@kernel(types.void(RUN_TYPE, _i8, _i8), inner=True)
def turn_labels(run: Run, items: int, matcher: int) -> None:
    """Fill the operands of labels: who has each, who has it fresh, who has it past its age."""
    across, block, numbers = run.matching.across[matcher], run.work.block, run.matching.numbers
    label_words = across["label_words"]
    for at in range(label_words):
        word = numbers[across["label_word_at"] + at]
        held_at = HELD_AT + at * SIDE
        fresh_at, stale_at = held_at + label_words * SIDE, held_at + 2 * label_words * SIDE
        old = np.uint64(0)
        for lane in range(items):
            item = block.item[lane]
            block.square[0, lane] = run.rows.present[item, word]
            old |= run.rows.present[item, word] & ~run.rows.fresh[item, word]
        transpose(block.square)
        for label in range(SIDE):
            block.operands[held_at + label] = block.operands[fresh_at + label] = block.square[0, label]
            block.operands[stale_at + label] = np.uint64(0)
        if old != np.uint64(0):
            for lane in range(items):
                item = block.item[lane]
                block.square[0, lane] = run.rows.present[item, word] & ~run.rows.fresh[item, word]
            transpose(block.square)
            for label in range(SIDE):
                block.operands[fresh_at + label] &= ~block.square[0, label]
                block.operands[stale_at + label] = block.square[0, label]


@kernel(types.boolean(RUN_TYPE, _i8), inner=True)
def find_stored(run: Run, items: int) -> bool:
    """Ask for the cache lines of the rows whose attributes are still to be read, and note where they are; return whether every item has one."""
    stride, every = run.plan.plan[0]["stride"], True
    for lane in range(items):
        row = run.rows.row[run.work.block.item[lane]]
        every = every and row >= 0
        if row >= 0:
            run.work.block.row_at[lane] = row * stride
            for line in range(0, stride, CACHE_LINE_BYTES):
                prefetch(run.base.r8, row * stride + line)
            prefetch(run.base.r8, row * stride + stride - 1)
    return every


@kernel(types.uint64(RUN_TYPE, _i8, _i8), inner=True)
def take_stored(run: Run, items: int, slot: int) -> np.uint64:
    """Fill block.value with a plain attribute of the items' rows; return the items that know it."""
    field, rows, block = run.plan.fields[slot], run.base, run.work.block
    byte, shift = np.uint64(run.plan.plan[0]["presence_at"] + (field["bit"] >> 3)), np.uint8(field["bit"] & 7)
    width, at, bias, limit = field["width"], field["at"], field["bias"], field["limit"]
    known = np.uint64(0)
    for lane in range(items):
        start = block.row_at[lane]
        bit = np.uint64(rows.r8[np.uint64(start) + byte] >> shift & 1)
        stored = stored_value(rows, start, at, width)
        if limit != 0:
            bit &= np.uint64(stored < limit)
        known |= bit << np.uint64(lane)
        block.value[lane] = bias + stored
    return known


@kernel(types.uint64(RUN_TYPE, _i8, _i8), inner=True)
def take_any(run: Run, items: int, scale: int) -> np.uint64:
    """Fill block.value with what a scale's cuts divide; return the items that know it."""
    record, block = run.matching.scales[scale], run.work.block
    slot, kind, known = record["slot"], record["kind"], np.uint64(0)
    of_base = 0 <= slot < run.plan.plan[0]["attributes"]
    for lane in range(items):
        item = block.item[lane]
        if of_base and run.rows.row[item] >= 0:
            read_slot(run.base, run.plan, run.rows, item, slot, run.rows.row[item])
        if is_known(run.rows.known, run.rows.zone, item, slot):
            known |= np.uint64(1) << np.uint64(lane)
            if kind != KNOWN:
                block.value[lane] = column_value(run, item, slot, kind, record["base"])
    return known


@kernel(types.uint64(writable(np.int64), _i8), inner=True)
def at_or_above(value: np.ndarray, cut: int) -> np.uint64:
    """Return the items whose value is not below the cut."""
    word = np.uint64(0)
    for lane in range(BLOCK_ITEMS):
        word |= np.uint64(value[lane] >= cut) << np.uint64(lane)
    return word


@kernel(types.void(RUN_TYPE, _i8, types.uint64), inner=True)
def compare_cuts(run: Run, scale: int, known: np.uint64) -> None:
    """Fill the operands of a scale of few cuts, each compared with every value."""
    record, block, cuts = run.matching.scales[scale], run.work.block, run.matching.cuts
    lows, cut_at = record["lows"], record["cut_at"]
    for k in range(lows):
        block.operands[record["low_at"] + 1 + k] = at_or_above(block.value, cuts[cut_at + k]) | ~known
    for k in range(record["highs"]):
        block.operands[record["high_at"] + 1 + k] = at_or_above(block.value, cuts[cut_at + lows + k]) & known


@kernel(types.void(RUN_TYPE, _i8, _i8), inner=True)
def find_intervals(run: Run, first: int, count: int) -> None:
    """Fill block.interval: how many of cuts[first : first + count], which are sorted, are not above each item's value. All items at each step."""
    cuts, value, interval, size = run.matching.cuts, run.work.block.value, run.work.block.interval, count
    for lane in range(BLOCK_ITEMS):
        interval[lane] = 0
    while size > 1:
        half = size >> 1
        for lane in range(BLOCK_ITEMS):
            interval[lane] += half if cuts[np.uint64(first + interval[lane] + half - 1)] <= value[lane] else 0
        size -= half
    for lane in range(BLOCK_ITEMS):
        interval[lane] += np.int64(cuts[np.uint64(first + interval[lane])] <= value[lane])


@kernel(types.void(RUN_TYPE, _i8, _i8, types.uint64), inner=True)
def spread(run: Run, operand_at: int, count: int, joined: np.uint64) -> None:
    """Make of the bits at each item's highest operand those at every operand up to it; the items `joined` have them all."""
    operands = run.work.block.operands
    for back in range(count):
        at = np.uint64(operand_at + count - back)
        joined |= operands[at]
        operands[at] = joined


@kernel(types.void(RUN_TYPE, _i8, _i8, types.uint64), inner=True)
def rank_cuts(run: Run, items: int, scale: int, known: np.uint64) -> None:
    """Fill the operands of a scale of many cuts: each item's bit at the highest that it is at or above, then at all below."""
    record, block, numbers = run.matching.scales[scale], run.work.block, run.matching.numbers
    operands, low_at, high_at = block.operands, np.uint64(record["low_at"]), np.uint64(record["high_at"])
    for at in range(record["low_at"], record["high_at"] + record["highs"] + 1):
        operands[at] = np.uint64(0)
    find_intervals(run, record["cut_at"], record["cuts"])
    for lane in range(items):
        bit = np.uint64(1) << np.uint64(lane) & known
        rank = np.uint64(record["rank_at"] + 2 * block.interval[lane])
        operands[low_at + np.uint64(numbers[rank])] |= bit
        operands[high_at + np.uint64(numbers[rank + np.uint64(1)])] |= bit
    spread(run, record["low_at"], record["lows"], ~known)
    spread(run, record["high_at"], record["highs"], np.uint64(0))


@kernel(types.void(RUN_TYPE, _i8, _i8, types.boolean), inner=True)
def fill_scale(run: Run, items: int, scale: int, stored: bool) -> None:
    """Fill the operands of a scale; `stored`: every item has a row whose attributes are still to be read."""
    record, operands = run.matching.scales[scale], run.work.block.operands
    slot = record["slot"]
    known = np.uint64(0)
    if (
        stored
        and record["kind"] == RANGE
        and 0 <= slot < run.plan.plan[0]["attributes"]
        and run.plan.fields[slot]["kind"] == PLAIN
    ):
        known = take_stored(run, items, slot)
    else:
        known = take_any(run, items, scale)
    operands[record["unknown_at"]], operands[record["unknown_at"] + 1] = ~known, known
    if record["rank_at"] < 0:
        compare_cuts(run, scale, known)
    else:
        rank_cuts(run, items, scale, known)


@kernel(types.void(RUN_TYPE, _i8), inner=True)
def derive(run: Run, matcher: int) -> None:
    """Fill the operands that are one without another."""
    across, operands, numbers = run.matching.across[matcher], run.work.block.operands, run.matching.numbers
    for k in range(across["derived"]):
        first, beyond = numbers[across["pair_at"] + 2 * k], numbers[across["pair_at"] + 2 * k + 1]
        operands[across["derived_at"] + k] = operands[first] & ~operands[beyond]


@kernel(types.void(RUN_TYPE, _i8), inner=True)
def join_conditions(run: Run, matcher: int) -> None:
    """Fill block.holds and block.unsettled from the operands."""
    across, block, numbers = run.matching.across[matcher], run.work.block, run.matching.numbers
    operands, every = block.operands, ~np.uint64(0)
    at, place_at, any_unsettled = np.uint64(across["operand_at"]), np.uint64(across["place_at"]), np.uint64(0)
    for shape in range(across["shapes"]):
        shape_at = across["shape_at"] + 4 * shape
        ands, withouts, unknowns = numbers[shape_at + 1], numbers[shape_at + 2], numbers[shape_at + 3]
        for _ in range(numbers[shape_at]):
            left, unknown = every, np.uint64(0)
            for _ in range(ands):
                left &= operands[np.uint64(numbers[at])]
                at += np.uint64(1)
            for _ in range(withouts):
                left &= ~operands[np.uint64(numbers[at])]
                at += np.uint64(1)
            for _ in range(unknowns):
                unknown |= operands[np.uint64(numbers[at])]
                at += np.uint64(1)
            k = np.uint64(numbers[place_at])
            place_at += np.uint64(1)
            block.holds[k] = left & ~unknown
            block.unsettled[k] = left & unknown
            any_unsettled |= left & unknown
    end = run.matching.matchers[matcher]["conditions"]
    block.holds[end], block.unsettled[end] = every, any_unsettled


@kernel(types.void(RUN_TYPE, _i8, _i8), inner=True)
def settle_whole(run: Run, items: int, matcher: int) -> None:
    """Evaluate the conditions with programs or fixed terms, for the items that their other terms leave."""
    across, block, matchers = run.matching.across[matcher], run.work.block, run.matching.matchers
    filled = ~np.uint64(0) >> np.uint64(SIDE - items)
    for at in range(across["whole"]):
        k = run.matching.numbers[across["whole_at"] + at]
        number = run.matching.numbers[matchers[matcher]["numbers_at"] + k]
        left = (block.holds[k] | block.unsettled[k]) & filled
        block.holds[k] = block.unsettled[k] = np.uint64(0)
        while left != np.uint64(0):
            bit = left & (~left + np.uint64(1))
            item = block.item[lowest_bit(left)]
            left ^= bit
            load_attributes(run.base, run.plan, run.rows, item)
            status = evaluate_condition(run.conditions, run.rows, item, number) & 255
            if status == TRUE:
                block.holds[k] |= bit
            elif status != FALSE:
                block.unsettled[k] |= bit
        block.unsettled[matchers[matcher]["conditions"]] |= block.unsettled[k]


@kernel(types.void(RUN_TYPE, _i8, _i8), inner=True)
def turn_positions(run: Run, items: int, pair: int) -> None:
    """Write for each item the row of the pair's positions whose condition holds."""
    record, block = run.pairs.pairs[pair], run.work.block
    first, count = record["first"], record["count"]
    every = run.matching.matchers[record["matcher"]]["conditions"]
    for w in range(record["words"]):
        for bit in range(SIDE):
            position = w * SIDE + bit
            holds = np.uint64(0)
            if position < count:
                k = run.pairs.condition[first + position]
                holds = block.holds[k if k >= 0 else every]
            block.square[0, bit] = holds
        transpose(block.square)
        for lane in range(items):
            block.rows[lane, w] = block.square[0, lane]


@kernel(types.void(RUN_TYPE, _i8, _i8), apart=True)
def match_block(run: Run, items: int, pair: int) -> None:
    """Match the pair's conditions for the first `items` items of the block: fill block.rows, and holds and unsettled by condition."""
    matcher = run.pairs.pairs[pair]["matcher"]
    across = run.matching.across[matcher]
    stored = across["scales"] > 0 and find_stored(run, items)
    turn_labels(run, items, matcher)
    for scale in range(across["scale_at"], across["scale_at"] + across["scales"]):
        fill_scale(run, items, scale, stored)
    derive(run, matcher)
    join_conditions(run, matcher)
    settle_whole(run, items, matcher)
    turn_positions(run, items, pair)
