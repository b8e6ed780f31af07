"""The stages that need no ledger, as rows of bits over an item's candidates: validity, consent, eligibility, control."""

import numpy as np
from numba import types

from engine.dtypes.ledger import FOREVER_US
from engine.dtypes.rules import RULES_TYPE, RUN_TYPE, Rules, Run
from engine.dtypes.view import FOUND, VIEW_TYPE, View
from engine.intrinsics import lowest_bit
from engine.jit import kernel, writable
from engine.kernels.blocks import after_block, chain, take_block
from engine.kernels.matching import match_conditions
from engine.kernels.mix import mix64
from engine.limits import NEVER_US
from engine.reasons import Reason, Stage

CAMPAIGN_NOT_LIVE = int(Reason.CAMPAIGN_NOT_LIVE)
CAMPAIGN_NOT_STARTED = int(Reason.CAMPAIGN_NOT_STARTED)
CAMPAIGN_ENDED = int(Reason.CAMPAIGN_ENDED)
OFFER_NOT_VALID = int(Reason.OFFER_NOT_VALID)
CONSENT_MISSING = int(Reason.CONSENT_MISSING)
CONSENT_REFUSED = int(Reason.CONSENT_REFUSED)
CONTROL_UNIVERSAL = int(Reason.CONTROL_UNIVERSAL)
CONTROL_CAMPAIGN = int(Reason.CONTROL_CAMPAIGN)
PASSES = 0
REQUEST, VALIDITY, CONSENT = int(Stage.REQUEST), int(Stage.VALIDITY), int(Stage.CONSENT)
ELIGIBILITY, CONTROL, CAP = int(Stage.ELIGIBILITY), int(Stage.CONTROL), int(Stage.CAP)

_i8 = types.int64


@kernel(_i8(RUN_TYPE, _i8), inner=True)
def pair_of(run: Run, item: int) -> int:
    """Return the number of the item's trigger and channel."""
    return int(run.items.trigger[item] * run.rules.settings[0]["channels"] + run.items.channel[item])


@kernel(_i8(RULES_TYPE, _i8, _i8))
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


@kernel(_i8(RULES_TYPE, _i8, _i8, _i8), inner=True)
def starting_us(rules: Rules, candidate: int, reason: int, now_us: int) -> int:
    """Return when what is not valid for the reason starts to be, as far as that reason goes; NEVER_US when it has been."""
    start = NEVER_US
    if reason == CAMPAIGN_NOT_STARTED:
        start = rules.candidates[candidate]["campaign_from_us"]
    elif reason == OFFER_NOT_VALID:
        start = rules.candidates[candidate]["offer_from_us"]
    return start if start > now_us else NEVER_US


@kernel(_i8(RULES_TYPE, VIEW_TYPE, _i8, _i8, _i8))
def consent(rules: Rules, view: View, item: int, candidate: int, channel: int) -> int:
    """Return CONSENT_REFUSED, CONSENT_MISSING or PASSES: a refusal wins over everything."""
    row = rules.candidates[candidate]
    bit = np.uint64(1) << np.uint64(row["purpose"] * rules.settings[0]["channels"] + channel)
    if view.refused[item] & bit:
        return CONSENT_REFUSED
    if row["opt_in"] and not view.granted[item] & bit:
        return CONSENT_MISSING
    return PASSES


@kernel(types.boolean(RULES_TYPE, types.uint64), inner=True)
def in_universal(rules: Rules, subscriber: np.uint64) -> bool:
    """Return whether the subscriber is in the universal control group."""
    settings = rules.settings[0]
    return bool(
        settings["universal_all"] or mix64(subscriber ^ settings["universal_salt"]) < settings["universal_threshold"]
    )


@kernel(_i8(RULES_TYPE, types.uint64, _i8))
def control(rules: Rules, subscriber: np.uint64, candidate: int) -> int:
    """Return CONTROL_UNIVERSAL, CONTROL_CAMPAIGN or 0."""
    if in_universal(rules, subscriber):
        return CONTROL_UNIVERSAL
    row = rules.candidates[candidate]
    if row["control_all"] or mix64(subscriber ^ row["control_salt"]) < row["control_threshold"]:
        return CONTROL_CAMPAIGN
    return 0


