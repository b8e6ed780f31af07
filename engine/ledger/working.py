"""A ledger in memory that holds no more than one piece of work: what is known elsewhere of the subscribers at hand is put in, decided by, and read out.

    begin -> install (contacts, answers, outcome ids) -> decide, record or check, as over any ledger in memory -> contacts_of -> begin ...

It has room for whatever a batch can bring, reserved and not taken. Totals are of all subscribers, so they are told to it (`know_total`), and what work
does to them in between is undone before the next (`show_totals`).
Rejected: a ledger of its own behind the port, which would do in Python, call by call, what one kernel does for a batch.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.dtypes.contact import CONTACT, TOTAL_DAYS
from engine.dtypes.ledger import FOREVER_US, MEMORY_HEAD, TODAY, Requests
from engine.dtypes.texts import Texts
from engine.jit import direct, frozen
from engine.kernels.ledger_digests import append_entry, reclaim_entries
from engine.kernels.ledger_installing import NOT_CONTACTS, install_contacts
from engine.ledger.answers import RingAnswers
from engine.ledger.memory import MemoryLedger
from engine.ledger.names import KINDS
from engine.limits import BATCH_ITEMS_MAX, CONTACTS_PER_SUBSCRIBER_MAX

__all__ = ["NOT_CONTACTS", "WorkingLedger"]

CONTACTS_MAX: Final = 2 * BATCH_ITEMS_MAX * CONTACTS_PER_SUBSCRIBER_MAX
"""Twice, since a block that is outgrown is left behind."""
ANSWERS_BYTES: Final = BATCH_ITEMS_MAX * 64 * 1024
_install_contacts: Final = direct(install_contacts)


class KnownTotal(NamedTuple):
    """A total as it is known by whoever counts it."""

    live: int
    """Open holds, and whatever else is not to be granted."""
    lifetime: int
    days: Mapping[int, int]
    """Events by home-zone day."""


class WorkingLedger(MemoryLedger):
    """What is known of the subscribers at hand; one thread owns it."""

    def __init__(self, *, decision_first: int, now_us: int) -> None:
        """Reserve room for the largest batch."""
        super().__init__(
            CONTACTS_MAX,
            RingAnswers(ANSWERS_BYTES),
            outcomes_max=2 * BATCH_ITEMS_MAX,
            decision_first=decision_first,
            now_us=now_us,
        )
        self._known: dict[tuple[int, int], KnownTotal] = {}
        self._meet_totals()

    def begin(self, items: int, now_us: int) -> None:
        """Know nothing of anybody, and have room for so many items; ledger time moves on to `now_us`."""
        self.clear_contacts()
        self.answers.clear()
        self.reserve_subscribers(2 * items)
        self.advance(now_us)

    def install(
        self, subscribers: npt.NDArray[np.uint64], count: npt.NDArray[np.int64], records: bytearray, codes_max: int
    ) -> npt.NDArray[np.int64]:
        """Enter the contacts of (n,) distinct subscribers, count[i] CONTACT records each, behind one another in `records`; codes up to `codes_max`.

        Return (n,): until when they matter, as engine.kernels.ledger_installing has it; NOT_CONTACTS where they were no contacts, and were left.
        """
        end_us = np.zeros(len(subscribers), np.int64)
        codes = np.array([min(self.names.count(kind), codes_max) for kind in KINDS], np.int64)
        self._match_names()
        contacts = np.frombuffer(records, CONTACT)
        assert int(count.sum()) == len(contacts)
        _install_contacts(self._store_reference, frozen(subscribers), frozen(count), contacts, frozen(codes), end_us)
        return end_us

    def install_answers(self, requests: Requests, rows: npt.NDArray[np.int64], texts: Texts) -> None:
        """Remember the answers that were given to the requests of `rows`, by the bodies that `requests` says they had."""
        assert self.answers.remember(requests, rows, self.now_us, texts).result()

    def install_outcome(self, digest: tuple[int, int], body: int, subscriber: int) -> None:
        """Remember an outcome that was recorded."""
        halves = np.uint64(digest[0]), np.uint64(digest[1])
        append_entry(self._outcome_ids, *halves, np.uint64(body), np.uint64(subscriber), self.now_us, 0)

    def clear_outcomes(self) -> None:
        """Remember no outcome."""
        reclaim_entries(self._outcome_ids, FOREVER_US)
        self._outcome_ids.state[MEMORY_HEAD] = 0

    def contacts_of(self, subscribers: npt.NDArray[np.uint64]) -> list[bytes]:
        """Return the CONTACT records of each of these distinct subscribers."""
        contacts = self.read(subscribers).result().contacts
        pool, n = self._store.pool, len(subscribers)
        starts, counts = contacts.start[:n].tolist(), contacts.count[:n].tolist()
        return [pool[start : start + count].tobytes() for start, count in zip(starts, counts, strict=True)]

    @property
    def today(self) -> int:
        """Today in the home zone, days since 1970-01-01."""
        return int(self._store.state[TODAY])

    def know_totals(self, totals: Mapping[tuple[int, int], KnownTotal]) -> None:
        """Let totals, by event and slot, be these."""
        self._known.update(totals)
        slots = self._true[0].shape[1]
        met = {(event, slot): total for (event, slot), total in totals.items() if slot < slots}
        for (event, slot), total in met.items():
            self._enter(event, slot, total)
        if met:
            self._restore(np.array([event * slots + slot for event, slot in met]))

    def show_totals(self) -> None:
        """Let the totals be what is known of them; to be called when time has moved on and everybody is installed, before work that asks for totals."""
        self._match_names()
        if self._true[0].shape != self._counters.live.shape or self._shown_day != self.today:
            self._meet_totals()
        counters, (live, lifetime, _) = self._counters, self._true
        moved = np.flatnonzero((counters.live != live) | (counters.lifetime != lifetime))
        if len(moved):
            self._restore(moved)

    def _meet_totals(self) -> None:
        """Lay out what is known for the slots that there are and for today."""
        counters, today = self._counters, self.today
        self._true = tuple(np.zeros_like(column) for column in (counters.live, counters.lifetime, counters.daily))
        self._shown_day = today
        for (event, slot), total in self._known.items():
            self._enter(event, slot, total)
        self._restore(np.arange(counters.live.size))
        days = np.arange(today - TOTAL_DAYS + 1, today + 1)
        counters.day[days % TOTAL_DAYS] = days

    def _enter(self, event: int, slot: int, total: KnownTotal) -> None:
        live, lifetime, daily = self._true
        row = daily[event, slot]
        live[event, slot], lifetime[event, slot], row[:] = total.live, total.lifetime, 0
        for day, events in total.days.items():
            if self._shown_day - TOTAL_DAYS < day <= self._shown_day:
                row[day % TOTAL_DAYS] = events

    def _restore(self, cells: npt.NDArray[np.int64]) -> None:
        """Let the totals of these cells, event * slots + slot, be what is known."""
        counters = self._counters
        for column, known in zip((counters.live, counters.lifetime, counters.daily), self._true, strict=True):
            rows = counters.live.size, -1
            column.reshape(rows)[cells] = known.reshape(rows)[cells]

    def reserved(self) -> list[npt.NDArray[Any]]:
        """Return nothing: what is reserved is hardly ever taken."""
        return []

    @property
    def retention(self) -> npt.NDArray[np.int64]:
        """For how long after its instant each event matters: the words of engine.dtypes.ledger."""
        return self._store.retention
