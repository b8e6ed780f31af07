"""What a block of items has of one slot, compared with the cuts of a list's conditions: as the base stores it where that can be."""

import numpy as np
from numba import types

from engine.dtypes.across import BLOCK_ITEMS
from engine.dtypes.base import PLAIN
from engine.dtypes.condition import KNOWN, RANGE
from engine.dtypes.rules import RUN_TYPE, Run
from engine.intrinsics import bits_across, not_below, prefetch
from engine.jit import kernel, writable
from engine.kernels.cel_load import is_known
from engine.kernels.gather import CACHE_LINE_BYTES, read_slot
from engine.kernels.matching import column_value

LABEL_WORD_BYTES = 8
INT64_MIN = np.iinfo(np.int64).min

_i8 = types.int64
_STORED = tuple(writable(dtype) for dtype in (np.uint32, np.uint16, np.uint8))


@kernel(types.boolean(RUN_TYPE, _i8), inner=True)
def find_stored(run: Run, items: int) -> bool:
    """Ask for the cache lines of the attributes that are still to be read, and note where their rows are; return whether every item has one."""
    stride, rows, row_at, item = run.plan.plan[0]["stride"], run.base.r8, run.work.block.row_at, run.work.block.item
    first, every = run.plan.plan[0]["words"] * LABEL_WORD_BYTES, True
    run.work.block.presence_at[0] = -1
    for lane in range(items):
        row = run.rows.row[item[lane]]
        every = every and row >= 0
        if row >= 0:
            start = row * stride
            row_at[lane] = start
            for at in range(first, stride, CACHE_LINE_BYTES):
                prefetch(rows, start + at)
            prefetch(rows, start + stride - 1)
    return every


@kernel(types.uint64(RUN_TYPE, _i8, _i8), inner=True)
def known_stored(run: Run, items: int, bit: int) -> np.uint64:
    """Return the items whose rows have the presence bit."""
    block, rows, at = run.work.block, run.base.r8, run.plan.plan[0]["presence_at"] + (bit >> 3)
    row_at, presence = block.row_at, block.presence
    if block.presence_at[0] != at:
        block.presence_at[0] = at
        for lane in range(items):
            presence[lane] = rows[np.uint64(row_at[lane] + at)]
    return np.uint64(bits_across(presence, 0, bit & 7)) & ~np.uint64(0) >> np.uint64(BLOCK_ITEMS - items)


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


@kernel(*(types.uint64(stored, _i8, _i8) for stored in _STORED), inner=True)
def stored_not_below(stored: np.ndarray, bias: int, cut: int) -> np.uint64:
    """Return the items whose value, which is `bias` above what is stored, is not below the cut."""
    largest = (1 << 8 * stored.itemsize) - 1
    if cut <= bias:
        return ~np.uint64(0)
    if cut > INT64_MIN + largest and cut - largest > bias:
        return np.uint64(0)
    return np.uint64(not_below(stored, cut - bias))


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


@kernel(types.void(RUN_TYPE, _i8, types.uint64), inner=True)
def note_known(run: Run, scale: int, known: np.uint64) -> None:
    """Fill the operands of who knows the slot."""
    at = run.matching.scales[scale]["unknown_at"]
    run.work.block.operands[at], run.work.block.operands[at + 1] = ~known, known


@kernel(types.void(RUN_TYPE, _i8, _i8, types.uint64), inner=True, apart=True)
def fill_wide(run: Run, items: int, scale: int, known: np.uint64) -> None:
    """Fill the operands of a scale from block.value."""
    record, block, cuts = run.matching.scales[scale], run.work.block, run.matching.cuts
    note_known(run, scale, known)
    if record["rank_at"] >= 0:
        rank_cuts(run, items, scale, known)
        return
    lows, cut_at = record["lows"], record["cut_at"]
    for k in range(lows):
        block.operands[record["low_at"] + 1 + k] = not_below(block.value, cuts[cut_at + k]) | ~known
    for k in range(record["highs"]):
        block.operands[record["high_at"] + 1 + k] = not_below(block.value, cuts[cut_at + lows + k]) & known


@kernel(*(types.void(RUN_TYPE, _i8, _i8, stored, types.uint64) for stored in _STORED), inner=True)
def fill_narrow(run: Run, items: int, scale: int, stored: np.ndarray, known: np.uint64) -> None:
    """Fill the operands of a scale from what is stored of a plain attribute; of the items `known` those know it whose number is within its limit."""
    record, block, cuts = run.matching.scales[scale], run.work.block, run.matching.cuts
    bias, limit = run.plan.fields[record["slot"]]["bias"], run.plan.fields[record["slot"]]["limit"]
    if limit != 0:
        known &= ~stored_not_below(stored, 0, limit)
    if record["rank_at"] >= 0:
        for lane in range(BLOCK_ITEMS):
            block.value[lane] = bias + np.int64(stored[lane])
        fill_wide(run, items, scale, known)
        return
    note_known(run, scale, known)
    operands, lows, highs, cut_at = block.operands, record["lows"], record["highs"], record["cut_at"]
    low_at, high_at = record["low_at"] + 1, record["high_at"] + 1
    for k in range(lows):
        operands[low_at + k] = stored_not_below(stored, bias, cuts[cut_at + k]) | ~known
    for k in range(highs):
        operands[high_at + k] = stored_not_below(stored, bias, cuts[cut_at + lows + k]) & known


@kernel(types.void(RUN_TYPE, _i8, _i8), inner=True)
def fill_stored(run: Run, items: int, scale: int) -> None:
    """Fill the operands of a scale of a plain attribute from the items' rows."""
    field, rows, block = run.plan.fields[run.matching.scales[scale]["slot"]], run.base, run.work.block
    width, at, row_at, known = np.int64(field["width"]), np.int64(field["at"]), block.row_at, np.uint64(0)
    known |= known_stored(run, items, field["bit"])
    if width == 1:
        for lane in range(items):
            block.stored8[lane] = rows.r8[np.uint64(row_at[lane] + at)]
        fill_narrow(run, items, scale, block.stored8, known)
    elif width == 2:
        for lane in range(items):
            block.stored16[lane] = rows.r16[np.uint64((row_at[lane] >> 1) + at)]
        fill_narrow(run, items, scale, block.stored16, known)
    elif width == 4:
        for lane in range(items):
            block.stored32[lane] = rows.r32[np.uint64((row_at[lane] >> 2) + at)]
        fill_narrow(run, items, scale, block.stored32, known)
    else:  # what has eight bytes has no limit
        for lane in range(items):
            block.value[lane] = field["bias"] + rows.r64[np.uint64((row_at[lane] >> 3) + at)]
        fill_wide(run, items, scale, known)


@kernel(types.void(RUN_TYPE, _i8, _i8, types.boolean), inner=True)
def fill_scale(run: Run, items: int, scale: int, stored: bool) -> None:
    """Fill the operands of a scale; `stored`: every item has a row whose attributes are still to be read."""
    slot, kind = run.matching.scales[scale]["slot"], run.matching.scales[scale]["kind"]
    plain = stored and kind == RANGE and 0 <= slot < run.plan.plan[0]["attributes"]
    if plain and run.plan.fields[slot]["kind"] == PLAIN:
        fill_stored(run, items, scale)
    else:
        fill_wide(run, items, scale, take_any(run, items, scale))
