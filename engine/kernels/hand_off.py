"""Whether a held push may go out now: quiet hours on both clocks, and caps that an edit has put over their limit."""

from numba import types

from engine.dtypes.ledger import FOREVER_US
from engine.dtypes.rules import RUN_TYPE, Run
from engine.jit import kernel
from engine.kernels.counting import count_contacts, instance_until_us, used_of, zone_row
from engine.kernels.until import quiet_until_us
from engine.limits import NEVER_US


@kernel(types.int64(RUN_TYPE))
def hand_off_quiet_us(run: Run) -> int:
    """Return the end of the quiet hours that stop the run's only item, or NEVER_US."""
    return quiet_until_us(run, 0)


@kernel(types.int64(RUN_TYPE, types.int64, types.int64), inner=True)
def over_until_us(run: Run, start: int, count: int) -> int:
    """Return when the caps among entries of cap_of are within their limits again: NEVER_US when all are now, FOREVER_US when an instant is not known."""
    latest = NEVER_US
    for entry in range(start, start + count):
        instance = run.rules.cap_of[entry]
        limit = run.rules.instances[instance]["limit"]
        if used_of(run.rules, run.totals, instance, run.work) > limit:
            until = instance_until_us(run, 0, instance, limit)
            latest = max(latest, FOREVER_US if until == NEVER_US else until)
    return latest


@kernel(types.int64(RUN_TYPE, types.int64))
def hand_off_caps_us(run: Run, candidate: int) -> int:
    """Return when every cap of the candidate holds with the run's only item's present contacts: NEVER_US for now, FOREVER_US for no known instant."""
    row, channel = run.rules.candidates[candidate], run.rules.channels[run.items.channel[0]]
    if not row["obeys_caps"]:
        return NEVER_US
    count_contacts(run.rules, run.clock, run.contacts, 0, zone_row(run, 0), run.moment.now_us, run.work)
    own = over_until_us(run, row["cap_start"], row["cap_count"])
    return max(own, over_until_us(run, channel["cap_start"], channel["cap_count"]))
