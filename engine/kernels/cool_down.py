"""Cool-downs after a refusal or a "not now", and re-offer after an acceptance, from the subscriber's contacts."""

from numba import types

from engine.dtypes.ledger import FOREVER_US
from engine.dtypes.rules import RUN_TYPE, SCOPE_ALL, SCOPE_CAMPAIGN, SCOPE_CATEGORY, SCOPE_OFFER, Run
from engine.jit import kernel
from engine.limits import NEVER_US
from engine.reasons import Reason

COOL_DOWN_REFUSED = int(Reason.COOL_DOWN_REFUSED)
KINDS = 3

assert [int(Reason.COOL_DOWN_NOT_NOW), int(Reason.ALREADY_ACCEPTED)] == [COOL_DOWN_REFUSED + 1, COOL_DOWN_REFUSED + 2]


@kernel(types.int64(RUN_TYPE, types.int64, types.int64), inner=True)
def cooling_from_us(run: Run, slot: int, kind: int) -> int:
    """Return when the contact was refused (kind 0), answered "not now" (1) or accepted (2), or NEVER_US."""
    record = run.contacts.records[slot]
    if kind == 0:
        return int(record["refused_us"])
    if kind == 1:
        return int(record["not_now_us"])
    return int(record["accepted_us"])


@kernel(types.boolean(RUN_TYPE, types.int64, types.int64, types.int64), inner=True)
def in_scope(run: Run, slot: int, candidate: int, scope: int) -> bool:
    """Return whether the contact and the candidate share the offer, campaign or category; the scope of everything always does."""
    record, row = run.contacts.records[slot], run.rules.candidates[candidate]
    if scope == SCOPE_OFFER:
        return bool(record["offer"] == row["offer"])
    if scope == SCOPE_CAMPAIGN:
        return bool(record["campaign"] == row["campaign"])
    if scope == SCOPE_CATEGORY:
        return bool(record["category"] == row["category"])
    return scope == SCOPE_ALL


@kernel(types.int64(RUN_TYPE, types.int64, types.int64), inner=True)
def cooling_end_us(run: Run, slot: int, kind: int) -> int:
    """Return when the cool-down that the contact started ends, FOREVER_US for good, NEVER_US when none holds now."""
    length_us, start = run.rules.cool_downs[kind]["length_us"], cooling_from_us(run, slot, kind)
    if length_us == 0 or start == NEVER_US:
        return NEVER_US
    end = FOREVER_US if length_us == FOREVER_US else start + length_us
    return end if run.moment.now_us < end else NEVER_US


@kernel(types.int64(RUN_TYPE, types.int64, types.int64, types.int64), inner=True)
def cooling_until_us(run: Run, item: int, candidate: int, kind: int) -> int:
    """Return the latest end of the cool-downs of one kind that hold for the candidate now, or NEVER_US; FOREVER_US for good."""
    latest, first = NEVER_US, run.contacts.start[item]
    for slot in range(first, first + run.contacts.count[item]):
        if in_scope(run, slot, candidate, run.rules.cool_downs[kind]["scope"]):
            latest = max(latest, cooling_end_us(run, slot, kind))
    return latest


@kernel(types.int64(RUN_TYPE, types.int64, types.int64), inner=True)
def cool_down(run: Run, item: int, candidate: int) -> int:
    """Return the smallest reason code of the cool-downs that hold for the candidate, or 0."""
    for kind in range(KINDS):
        if cooling_until_us(run, item, candidate, kind) != NEVER_US:
            return COOL_DOWN_REFUSED + kind
    return 0
