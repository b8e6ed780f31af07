"""Looks at subscribers again for the sake of totals: where a hold that counts has ended, and where it is not known whether a change was done.

Which subscribers are due lies in Redis beside them, so that a replica that is gone leaves none behind. Whoever looks writes the state anew, under a stamp
of its own: only one replica takes down that a hold has ended, and a change that was based on the state before can be done no more.
"""

import time
from collections import deque
from typing import Final

import numpy as np

from engine.dtypes.contact import CONTACT
from server.shared.ends import ends_ms, matters_until_us
from server.shared.fetching import Fetching
from server.shared.moves import contact_of, records_of
from server.shared.states import Contents, State, Written, change_of
from server.shared.stock import Reserved, Stock, unasked
from server.shared.writing import Writing

EVERY_S, SOON_S = 0.25, 0.01
"""How long until it is looked again; and while there is more to look at, since decisions wait meanwhile."""
AT_ONCE: Final = 128
PUT_OFF_US: Final = 10_000_000
"""For how long nobody else looks at a subscriber."""
STAMPS_BEFORE: Final = b"p"
"""The field of the stamps that were replaced, the last first."""
STAMP_BYTES: Final = 16
STAMPS_BYTES_MAX: Final = 8 * STAMP_BYTES
DOUBTS_MAX: Final = 16_384
"""Past it the oldest is given up: its units stay counted."""


class Sweep:
    """Keeps totals up to date; used within turns."""

    def __init__(self, fetching: Fetching, writing: Writing, stock: Stock) -> None:
        self._fetching = fetching
        self._writing = writing
        self._stock = stock
        self._doubts = deque[Reserved](maxlen=DOUBTS_MAX)
        self._next_s = 0.0

    def doubt(self, reserved: Reserved) -> None:
        """Find out later whether a change was done; without units: one that asked for no leave."""
        if self._stock.active:
            self._doubts.append(reserved)

    def keep_up(self) -> None:
        """Look at who is due, unless it was done a moment ago, and have totals told."""
        if not self._stock.active or (now_s := time.monotonic()) < self._next_s:
            return
        doubts = [self._doubts.popleft() for _ in range(min(len(self._doubts), AT_ONCE))]
        due = self._fetching.states.due(AT_ONCE, PUT_OFF_US)
        subscribers = list(dict.fromkeys([*due, *(doubt.change.subscriber for doubt in doubts)]))
        if subscribers:
            self._look_at(subscribers, doubts)
        more = self._stock.keep_up(now_s) or len(due) >= AT_ONCE or len(doubts) >= AT_ONCE
        self._next_s = now_s + (SOON_S if more else EVERY_S)

    def _look_at(self, subscribers: list[int], doubts: list[Reserved]) -> None:
        fetching = self._fetching
        missing = set(fetching.fetch(len(subscribers), subscribers, [[STAMPS_BEFORE] for _ in subscribers]))
        found = {subscriber: fetching.known[subscriber] for subscriber in subscribers if subscriber not in missing}
        written = self._write([subscriber for subscriber, state in found.items() if not state.erased])
        for subscriber, state in found.items():
            if state.erased:
                fetching.states.call("forget", subscriber, [self._writing.stamp()])
        for doubt in doubts:
            subscriber = doubt.change.subscriber
            if subscriber not in found or written.get(subscriber, Written.DONE) is not Written.DONE:
                self._doubts.append(doubt)
                continue
            self._clear(doubt, found[subscriber])

    def _write(self, subscribers: list[int]) -> dict[int, Written]:
        """Write anew what is there of them by now, and take down which holds have ended."""
        fetching, working, changes = self._fetching, self._fetching.working, []
        now_us = working.advance(working.now_us)
        for subscriber, contacts in zip(
            subscribers, working.contacts_of(np.array(subscribers, np.uint64)), strict=True
        ):
            until_us = matters_until_us(working.retention, np.frombuffer(contacts, CONTACT), now_us)
            read = fetching.known[subscriber]
            moved = self._stock.moved(read.contacts, contacts)
            contents = Contents(ends_ms(until_us), self._stock.due_us(contacts), moved, contacts, [])
            changes.append(change_of(subscriber, read, self._writing.stamp(), now_us, contents))
        results = self._writing.write(changes)
        for change, written in zip(changes, results, strict=True):
            if written is Written.DONE:
                self._stock.count(change.moved)
            elif written is Written.UNKNOWN:
                self.doubt(unasked(change))
        return dict(zip(subscribers, results, strict=True))

    def _clear(self, doubt: Reserved, state: State) -> None:
        """Take down whether a change was done, by what was found after it; it can be done no more. What cannot be told stays as it is."""
        change, before = doubt.change, state.remembered[0] or b""
        stamps = {state.stamp, *(before[at : at + STAMP_BYTES] for at in range(0, len(before), STAMP_BYTES))}
        held = {contact_of(record)[0] for record in records_of(change.contacts)}
        held -= {contact_of(record)[0] for record in records_of(change.before)}
        done = change.stamp in stamps
        if not done and held:  # what somebody asserted after a failover has another stamp
            done = held <= {contact_of(record)[0] for record in records_of(state.contacts)}
        elif not done and change.read not in stamps and len(before) == STAMPS_BYTES_MAX:
            return
        if doubt.units:
            self._stock.settle(doubt, Written.DONE if done else Written.CHANGED)
        elif done:
            self._stock.count(change.moved)
