"""What a run asks the ledger to hold: codes of the chosen candidates, and the totals that must still have room."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from engine.dtypes.contact import COUNTS, PUSH
from engine.dtypes.ledger import FOREVER_US
from engine.dtypes.rules import ANSWERS_TYPE, RULES_TYPE, RUN_TYPE, SCOPE_OFFER, Answers, Rules, Run
from engine.jit import bundle, kernel, writable
from engine.kernels.counting import add_used, used_of
from engine.limits import OFFERS_PER_ANSWER_MAX


class Asks(NamedTuple):
    """The arrays of engine.ledger.port.Grants that a run fills; k = OFFERS_PER_ANSWER_MAX."""

    count: npt.NDArray[np.int32]  # type: ignore[assignment]  # tuple.count is not needed here
    """(n,)"""
    expires_us: npt.NDArray[np.int64]
    """(n,)"""
    offer: npt.NDArray[np.uint16]
    """(n, k), as the four below"""
    campaign: npt.NDArray[np.uint16]
    category: npt.NDArray[np.uint16]
    channel: npt.NDArray[np.uint16]
    flags: npt.NDArray[np.uint8]
    total_start: npt.NDArray[np.int64]
    """(n + 1,)"""
    total_slot: npt.NDArray[np.int64]
    """(checks,): room for every offer's totals; the three below alike"""
    total_event: npt.NDArray[np.int64]
    total_since_day: npt.NDArray[np.int64]
    total_limit: npt.NDArray[np.int64]


ASKS_TYPE: Any = bundle(
    Asks,
    writable(np.int32),
    writable(np.int64),
    *[writable(np.uint16, 2)] * 4,
    writable(np.uint8, 2),
    *[writable(np.int64)] * 5,
)


@kernel(types.int64(RULES_TYPE, ANSWERS_TYPE, types.int64, types.int64, types.int64), inner=True)
def counted_before(rules: Rules, answers: Answers, item: int, seats: int, instance: int) -> int:
    """Return how many of the answer's first `seats` offers count toward the instance."""
    before = 0
    for seat in range(seats):
        row = rules.candidates[answers.chosen[item, seat]]
        for entry in range(row["cap_start"], row["cap_start"] + row["cap_count"]):
            before += row["counts"] and rules.cap_of[entry] == instance
    return before


@kernel(types.int64(RUN_TYPE, ANSWERS_TYPE, types.int64, types.int64, ASKS_TYPE, types.int64), inner=True)
def ask_totals(run: Run, answers: Answers, item: int, seat: int, asks: Asks, end: int) -> int:
    """Append the totals that an offer must find with room, at `end`; return the new end. The offers before it in the answer take their units first."""
    rules = run.rules
    row = rules.candidates[answers.chosen[item, seat]]
    for entry in range(row["cap_start"], row["cap_start"] + row["cap_count"]):
        instance = rules.cap_of[entry]
        cap = rules.instances[instance]["cap"]
        if rules.caps[cap]["total"]:
            asks.total_slot[end] = rules.instances[instance]["total_slot"]
            asks.total_event[end] = rules.caps[cap]["event"]
            asks.total_since_day[end] = run.work.since_day[cap]
            before = counted_before(rules, answers, item, seat, instance)
            asks.total_limit[end] = rules.instances[instance]["limit"] - before
            end += 1
    return end


@kernel(types.int64(RUN_TYPE, ANSWERS_TYPE, types.int64, ASKS_TYPE), apart=True)
def ask(run: Run, answers: Answers, items: int, asks: Asks) -> int:
    """Fill the asks for every chosen offer of the run's first `items`; return for how many items that is. Traffic that obeys no caps asks for no totals."""
    end, asking = 0, 0
    asks.total_start[0] = 0
    for item in range(items):
        channel = run.rules.channels[run.items.channel[item]]
        count = answers.chosen_count[item]
        asks.count[item] = count
        asks.expires_us[item] = answers.expires_us[item] if count else FOREVER_US
        asking += count > 0
        for seat in range(count):
            row = run.rules.candidates[answers.chosen[item, seat]]
            asks.offer[item, seat] = row["offer"]
            asks.campaign[item, seat] = row["campaign"]
            asks.category[item, seat] = row["category"]
            asks.channel[item, seat] = channel["code"]
            asks.flags[item, seat] = (COUNTS if row["counts"] else 0) | (PUSH if channel["push"] else 0)
            if row["obeys_caps"]:
                end = ask_totals(run, answers, item, seat, asks, end)
        asks.total_start[item + 1] = end
    return asking


@kernel(types.int64(RUN_TYPE, ANSWERS_TYPE), apart=True)
def held_together(run: Run, answers: Answers) -> int:
    """Return how many items, from the first on, may be held together: up to and with the first that brings a total to where a later answer could tell.

    That is its limit, for an offer, of which an answer has one; for campaigns and categories the limit less what one answer may add.
    The items after it are decided anew.
    """
    rules, work = run.rules, run.work
    work.serial[0] += 1
    for item in range(run.moment.items):
        reached = False
        for seat in range(answers.chosen_count[item]):
            row = rules.candidates[answers.chosen[item, seat]]
            for entry in range(row["cap_start"], row["cap_start"] + row["cap_count"]):
                instance = rules.cap_of[entry]
                cap = rules.caps[rules.instances[instance]["cap"]]
                if row["counts"] and cap["total"]:
                    limit = rules.instances[instance]["limit"]
                    margin = 0 if cap["scope"] == SCOPE_OFFER else OFFERS_PER_ANSWER_MAX - 1
                    before = used_of(rules, run.totals, instance, work)
                    add_used(work, instance, 1)
                    reached = reached or (before < limit and before + 1 + margin >= limit)
        if reached:
            return item + 1
    return run.moment.items
