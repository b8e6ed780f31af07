"""Decisions over a ledger that replicas share: fetch what is known of a batch's subscribers, decide as over a ledger in memory, write what changed.

Each state that is written was decided on the very state that it replaces. Where somebody else was faster, the subscriber is fetched and decided anew, and what
was decided first is never sent. Where the ledger does not answer nothing is offered: STATE_UNAVAILABLE.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engine.base.describe import Description
from engine.base.overlay import Write
from engine.batch import Batch, Decisions
from engine.dtypes.contact import CONTACT
from engine.dtypes.ledger import RECORDED, RECORDED_LATE
from engine.engine import Engine
from engine.handing_off import HandOff
from engine.ledger.names import Kind
from engine.ledger.port import Outcomes
from server.clock import steady_us
from server.failure import Code, Failure, RefusedError
from server.shared.ends import ends_ms, matters_until_us, new_hold_until_us
from server.shared.fetching import Fetching
from server.shared.live_changes import words_of
from server.shared.remembered import OUTCOME, Asking, outcome_value, over_bytes
from server.shared.shared_names import SharedNames
from server.shared.states import Change, Contents, Written, argument, change_of
from server.shared.stock import Stock, unasked
from server.shared.sweep import Sweep
from server.shared.watch import Watch
from server.shared.writing import Writing

ROUNDS_MAX: Final = 16
"""How often a subscriber is decided anew because somebody else was faster."""
UNAVAILABLE: Final = Failure(
    Code.UNAVAILABLE,
    "the ledger that replicas share does not answer, so it is not known whether this was done; send the same again, it counts once",
)


class Sharing:
    """What is done around an engine's calls (server.around.Around) when replicas share the ledger; used within turns."""

    def __init__(self, fetching: Fetching, writing: Writing, stock: Stock, names: SharedNames, watch: Watch) -> None:
        self._fetching = fetching
        self._writing = writing
        self._stock = stock
        self._sweep = Sweep(fetching, writing, stock)
        self._names = names
        self._watch = watch
        self.unavailable = 0
        """Since start: subscribers of whom nothing could be known or written."""

    def serve(self, engine: Engine) -> None:
        """Be around this engine, whose ledger is the one that is worked in."""
        self._fetching.engine = self._stock.engine = engine
        self._stock.show()

    def decide(self, batch: Batch, decide: Callable[[], Decisions]) -> Decisions:
        """Decide a batch, which `decide` does; what of it cannot be written is decided as unavailable."""
        self._sweep.keep_up()
        asking, fetching = Asking(batch), self._fetching
        subscribers = list(asking.rows)
        lost = fetching.fetch(batch.count, subscribers, asking.fields(subscribers))
        stale, settled = subscribers, dict[int, tuple[int, int]]()
        for rounds in range(ROUNDS_MAX + 2):
            self._give_up(asking, lost)
            asking.install(fetching, stale)
            self._stock.show()
            decisions = decide()
            changes = self._changes(asking, decisions)
            stale, lost = self._write(changes, asking, decisions, settled)
            if not stale and not lost:
                break
            if rounds == ROUNDS_MAX:
                stale, lost = [], [subscriber for subscriber in subscribers if not asking.settled(subscriber, settled)]
            for subscriber in lost:
                fetching.drop(subscriber)
            lost += fetching.fetch_anew(stale, asking.fields(stale)) if stale else []
        if rounds:
            _restore(decisions, settled)
        return decisions

    def record(self, outcomes: Outcomes, record: Callable[[Outcomes], Any]) -> Any:
        """Record outcomes, which `record` does; raises RefusedError when some cannot be written, and those that were are duplicates then."""
        self._sweep.keep_up()
        results = np.zeros(len(outcomes.body), np.uint8)
        left = np.arange(len(outcomes.body))
        for _ in range(ROUNDS_MAX):
            part = Outcomes(*(getattr(outcomes, name)[left] for name in Outcomes.__slots__))
            self._fetch_outcomes(part)
            results[left] = record(part)
            changed = self._write_outcomes(part, results[left])
            if not changed:
                return results
            left = left[np.isin(part.subscriber, np.array(list(changed), np.uint64))]
        raise RefusedError(UNAVAILABLE)

    def check_hand_off(self, subscriber: int, check: Callable[[], HandOff]) -> HandOff | None:
        """Check a hold of the subscriber, which `check` does; None when nothing can be known of it."""
        if self._fetching.fetch(1, [subscriber], [[]]):
            return None
        self._stock.show()
        return check()

    def forget(self, subscriber: int, forget: Callable[[], None]) -> None:
        """Erase a subscriber, here by `forget`; raises RefusedError when it is not erased for sure."""
        stamp = self._writing.stamp()
        contacts = self._fetching.states.call("forget", subscriber, [stamp])
        if contacts is None:
            raise RefusedError(UNAVAILABLE)
        self._writing.recent.add("forget", subscriber, 1, argument(stamp))
        erased = self._stock.moved(contacts, b"", released=True)
        if erased.moves:
            self._stock.count(erased)
            self._fetching.states.count_erased(subscriber, erased.text)
        forget()

    def update(self, subscriber: int, at_us: int, update: Callable[[], list[Write]]) -> None:
        """Change a subscriber as of an instant, here by `update`; raises what that raises, and RefusedError when not all replicas will know for sure."""
        if self._fetching.fetch(1, [subscriber], [[]]):
            raise RefusedError(UNAVAILABLE)
        words = words_of(update(), at_us, self._fetching.engine.snapshot.version)
        stamp = self._writing.stamp()
        if self._fetching.states.call("change", subscriber, [stamp, b"0", *words]) != 1:
            raise RefusedError(UNAVAILABLE)
        kept = b"".join(map(argument, [stamp, b"1", *words]))
        self._writing.recent.add("change", subscriber, 2 + len(words), kept)

    def describe(self, subscriber: int, describe: Callable[[], Description]) -> Description:
        """Return what is known of a subscriber: by now, or while the ledger does not answer, here."""
        self._fetching.fetch(1, [subscriber], [[]])
        return describe()

    def admit(self, named: Sequence[tuple[Kind, str]]) -> None:
        """See to it that the names have the codes that they have everywhere; raises LedgerFullError, RefusedError."""
        if not self._names.give(named):
            raise RefusedError(UNAVAILABLE)

    def tick(self) -> None:
        """Keep idle connections alive, and totals up to date."""
        self._fetching.states.keep_alive()
        self._sweep.keep_up()

    def now_us(self) -> int:
        """Return the servers' clock: never later than it is there."""
        return steady_us() + self._fetching.offset_us

    def statistics(self) -> dict[str, int]:
        """Return figures for the status and the metrics."""
        return {
            "shared_changed": self._writing.changed,
            "shared_unavailable": self.unavailable,
            "shared_links": self._watch.links(),
            **self._stock.statistics(),
        }

    def stop(self) -> None:
        """Let go of the servers."""
        self._watch.stop(leave=self._stock.leave())

    def _give_up(self, asking: Asking, subscribers: list[int]) -> None:
        self.unavailable += len(subscribers)
        for subscriber in subscribers:
            asking.batch.offers_max[asking.rows[subscriber]] = 0

    def _changes(self, asking: Asking, decisions: Decisions) -> list[Change]:
        """Return the changes that the decisions' holds are: one for each subscriber of them."""
        held = np.flatnonzero(decisions.decision)
        if not len(held):
            return []
        fetching, working = self._fetching, self._fetching.working
        rows: dict[int, list[int]] = {}
        for row in held.tolist():
            rows.setdefault(asking.names[row], []).append(row)
        contacts = working.contacts_of(np.array(list(rows), np.uint64))
        now_us = working.now_us
        until_us = new_hold_until_us(working.retention, int(decisions.expires_us[held].max()), now_us)
        remembered = asking.remembered(decisions, over_bytes(now_us))
        changes = []
        for (subscriber, its_rows), its_contacts in zip(rows.items(), contacts, strict=True):
            ends = ends_ms(max(fetching.until_us.get(subscriber, 0), until_us))
            words = [word for row in its_rows for word in remembered(row)]
            read, stamp, due_us = fetching.known[subscriber], self._writing.stamp(), self._stock.due_us(its_contacts)
            moved = self._stock.moved(read.contacts, its_contacts)
            contents = Contents(ends, due_us, moved, its_contacts, words)
            changes.append(change_of(subscriber, read, stamp, now_us, contents))
        return changes

    def _write(
        self, changes: list[Change], asking: Asking, decisions: Decisions, settled: dict[int, tuple[int, int]]
    ) -> tuple[list[int], list[int]]:
        """Write what totals leave units for, and note the rows that are settled by it.

        Return the subscribers to be decided anew, and those of whom nothing is known.
        """
        covered, short = self._stock.cover(changes)
        stale, lost = [change.subscriber for change in short], list[int]()
        for reserved, written in zip(covered, self._writing.write([each.change for each in covered]), strict=True):
            change = reserved.change
            self._stock.settle(reserved, written)
            if written is Written.DONE:
                for row in asking.rows[change.subscriber]:
                    if decisions.decision[row]:
                        settled[row] = int(decisions.reason[row]), int(decisions.chosen_count[row])
            else:
                (stale if written is Written.CHANGED else lost).append(change.subscriber)
            if written is Written.UNKNOWN:
                self._sweep.doubt(reserved)
        return stale, lost

    def _fetch_outcomes(self, outcomes: Outcomes) -> None:
        """Know their subscribers and which of them were recorded before; raises RefusedError when something cannot be known."""
        fetching, n = self._fetching, len(outcomes.body)
        rows: dict[int, dict[bytes, int]] = {}
        for row, subscriber in enumerate(outcomes.subscriber.tolist()):
            rows.setdefault(subscriber, {})[OUTCOME + outcomes.outcome[row].tobytes()] = row
        fetching.working.clear_outcomes()
        if fetching.fetch(n, list(rows), [list(fields) for fields in rows.values()]):
            self.unavailable += 1
            raise RefusedError(UNAVAILABLE)
        for subscriber, fields in rows.items():
            for row, value in zip(fields.values(), fetching.known[subscriber].remembered, strict=True):
                if value is not None:
                    digest = int(outcomes.outcome[row, 0]), int(outcomes.outcome[row, 1])
                    fetching.working.install_outcome(digest, int.from_bytes(value[:8], "little"), subscriber)

    def _write_outcomes(self, outcomes: Outcomes, results: npt.NDArray[np.uint8]) -> set[int]:
        """Write what outcomes changed; return the subscribers that somebody else changed; raises RefusedError when something is not written for sure."""
        working, rows = self._fetching.working, dict[int, list[int]]()
        for row in np.flatnonzero((results == RECORDED) | (results == RECORDED_LATE)).tolist():
            rows.setdefault(int(outcomes.subscriber[row]), []).append(row)
        now_us, changes = working.now_us, []
        for (subscriber, its_rows), contacts in zip(
            rows.items(), working.contacts_of(np.array(list(rows), np.uint64)), strict=True
        ):
            until_us = matters_until_us(working.retention, np.frombuffer(contacts, CONTACT), now_us)
            ids = [
                word
                for row in its_rows
                for word in (
                    OUTCOME + outcomes.outcome[row].tobytes(),
                    over_bytes(now_us),
                    outcome_value(outcomes.body[row]),
                )
            ]
            read = self._fetching.known[subscriber]
            moved = self._stock.moved(read.contacts, contacts)
            contents = Contents(ends_ms(until_us), self._stock.due_us(contacts), moved, contacts, ids)
            changes.append(change_of(subscriber, read, self._writing.stamp(), now_us, contents))
        results_ = dict(zip(rows, self._writing.write(changes), strict=True))
        for change, written in zip(changes, results_.values(), strict=True):
            if written is Written.DONE:
                self._stock.count(change.moved)
            elif written is Written.UNKNOWN:
                self._sweep.doubt(unasked(change))
        if any(written not in (Written.DONE, Written.CHANGED) for written in results_.values()):
            self.unavailable += 1
            raise RefusedError(UNAVAILABLE)
        return {subscriber for subscriber, written in results_.items() if written is Written.CHANGED}


def _restore(decisions: Decisions, settled: dict[int, tuple[int, int]]) -> None:
    """Let rows that were decided and written in an earlier round, and recalled since, count as decided."""
    for row, (reason, chosen_count) in settled.items():
        if decisions.replayed[row]:
            decisions.replayed[row] = 0
            decisions.reason[row], decisions.chosen_count[row] = reason, chosen_count
