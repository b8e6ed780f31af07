"""A batch that is one run decided in one call, over a ledger in this process's memory: recalled, gathered, read, decided, held and stored."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from engine.dtypes.base import ASKED_TYPE, LIVE_TYPE, Asked, Live
from engine.dtypes.decisions import DECISIONS_TYPE, DecisionColumns
from engine.dtypes.ledger import GRANTS_TYPE, IN_MEMORY_TYPE, REQUESTS_TYPE, GrantColumns, InMemory, Requests
from engine.dtypes.rules import ANSWERS_TYPE, ASKING_TYPE, RUN_TYPE, Answers, Asking, Run
from engine.jit import Pointer, bundle, kernel, read_only, writable
from engine.kernels.answering import answer_run
from engine.kernels.gather import CONTACT, gather
from engine.kernels.grants import ASKS_TYPE, Asks, ask, held_together
from engine.kernels.ledger_answers import room_grains
from engine.kernels.ledger_blocks import room_for_subscribers
from engine.kernels.ledger_digests import recall_digests
from engine.kernels.ledger_grants import grant_items, read_contacts
from engine.kernels.ledger_holds import advance_time
from engine.kernels.runs import run_end, take_items
from engine.kernels.storing import store_answers
from engine.limits import BATCH_ITEMS_MAX

DRY_RUN = 1
"""As engine.batch has it."""
NOT_USUAL = -1
"""What `decide_at_once` returns for a batch of which nothing was decided, because it wants a closer look."""
NOT_HELD = -2
"""The same for one whose holds would be over at once, which is a mistake of the caller's."""
SETTLED, HELD, SERIAL = range(3)
"""Where `done` has how many items, from the first on, are settled; how many of those hold something; the last serial that `run_end` was given."""
DONE_WORDS = 3


class AtOnce(NamedTuple):
    """All that deciding a batch at once takes: what is kept, by pointers, and what is of this batch."""

    asking: Asking
    requests: Requests
    live: Live
    sought: Asked
    """The run's subscribers."""
    run: Run
    """Not gathered yet, with its moment, whose instant becomes ledger time, and the contacts that `ledger` reads."""
    answers: Answers
    asks: Asks
    grants: GrantColumns
    """The arrays of `asks`."""
    ledger: InMemory
    decisions: DecisionColumns
    rows: npt.NDArray[np.int64]
    """The numbers from 0 on."""
    seen: npt.NDArray[np.int64]
    """As `run_end` takes it."""
    done: npt.NDArray[np.int64]
    """(DONE_WORDS,)"""
    slots: npt.NDArray[np.int64]
    """As `take_items` takes them."""
    answer_grains: int
    """What there must be room for in the memory of answers, for each item."""
    totals: int
    """1: caps count over all subscribers."""


AT_ONCE_TYPE: Any = bundle(
    AtOnce,
    Pointer(ASKING_TYPE),
    Pointer(REQUESTS_TYPE),
    Pointer(LIVE_TYPE),
    Pointer(ASKED_TYPE),
    Pointer(RUN_TYPE),
    Pointer(ANSWERS_TYPE),
    Pointer(ASKS_TYPE),
    Pointer(GRANTS_TYPE),
    Pointer(IN_MEMORY_TYPE),
    Pointer(DECISIONS_TYPE),
    read_only(np.int64),
    writable(np.int64),
    writable(np.int64),
    read_only(np.int64),
    types.int64,
    types.int64,
)


@kernel(types.int64(AT_ONCE_TYPE), apart=True)
def decide_at_once(step: AtOnce) -> int:
    """Decide all rows of a batch as engine.deciding does step by step; return 0, NOT_USUAL or NOT_HELD.

    Usual is a batch that is one run and no dry run, of which no request is remembered, when there is room for its answers and the ledger's table need
    not grow.
    """
    run, ledger, asking, done = step.run, step.ledger, step.asking, step.done
    items, now_us, store = run.moment.items, run.moment.now_us, ledger.store
    index = step.rows[:items]
    done[SERIAL] += BATCH_ITEMS_MAX
    if asking.flags[0] & DRY_RUN or (items > 1 and run_end(asking, 0, items, done[SERIAL], step.seen) < items):
        return NOT_USUAL
    if not room_for_subscribers(store, items):
        return NOT_USUAL
    advance_time(store, ledger.counters, now_us)
    if recall_digests(ledger.memory, step.requests, index, now_us, ledger.found, ledger.position):
        return NOT_USUAL
    if room_grains(ledger.memory, ledger.arena, now_us) < items * step.answer_grains:
        return NOT_USUAL
    take_items(asking, index, run.items, run.rows, step.slots, items, now_us)
    gather(run.base, run.plan, step.live, step.sought, run.rows, 0, items, CONTACT)
    read_contacts(store, run.items.subscriber[:items], ledger.start, ledger.count, ledger.room)
    answer_run(run, step.answers)
    settled = held_together(run, step.answers) if step.totals else items
    if ask(run, step.answers, settled, step.asks):
        settled = int(grant_items(store, ledger.counters, step.grants, settled, ledger.decision))
        if settled < 0:
            return NOT_HELD
    else:
        for item in range(settled):
            ledger.decision[item] = 0
    for item in range(items):
        step.decisions.now_us[item] = now_us
    done[SETTLED] = settled
    done[HELD] = store_answers(step.answers, step.sought.language, ledger.decision, step.decisions, index, settled)
    return 0
