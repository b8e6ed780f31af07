"""The choice among an item's candidates: cool-downs and caps, then seats in rank order with exclusive groups, caps and room."""

import numpy as np
from numba import types

from engine.dtypes.pairs import TARGET
from engine.dtypes.rules import RUN_TYPE, SCOPE_ALL, SCOPE_CAMPAIGN, SCOPE_CATEGORY, SCOPE_CHANNEL, SCOPE_OFFER, Run
from engine.intrinsics import lowest_bit
from engine.jit import kernel, read_only
from engine.kernels.cool_down import KINDS, cooling_end_us
from engine.kernels.counting import add_used, used_of
from engine.kernels.mix import mix64
from engine.kernels.wall_clock import local_day
from engine.limits import NEVER_US
from engine.reasons import Reason, Stage

CAP_REACHED = int(Reason.CAP_REACHED)
LEDGER_FULL = int(Reason.LEDGER_FULL)
STATE_UNAVAILABLE = int(Reason.STATE_UNAVAILABLE)
EXCLUSIVE_GROUP = int(Reason.EXCLUSIVE_GROUP)
RANKED_OUT = int(Reason.RANKED_OUT)
OFFERED = int(Reason.OFFERED)
COOL_DOWN, CAP = int(Stage.COOL_DOWN), int(Stage.CAP)

_i8 = types.int64


@kernel(_i8(RUN_TYPE, _i8, _i8), inner=True)
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


@kernel(_i8(RUN_TYPE, _i8, _i8), inner=True)
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


@kernel(types.void(RUN_TYPE, _i8), inner=True)
def count_pick(run: Run, candidate: int) -> None:
    """Count a chosen candidate toward its offer, campaign and category caps; channel and overall caps count the answer once, when it is granted."""
    row = run.rules.candidates[candidate]
    if row["counts"]:
        for entry in range(row["cap_start"], row["cap_start"] + row["cap_count"]):
            instance = run.rules.cap_of[entry]
            used_of(run.rules, run.totals, instance, run.work)
            add_used(run.work, instance, 1)


@kernel(_i8(read_only(TARGET), _i8, _i8, _i8), inner=True)
def find_target(targets: np.ndarray, first: int, count: int, code: int) -> int:
    """Return the target with the code among targets[first : first + count], or -1."""
    low, end = first, first + count
    while low < end:
        middle = (low + end) >> 1
        if targets[middle]["code"] < code:
            low = middle + 1
        else:
            end = middle
    return low if low < first + count and targets[low]["code"] == code else -1


@kernel(types.void(RUN_TYPE, _i8, _i8, _i8, _i8), inner=True)
def mark(run: Run, pair: int, stage: int, scope: int, code: int) -> None:
    """Set in work.stopped[stage] the pair's positions that the scope's code names; the scopes of a channel and of everything name all."""
    record, stopped = run.pairs.pairs[pair], run.work.stopped
    if scope >= SCOPE_CHANNEL:
        for w in range(record["words"]):
            stopped[stage, w] = ~np.uint64(0)
        return
    first, count = record["category_at"], record["categories"]
    if scope == SCOPE_OFFER:
        first, count = record["offer_at"], record["offers"]
    elif scope == SCOPE_CAMPAIGN:
        first, count = record["campaign_at"], record["campaigns"]
    target = find_target(run.pairs.targets, first, count, code)
    if target >= 0:
        start = run.pairs.targets[target]["start"]
        for at in range(start, start + run.pairs.targets[target]["count"]):
            position = run.pairs.places[at]
            stopped[stage, position >> 6] |= np.uint64(1) << np.uint64(position & 63)


@kernel(types.void(RUN_TYPE, _i8, _i8), inner=True)
def mark_cooling(run: Run, item: int, pair: int) -> None:
    """Mark under COOL_DOWN the positions that a refusal, a "not now" or an acceptance among the item's contacts stops."""
    records, first = run.contacts.records, run.contacts.start[item]
    for slot in range(first, first + run.contacts.count[item]):
        for kind in range(KINDS):
            if cooling_end_us(run, slot, kind) == NEVER_US:
                continue
            scope = run.rules.cool_downs[kind]["scope"]
            code = records[slot]["offer"]
            if scope == SCOPE_CAMPAIGN:
                code = records[slot]["campaign"]
            elif scope == SCOPE_CATEGORY:
                code = records[slot]["category"]
            mark(run, pair, COOL_DOWN, scope, code)


