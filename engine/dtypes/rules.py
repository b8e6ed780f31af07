"""The bound rulebook as kernels see it: candidates, channels, caps and the instants of the wall-clock rules.

(trigger, channel) -> engine.dtypes.pairs          -> positions in rank order, each a candidate
candidate          -> CANDIDATE record              -> cap_of[cap_start : cap_start + cap_count] = cap instances
channel            -> CHANNEL record                -> cap_of[...] = instances of the channel's and the overall caps
cap instance       -> INSTANCE record               -> cap definition, limit, total slot
contact            -> instance_of[definition, code]    = the instance it counts for, or -1
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from engine.dtypes.across import BLOCK_TYPE, Block
from engine.dtypes.base import READ_PLAN_TYPE, ROWS_TYPE, ReadPlan, Rows
from engine.dtypes.condition import CONDITION_TABLES_TYPE, ConditionTables
from engine.dtypes.contact import CONTACTS_TYPE, TOTALS_TYPE, Contacts, Totals
from engine.dtypes.matching import MATCHING_TYPE, Matching
from engine.dtypes.pairs import PAIRS_TYPE, Pairs
from engine.dtypes.view import VIEW_TYPE, View
from engine.jit import bundle, read_only, writable

CANDIDATE = np.dtype(
    [
        ("tier", np.float64),
        ("score", np.float64),
        ("campaign_from_us", np.int64),
        ("campaign_until_us", np.int64),
        ("offer_from_us", np.int64),
        ("offer_until_us", np.int64),
        ("tie", np.uint64),  # stable_id(offer) ^ mix64(stable_id(campaign))
        ("control_salt", np.uint64),
        ("control_threshold", np.uint64),
        ("condition", np.int32),  # -1: everybody
        ("group", np.int32),  # exclusive group of the product
        ("cap_start", np.int32),
        ("cap_count", np.int32),
        ("offer", np.uint16),  # ledger codes
        ("campaign", np.uint16),
        ("category", np.uint16),
        ("purpose", np.uint8),
        ("opt_in", np.uint8),
        ("live", np.uint8),
        ("control_all", np.uint8),
        ("obeys_caps", np.uint8),
        ("counts", np.uint8),
        ("anonymous", np.uint8),
    ],
    align=True,
)

CHANNEL = np.dtype(
    [
        ("hold_us", np.int64),
        ("queue_deadline_us", np.int64),
        ("max_offers", np.int32),
        ("cap_start", np.int32),
        ("cap_count", np.int32),
        ("quiet_class", np.int32),  # -1: no quiet hours
        ("code", np.uint16),
        ("push", np.uint8),
        ("defer", np.uint8),
    ],
    align=True,
)

CAP = np.dtype(
    [
        ("window_us", np.int64),
        ("calendar", np.int32),
        ("scope", np.uint8),
        ("event", np.uint8),
        ("window", np.uint8),
        ("total", np.uint8),
    ],
    align=True,
)

INSTANCE = np.dtype(
    [
        ("cap", np.int32),
        ("limit", np.int32),
        ("total_slot", np.int32),
        ("code", np.int32),
    ],  # of its target; 0 for the scope of everything
    align=True,
)

SCOPE_OFFER, SCOPE_CAMPAIGN, SCOPE_CATEGORY, SCOPE_CHANNEL, SCOPE_ALL = 0, 1, 2, 3, 4
ROLLING, CALENDAR, LIFETIME = 0, 1, 2

COOL_DOWN = np.dtype([("length_us", np.int64), ("scope", np.uint8)], align=True)
"""Three records: after a refusal, after 'not now', after an acceptance; FOREVER_US as the length means for ever."""

SETTINGS = np.dtype(
    [
        ("policy_seed", np.uint64),
        ("universal_salt", np.uint64),
        ("universal_threshold", np.uint64),
        ("universal_all", np.uint8),
        ("anonymous_offers", np.uint8),
        ("channels", np.int32),
        ("zones", np.int32),  # real zones; the unknown zone's row follows them
        ("home_zone", np.int32),
        ("day_calendar", np.int32),
    ],
    align=True,
)
"""One record."""


class Rules(NamedTuple):
    """What a rulebook says, bound to a ledger's codes."""

    settings: npt.NDArray[np.void]
    """(1,) SETTINGS"""
    candidates: npt.NDArray[np.void]
    """(candidates,) CANDIDATE, sorted by campaign id, then offer id"""
    channels: npt.NDArray[np.void]
    """(channels,) CHANNEL"""
    caps: npt.NDArray[np.void]
    """(definitions,) CAP"""
    instances: npt.NDArray[np.void]
    """(instances,) INSTANCE"""
    cap_of: npt.NDArray[np.int32]
    """(entries,) instance numbers of candidates and channels"""
    instance_of: npt.NDArray[np.int32]
    """(definitions, codes) instance for which a contact with that code counts, -1 for none"""
    cool_downs: npt.NDArray[np.void]
    """(3,) COOL_DOWN"""


