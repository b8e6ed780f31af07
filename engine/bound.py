"""One rulebook bound to one base and one ledger: everything that deciding reads, made once and swapped whole."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from engine.base.binding import Binding
from engine.base.overlay import Overlay
from engine.base.schema import base_schema_of
from engine.base.snapshot import Snapshot
from engine.bound_rules import Candidate, bind_rules
from engine.catalogue.model import Catalogue
from engine.catalogue.slots import trigger_fields
from engine.catalogue.terms import CapEvent, CapPer, WindowKind
from engine.cel.bind import Bound as BoundConditions
from engine.cel.bind import bind
from engine.dtypes.ledger import LIFETIME
from engine.dtypes.rules import Rules, WallClock, Work
from engine.dtypes.view import View, new_view
from engine.ledger.names import Names
from engine.ledger.port import Ledger, Retention
from engine.limits import BATCH_ITEMS_MAX, CONTACTS_PER_SUBSCRIBER_MAX, MICROSECONDS_PER_DAY, OFFERS_PER_ANSWER_MAX
from engine.policy.clock_tables import build_clock, home_days, horizon_around, total_since_day
from engine.policy.wall_clock import Horizon, Instants
from engine.rulebook import Rulebook

CELLS_MAX: Final = 1 << 21
"""Items times candidates of one run: what bounds its scratch."""
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
        self.candidates: list[Candidate] = rulebook.candidates()
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
        self._clocks: list[Clock] = []
        self._since: tuple[int | None, npt.NDArray[np.int64]] = (None, np.empty(0, np.int64))
        self.clock_at(now_us)
        self.rules: Rules = bind_rules(catalogue, names, self.binding.zone_names, rulebook.campaign_conditions)
        self.cap_ids = [cap.id for cap in catalogue.contact_policy.caps]
        self._codes = {(int(row["campaign"]), int(row["offer"])): n for n, row in enumerate(self.rules.candidates)}
        self._channels = {int(row["code"]): n for n, row in enumerate(self.rules.channels)}
        self.total_caps = any(cap.per == CapPer.TOTAL for cap in catalogue.contact_policy.caps)
        widths = np.diff(self.rules.pair_start)
        self.positions_max = int(widths.max(initial=0))
        self.items_max = max(1, min(BATCH_ITEMS_MAX, CELLS_MAX // max(1, self.positions_max)))
        self.view: View = new_view(self.items_max, self.binding.label_words, self.slots)
        self.work: Work = self._new_work()

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

    def set_policy(self, ledger: Ledger, now_us: int) -> None:
        """Tell the ledger how long events matter, and the home zone's days."""
        clock = self.clock_at(now_us)
        ledger.set_policy(retention_of(self.rulebook.catalogue), clock.first_day, clock.day_starts_us)

    def _new_work(self) -> Work:
        n, width = self.items_max, max(1, self.positions_max)
        instances, conditions = len(self.rules.instances), max(1, len(self.rulebook.terms))
        return Work(
            reason=np.zeros((n, width), np.uint8),
            control=np.zeros((n, width), np.uint8),
            detail=np.zeros((n, width), np.int32),
            used=np.zeros(max(1, instances), np.int32),
            stamp=np.full(max(1, instances), -1, np.int64),
            serial=np.zeros(1, np.int64),
            since_day=np.full(max(1, len(self.rules.caps)), LIFETIME, np.int64),
            tie_hash=np.zeros(width, np.uint64),
            tie_position=np.zeros(width, np.int32),
            stops_us=np.zeros(CONTACTS_PER_SUBSCRIBER_MAX, np.int64),
            condition_value=np.zeros(conditions, np.int64),
            condition_item=np.full(conditions, -1, np.int64),
            later=np.zeros(width, np.uint8),
            seats=np.zeros(OFFERS_PER_ANSWER_MAX, np.int32),
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
