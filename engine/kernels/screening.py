"""The stages that need no ledger, for each candidate of each item: validity, consent, eligibility, control."""

import numpy as np
from numba import types

from engine.dtypes.condition import CONDITION_TABLES_TYPE, ConditionTables
from engine.dtypes.rules import (
    ITEMS_TYPE,
    RULES_TYPE,
    WORK_TYPE,
    Items,
    Rules,
    Work,
)
from engine.dtypes.view import FOUND, VIEW_TYPE, View
from engine.jit import kernel
from engine.kernels.condition import condition_result
from engine.kernels.mix import mix64
from engine.reasons import Reason

UNKNOWN_SUBSCRIBER = int(Reason.UNKNOWN_SUBSCRIBER)
CAMPAIGN_NOT_LIVE = int(Reason.CAMPAIGN_NOT_LIVE)
CAMPAIGN_NOT_STARTED = int(Reason.CAMPAIGN_NOT_STARTED)
CAMPAIGN_ENDED = int(Reason.CAMPAIGN_ENDED)
OFFER_NOT_VALID = int(Reason.OFFER_NOT_VALID)
CONSENT_MISSING = int(Reason.CONSENT_MISSING)
CONSENT_REFUSED = int(Reason.CONSENT_REFUSED)
NOT_ELIGIBLE = int(Reason.NOT_ELIGIBLE)
CONTROL_UNIVERSAL = int(Reason.CONTROL_UNIVERSAL)
CONTROL_CAMPAIGN = int(Reason.CONTROL_CAMPAIGN)
PASSES = 0
TRUE = 1

assert int(Reason.CONDITION_UNKNOWN) == NOT_ELIGIBLE + 1
assert int(Reason.CONDITION_ERROR) == NOT_ELIGIBLE + 2


@kernel(types.int64(RULES_TYPE, types.int64, types.int64))
def validity(rules: Rules, candidate: int, now_us: int) -> int:
    """Return the reason for which the campaign or the offer makes no offers at `now_us`, or PASSES."""
    row = rules.candidates[candidate]
    if not row["live"]:
        return CAMPAIGN_NOT_LIVE
    if now_us < row["campaign_from_us"]:
        return CAMPAIGN_NOT_STARTED
    if now_us >= row["campaign_until_us"]:
        return CAMPAIGN_ENDED
    if now_us < row["offer_from_us"] or now_us >= row["offer_until_us"]:
        return OFFER_NOT_VALID
    return PASSES


@kernel(types.int64(RULES_TYPE, VIEW_TYPE, types.int64, types.int64, types.int64))
def consent(rules: Rules, view: View, item: int, candidate: int, channel: int) -> int:
    """Return CONSENT_REFUSED, CONSENT_MISSING or PASSES: a refusal wins over everything."""
    row = rules.candidates[candidate]
    bit = np.uint64(1) << np.uint64(row["purpose"] * rules.settings[0]["channels"] + channel)
    if view.refused[item] & bit:
        return CONSENT_REFUSED
    if row["opt_in"] and not view.granted[item] & bit:
        return CONSENT_MISSING
    return PASSES


@kernel(types.int64(RULES_TYPE, CONDITION_TABLES_TYPE, VIEW_TYPE, types.int64, types.int64, WORK_TYPE), inner=True)
def condition_of(rules: Rules, conditions: ConditionTables, view: View, item: int, candidate: int, work: Work) -> int:
    """Return what the campaign's condition comes to, as `condition_result` does; evaluated once an item."""
    condition = rules.candidates[candidate]["condition"]
    if condition < 0:
        return TRUE
    if work.condition_item[condition] != item:
        work.condition_item[condition] = item
        work.condition_value[condition] = condition_result(conditions, view, item, condition)
    return int(work.condition_value[condition])


@kernel(types.int64(RULES_TYPE, types.uint64, types.int64))
def control(rules: Rules, subscriber: int, candidate: int) -> int:
    """Return CONTROL_UNIVERSAL, CONTROL_CAMPAIGN or 0."""
    settings = rules.settings[0]
    if settings["universal_all"] or mix64(subscriber ^ settings["universal_salt"]) < settings["universal_threshold"]:
        return CONTROL_UNIVERSAL
    row = rules.candidates[candidate]
    if row["control_all"] or mix64(subscriber ^ row["control_salt"]) < row["control_threshold"]:
        return CONTROL_CAMPAIGN
    return 0


@kernel(
    types.void(
        RULES_TYPE, CONDITION_TABLES_TYPE, VIEW_TYPE, ITEMS_TYPE, types.int64, types.int64, types.int64, WORK_TYPE
    ),
    inner=True,
)
def screen_candidate(
    rules: Rules,
    conditions: ConditionTables,
    view: View,
    items: Items,
    item: int,
    position: int,
    now_us: int,
    work: Work,
) -> None:
    """Write the candidate's reason (0 when it passes), the term that decided its condition, and its control group."""
    channel = items.channel[item]
    first = rules.pair_start[items.trigger[item] * rules.settings[0]["channels"] + channel]
    candidate = rules.pair[first + position]
    work.control[item, position] = 0
    work.detail[item, position] = -1
    if view.found[item] != FOUND and not rules.candidates[candidate]["anonymous"]:
        work.reason[item, position] = UNKNOWN_SUBSCRIBER
        return
    reason = validity(rules, candidate, now_us)
    if reason == PASSES:
        reason = consent(rules, view, item, candidate, channel)
    if reason == PASSES:
        value = condition_of(rules, conditions, view, item, candidate, work)
        if value & 255 == TRUE:
            work.control[item, position] = control(rules, items.subscriber[item], candidate)
        else:
            # FALSE 0, UNKNOWN 2, ERROR 3
            reason = NOT_ELIGIBLE + max((value & 255) - 1, 0)
            work.detail[item, position] = value >> 8
    work.reason[item, position] = reason


@kernel(types.void(RULES_TYPE, CONDITION_TABLES_TYPE, VIEW_TYPE, ITEMS_TYPE, types.int64, WORK_TYPE))
def screen_run(rules: Rules, conditions: ConditionTables, view: View, items: Items, now_us: int, work: Work) -> None:
    """Screen every candidate of every item; `view` and `work` have the run's items from row 0 on."""
    work.condition_item[:] = -1
    for item in range(len(items.subscriber)):
        pair = items.trigger[item] * rules.settings[0]["channels"] + items.channel[item]
        for position in range(rules.pair_start[pair + 1] - rules.pair_start[pair]):
            screen_candidate(rules, conditions, view, items, item, position, now_us, work)
