"""One rulebook bound to one base and one ledger: everything that deciding reads, made once and swapped whole."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from engine.base.binding import Binding
from engine.base.overlay import Overlay
from engine.base.schema import base_schema_of
from engine.base.snapshot import Snapshot
from engine.bound_pairs import PairLayout, lay_out_pairs
from engine.bound_rules import Candidate, bind_rules, ranked
from engine.breathing import breathe
from engine.catalogue.model import Catalogue
from engine.catalogue.slots import trigger_fields
from engine.catalogue.terms import CapEvent, CapPer, WindowKind
from engine.cel.bind import Bound as BoundConditions
from engine.cel.bind import bind
from engine.dtypes.across import BLOCK_ITEMS, Block
from engine.dtypes.ledger import FOREVER_US, LIFETIME
from engine.dtypes.matching import Matching
from engine.dtypes.pairs import Pairs
from engine.dtypes.rules import Rules, WallClock, Work
from engine.dtypes.view import View, new_view
from engine.jit import frozen
from engine.ledger.names import Names
from engine.ledger.port import Ledger, LedgerPolicy, Retention
from engine.limits import BATCH_ITEMS_MAX, CONTACTS_PER_SUBSCRIBER_MAX, MICROSECONDS_PER_DAY, OFFERS_PER_ANSWER_MAX
from engine.matching import lay_out
from engine.policy.clock_tables import build_clock, home_days, horizon_around, total_since_day
from engine.policy.wall_clock import Horizon, Instants
from engine.reasons import STAGE_COUNT
from engine.rulebook import Rulebook

HISTORY_FLOOR_US: Final = 31 * MICROSECONDS_PER_DAY
"""Seen, handed-off and accepted contacts are kept at least this long, so that a cap that an edit adds or widens finds them."""
LATE_US: Final = MICROSECONDS_PER_DAY
_CALENDAR_US: Final = {WindowKind.DAY: 3, WindowKind.WEEK: 9, WindowKind.MONTH: 33}
"""Days that a calendar window can span as seen from any zone."""
_HORIZON_LEFT_US: Final = 45 * MICROSECONDS_PER_DAY
_CLOCKS_MAX: Final = 4


@dataclass(frozen=True, slots=True)
class Clock:
    """The wall-clock tables over one horizon."""

    horizon: Horizon
    tables: WallClock
    first_day: int
    day_starts_us: Instants


class Bound:
    """What the decision path reads of one rulebook, base and ledger."""

    def __init__(self, rulebook: Rulebook, snapshot: Snapshot, overlay: Overlay, names: Names, now_us: int) -> None:
        """Bind; raises SnapshotError when the base does not fit the rulebook, LedgerFullError when the ledger has no codes left."""
        catalogue = rulebook.catalogue
        self.rulebook = rulebook
        self.candidates: list[Candidate] = rulebook.candidates
        self.trigger_index = {trigger.id: n for n, trigger in enumerate(catalogue.triggers)}
        self.channel_index = {channel.id: n for n, channel in enumerate(catalogue.channels)}
        self.slots = len(rulebook.schema.slots)
        self.now_slot = len(catalogue.attributes)
        self.field_slot = self.now_slot + 1
        """Slot of trigger.time; the trigger fields follow it. Batch.field_* have the same columns from here on."""
        self.field_index = {"time": 0, **{f.id: n for n, f in enumerate(trigger_fields(catalogue), 1)}}
        self.binding = Binding(snapshot, base_schema_of(catalogue), overlay)
        self.conditions: BoundConditions = bind(
            rulebook.conditions, self.binding.label_bits, self.binding.dictionaries, self.binding.zone_names
        )
        breathe()
        asked = {slot for condition in rulebook.conditions.conditions for slot in condition.slots}
        own = [self.now_slot, *sorted(slot for slot in asked if slot >= self.now_slot)]
        self.asked_slots = frozen(np.array(own, np.int64))
        """The slot of `now`; then those that conditions ask about, of it and of the trigger fields."""
        breathe()
        self._clocks: list[Clock] = []
        self._since: tuple[int | None, npt.NDArray[np.int64]] = (None, np.empty(0, np.int64))
        self.clock_at(now_us)
        self.rules: Rules = bind_rules(
            catalogue,
            self.candidates,
            names,
            self.binding.zone_names,
            rulebook.campaign_conditions,
            shard=snapshot.shard,
        )
        layout = lay_out_pairs(self.rules, ranked(catalogue, self.candidates))
        self.pairs: Pairs = layout.pairs
        """By trigger * channels + channel: the candidates in rank order."""
        self.matching: Matching = lay_out(
            self.conditions.tables,
            layout.conditions,
            self.binding.label_density(),
            ageing=self.binding.ageing(),
        )
        self.cap_ids = [cap.id for cap in catalogue.contact_policy.caps]
        codes = zip(self.rules.candidates["campaign"].tolist(), self.rules.candidates["offer"].tolist(), strict=True)
        self._codes = {pair: n for n, pair in enumerate(codes)}
        self._channels = {int(row["code"]): n for n, row in enumerate(self.rules.channels)}
        self.total_caps = any(cap.per == CapPer.TOTAL for cap in catalogue.contact_policy.caps)
        self.view: View = new_view(BATCH_ITEMS_MAX, self.binding.label_words, self.slots)
        self.work: Work = new_work(self.rules, layout, self.matching)

    def candidate_of_codes(self, campaign: int, offer: int) -> int | None:
        """Return the candidate of these ledger codes, or None when the rulebook has it no more."""
        return self._codes.get((campaign, offer))

    def channel_of_code(self, channel: int) -> int | None:
        """Return the channel of this ledger code, or None when the rulebook has it no more."""
        return self._channels.get(channel)

    def clock_at(self, now_us: int) -> Clock:
        """Return tables that cover `now_us` and what answers at it may name, made anew when none do."""
        for clock in self._clocks:
            if clock.horizon.start_us <= now_us < clock.horizon.end_us - _HORIZON_LEFT_US:
                return clock
        catalogue, horizon = self.rulebook.catalogue, horizon_around(now_us)
        clock = Clock(horizon, build_clock(catalogue, self.binding.zone_names, horizon), *home_days(catalogue, horizon))
        self._clocks = [*self._clocks[1 - _CLOCKS_MAX :], clock]
        return clock

    def since_days(self, clock: Clock, now_us: int) -> npt.NDArray[np.int64]:
        """Return (caps,): for totals the first home-zone day that counts at `now_us`; LIFETIME for the others."""
        today = clock.first_day + int(np.searchsorted(clock.day_starts_us, now_us, "right")) - 1
        if today != self._since[0]:
            days = total_since_day(self.rulebook.catalogue, today)
            self._since = (today, np.array([LIFETIME if day is None else day for day in days], np.int64))
        return self._since[1]

    def set_policy(self, ledger: Ledger, now_us: int) -> LedgerPolicy:
        """Tell the ledger how long events matter, and the home zone's days; return what it was told."""
        clock = self.clock_at(now_us)
        policy = LedgerPolicy(retention_of(self.rulebook.catalogue), clock.first_day, clock.day_starts_us)
        ledger.set_policy(*policy)
        return policy


