"""When a stopped candidate may next pass: the instant behind `next_allowed` and Explain."""

from numba import types

from engine.dtypes.ledger import FOREVER_US
from engine.dtypes.rules import RUN_TYPE, Run
from engine.jit import kernel
from engine.kernels.cool_down import cooling_until_us
from engine.kernels.counting import instance_until_us, used_of, zone_row
from engine.kernels.screening import CAMPAIGN_NOT_STARTED, OFFER_NOT_VALID, starting_us
from engine.kernels.wall_clock import quiet_end
from engine.limits import MICROSECONDS_PER_DAY, NEVER_US
from engine.reasons import Reason

QUIET_HOURS = int(Reason.QUIET_HOURS)
COOL_DOWN_REFUSED = int(Reason.COOL_DOWN_REFUSED)
ALREADY_ACCEPTED = int(Reason.ALREADY_ACCEPTED)
CAP_REACHED = int(Reason.CAP_REACHED)
QUIET_MAX_US = 40 * MICROSECONDS_PER_DAY
"""Quiet hours that go on for so long have no known end; the tables always reach so far."""


@kernel(types.int64(RUN_TYPE, types.int64), inner=True)
def quiet_until_us(run: Run, item: int) -> int:
    """Return the latest end of the quiet time that holds on either clock, NEVER_US when it is quiet on neither, FOREVER_US when no end is known."""
    quiet_class = run.rules.channels[run.items.channel[item]]["quiet_class"]
    if quiet_class < 0:
        return NEVER_US
    row = quiet_class * (run.rules.settings[0]["zones"] + 1) + zone_row(run, item)
    latest = NEVER_US
    for instant_us in (run.moment.raw_us, run.moment.now_us):
        end = quiet_end(run.clock, row, instant_us)
        if end != NEVER_US:
            # Not as far as the tables reach: when they were made must decide nothing.
            known = end < run.moment.horizon_end_us and end - instant_us < QUIET_MAX_US
            latest = max(latest, end if known else FOREVER_US)
    return latest


@kernel(types.int64(RUN_TYPE, types.int64, types.int64, types.int64), inner=True)
def entries_until_us(run: Run, item: int, start: int, count: int) -> int:
    """Return the latest `until` of the reached caps among entries of cap_of: NEVER_US when none is reached, FOREVER_US when one is not known."""
    latest = NEVER_US
    for entry in range(start, start + count):
        instance = run.rules.cap_of[entry]
        if used_of(run.rules, run.totals, instance, run.work) < run.rules.instances[instance]["limit"]:
            continue
        until = instance_until_us(run, item, instance, run.rules.instances[instance]["limit"] - 1)
        latest = max(latest, FOREVER_US if until == NEVER_US else until)
    return latest


@kernel(types.int64(RUN_TYPE, types.int64, types.int64), inner=True)
def caps_until_us(run: Run, item: int, candidate: int) -> int:
    """Return when every cap that the last pass found reached for the candidate has room, or FOREVER_US."""
    row, channel = run.rules.candidates[candidate], run.rules.channels[run.items.channel[item]]
    own = entries_until_us(run, item, row["cap_start"], row["cap_count"])
    return max(own, entries_until_us(run, item, channel["cap_start"], channel["cap_count"]))


@kernel(types.int64(RUN_TYPE, types.int64, types.int64, types.int64), inner=True)
def candidate_until_us(run: Run, item: int, candidate: int, reason: int) -> int:
    """Return the earliest instant at which the stage that stopped the candidate may let it through, or NEVER_US when none is known."""
    until = FOREVER_US
    if reason in (CAMPAIGN_NOT_STARTED, OFFER_NOT_VALID):
        return starting_us(run.rules, candidate, reason, run.moment.now_us)
    if reason == QUIET_HOURS:
        until = quiet_until_us(run, item)
    elif COOL_DOWN_REFUSED <= reason <= ALREADY_ACCEPTED:
        until = cooling_until_us(run, item, candidate, reason - COOL_DOWN_REFUSED)
    elif reason == CAP_REACHED:
        until = caps_until_us(run, item, candidate)
    return NEVER_US if until == FOREVER_US else until
