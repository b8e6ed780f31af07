"""When a contact counts toward a cap, until when, and how many do: the counting rules of engine/README.md."""

import numpy as np
from numba import types

from engine.dtypes.contact import (
    ACCEPTED,
    CONTACT,
    CONTACTS_TYPE,
    COUNTS,
    DECIDED,
    HANDED_OFF,
    LIVE,
    PUSH,
    SEEN,
    TOTALS_TYPE,
    Contacts,
    Totals,
)
from engine.dtypes.ledger import FOREVER_US, LIFETIME
from engine.dtypes.rules import (
    CALENDAR,
    ROLLING,
    RULES_TYPE,
    RUN_TYPE,
    SCOPE_ALL,
    SCOPE_CAMPAIGN,
    SCOPE_CATEGORY,
    SCOPE_CHANNEL,
    SCOPE_OFFER,
    WALL_CLOCK_TYPE,
    WORK_TYPE,
    Rules,
    Run,
    WallClock,
    Work,
)
from engine.jit import kernel, read_only
from engine.kernels.wall_clock import window_end, window_start
from engine.limits import NEVER_US

RECORDS = read_only(CONTACT)


@kernel(types.int64(RECORDS, types.int64, types.int64))
def event_us(records: np.ndarray, slot: int, event: int) -> int:
    """Return when the contact had the cap event, or NEVER_US."""
    record = records[slot]
    if event == DECIDED:
        return int(record["granted_us"])
    if event == HANDED_OFF:
        return int(record["handed_off_us"])
    if event == SEEN:
        return int(record["seen_us"])
    return int(record["accepted_us"])


@kernel(types.int64(RECORDS, types.int64, types.int64, types.int64))
def counted_us(records: np.ndarray, slot: int, event: int, now_us: int) -> int:
    """Return the instant as of which the contact counts for the event, or NEVER_US when it does not count."""
    record = records[slot]
    if not record["flags"] & COUNTS:
        return NEVER_US
    happened = event_us(records, slot, event)
    if happened != NEVER_US:
        return happened
    if record["flags"] & LIVE:
        if now_us < record["expires_us"]:
            return now_us
        if record["flags"] & PUSH and event != ACCEPTED:
            return int(record["expires_us"])
    return NEVER_US


@kernel(types.int64(RULES_TYPE, WALL_CLOCK_TYPE, types.int64, types.int64, types.int64))
def lower_bound_us(rules: Rules, clock: WallClock, cap: int, zone_row: int, now_us: int) -> int:
    """Return the instant that an event must be later than to count toward the cap at `now_us`; `zone_row` is the zone, or the last row for an unknown one."""
    definition = rules.caps[cap]
    if definition["window"] == ROLLING:
        return int(now_us - definition["window_us"])
    if definition["window"] == CALENDAR:
        row = definition["calendar"] * (rules.settings[0]["zones"] + 1) + zone_row
        return window_start(clock, row, now_us) - 1
    return NEVER_US


@kernel(types.int64(RULES_TYPE, WALL_CLOCK_TYPE, types.int64, types.int64, types.int64))
def event_end_us(rules: Rules, clock: WallClock, cap: int, zone_row: int, happened_us: int) -> int:
    """Return when an event at `happened_us` stops counting toward the cap."""
    definition = rules.caps[cap]
    if definition["window"] == ROLLING:
        return int(happened_us + definition["window_us"])
    if definition["window"] == CALENDAR:
        row = definition["calendar"] * (rules.settings[0]["zones"] + 1) + zone_row
        return window_end(clock, row, happened_us)
    return FOREVER_US


@kernel(types.int64(RECORDS, types.int64, RULES_TYPE, WALL_CLOCK_TYPE, types.int64, types.int64))
def stops_counting_us(
    records: np.ndarray,
    slot: int,
    rules: Rules,
    clock: WallClock,
    cap: int,
    zone_row: int,
) -> int:
    """Return when a contact that counts now stops counting if nothing else happens."""
    record = records[slot]
    event = rules.caps[cap]["event"]
    happened = event_us(records, slot, event)
    if happened == NEVER_US:
        if not record["flags"] & PUSH or event == ACCEPTED:
            return int(record["expires_us"])
        happened = record["expires_us"]
    return event_end_us(rules, clock, cap, zone_row, happened)


@kernel(types.int64(RECORDS, types.int64, types.int64))
def scope_code(records: np.ndarray, slot: int, scope: int) -> int:
    """Return the contact's ledger code within the scope; 0 for the scope of everything."""
    record = records[slot]
    if scope == SCOPE_OFFER:
        return int(record["offer"])
    if scope == SCOPE_CAMPAIGN:
        return int(record["campaign"])
    if scope == SCOPE_CATEGORY:
        return int(record["category"])
    if scope == SCOPE_CHANNEL:
        return int(record["channel"])
    return 0


@kernel(types.void(WORK_TYPE, types.int64, types.int64))
def add_used(work: Work, instance: int, amount: int) -> None:
    """Add to what counts toward the instance in the present pass."""
    if work.stamp[instance] != work.serial[0]:
        work.stamp[instance] = work.serial[0]
        work.used[instance] = 0
    work.used[instance] += np.int32(amount)


