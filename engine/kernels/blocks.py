"""The items of a run put in blocks: up to 64 of one (trigger, channel), in order, to be matched together."""

from numba import types

from engine.dtypes.across import BLOCK_ITEMS
from engine.dtypes.rules import RUN_TYPE, Run
from engine.jit import kernel
from engine.kernels.across import match_block

_i8 = types.int64


@kernel(types.void(RUN_TYPE, _i8, _i8), inner=True)
def chain(run: Run, item: int, pair: int) -> None:
    """Put the item after the last one of its pair; an item must come after all that are chained already."""
    block = run.work.block
    last = block.last_item[pair]
    if last >= 0:
        block.next_item[last] = item
    block.first[item] = last < 0
    block.next_item[item] = -1
    block.last_item[pair] = item


@kernel(_i8(RUN_TYPE, _i8, _i8), inner=True)
def take_block(run: Run, item: int, pair: int) -> int:
    """Fill the block with the items of the pair from `item` on and return how many; match them when that is faster together than one by one."""
    block, count = run.work.block, 0
    block.last_item[pair] = -1
    while item >= 0 and count < BLOCK_ITEMS:
        block.item[count] = item
        item = block.next_item[item]
        count += 1
    block.lane[0] = -1
    if count >= run.matching.across[run.pairs.pairs[pair]["matcher"]]["from_items"]:
        block.lane[0] = 0
        match_block(run, count, pair)
    return count


@kernel(_i8(RUN_TYPE, _i8), inner=True)
def after_block(run: Run, count: int) -> int:
    """Return the item that comes after the block's last, -1 for none."""
    return int(run.work.block.next_item[run.work.block.item[count - 1]])