RULES_TYPE: Any = bundle(
    Rules,
    read_only(SETTINGS),
    read_only(CANDIDATE),
    read_only(CHANNEL),
    read_only(CAP),
    read_only(INSTANCE),
    read_only(np.int32),
    read_only(np.int32, 2),
    read_only(COOL_DOWN),
)


class WallClock(NamedTuple):
    """The wall-clock rules as instants; row (class or calendar) * (zones + 1) + zone, the last zone of each standing for the unknown one."""

    quiet_start: npt.NDArray[np.int32]
    """(classes * (zones + 1) + 1,)"""
    quiet_from_us: npt.NDArray[np.int64]
    quiet_until_us: npt.NDArray[np.int64]
    calendar_start: npt.NDArray[np.int32]
    """(calendars * (zones + 1) + 1,)"""
    calendar_breaks_us: npt.NDArray[np.int64]
    calendar_starts_us: npt.NDArray[np.int64]
    calendar_days: npt.NDArray[np.int64]
    """The local date (days since 1970-01-01) of each start."""


WALL_CLOCK_TYPE: Any = bundle(
    WallClock,
    read_only(np.int32),
    read_only(np.int64),
    read_only(np.int64),
    read_only(np.int32),
    read_only(np.int64),
    read_only(np.int64),
    read_only(np.int64),
)


class Work(NamedTuple):
    """Scratch of one item, and what the last item leaves behind; C = the largest pair's positions in rows of P words, K = words of conditions."""

    stopped: npt.NDArray[np.uint64]
    """(STAGE_COUNT, P): positions that each stage up to caps stopped."""
    left: npt.NDArray[np.uint64]
    """(P,): positions that nothing stopped; before control groups are looked at."""
    free: npt.NDArray[np.uint64]
    """(P,): positions among which the choice is made."""
    matched: npt.NDArray[np.uint64]
    """(4, K): conditions that are false, unknown, in error, still to be evaluated."""
    row_at: npt.NDArray[np.int64]
    """(rows,): rows of Matching.bits to be joined."""
    valid: npt.NDArray[np.uint64]
    """(words,): by pair, at PAIR's `valid_at`: positions whose campaign and offer are valid ..."""
    valid_span_us: npt.NDArray[np.int64]
    """(pairs, 3): ... from one instant until another; then the soonest instant at which one that is not valid may be, or NEVER_US."""
    reason: npt.NDArray[np.uint8]
    """(C,): engine.reasons.Reason of the positions that the choice looked at."""
    detail: npt.NDArray[np.int32]
    """(C,): for caps the cap, for exclusive groups the candidate that won; Explain adds for conditions the term that decided."""
    looked_at: npt.NDArray[np.uint64]
    """(P,): positions whose `reason` the choice wrote."""
    used: npt.NDArray[np.int32]
    """(instances,): what counts toward each cap instance, valid where `stamp` has the present serial."""
    stamp: npt.NDArray[np.int64]
    serial: npt.NDArray[np.int64]
    """(2,): the present pass; how many instances `touched` lists."""
    touched: npt.NDArray[np.int32]
    """(instances,): instances by subscriber for which the item's contacts count."""
    since_day: npt.NDArray[np.int64]
    """(definitions,): totals count events from this home-zone day on; LIFETIME for all."""
    tie_hash: npt.NDArray[np.uint64]
    """(C,)"""
    tie_position: npt.NDArray[np.int32]
    """(C,)"""
    stops_us: npt.NDArray[np.int64]
    """(CONTACTS_PER_SUBSCRIBER_MAX,)"""
    seats: npt.NDArray[np.int32]
    """(OFFERS_PER_ANSWER_MAX,): candidates chosen in the present pass."""
    block: Block
    """The items that are matched together with the present one."""


