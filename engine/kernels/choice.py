"""The choice among an item's candidates: cool-downs and caps, then seats in rank order with exclusive groups, caps and room."""

import numpy as np
from numba import types

from engine.dtypes.rules import RUN_TYPE, Run
from engine.jit import kernel
from engine.kernels.cool_down import anything_cooling, cool_down
from engine.kernels.counting import add_used, count_contacts, used_of, zone_row
from engine.kernels.mix import mix64
from engine.kernels.wall_clock import local_day
from engine.reasons import Reason

CAP_REACHED = int(Reason.CAP_REACHED)
LEDGER_FULL = int(Reason.LEDGER_FULL)
EXCLUSIVE_GROUP = int(Reason.EXCLUSIVE_GROUP)
RANKED_OUT = int(Reason.RANKED_OUT)
OFFERED = int(Reason.OFFERED)
STOPPED_BEFORE = 255


@kernel(types.int64(RUN_TYPE, types.int64, types.int64), inner=True)
def reached_among(run: Run, start: int, count: int) -> int:
    """Return the first cap, by id, that is reached among `count` entries of cap_of from `start`, or -1."""
    reached = -1
    for entry in range(start, start + count):
        instance = run.rules.cap_of[entry]
        if used_of(run.rules, run.totals, instance, run.work) >= run.rules.instances[instance]["limit"]:
            cap = run.rules.instances[instance]["cap"]
            if reached < 0 or cap < reached:
                reached = cap
    return reached


@kernel(types.int64(RUN_TYPE, types.int64, types.int64), inner=True)
def reached_cap(run: Run, item: int, candidate: int) -> int:
    """Return the first cap, by id, that leaves no room for the candidate in the present pass, or -1."""
    row = run.rules.candidates[candidate]
    if not row["obeys_caps"]:
        return -1
    channel = run.rules.channels[run.items.channel[item]]
    own = reached_among(run, row["cap_start"], row["cap_count"])
    shared = reached_among(run, channel["cap_start"], channel["cap_count"])
    if own < 0 or (shared >= 0 and shared < own):
        return shared
    return own


@kernel(types.void(RUN_TYPE, types.int64), inner=True)
def count_pick(run: Run, candidate: int) -> None:
    """Count a chosen candidate toward its offer, campaign and category caps; channel and overall caps count the answer once, when it is granted."""
    row = run.rules.candidates[candidate]
    if row["counts"]:
        for entry in range(row["cap_start"], row["cap_start"] + row["cap_count"]):
            instance = run.rules.cap_of[entry]
            used_of(run.rules, run.totals, instance, run.work)
            add_used(run.work, instance, 1)


@kernel(types.void(RUN_TYPE, types.int64, types.int64, types.boolean), inner=True)
def weigh(run: Run, item: int, first: int, with_control: bool) -> None:
    """Fill work.later for each position: what cool-downs and caps say before anything is chosen; `first` is the pair's first position."""
    work = run.work
    cooling = anything_cooling(run, item)
    pair = run.items.trigger[item] * run.rules.settings[0]["channels"] + run.items.channel[item]
    for position in range(run.rules.pair_start[pair + 1] - first):
        if work.reason[item, position] or (work.control[item, position] and not with_control):
            work.later[position] = STOPPED_BEFORE
            continue
        candidate = run.rules.pair[first + position]
        later = cool_down(run, item, candidate) if cooling else 0
        if later == 0:
            cap = reached_cap(run, item, candidate)
            if cap >= 0:
                later = CAP_REACHED
                work.detail[item, position] = cap
        work.later[position] = later


@kernel(types.int64(RUN_TYPE, types.int64, types.int64, types.int64, types.int64), inner=True)
def seat(run: Run, item: int, position: int, candidate: int, picked: int) -> int:
    """Return why the candidate gets no seat beside the `picked` ones, or OFFERED and take the next seat."""
    channel = run.rules.channels[run.items.channel[item]]
    if picked >= min(run.items.offers_max[item], channel["max_offers"]):
        return RANKED_OUT
    for other in range(picked):
        if run.rules.candidates[run.work.seats[other]]["group"] == run.rules.candidates[candidate]["group"]:
            run.work.detail[item, position] = run.work.seats[other]
            return EXCLUSIVE_GROUP
    cap = reached_cap(run, item, candidate)
    if cap >= 0:
        run.work.detail[item, position] = cap
        return CAP_REACHED
    if run.contacts.room[item] <= picked:
        return LEDGER_FULL
    run.work.seats[picked] = candidate
    count_pick(run, candidate)
    return OFFERED


