"""The ledger in memory: every contact of every contacted subscriber, in blocks that grow with need and are pruned before they grow.

    table   [..|k9|....|k4|k7|........]   16 bytes a slot, open addressing, at most 3/4 full, doubled when it would be fuller
                  \\        \\  \\
    pool    [ 4 of k4 | 8 of k9 ........ | 4 of k7 | free 4 | untouched ...]   80 bytes a contact, blocks of 4, 8, 16 ... 256 contacts
    holds   [ a binary heap by (expiry, decision) ]                            24 bytes a decision whose expiry is to come

A subscriber without contacts costs nothing. One with 1 to 4 costs 320 bytes of pool, 21 to 43 of table and up to 24 for each open decision:
about 360 bytes. The most is one block of 256: 20,480 + 43 + 256 * 24 bytes, 26.7 kB. In all: 104 bytes for each of `contacts_max`, and at most 11 more for the
table; pool and heap are reserved at once and take memory only as they are touched, so nothing is ever copied to grow them.

Contacts that matter no more (Retention) are dropped when their block is full, and by a sweep that looks at a few table slots at each advance of the clock
and at one to eight more for each item before it is granted.
Nobody can tell whether that has happened yet: find, record and room answer as if it had. When the pool has no block, a grant is refused; nothing is forgotten.
Freed blocks go to the list of their size, and are split, not merged; so a pool that once was full of small blocks may refuse a large one.
Rejected: counters by cap (an edited cap could not see history); a Python object a contact (400 bytes, and the GIL); a linked list (a cache miss a contact).
"""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engine.bundles import reference
from engine.dtypes.contact import CONTACT, EVENT_COUNT, TOTAL_DAYS, Contacts, Totals
from engine.dtypes.ledger import (
    BLOCK_SIZES,
    CONTACTS,
    DECISION_NEXT,
    FIRST_DAY,
    FREE,
    HOLD,
    HOLDS,
    LIVE_CONTACTS,
    MEMORY_COUNT,
    NOW,
    POOL_TOP,
    STATE_WORDS,
    SUBSCRIBER,
    SUBSCRIBERS,
    SWEEP_NEXT,
    Counters,
    InMemory,
    Memory,
    OutcomeColumns,
    Store,
)
from engine.jit import direct, frozen
from engine.kernels.ledger_answers import restore_entries
from engine.kernels.ledger_blocks import prune_blocks, rehash_subscribers
from engine.kernels.ledger_digests import forget_digests, reclaim_entries
from engine.kernels.ledger_grants import grant_items, read_contacts
from engine.kernels.ledger_holds import advance_time
from engine.kernels.ledger_outcomes import find_contact, forget_contacts, record_outcomes
from engine.ledger.answers import RingAnswers, entries_of, memory_bytes, new_memory
from engine.ledger.compacting import compact
from engine.ledger.names import LedgerFullError, Names
from engine.ledger.port import Done, Granted, Grants, Outcomes, Reading, Retention, columns_of
from engine.limits import BATCH_ITEMS_MAX, MICROSECONDS_PER_DAY

_advance_time: Final = direct(advance_time)
_read_contacts: Final = direct(read_contacts)
_grant_items: Final = direct(grant_items)

CONTACTS_LIMIT: Final = 1 << 32
TABLE_SLOTS_MIN: Final = 64
TOTAL_SLOTS_MIN: Final = 16
KEEP_ALL: Final = Retention(*(1 << 62,) * 6)
"""Until a policy says otherwise, everything matters."""


def _new_store(contacts_max: int) -> Store:
    return Store(
        table=np.zeros(TABLE_SLOTS_MIN, SUBSCRIBER),
        pool=np.zeros(contacts_max, CONTACT),
        holds=np.zeros(contacts_max, HOLD),
        state=np.zeros(STATE_WORDS, np.int64),
        retention=_retention_words(KEEP_ALL),
    )


def _retention_words(retention: Retention) -> npt.NDArray[np.int64]:
    words = (
        retention.counted_us,
        retention.decided_us,
        retention.refused_us,
        retention.not_now_us,
        retention.accepted_us,
        retention.late_us,
    )
    assert min(words) >= 0, retention
    return frozen(np.array(words, np.int64))


def _new_counters(names: Names, slots: int) -> Counters:
    return Counters(
        slot_of=frozen(names.slot_of),
        live=np.zeros((EVENT_COUNT, slots), np.int64),
        lifetime=np.zeros((EVENT_COUNT, slots), np.int64),
        daily=np.zeros((EVENT_COUNT, slots, TOTAL_DAYS), np.int64),
        day=np.full(TOTAL_DAYS, -1, np.int64),
        day_starts_us=frozen(np.zeros(1, np.int64)),
    )


