"""A batch that is one run decided in one call, over a ledger in this process's memory: recalled, gathered, read, decided, held and stored."""

import numpy as np
from numba import types

from engine.dtypes.base import ASKED_TYPE, LIVE_TYPE, Asked, Live
from engine.dtypes.decisions import DECISIONS_TYPE, DecisionColumns
from engine.dtypes.ledger import GRANTS_TYPE, IN_MEMORY_TYPE, REQUESTS_TYPE, GrantColumns, InMemory, Requests
from engine.dtypes.rules import ANSWERS_TYPE, ASKING_TYPE, RUN_TYPE, Answers, Asking, Run
from engine.jit import kernel, read_only, writable
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

DRY_RUN = 1
"""As engine.batch has it."""
NOT_USUAL = -1
"""What `decide_at_once` returns for a batch of which nothing was decided, because it wants a closer look."""
NOT_HELD = -2
"""The same for one whose holds would be over at once, which is a mistake of the caller's."""
SETTLED, HELD = 0, 1
"""Where `done` has how many items, from the first on, are settled, and how many of those hold something."""


TAKES = (
    ASKING_TYPE,
    REQUESTS_TYPE,
    read_only(np.int64),
    types.int64,
    writable(np.int64),
    read_only(np.int64),
    types.int64,
    types.boolean,
    LIVE_TYPE,
    ASKED_TYPE,
    RUN_TYPE,
    ANSWERS_TYPE,
    ASKS_TYPE,
    GRANTS_TYPE,
    IN_MEMORY_TYPE,
    DECISIONS_TYPE,
    writable(np.int64),
)
"""The types of what `decide_at_once` takes."""


@kernel(types.int64(*TAKES), apart=True)
def decide_at_once(
    asking: Asking,
    requests: Requests,
    index: np.ndarray,
    serial: int,
    seen: np.ndarray,
    slots: np.ndarray,
    answer_grains: int,
    totals: bool,
    live: Live,
    asked: Asked,
    run: Run,
    answers: Answers,
    asks: Asks,
    grants: GrantColumns,
    ledger: InMemory,
    decisions: DecisionColumns,
    done: np.ndarray,
) -> int:
    """Decide all rows of a batch, `index`, as engine.deciding does step by step; return 0, NOT_USUAL or NOT_HELD.

    Usual is a batch that is one run (`serial`, `seen`: as `run_end` takes them) and no dry run, of which no request is remembered, when there is room for
    an answer of `answer_grains` to each, and the ledger's table need not grow. `run` has the run's moment, whose instant becomes ledger time, and the
    contacts that `ledger` reads; `grants` has the arrays of `asks`; `totals`: whether caps count over all subscribers. `done` is (2,).
    """
    items, now_us, store = run.moment.items, run.moment.now_us, ledger.store
    if asking.flags[0] & DRY_RUN or (items > 1 and run_end(asking, 0, items, serial, seen) < items):
        return NOT_USUAL
    if not room_for_subscribers(store, items):
        return NOT_USUAL
    advance_time(store, ledger.counters, now_us)
    if recall_digests(ledger.memory, requests, index, now_us, ledger.found, ledger.position):
        return NOT_USUAL
    if room_grains(ledger.memory, ledger.arena, now_us) < items * answer_grains:
        return NOT_USUAL
    take_items(asking, index, run.items, run.rows, slots, items, now_us)
    gather(run.base, run.plan, live, asked, run.rows, 0, items, CONTACT)
    read_contacts(store, run.items.subscriber[:items], ledger.start, ledger.count, ledger.room)
    answer_run(run, answers)
    settled = held_together(run, answers) if totals else items
    if ask(run, answers, settled, asks):
        settled = grant_items(store, ledger.counters, grants, settled, ledger.decision)
        if settled < 0:
            return NOT_HELD
    else:
        for item in range(settled):
            ledger.decision[item] = 0
    for item in range(items):
        decisions.now_us[index[item]] = now_us
    done[SETTLED] = settled
    done[HELD] = store_answers(answers, asked.language, ledger.decision, decisions, index, settled)
    return 0