WORK_TYPE: Any = bundle(
    Work,
    writable(np.uint64, 2),
    writable(np.uint64),
    writable(np.uint64),
    writable(np.uint64, 2),
    writable(np.int64),
    writable(np.uint64),
    writable(np.int64, 2),
    writable(np.uint8),
    writable(np.int32),
    writable(np.uint64),
    writable(np.int32),
    writable(np.int64),
    writable(np.int64),
    writable(np.int32),
    writable(np.int64),
    writable(np.uint64),
    writable(np.int32),
    writable(np.int64),
    writable(np.int32),
    BLOCK_TYPE,
)


class Asking(NamedTuple):
    """The columns of engine.batch.Batch that the decision reads."""

    subscriber: npt.NDArray[np.uint64]
    now_us: npt.NDArray[np.int64]
    flags: npt.NDArray[np.uint8]
    trigger: npt.NDArray[np.int32]
    channel: npt.NDArray[np.int32]
    offers_max: npt.NDArray[np.int32]
    field_values: npt.NDArray[np.int64]
    field_nanos: npt.NDArray[np.int32]
    field_known: npt.NDArray[np.uint8]


ASKING_TYPE: Any = bundle(
    Asking,
    read_only(np.uint64),
    read_only(np.int64),
    read_only(np.uint8),
    *(read_only(np.int32),) * 3,
    read_only(np.int64, 2),
    read_only(np.int32, 2),
    read_only(np.uint8, 2),
)


class Items(NamedTuple):
    """The requests of one run, of which Moment.items are filled: distinct subscribers, one instant."""

    subscriber: npt.NDArray[np.uint64]
    now_us: npt.NDArray[np.int64]
    trigger: npt.NDArray[np.int32]
    channel: npt.NDArray[np.int32]
    offers_max: npt.NDArray[np.int32]


ITEMS_TYPE: Any = bundle(Items, writable(np.uint64), writable(np.int64), *(writable(np.int32),) * 3)


class Moment(NamedTuple):
    """What is the same of all items of a run."""

    items: int
    raw_us: int
    now_us: int
    """Ledger time."""
    push_stopped: int
    """1 while the clock is not trusted."""
    horizon_end_us: int
    """What the wall-clock tables say at or past it is not known."""
    stuck: int
    """1: the first item has no room in the ledger, whatever that says."""


MOMENT_TYPE: Any = bundle(Moment, *(types.int64,) * 6)


class Answers(NamedTuple):
    """What a run decides, row for row; k = OFFERS_PER_ANSWER_MAX."""

    reason: npt.NDArray[np.uint8]
    chosen_count: npt.NDArray[np.int32]
    chosen: npt.NDArray[np.int32]
    """(n, k) candidate numbers; -1 in empty seats"""
    score: npt.NDArray[np.float64]
    """(n, k)"""
    would_be_count: npt.NDArray[np.int32]
    would_be: npt.NDArray[np.int32]
    stages: npt.NDArray[np.int32]
    """(n, STAGE_COUNT)"""
    not_before_us: npt.NDArray[np.int64]
    deadline_us: npt.NDArray[np.int64]
    expires_us: npt.NDArray[np.int64]
    next_allowed_us: npt.NDArray[np.int64]


ANSWERS_TYPE: Any = bundle(
    Answers,
    writable(np.uint8),
    writable(np.int32),
    writable(np.int32, 2),
    writable(np.float64, 2),
    writable(np.int32),
    writable(np.int32, 2),
    writable(np.int32, 2),
    writable(np.int64),
    writable(np.int64),
    writable(np.int64),
    writable(np.int64),
)


class Run(NamedTuple):
    """Everything that the choice for one run reads and writes."""

    rules: Rules
    pairs: Pairs
    matching: Matching
    conditions: ConditionTables
    base: Rows
    plan: ReadPlan
    clock: WallClock
    rows: View
    items: Items
    moment: Moment
    contacts: Contacts
    totals: Totals
    work: Work


RUN_TYPE: Any = bundle(
    Run,
    RULES_TYPE,
    PAIRS_TYPE,
    MATCHING_TYPE,
    CONDITION_TABLES_TYPE,
    ROWS_TYPE,
    READ_PLAN_TYPE,
    WALL_CLOCK_TYPE,
    VIEW_TYPE,
    ITEMS_TYPE,
    MOMENT_TYPE,
    CONTACTS_TYPE,
    TOTALS_TYPE,
    WORK_TYPE,
)
