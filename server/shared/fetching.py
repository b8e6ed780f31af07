"""What is fetched of the subscribers at hand, put into the working ledger."""

from typing import Final

import numpy as np

from engine.base.overlay import OverlayFullError
from engine.dtypes.contact import CONTACT
from engine.engine import Engine
from engine.ledger.names import LedgerFullError
from engine.ledger.working import NOT_CONTACTS, WorkingLedger
from server.clock import steady_us
from server.shared.complaints import Complaints
from server.shared.live_changes import apply
from server.shared.shared_names import SharedNames
from server.shared.states import Reading, State, States

RECORD_BYTES: Final = CONTACT.itemsize


class Fetching:
    """Knows the subscribers of one piece of work after the other; used within turns."""

    def __init__(self, working: WorkingLedger, states: States, names: SharedNames) -> None:
        self.working = working
        self.states = states
        self._names = names
        self.offset_us = 0
        """How far the servers' clock is ahead of the steady one."""
        self.engine: Engine
        """Set once there is one."""
        self.known: dict[int, State] = {}
        """What was fetched of each, and until when its contacts matter:"""
        self.until_us: dict[int, int] = {}
        self._live: dict[int, bytes] = {}
        """Of subscribers with live changes, the stamp of the last that the overlay has."""
        self._complaints = Complaints()

    def fetch(self, items: int, subscribers: list[int], fields: list[list[bytes]]) -> list[int]:
        """Know these distinct subscribers and nobody else, for so many items; return those of whom nothing could be known.

        Ledger time moves on to the servers' clock, read after the states.
        """
        reading = self.states.read(subscribers, fields)
        self.known.clear()
        self.until_us.clear()
        self.working.begin(items, self._time_of(reading))
        return self._install(subscribers, reading)

    def fetch_anew(self, subscribers: list[int], fields: list[list[bytes]]) -> list[int]:
        """Know these as they are by now, in place of what was known; return as `fetch`."""
        for subscriber in subscribers:
            self.drop(subscriber)
        reading = self.states.read(subscribers, fields)
        self.working.advance(self._time_of(reading))
        return self._install(subscribers, reading)

    def drop(self, subscriber: int) -> None:
        """Know nothing of the subscriber."""
        self.working.forget(subscriber)
        self.known.pop(subscriber, None)
        self.until_us.pop(subscriber, None)

    def _time_of(self, reading: Reading) -> int:
        if reading.now_us:
            self.offset_us = reading.now_us - steady_us()
        return reading.now_us

    def _install(self, subscribers: list[int], reading: Reading) -> list[int]:
        missing, contacted, changed = list[int](), list[int](), list[int]()
        for subscriber, state in zip(subscribers, reading.states, strict=True):
            if state is None:
                missing.append(subscriber)
                continue
            self.known[subscriber] = state
            if state.contacts:
                contacted.append(subscriber)
            if state.erased and not self._erase(subscriber):
                missing.append(subscriber)
            elif state.live and state.live != self._live.get(subscriber):
                changed.append(subscriber)
        if changed:
            missing += self._learn_live(changed)
        wrong = self._enter(contacted) if contacted else []
        if wrong and self._learn_names():
            wrong = self._enter(wrong)
        if wrong:
            what = "what the shared ledger holds of some subscribers is not known here, so nothing is offered; if it goes on, reload the rulebook"
            self._complaints.say(what, why=f"{len(wrong)} of {len(subscribers)}")
        return missing + wrong

    def _enter(self, subscribers: list[int]) -> list[int]:
        """Enter their contacts; return those for whom there was something else."""
        contacts = [self.known[subscriber].contacts for subscriber in subscribers]
        count = np.array([len(each) // RECORD_BYTES for each in contacts], np.int64)
        whole = [each if not len(each) % RECORD_BYTES else each[: -(len(each) % RECORD_BYTES)] for each in contacts]
        codes_max = self.engine.bound.rules.instance_of.shape[1] - 1
        names = np.array(subscribers, np.uint64)
        until_us = self.working.install(names, count, bytearray(b"".join(whole)), codes_max).tolist()
        self.until_us.update(zip(subscribers, until_us, strict=True))
        return [subscriber for subscriber, until in zip(subscribers, until_us, strict=True) if until == NOT_CONTACTS]

    def _learn_names(self) -> bool:
        try:
            return self._names.give()
        except LedgerFullError as error:
            self._complaints.say("what other replicas gave codes to is too much", why=str(error))
            return False

    def _learn_live(self, subscribers: list[int]) -> list[int]:
        """Apply what was changed by way of other replicas; return the subscribers of whom it is not known."""
        unknown = []
        for subscriber, found in zip(subscribers, self.states.live_changes(subscribers), strict=True):
            why = "" if found is None else apply(self.engine, subscriber, found)
            if found is None or why:
                unknown.append(subscriber)
            else:
                self._live[subscriber] = self.known[subscriber].live
            if why:
                self._complaints.say(
                    "a live change by way of another replica cannot be noted, so nothing is offered", why=why
                )
        return unknown

    def _erase(self, subscriber: int) -> bool:
        """Somebody was erased by way of another replica; return False when there is no room to note it."""
        overlay = self.engine.overlay
        if not overlay.is_erased(subscriber):
            try:
                overlay.erase(subscriber)
            except OverlayFullError as error:
                self._complaints.say("an erased subscriber cannot be noted, so nothing is offered", why=str(error))
                return False
        return True