@kernel(
    types.void(RULES_TYPE, WALL_CLOCK_TYPE, CONTACTS_TYPE, types.int64, types.int64, types.int64, WORK_TYPE), apart=True
)
def count_contacts(
    rules: Rules, clock: WallClock, contacts: Contacts, item: int, zone_row: int, now_us: int, work: Work
) -> None:
    """Start a pass: count the item's contacts toward every instance of the caps by subscriber, and list in work.touched those that any counts for."""
    work.serial[0] += 1
    work.serial[1] = 0
    first = contacts.start[item]
    end = first + contacts.count[item]
    if first == end:
        return
    for cap in range(len(rules.caps)):
        if rules.caps[cap]["total"]:
            continue
        scope = rules.caps[cap]["scope"]
        lower = lower_bound_us(rules, clock, cap, zone_row, now_us)
        counted_decision = np.uint64(0)
        for slot in range(first, end):
            if counted_us(contacts.records, slot, rules.caps[cap]["event"], now_us) <= lower:
                continue
            decision = contacts.records[slot]["decision"]
            if scope >= SCOPE_CHANNEL and decision == counted_decision:
                continue
            instance = rules.instance_of[cap, scope_code(contacts.records, slot, scope)]
            if instance >= 0:
                if work.stamp[instance] != work.serial[0]:
                    work.touched[work.serial[1]] = instance
                    work.serial[1] += 1
                add_used(work, instance, 1)
                counted_decision = decision


@kernel(types.int64(TOTALS_TYPE, types.int64, types.int64, types.int64))
def total_used(totals: Totals, event: int, slot: int, since_day: int) -> int:
    """Return how much counts toward a total: events since the day (LIFETIME: ever), and live holds."""
    used = totals.live[event, slot]
    if since_day == LIFETIME:
        return int(used + totals.lifetime[event, slot])
    for bucket in range(len(totals.day)):
        if totals.day[bucket] >= since_day:
            used += totals.daily[event, slot, bucket]
    return int(used)


@kernel(types.int64(RULES_TYPE, TOTALS_TYPE, types.int64, WORK_TYPE))
def used_of(rules: Rules, totals: Totals, instance: int, work: Work) -> int:
    """Return what counts toward the instance in the present pass, its answer's own offers included; reads a total at its first use."""
    if work.stamp[instance] != work.serial[0]:
        cap = rules.instances[instance]["cap"]
        used = 0
        if rules.caps[cap]["total"]:
            slot = rules.instances[instance]["total_slot"]
            used = total_used(totals, rules.caps[cap]["event"], slot, work.since_day[cap])
        work.stamp[instance] = work.serial[0]
        work.used[instance] = np.int32(min(used, 2147483647))
    return int(work.used[instance])


@kernel(types.int64(types.Array(types.int64, 1, "C"), types.int64, types.int64))
def kth_smallest(values: np.ndarray, count: int, k: int) -> int:
    """Return the k-th smallest (from 1) of the first `count` values, sorting them in place; at most a subscriber's contacts."""
    for i in range(1, count):
        value = values[i]
        j = i - 1
        while j >= 0 and values[j] > value:
            values[j + 1] = values[j]
            j -= 1
        values[j + 1] = value
    return int(values[k - 1])


@kernel(types.int64(RUN_TYPE, types.int64), inner=True)
def zone_row(run: Run, item: int) -> int:
    """Return the item's zone row in the wall-clock tables: the last one when its zone is unknown."""
    zone = run.rows.zone[item]
    return int(zone if zone >= 0 else run.rules.settings[0]["zones"])


@kernel(types.int64(RUN_TYPE, types.int64, types.int64, types.int64), inner=True)
def instance_until_us(run: Run, item: int, instance: int, most: int) -> int:
    """Return when no more than `most` of what counts toward a cap by subscriber is left, or NEVER_US when that is so now or no instant is known."""
    rules, records, now_us = run.rules, run.contacts.records, run.moment.now_us
    cap = rules.instances[instance]["cap"]
    if rules.caps[cap]["total"] or most < 0:
        return NEVER_US
    scope, event = rules.caps[cap]["scope"], rules.caps[cap]["event"]
    zone = zone_row(run, item)
    lower = lower_bound_us(rules, run.clock, cap, zone, now_us)
    count = 0
    decision = np.uint64(0)
    for slot in range(run.contacts.start[item], run.contacts.start[item] + run.contacts.count[item]):
        if rules.instance_of[cap, scope_code(records, slot, scope)] != instance:
            continue
        if counted_us(records, slot, event, now_us) <= lower:
            continue
        stops = stops_counting_us(records, slot, rules, run.clock, cap, zone)
        if scope >= SCOPE_CHANNEL and count > 0 and records[slot]["decision"] == decision:
            run.work.stops_us[count - 1] = max(run.work.stops_us[count - 1], stops)
            continue
        decision = records[slot]["decision"]
        run.work.stops_us[count] = stops
        count += 1
    if count <= most:
        return NEVER_US
    until = kth_smallest(run.work.stops_us, count, count - most)
    return NEVER_US if until == FOREVER_US else until


assert SCOPE_ALL > SCOPE_CHANNEL > SCOPE_CATEGORY
