"""What a run asks the ledger to hold: codes of the chosen candidates, and the totals that must still have room."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from engine.dtypes.contact import COUNTS, PUSH
from engine.dtypes.rules import ANSWERS_TYPE, ITEMS_TYPE, RULES_TYPE, Answers, Items, Rules
from engine.jit import bundle, kernel, read_only, writable


class Asks(NamedTuple):
    """The arrays of engine.ledger.port.Grants that a run fills; k = OFFERS_PER_ANSWER_MAX."""

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
    *[writable(np.uint16, 2)] * 4,
    writable(np.uint8, 2),
    *[writable(np.int64)] * 5,
)


@kernel(types.int64(RULES_TYPE, types.int64, read_only(np.int64), ASKS_TYPE, types.int64, types.int64))
def ask_totals(rules: Rules, candidate: int, since_day: np.ndarray, asks: Asks, first: int, end: int) -> int:  # type: ignore[type-arg]
    """Append the totals of one offer to the item's checks, which lie in [first, end) so far; return the new end.

    The m-th offer of an answer that counts in one slot asks for m units of room.
    """
    row = rules.candidates[candidate]
    stop = end
    for entry in range(row["cap_start"], row["cap_start"] + row["cap_count"]):
        instance = rules.instances[rules.cap_of[entry]]
        cap = instance["cap"]
        if not rules.caps[cap]["total"]:
            continue
        before = 0
        for check in range(first, end):
            if (
                asks.total_slot[check] == instance["total_slot"]
                and asks.total_event[check] == rules.caps[cap]["event"]
                and asks.total_since_day[check] == since_day[cap]
            ):
                before += 1
        asks.total_slot[stop] = instance["total_slot"]
        asks.total_event[stop] = rules.caps[cap]["event"]
        asks.total_since_day[stop] = since_day[cap]
        asks.total_limit[stop] = instance["limit"] - before
        stop += 1
    return stop


@kernel(types.void(RULES_TYPE, ITEMS_TYPE, ANSWERS_TYPE, read_only(np.int64), ASKS_TYPE))
def ask(rules: Rules, items: Items, answers: Answers, since_day: np.ndarray, asks: Asks) -> None:  # type: ignore[type-arg]
    """Fill the asks for every chosen offer of the run."""
    end = 0
    asks.total_start[0] = 0
    for item in range(len(items.subscriber)):
        channel = rules.channels[items.channel[item]]
        first = end
        for seat in range(answers.chosen_count[item]):
            candidate = answers.chosen[item, seat]
            row = rules.candidates[candidate]
            asks.offer[item, seat] = row["offer"]
            asks.campaign[item, seat] = row["campaign"]
            asks.category[item, seat] = row["category"]
            asks.channel[item, seat] = channel["code"]
            asks.flags[item, seat] = (COUNTS if row["counts"] else 0) | (PUSH if channel["push"] else 0)
            if row["counts"] and row["obeys_caps"]:
                end = ask_totals(rules, candidate, since_day, asks, first, end)
        asks.total_start[item + 1] = end