def new_work(rules: Rules, layout: PairLayout, matching: Matching) -> Work:
    """Return the scratch of one item that these need."""
    pairs, matchers = layout.pairs.pairs, matching.matchers
    words = int(pairs["words"].max(initial=1))
    rows = 64 * matchers["label_words"] + matchers["columns"]
    instances = max(1, len(rules.instances))
    return Work(
        stopped=np.zeros((STAGE_COUNT, words), np.uint64),
        left=np.zeros(words, np.uint64),
        free=np.zeros(words, np.uint64),
        matched=np.zeros((4, int(matchers["words"].max(initial=1))), np.uint64),
        row_at=np.zeros(int(rows.max(initial=1)), np.int64),
        valid=np.zeros(max(1, layout.valid_words), np.uint64),
        valid_span_us=np.full((max(1, len(pairs)), 3), FOREVER_US, np.int64),
        reason=np.zeros(64 * words, np.uint8),
        detail=np.full(64 * words, -1, np.int32),
        looked_at=np.zeros(words, np.uint64),
        used=np.zeros(instances, np.int32),
        stamp=np.full(instances, -1, np.int64),
        serial=np.zeros(2, np.int64),
        touched=np.zeros(instances, np.int32),
        since_day=np.full(max(1, len(rules.caps)), LIFETIME, np.int64),
        tie_hash=np.zeros(64 * words, np.uint64),
        tie_position=np.zeros(64 * words, np.int32),
        stops_us=np.zeros(CONTACTS_PER_SUBSCRIBER_MAX, np.int64),
        seats=np.zeros(OFFERS_PER_ANSWER_MAX, np.int32),
        block=_new_block(len(pairs), words, matching),
    )


def _new_block(pairs: int, words: int, matching: Matching) -> Block:
    conditions = int(matching.matchers["conditions"].max(initial=0))
    return Block(
        item=np.zeros(BLOCK_ITEMS, np.int64),
        lane=np.full(1, -1, np.int64),
        operands=np.zeros(int(matching.across["operands"].max(initial=1)), np.uint64),
        holds=np.zeros(conditions + 1, np.uint64),
        unsettled=np.zeros(conditions + 1, np.uint64),
        value=np.zeros(BLOCK_ITEMS, np.int64),
        interval=np.zeros(BLOCK_ITEMS, np.int64),
        stored32=np.zeros(BLOCK_ITEMS, np.uint32),
        stored16=np.zeros(BLOCK_ITEMS, np.uint16),
        stored8=np.zeros(BLOCK_ITEMS, np.uint8),
        presence=np.zeros(BLOCK_ITEMS, np.uint8),
        presence_at=np.zeros(1, np.int64),
        row_at=np.zeros(BLOCK_ITEMS, np.int64),
        square=np.zeros((2, BLOCK_ITEMS), np.uint64),
        turned=np.zeros(8 * BLOCK_ITEMS, np.uint8),
        rows=np.zeros((BLOCK_ITEMS, words), np.uint64),
        next_item=np.full(BATCH_ITEMS_MAX, -1, np.int32),
        first=np.zeros(BATCH_ITEMS_MAX, np.uint8),
        last_item=np.full(max(1, pairs), -1, np.int32),
    )


def retention_of(catalogue: Catalogue) -> Retention:
    """Return for how long events still matter to the catalogue's rules."""
    policy = catalogue.contact_policy
    windows = {True: 0, False: HISTORY_FLOOR_US}
    for cap in policy.caps:
        days = _CALENDAR_US.get(cap.window.kind, 0) * MICROSECONDS_PER_DAY
        decided = cap.counts == CapEvent.DECIDED
        windows[decided] = max(windows[decided], cap.window.duration_us, days)
    return Retention(
        counted_us=windows[False],
        decided_us=windows[True],
        refused_us=policy.cool_down.after_refusal_us,
        not_now_us=policy.cool_down.after_not_now_us,
        accepted_us=policy.reoffer.after_acceptance_us,
        late_us=LATE_US,
    )