@kernel(_i8(_i8, _i8), inner=True)
def sooner(one_us: int, other_us: int) -> int:
    """Return the earlier of two instants, of which NEVER_US is none."""
    if one_us == NEVER_US or (other_us != NEVER_US and other_us < one_us):
        return other_us
    return one_us


@kernel(types.void(RUN_TYPE, _i8, _i8), inner=True)
def note_edges(run: Run, pair: int, candidate: int) -> None:
    """Narrow the pair's span of validity to the instants around now at which the candidate's changes."""
    row, span, now_us = run.rules.candidates[candidate], run.work.valid_span_us, run.moment.now_us
    for edge in (row["campaign_from_us"], row["campaign_until_us"], row["offer_from_us"], row["offer_until_us"]):
        if edge <= now_us:
            span[pair, 0] = max(span[pair, 0], edge)
        else:
            span[pair, 1] = min(span[pair, 1], edge)


@kernel(types.void(RUN_TYPE, _i8), inner=True)
def refresh_valid(run: Run, pair: int) -> None:
    """Make the pair's row of valid positions hold at the run's instant, unless it does."""
    work, record, now_us = run.work, run.pairs.pairs[pair], run.moment.now_us
    if work.valid_span_us[pair, 0] <= now_us < work.valid_span_us[pair, 1]:
        return
    work.valid_span_us[pair, 0], work.valid_span_us[pair, 1], work.valid_span_us[pair, 2] = (
        NEVER_US,
        FOREVER_US,
        NEVER_US,
    )
    for w in range(record["words"]):
        work.valid[record["valid_at"] + w] = np.uint64(0)
    for position in range(record["count"]):
        candidate = run.pairs.candidate[record["first"] + position]
        note_edges(run, pair, candidate)
        reason = validity(run.rules, candidate, now_us)
        if reason == PASSES:
            work.valid[record["valid_at"] + (position >> 6)] |= np.uint64(1) << np.uint64(position & 63)
        else:
            starts_us = starting_us(run.rules, candidate, reason, now_us)
            work.valid_span_us[pair, 2] = sooner(work.valid_span_us[pair, 2], starts_us)


@kernel(types.void(RUN_TYPE, _i8, _i8, types.uint64), inner=True)
def stop(run: Run, stage: int, w: int, bits: np.uint64) -> None:
    """Stop those of the positions left that `bits` has in word `w`."""
    run.work.stopped[stage, w] |= run.work.left[w] & bits
    run.work.left[w] &= ~bits


@kernel(types.void(RUN_TYPE, _i8), inner=True)
def all_left(run: Run, pair: int) -> None:
    """Set every position of the pair, and clear what the last item left."""
    record, work = run.pairs.pairs[pair], run.work
    for w in range(record["words"]):
        here = min(record["count"] - w * 64, 64)
        work.left[w] = ~np.uint64(0) >> np.uint64(64 - here)
        work.looked_at[w] = np.uint64(0)
        for stage in range(CAP + 1):
            work.stopped[stage, w] = np.uint64(0)


@kernel(types.boolean(RUN_TYPE, _i8), inner=True)
def any_left(run: Run, words: int) -> bool:
    """Return whether a position is left."""
    left = np.uint64(0)
    for w in range(words):
        left |= run.work.left[w]
    return bool(left != np.uint64(0))


@kernel(types.void(RUN_TYPE, _i8, _i8), inner=True)
def gate(run: Run, item: int, pair: int) -> None:
    """Stop the positions whose purpose has no consent."""
    record, gates = run.pairs.pairs[pair], run.pairs.gates
    for at in range(record["gate_at"], record["gate_at"] + record["gates"]):
        bit = gates[at]["bit"]
        missing = gates[at]["opt_in"] != 0 and run.rows.granted[item] & bit == np.uint64(0)
        if missing or run.rows.refused[item] & bit != np.uint64(0):
            for w in range(record["words"]):
                stop(run, CONSENT, w, run.pairs.masks[gates[at]["positions_at"] + w])


