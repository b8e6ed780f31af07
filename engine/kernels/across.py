"""A list's conditions evaluated for a block of items at once: operands made word by word, conditions joined, answers turned back to a row an item."""

import numpy as np
from numba import types

from engine.dtypes.across import HELD_AT
from engine.dtypes.condition import FALSE, TRUE
from engine.dtypes.rules import RUN_TYPE, Run
from engine.intrinsics import bits_across, lowest_bit, turn_bytes
from engine.jit import kernel
from engine.kernels.condition import evaluate_condition
from engine.kernels.gather import load_attributes
from engine.kernels.scales import fill_scale, find_stored
from engine.kernels.transpose import SIDE, transpose

_i8 = types.int64


@kernel(types.boolean(RUN_TYPE, _i8), inner=True)
def any_aged(run: Run, items: int) -> bool:
    """Return whether an item may have a label that is past its age."""
    aged, item = np.uint8(0), run.work.block.item
    for lane in range(items):
        aged |= run.rows.aged[np.uint64(item[lane])]
    return bool(aged != 0)


@kernel(types.void(RUN_TYPE, _i8, _i8), inner=True)
def turn_labels(run: Run, items: int, matcher: int) -> None:
    """Fill the operands of labels that conditions ask about: who has each, who has it fresh, who has it past its age."""
    across, block, numbers = run.matching.across[matcher], run.work.block, run.matching.numbers
    label_words, asked_at, aged = across["label_words"], across["asked_at"], any_aged(run, items)
    operands, square, turned, item = block.operands, block.square, block.turned, block.item
    for at in range(label_words):
        word = np.uint64(numbers[across["label_word_at"] + at])
        held_at = HELD_AT + at * SIDE
        fresh_at, stale_at = held_at + label_words * SIDE, held_at + 2 * label_words * SIDE
        first, end = numbers[asked_at + at], numbers[asked_at + at + 1]
        for lane in range(items):
            square[0, lane] = run.rows.present[np.uint64(item[lane]), word]
        turn_bytes(square, turned)
        for entry in range(first, end):
            label = np.int64(numbers[entry])
            held = np.uint64(bits_across(turned, (label >> 3) * SIDE, label & 7))
            operands[held_at + label] = operands[fresh_at + label] = held
            operands[stale_at + label] = np.uint64(0)
        if aged:
            for lane in range(items):
                square[0, lane] = run.rows.present[item[lane], word] & ~run.rows.fresh[item[lane], word]
            turn_bytes(square, turned)
            for entry in range(first, end):
                label = np.int64(numbers[entry])
                stale = np.uint64(bits_across(turned, (label >> 3) * SIDE, label & 7))
                operands[fresh_at + label] &= ~stale
                operands[stale_at + label] = stale


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