@kernel(types.void(RUN_TYPE, _i8, _i8), inner=True)
def mark_capped(run: Run, item: int, pair: int) -> None:
    """Mark under CAP the positions that a reached cap stops; the item's contacts must be counted."""
    record, rules, work = run.pairs.pairs[pair], run.rules, run.work
    masks, stopped = run.pairs.masks, run.work.stopped
    for at in range(work.serial[1]):
        instance = rules.instances[work.touched[at]]
        if work.used[work.touched[at]] >= instance["limit"]:
            scope = rules.caps[instance["cap"]]["scope"]
            if scope != SCOPE_CHANNEL or instance["code"] == rules.channels[run.items.channel[item]]["code"]:
                mark(run, pair, CAP, scope, instance["code"])
    for w in range(record["words"]):
        stopped[CAP, w] &= masks[record["obeys_at"] + w]
        stopped[CAP, w] |= masks[record["exhausted_at"] + w]
        asked = work.left[w] & ~stopped[CAP, w] & masks[record["totals_at"] + w]
        while asked != np.uint64(0):
            bit = asked & (~asked + np.uint64(1))
            candidate = run.pairs.candidate[record["first"] + w * 64 + lowest_bit(asked)]
            asked ^= bit
            row = rules.candidates[candidate]
            if reached_among(run, row["cap_start"], row["cap_count"]) >= 0:
                stopped[CAP, w] |= bit


@kernel(types.void(RUN_TYPE, _i8, _i8), inner=True)
def weigh(run: Run, item: int, pair: int) -> None:
    """Note under COOL_DOWN and CAP which of the positions left they stop; those stay left. The item's contacts must be counted."""
    work = run.work
    mark_cooling(run, item, pair)
    mark_capped(run, item, pair)
    for w in range(run.pairs.pairs[pair]["words"]):
        work.stopped[COOL_DOWN, w] &= work.left[w]
        work.stopped[CAP, w] &= work.left[w] & ~work.stopped[COOL_DOWN, w]


@kernel(_i8(RUN_TYPE, _i8, _i8, _i8, _i8), inner=True)
def seat(run: Run, item: int, position: int, candidate: int, picked: int) -> int:
    """Return why the candidate gets no seat beside the `picked` ones, or OFFERED and take the next seat."""
    if run.items.offers_max[item] < 1:
        return STATE_UNAVAILABLE
    for other in range(picked):
        if run.rules.candidates[run.work.seats[other]]["group"] == run.rules.candidates[candidate]["group"]:
            run.work.detail[position] = run.work.seats[other]
            return EXCLUSIVE_GROUP
    if picked > 0:
        cap = reached_cap(run, item, candidate)
        if cap >= 0:
            run.work.detail[position] = cap
            return CAP_REACHED
    if run.contacts.room[item] <= picked or (run.moment.stuck and item == 0):
        return LEDGER_FULL
    run.work.seats[picked] = candidate
    count_pick(run, candidate)
    return OFFERED


@kernel(types.boolean(RUN_TYPE, _i8, _i8), inner=True)
def comes_before(run: Run, left: int, right: int) -> bool:
    """Return whether tie entry `left` comes before `right`: the larger hash, then the lower position, which is the order of ids."""
    hashes, positions = run.work.tie_hash, run.work.tie_position
    if hashes[left] != hashes[right]:
        return bool(hashes[left] > hashes[right])
    return bool(positions[left] < positions[right])