@kernel(types.int64(RUN_TYPE, types.int64, types.int64, types.int64), inner=True)
def equals_end(run: Run, first: int, position: int, count: int) -> int:
    """Return the end of the positions whose tier and score equal those at `position`."""
    row = run.rules.candidates[run.rules.pair[first + position]]
    end = position + 1
    while end < count:
        other = run.rules.candidates[run.rules.pair[first + end]]
        if other["tier"] != row["tier"] or other["score"] != row["score"]:
            break
        end += 1
    return end


@kernel(types.boolean(RUN_TYPE, types.int64, types.int64), inner=True)
def comes_before(run: Run, left: int, right: int) -> bool:
    """Return whether tie entry `left` comes before `right`: the larger hash, then the lower position, which is the order of ids."""
    hashes, positions = run.work.tie_hash, run.work.tie_position
    if hashes[left] != hashes[right]:
        return bool(hashes[left] > hashes[right])
    return bool(positions[left] < positions[right])


@kernel(types.void(RUN_TYPE, types.int64, types.int64), inner=True)
def sift_down(run: Run, root: int, count: int) -> None:
    """Restore the heap below `root`: the entry that comes last in tie order on top."""
    hashes, positions = run.work.tie_hash, run.work.tie_position
    while 2 * root + 1 < count:
        child = 2 * root + 1
        if child + 1 < count and comes_before(run, child, child + 1):
            child += 1
        if comes_before(run, child, root):
            return
        hashes[root], hashes[child] = hashes[child], hashes[root]
        positions[root], positions[child] = positions[child], positions[root]
        root = child


@kernel(types.int64(RUN_TYPE, types.int64, types.int64, types.int64, types.int64), inner=True)
def order_equals(run: Run, item: int, first: int, start: int, end: int) -> int:
    """Put the passing positions of [start, end) into work.tie_position in the subscriber's own order of today; return how many."""
    settings = run.rules.settings[0]
    zone = run.rows.zone[item] if run.rows.zone[item] >= 0 else settings["home_zone"]
    day = local_day(run.clock, settings["day_calendar"] * (settings["zones"] + 1) + zone, run.moment.now_us)
    seed = mix64(run.items.subscriber[item] ^ settings["policy_seed"] ^ mix64(np.uint64(day)))
    count = 0
    for position in range(start, end):
        if run.work.later[position] == 0:
            run.work.tie_hash[count] = mix64(seed ^ run.rules.candidates[run.rules.pair[first + position]]["tie"])
            run.work.tie_position[count] = position
            count += 1
    hashes, positions = run.work.tie_hash, run.work.tie_position
    for root in range(count // 2 - 1, -1, -1):
        sift_down(run, root, count)
    for last in range(count - 1, 0, -1):
        hashes[0], hashes[last] = hashes[last], hashes[0]
        positions[0], positions[last] = positions[last], positions[0]
        sift_down(run, 0, last)
    return count


@kernel(types.void(RUN_TYPE, types.int64, types.int64, types.int64, types.boolean), inner=True)
def note(run: Run, item: int, position: int, reason: int, with_control: bool) -> None:
    """Write the position's reason, unless this pass only finds what control groups withheld."""
    if not with_control:
        run.work.reason[item, position] = reason


@kernel(types.int64(RUN_TYPE, types.int64, types.boolean), inner=True)
def choose(run: Run, item: int, with_control: bool) -> int:
    """Fill work.seats with the item's choice and return how many; with `with_control`, as if nobody were in control, and no reason is written."""
    pair = run.items.trigger[item] * run.rules.settings[0]["channels"] + run.items.channel[item]
    first, count = run.rules.pair_start[pair], run.rules.pair_start[pair + 1] - run.rules.pair_start[pair]
    count_contacts(run.rules, run.clock, run.contacts, item, zone_row(run, item), run.moment.now_us, run.work)
    weigh(run, item, first, with_control)
    picked = 0
    start = 0
    while start < count:
        end = equals_end(run, first, start, count)
        equals = 1
        run.work.tie_position[0] = start
        if end - start > 1:
            equals = order_equals(run, item, first, start, end)
        for at in range(equals):
            position = run.work.tie_position[at]
            if run.work.later[position] == 0:
                reason = seat(run, item, position, run.rules.pair[first + position], picked)
                picked += reason == OFFERED
                note(run, item, position, reason, with_control)
        start = end
    if not with_control:
        for position in range(count):
            if run.work.later[position] != 0 and run.work.later[position] != STOPPED_BEFORE:
                run.work.reason[item, position] = run.work.later[position]
    return picked