class MemoryLedger:
    """The ledger of one shard in one process (engine.ledger.port.Ledger); one thread owns it."""

    def __init__(
        self,
        contacts_max: int,
        answers: RingAnswers,
        *,
        outcomes_max: int,
        outcomes_ttl_us: int = MICROSECONDS_PER_DAY,
        decision_first: int = 1,
        now_us: int = 0,
    ) -> None:
        """Reserve room for `contacts_max` contacts and `outcomes_max` remembered outcome ids; raises ValueError when a bound is out of range."""
        if not BLOCK_SIZES[0] <= contacts_max < CONTACTS_LIMIT:
            raise ValueError(
                f"ledger: expected contacts_max from {BLOCK_SIZES[0]} to {CONTACTS_LIMIT - 1}, was {contacts_max}; change the configured size"
            )
        assert decision_first >= 1
        self.names: Final = Names()
        self.answers: Final = answers
        self._outcome_ids = new_memory(outcomes_max, outcomes_ttl_us)
        self._in_memory: Any = None
        """What kernels take for all of it, until one of its arrays is replaced."""
        self._keep_decisions(BATCH_ITEMS_MAX)
        self._columns: tuple[Grants, Any] | None = None
        """What the last grants were in, kept because who asks often asks in the same arrays."""
        self._keep_store(_new_store(contacts_max))
        self._keep_counters(_new_counters(self.names, TOTAL_SLOTS_MIN))
        self._store.state[DECISION_NEXT] = decision_first
        self._refresh_views(BATCH_ITEMS_MAX)
        self.advance(now_us)

    @property
    def now_us(self) -> int:
        """Ledger time, which never goes backwards."""
        return int(self._store.state[NOW])

    def advance(self, now_us: int) -> int:
        """Set ledger time to the larger of itself and `now_us`, expire the holds due at or before it, and return it."""
        _advance_time(self._store_reference, self._counters_reference, now_us)
        return self.now_us

    def read(self, subscribers: npt.NDArray[np.uint64]) -> Done[Reading]:
        """Return views of the contacts of n distinct subscribers; an unknown one has none and full room."""
        self._match_names()
        n = len(subscribers)
        if n > len(self._start):
            self._refresh_views(n)
        _read_contacts(self._store_reference, frozen(subscribers), self._start, self._count, self._room)
        return Done(self._reading)

    def in_memory(self, items: int) -> tuple[Any, Reading]:
        """Return what kernels take for all of the ledger, to hold for so many items if the table has room for them, and what it reads for them."""
        self._match_names()
        if items > len(self._start):
            self._refresh_views(items)
        if items > len(self._decision):
            self._keep_decisions(items)
        if self._in_memory is None:
            self._in_memory = reference(
                InMemory(
                    store=self._store,
                    counters=self._counters,
                    **self.answers.in_memory(items),
                    start=self._start,
                    count=self._count,
                    room=self._room,
                    decision=self._decision,
                )
            )
        return self._in_memory, self._reading

    def reserve(self, grants: Grants) -> Done[Granted]:
        """Hold as many of the items, from the first on, as fit; an item is held whole or not at all."""
        n = len(grants.subscriber) if grants.items is None else grants.items
        self._match_names()
        self.reserve_subscribers(n)
        if n > len(self._decision):
            self._keep_decisions(n)
        if self._columns is None or self._columns[0] is not grants:
            self._columns = grants, columns_of(grants)
        granted = int(
            _grant_items(self._store_reference, self._counters_reference, self._columns[1], n, self._decision)
        )
        assert granted >= 0, "a hold ends after it was granted"
        return Done(Granted(granted, self._granted))

    def record(self, outcomes: Outcomes) -> Done[npt.NDArray[np.uint8]]:
        """Record outcomes in order; return an (n,) OutcomeResult. Raises LedgerFullError, with nothing recorded, when their ids may not all fit."""
        memory, n = self._outcome_ids, len(outcomes.body)
        reclaim_entries(memory, self.now_us)
        if n > len(memory.ring) - int(memory.state[MEMORY_COUNT]):
            raise LedgerFullError(
                f"ledger outcomes: expected room for {n} more outcome ids, {memory.state[MEMORY_COUNT]} of {len(memory.ring)} are in use; "
                "send fewer at once, wait until the oldest are over, or raise the configured number"
            )
        results = np.zeros(n, np.uint8)
        columns = OutcomeColumns(
            frozen(outcomes.outcome),
            frozen(outcomes.body),
            frozen(outcomes.subscriber),
            frozen(outcomes.decision),
            frozen(outcomes.rank),
            frozen(outcomes.kind),
            frozen(outcomes.event_us),
        )
        record_outcomes(self._store_reference, self._counters_reference, memory, columns, n, results)
        return Done(results)

    @property
    def outcome_ids(self) -> Memory:
        """What outcomes are known by, for kernels that record them; it stays the same."""
        return self._outcome_ids

    def number_from(self, decision: int) -> None:
        """Give the next decision this number, or the one after the last if that is larger."""
        state = self._store.state
        state[DECISION_NEXT] = max(int(state[DECISION_NEXT]), decision)

    def find(self, subscriber: int, decision: int, rank: int) -> Any | None:
        """Return a copy of one CONTACT record, or None when it is unknown or matters no more."""
        i = find_contact(self._store, np.uint64(subscriber), np.uint64(decision), rank)
        return None if i < 0 else self._store.pool[i].copy()

    def forget(self, subscriber: int) -> None:
        """Drop the subscriber's contacts, holds, remembered answers and outcome ids; totals lose its live holds, not its events."""
        forget_contacts(self._store, self._counters, np.uint64(subscriber))
        self.answers.forget(subscriber)
        forget_digests(self._outcome_ids, np.uint64(subscriber), np.zeros(0, np.int64))

    def clear(self) -> None:
        """Drop every contact, hold and total without a trace; names, policy and time stay. For scans, to whom each run of subscribers is new."""
        self.clear_contacts()
        for column in (self._counters.live, self._counters.lifetime, self._counters.daily):
            column[:] = 0

    def clear_contacts(self) -> None:
        """Drop every contact and hold without a trace, in the totals either, which then mean nothing."""
        state = self._store.state
        self._store.table[:] = np.zeros((), SUBSCRIBER)
        state[POOL_TOP : SWEEP_NEXT + 1] = 0
        state[FREE:] = 0

    def compact(self, subscriber: int, extra: int) -> bool:
        """Move contacts together so that there is room for so many more of a subscriber; return whether there is."""
        return compact(self._store, subscriber, extra)

    def set_policy(self, retention: Retention, first_day: int, day_starts_us: npt.NDArray[np.int64]) -> None:
        """Set how long events matter, and the home zone's days: day first_day + i (since 1970-01-01) starts at day_starts_us[i], sorted, one or more."""
        assert len(day_starts_us) > 0
        assert np.all(np.diff(day_starts_us) > 0)
        words = _retention_words(retention)
        if np.any(words > self._store.retention):
            prune_blocks(self._store)  # what mattered no more until now must not come back by a longer retention
        self._keep_store(self._store._replace(retention=words))
        self._keep_counters(self._counters._replace(day_starts_us=frozen(day_starts_us.astype(np.int64))))
        self._store.state[FIRST_DAY] = first_day
        self.advance(self.now_us)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Return all that it holds, but for names, as `restore` takes it; views that the next change of the ledger overwrites."""
        store, counters = self._store, self._counters
        answers, answer_bytes = self.answers.state()
        return {
            "table": store.table,
            "pool": store.pool[: store.state[POOL_TOP]],
            "holds": store.holds[: store.state[HOLDS]],
            "state": store.state,
            "retention": store.retention,
            **{name: getattr(counters, name) for name in ("live", "lifetime", "daily", "day", "day_starts_us")},
            "outcome_ids": entries_of(self._outcome_ids),
            "answers": answers,
            "answer_bytes": answer_bytes,
        }

    def restore(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Hold what another ledger's `state` returned, in a new one with the same names; raises LedgerFullError when it does not fit."""
        self._match_names()
        store, counters = self._store, self._counters
        pool, holds = state["pool"], state["holds"]
        if len(pool) > len(store.pool) or len(holds) > len(store.holds):
            raise LedgerFullError(
                f"contacts_max: expected room for {len(pool):,} contacts, was {len(store.pool):,}; raise it"
            )
        store.pool[: len(pool)], store.holds[: len(holds)] = pool, holds
        store.state[:] = state["state"]
        for name in ("live", "lifetime", "daily"):
            getattr(counters, name)[:, : state[name].shape[1]] = state[name]
        self._keep_store(store._replace(table=state["table"].copy(), retention=frozen(state["retention"])))
        day_starts_us = frozen(state["day_starts_us"])
        self._keep_counters(counters._replace(day=state["day"].copy(), day_starts_us=day_starts_us))
        self._refresh_views(len(self._start))
        ids, nothing = frozen(state["outcome_ids"]), np.zeros(0, np.uint8)
        if int(restore_entries(self._outcome_ids, nothing.copy(), ids, frozen(nothing))) < len(ids):
            raise LedgerFullError(f"outcomes_max: expected room for {len(ids):,} outcome ids; raise it")
        if not self.answers.restore(state["answers"], state["answer_bytes"]):
            raise LedgerFullError(
                f"answers_bytes_max: expected room for {len(state['answer_bytes']):,} bytes; raise it"
            )

    def statistics(self) -> dict[str, int]:
        """Return counts of subscribers, contacts, live holds, and bytes used and reserved."""
        store, counters, state = self._store, self._counters, self._store.state
        totals_bytes = counters.live.nbytes + counters.lifetime.nbytes + counters.daily.nbytes
        return {
            "subscribers": int(state[SUBSCRIBERS]),
            "contacts": int(state[CONTACTS]),
            "live_contacts": int(state[LIVE_CONTACTS]),
            "decision_next": int(state[DECISION_NEXT]),
            "outcome_ids": int(self._outcome_ids.state[MEMORY_COUNT]),
            "contacts_used_bytes": int(state[POOL_TOP]) * CONTACT.itemsize
            + int(state[HOLDS]) * HOLD.itemsize
            + store.table.nbytes,
            "contacts_reserved_bytes": store.pool.nbytes + store.holds.nbytes + store.table.nbytes,
            "totals_bytes": totals_bytes,
            "outcome_ids_reserved_bytes": memory_bytes(self._outcome_ids),
            **self.answers.statistics(),
        }

    def reserved(self) -> list[npt.NDArray[Any]]:
        """Return the arrays whose memory is reserved and taken only as it is touched."""
        store, outcome_ids = self._store, self._outcome_ids
        return [store.pool, store.holds, store.table, outcome_ids.ring, outcome_ids.slots, *self.answers.reserved()]

    def _keep_store(self, store: Store) -> None:
        self._store, self._in_memory = store, None
        self._store_reference = reference(store)

    def _keep_counters(self, counters: Counters) -> None:
        self._counters, self._in_memory = counters, None
        self._counters_reference = reference(counters)

    def _keep_decisions(self, items: int) -> None:
        self._decision, self._in_memory = np.zeros(items, np.uint64), None
        self._granted: npt.NDArray[np.uint64] = frozen(self._decision)

    def _refresh_views(self, items: int) -> None:
        """Make what `read` returns anew, with room for so many subscribers."""
        counters, self._in_memory = self._counters, None
        self._start, self._count, self._room = (
            np.zeros(items, np.int64),
            np.zeros(items, np.int32),
            np.zeros(items, np.int32),
        )
        contacts = Contacts(frozen(self._store.pool), frozen(self._start), frozen(self._count), frozen(self._room))
        totals = Totals(frozen(counters.live), frozen(counters.lifetime), frozen(counters.daily), frozen(counters.day))
        self._reading = Reading(contacts, totals)

    def _match_names(self) -> None:
        """Give the totals a slot for every name that was met since."""
        counters, names = self._counters, self.names
        slots = counters.live.shape[1]
        if names.slot_count > slots:
            while slots < names.slot_count:
                slots *= 2
            grown = _new_counters(names, slots)
            for old, new in (
                (counters.live, grown.live),
                (counters.lifetime, grown.lifetime),
                (counters.daily, grown.daily),
            ):
                new[:, : old.shape[1]] = old
            self._keep_counters(grown._replace(day=counters.day, day_starts_us=counters.day_starts_us))
            self._refresh_views(len(self._start))
        elif names.slot_of.shape != counters.slot_of.shape:
            self._keep_counters(counters._replace(slot_of=frozen(names.slot_of)))

    def reserve_subscribers(self, subscribers: int) -> None:
        """Double the table until it can take so many more subscribers, or as many as the pool can have blocks."""
        table = self._store.table
        most = min(int(self._store.state[SUBSCRIBERS]) + subscribers, len(self._store.pool) // BLOCK_SIZES[0])
        slots = len(table)
        while slots * 3 // 4 < most:
            slots *= 2
        if slots > len(table):
            grown = np.zeros(slots, SUBSCRIBER)
            rehash_subscribers(frozen(table), grown)
            self._keep_store(self._store._replace(table=grown))