@kernel(types.void(RUN_TYPE, _i8), inner=True)
def expand(run: Run, pair: int) -> None:
    """Fill work.free with the positions whose condition holds."""
    record, matched, free = run.pairs.pairs[pair], run.work.matched, run.work.free
    if record["expand_at"] < 0:
        for w in range(record["words"]):
            free[w] = ~(matched[0, w] | matched[1, w] | matched[2, w])
        return
    for w in range(record["words"]):
        free[w] = run.pairs.masks[record["always_at"] + w]
    places, first = run.pairs.places, record["expand_at"]
    for w in range(run.matching.matchers[record["matcher"]]["words"]):
        holds = ~(matched[0, w] | matched[1, w] | matched[2, w])
        while holds != np.uint64(0):
            k = w * 64 + lowest_bit(holds)
            holds &= holds - np.uint64(1)
            for at in range(places[first + k], places[first + k + 1]):
                free[places[at] >> 6] |= np.uint64(1) << np.uint64(places[at] & 63)


@kernel(types.void(RUN_TYPE, _i8, _i8), inner=True)
def find_eligible(run: Run, item: int, pair: int) -> None:
    """Fill work.free with the positions whose condition holds: as the item's block has them, or by matching the item alone."""
    lane = run.work.block.lane[0]
    if lane < 0:
        match_conditions(run, item, run.pairs.pairs[pair]["matcher"])
        expand(run, pair)
        return
    for w in range(run.pairs.pairs[pair]["words"]):
        run.work.free[w] = run.work.block.rows[lane, w]


@kernel(types.void(RUN_TYPE, _i8, _i8), inner=True)
def withhold(run: Run, item: int, pair: int) -> None:
    """Note under CONTROL the positions left that a control group withholds; they stay left."""
    record, controls, work = run.pairs.pairs[pair], run.pairs.controls, run.work
    subscriber = run.items.subscriber[item]
    if in_universal(run.rules, subscriber):
        for w in range(record["words"]):
            work.stopped[CONTROL, w] = work.left[w]
        return
    for at in range(record["control_at"], record["control_at"] + record["controls"]):
        if controls[at]["all"] or mix64(subscriber ^ controls[at]["salt"]) < controls[at]["threshold"]:
            for w in range(record["words"]):
                row = run.pairs.masks[controls[at]["positions_at"] + w]
                work.stopped[CONTROL, w] |= work.left[w] & row


@kernel(types.void(RUN_TYPE, _i8, _i8), inner=True)
def screen(run: Run, item: int, pair: int) -> None:
    """Fill work.left with the item's candidates that pass up to eligibility, and work.stopped with those that each stage up to control stops."""
    record, work = run.pairs.pairs[pair], run.work
    words = record["words"]
    all_left(run, pair)
    if run.rows.found[item] != FOUND:
        for w in range(words):
            stop(run, REQUEST, w, ~run.pairs.masks[record["anonymous_at"] + w])
    refresh_valid(run, pair)
    for w in range(words):
        stop(run, VALIDITY, w, ~work.valid[record["valid_at"] + w])
    gate(run, item, pair)
    if any_left(run, words):
        find_eligible(run, item, pair)
        for w in range(words):
            stop(run, ELIGIBILITY, w, ~work.free[w])
        withhold(run, item, pair)


@kernel(types.void(RUN_TYPE, _i8, _i8, writable(np.uint64, 2)), inner=True)
def hold_block(run: Run, count: int, pair: int, held: np.ndarray) -> None:
    """Write the rows of the block's items, which were matched together."""
    block = run.work.block
    for w in range(run.pairs.pairs[pair]["words"]):
        for lane in range(count):
            held[block.item[lane], w] = block.rows[lane, w]


@kernel(types.void(RUN_TYPE, _i8, _i8, writable(np.uint64, 2)), inner=True)
def hold_alone(run: Run, count: int, pair: int, held: np.ndarray) -> None:
    """Match the block's items one by one and write their rows."""
    for lane in range(count):
        item = run.work.block.item[lane]
        find_eligible(run, item, pair)
        for w in range(run.pairs.pairs[pair]["words"]):
            held[item, w] = run.work.free[w]


@kernel(types.void(RUN_TYPE, writable(np.uint64, 2)))
def eligible_run(run: Run, held: np.ndarray) -> None:
    """For whoever wants matching alone: write for each item of a run the row of its pair's positions whose condition holds; nothing else is looked at."""
    for item in range(run.moment.items):
        chain(run, item, pair_of(run, item))
    for first in range(run.moment.items):
        item = first if run.work.block.first[first] else -1
        while item >= 0:
            pair = pair_of(run, item)
            count = take_block(run, item, pair)
            if run.work.block.lane[0] >= 0:
                hold_block(run, count, pair, held)
            else:
                hold_alone(run, count, pair, held)
            item = after_block(run, count)