@kernel(types.void(RUN_TYPE, _i8, _i8), inner=True)
def sift_down(run: Run, root: int, count: int) -> None:
    """Restore the heap below `root`: the entry that comes first in tie order on top."""
    hashes, positions = run.work.tie_hash, run.work.tie_position
    while 2 * root + 1 < count:
        child = 2 * root + 1
        if child + 1 < count and comes_before(run, child + 1, child):
            child += 1
        if comes_before(run, root, child):
            return
        hashes[root], hashes[child] = hashes[child], hashes[root]
        positions[root], positions[child] = positions[child], positions[root]
        root = child


@kernel(_i8(RUN_TYPE, _i8, _i8), inner=True)
def next_free(run: Run, pair: int, position: int) -> int:
    """Return the first free position from `position` on, or the pair's count."""
    record, free = run.pairs.pairs[pair], run.work.free
    w = position >> 6
    if w < record["words"]:
        bits = free[w] & (~np.uint64(0) << np.uint64(position & 63))
        while True:
            if bits != np.uint64(0):
                return int(w * 64 + lowest_bit(bits))
            w += 1
            if w >= record["words"]:
                break
            bits = free[w]
    return int(record["count"])


@kernel(_i8(RUN_TYPE, _i8, _i8, _i8, _i8), inner=True)
def heap_equals(run: Run, item: int, pair: int, start: int, end: int) -> int:
    """Make a heap of the free positions of [start, end), in the subscriber's own order of today; return how many they are."""
    settings, first = run.rules.settings[0], run.pairs.pairs[pair]["first"]
    zone = run.rows.zone[item] if run.rows.zone[item] >= 0 else settings["home_zone"]
    day = local_day(run.clock, settings["day_calendar"] * (settings["zones"] + 1) + zone, run.moment.now_us)
    seed = mix64(run.items.subscriber[item] ^ settings["policy_seed"] ^ mix64(np.uint64(day)))
    count = 0
    position = start
    while position < end:
        candidate = run.pairs.candidate[first + position]
        run.work.tie_hash[count] = mix64(seed ^ run.rules.candidates[candidate]["tie"])
        run.work.tie_position[count] = position
        count += 1
        position = next_free(run, pair, position + 1)
    for root in range(count // 2 - 1, -1, -1):
        sift_down(run, root, count)
    return count


@kernel(_i8(RUN_TYPE, _i8), inner=True)
def pop_equal(run: Run, count: int) -> int:
    """Take the first of the heap's `count` positions out of it and return it."""
    hashes, positions = run.work.tie_hash, run.work.tie_position
    position = positions[0]
    hashes[0], positions[0] = hashes[count - 1], positions[count - 1]
    sift_down(run, 0, count - 1)
    return int(position)


@kernel(_i8(RUN_TYPE, _i8, _i8), inner=True)
def choose(run: Run, item: int, pair: int) -> int:
    """Fill work.seats from the free positions and return how many; what it looked at has a reason afterwards. The item's contacts must be counted.

    Positions stand by falling rank, so when the seats are taken nothing after can win: none of it is looked at. An item without seats, of whose
    subscriber the ledger could not be asked, offers nothing, and all of it is looked at.
    """
    work, record = run.work, run.pairs.pairs[pair]
    most = min(max(run.items.offers_max[item], 1), run.rules.channels[run.items.channel[item]]["max_offers"])
    for w in range(record["words"]):
        work.looked_at[w] = np.uint64(0)
    picked, equals = 0, 0
    position = next_free(run, pair, 0)
    while picked < most and (equals > 0 or position < record["count"]):
        looked = position
        if equals > 0:
            looked = pop_equal(run, equals)
            equals -= 1
        else:
            end = run.pairs.equal_end[record["first"] + position]
            position = next_free(run, pair, position + 1)
            if position < end:
                equals = heap_equals(run, item, pair, looked, end)
                position = next_free(run, pair, end)
                continue
        reason = seat(run, item, looked, run.pairs.candidate[record["first"] + looked], picked)
        picked += reason == OFFERED
        work.reason[looked] = reason
        work.looked_at[looked >> 6] |= np.uint64(1) << np.uint64(looked & 63)
    return picked


assert SCOPE_ALL > SCOPE_CHANNEL > max(SCOPE_OFFER, SCOPE_CAMPAIGN, SCOPE_CATEGORY)
