"""Totals over all subscribers, such as stock, among replicas that share a ledger: each leases units in chunks and gives them within its own decisions.

    cover (changes) -> write -> settle (each change, what became of it) ... keep_up, now and then

A change that would need more units than are leased is not written: the subscriber is decided anew, by totals as they are known then.
Rejected: a total in Redis that every decision counts in, a third round trip each; one that the subscriber's function counts in, which no Cluster can do.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import hiredis
import numpy as np

from engine.dtypes.contact import DECIDED, TOTAL_DAYS
from engine.dtypes.ledger import LIFETIME
from engine.engine import Engine
from engine.ledger.working import WorkingLedger
from server.shared.accounts import Account, part_of
from server.shared.burial import Burial
from server.shared.complaints import Complaints
from server.shared.connection import UnavailableError
from server.shared.library import Calls
from server.shared.moved import NOTHING, Moved, moved
from server.shared.moves import Target, first_expiry_us, moves
from server.shared.node import Link, Node
from server.shared.schedules import Schedules
from server.shared.states import OTHER_EPOCH, Change, Written, argument
from server.shared.topology import Topology

PERIOD_S: Final = 1.0
"""Units that nobody asked for in so long go back."""
TOLD_AT_ONCE: Final = 64
"""Totals that are told of, or asked about, at a time, since decisions wait meanwhile."""


class Reserved(NamedTuple):
    """A change and the units that are taken for it."""

    change: Change
    units: Mapping[Account, int]
    """By account; below 0 where some come back."""
    asked: Mapping[Account, int]
    """Of them, those that are to be had first: not of traffic that obeys no caps, which counts all the same."""


_NONE: Final[Mapping[Account, int]] = {}


def unasked(change: Change) -> Reserved:
    """Return a change for which no units are to be had first."""
    return Reserved(change, _NONE, _NONE)


class Stock:
    """The totals that the rulebook's caps count; used within turns, but for `asserted`."""

    def __init__(self, working: WorkingLedger, topology: Topology, life: str) -> None:
        self._working = working
        self._topology = topology
        self._life: Final = life.encode()
        self._accounts: dict[tuple[int, Target], Account] = {}
        """By event and target: those of the present rulebook, and those of earlier ones, whose holds go on."""
        self._counted: dict[Target, tuple[int, ...]] = {}
        """The events that are counted of each target."""
        self._ending = frozenset[Target]()
        """Those of which a hold counts until it ends: what is counted when it is decided stays counted."""
        self._obeying_none = frozenset[tuple[int, int]]()
        """Codes of campaign and offer where caps are not obeyed."""
        self._busy = set[Account]()
        """Those that something happened to, or that somebody waits for."""
        self._unknown = set[Account]()
        """Those that the working ledger is to be told of."""
        self._one_day = 0, 0, 0
        """Start and end, microseconds, of a home-zone day, and its number."""
        self._closed = list[Account]()
        """Those of which nothing could be leased, since nobody answered."""
        self._bound: Any = None
        self._burial = Burial(topology)
        self._schedules = Schedules(topology)
        self._period_s = 0.0
        self._complaints = Complaints()
        self._turn = 0
        self.engine: Engine
        """Set once there is one."""
        self.leases = self.refused = 0
        """Since start: leases asked for while a decision waits; changes for which there was too little."""

    @property
    def active(self) -> bool:
        """Whether there are totals to care for."""
        return bool(self._accounts)

    def show(self) -> None:
        """Have the working ledger know the totals, before it decides."""
        self._meet()
        if self._closed and self._topology.names_node().link is not None:
            self._unknown.update(self._closed)
            self._closed = []
        if self._unknown:
            self._working.know_totals({(each.event, each.slot): each.known() for each in self._unknown})
            self._unknown.clear()
        if self._accounts:
            self._working.advance(self._working.now_us)  # holds that end now are for the sweep to take down
            self._working.show_totals()

    def due_us(self, contacts: bytes) -> bytes:
        """Return when a subscriber with these contacts is to be looked at, as the function `commit` is told it."""
        if not self._counted:
            return b""
        first_us = first_expiry_us(contacts, self._ending) if self._ending else None
        return b"0" if first_us is None else b"%d" % first_us

    def moved(self, before: bytes, after: bytes, *, released: bool = False) -> Moved:
        """Return what a subscriber's contacts that go from `before` to `after` mean for the totals; `released`: by an erasure."""
        if not self._counted:
            return NOTHING
        found = [
            (self._accounts[move.event, move.target], move)
            for move in moves(before, after, self._counted, released=released)
        ]
        days = [None if move.at_us is None else self._day_of(move.at_us) for _, move in found]
        return moved(found, days, self._life.decode())

    def cover(self, changes: list[Change]) -> tuple[list[Reserved], list[Change]]:
        """Take units for the changes; return those that may be written, and those for which there were not enough."""
        if not self._accounts:
            return [unasked(change) for change in changes], []
        asked = [self._reserved(change) for change in changes]
        needed: dict[Account, int] = {}
        for each in asked:
            for account, units in each.asked.items():
                needed[account] = needed.get(account, 0) + max(units, 0)
        if short := {account: n - account.spare for account, n in needed.items() if n > account.spare}:
            self.leases += 1
            self._tell(list(short), list(short.values()))
        covered, left = list[Reserved](), list[Change]()
        for each in asked:
            if all(units <= max(account.spare, 0) for account, units in each.asked.items()):
                for account, units in each.units.items():
                    account.give(max(units, 0))
                covered.append(each)
            else:
                left.append(each.change)
        self.refused += len(left)
        return covered, left

    def settle(self, reserved: Reserved, written: Written) -> None:
        """Take down what became of a change that was covered. Where nobody knows, its units stay given and none come back."""
        for account, units in reserved.units.items():
            if written is Written.DONE:
                account.give(min(units, 0))
            elif written is not Written.UNKNOWN:
                account.give(-max(units, 0))
        if written is Written.DONE:
            _happen(reserved.change.moved)
        self._touch(reserved.units)

    def count(self, moved: Moved) -> None:
        """Take down a change that is done and asked for no leave: outcomes, holds that ended, an erasure."""
        for account, move in moved.moves:
            account.give(move.units)
        _happen(moved)
        self._touch({account for account, _ in moved.moves})

    def keep_up(self, now_s: float) -> bool:
        """Tell what happened, give back what nobody uses, ask again about what was sold out; a few totals at a time. Return whether more waits to be told."""
        self._meet()
        if now_s >= self._period_s:
            self._period_s = now_s + PERIOD_S
            for account in self._busy:
                account.begin_period()
            self._busy = {account for account in self._busy if account.busy}
        changed = [account for account in self._busy if account.changed or account.spare < 0]
        some = changed[:TOLD_AT_ONCE]
        if len(some) < TOLD_AT_ONCE:
            asked = [account for account in self._busy if account.sold_out and not account.changed]
            start = self._turn % max(len(asked), 1)
            self._turn = start + TOLD_AT_ONCE
            some += (asked[start:] + asked[:start])[: TOLD_AT_ONCE - len(some)]
        self._tell(some, [0] * len(some))
        self._burial.keep_up(self._accounts.values(), self._first_day)
        self._schedules.keep_up()
        return len(changed) > TOLD_AT_ONCE and self._topology.names_node().link is not None

    def leave(self) -> bool:
        """Give back what is to spare and leave the rest to all; the totals are of no use afterwards. Return whether it was done."""
        node = self._topology.names_node()
        accounts, self._accounts = self._accounts, {}
        if not accounts:
            return True
        if (link := node.link) is None:
            return False
        first_day, pipeline = self._first_day, list[bytes]()
        for account in accounts.values():
            account.keep(0)
            words = [node.epoch_key.encode(), link.epoch, self._life, account.part(first_day), b"%d" % first_day]
            pipeline.append(_call(link.calls, "give_up_stock", account.key, words))
        replies = self._exchanged(node, link, pipeline)
        return replies is not None and all(reply == 1 for reply in replies)

    def asserted(self, node: Node, epoch: bytes, calls: Calls) -> list[bytes]:
        """Return the calls that say again what was told of each total; for another thread than the one that decides."""
        key, rest = node.epoch_key.encode(), [b"0", b"0", b"%d" % self._first_day]
        return [
            _call(calls, "stock", account.key, [key, epoch, self._life, account.told, *rest])
            for account in list(self._accounts.values())
            if account.told
        ]

    def statistics(self) -> dict[str, int]:
        """Return figures for the status and the metrics."""
        return {
            "shared_totals": len(self._accounts),
            "shared_leases": self.leases,
            "shared_refused": self.refused,
            "shared_units_to_spare": sum(account.spare for account in list(self._accounts.values())),
        }

    @property
    def _first_day(self) -> int:
        """The first day that any window may count."""
        return self._working.today - TOTAL_DAYS + 1

    def _meet(self) -> None:
        """Know the totals of the rulebook that is in use by now."""
        if self.engine.bound is self._bound:
            return
        self._bound = self.engine.bound
        rules = self._bound.rules
        for account in self._accounts.values():
            account.limits = []
        for cap, limit, slot, code in rules.instances.tolist():
            _, _, scope, event, _, total = rules.caps[cap].tolist()
            if total:
                target = scope, code
                account = self._accounts.get((event, target)) or Account(event, target, slot)
                self._accounts[event, target] = account
                account.limits.append((cap, limit))
        events: dict[Target, tuple[int, ...]] = {}
        for event, target in self._accounts:
            events[target] = (*events.get(target, ()), event)
        self._counted = events
        self._ending = frozenset(target for event, target in self._accounts if event != DECIDED)
        free = rules.candidates[rules.candidates["obeys_caps"] == 0]
        self._obeying_none = frozenset(zip(free["campaign"].tolist(), free["offer"].tolist(), strict=True))
        self._touch(self._accounts.values())

    def _since_days(self) -> list[int | None]:
        bound, now_us = self.engine.bound, self._working.now_us
        days = bound.since_days(bound.clock_at(now_us), now_us).tolist()
        return [None if day == LIFETIME else day for day in days]

    def _reserved(self, change: Change) -> Reserved:
        units, free = dict[Account, int](), self._obeying_none
        for account, move in change.moved.moves:
            units[account] = units.get(account, 0) + move.units
        if not free:
            return Reserved(change, units, units)
        asked = dict.fromkeys(units, 0)
        for account, move in change.moved.moves:
            if move.units < 0 or move.pair not in free:
                asked[account] += move.units
        return Reserved(change, units, asked)

    def _day_of(self, at_us: int) -> int:
        """Return the home-zone day of an instant."""
        start_us, end_us, day = self._one_day
        if not start_us <= at_us < end_us:
            clock = self.engine.bound.clock_at(self._working.now_us)
            number = int(np.searchsorted(clock.day_starts_us, at_us, "right")) - 1
            day = clock.first_day + number
            if 0 <= number < len(clock.day_starts_us) - 1:
                start_us, end_us = clock.day_starts_us[number : number + 2].tolist()
                self._one_day = start_us, end_us, day
        return day

    def _touch(self, accounts: Iterable[Account]) -> None:
        """Have what is known of these looked at before the next decision."""
        self._busy.update(accounts)
        self._unknown.update(accounts)

    def _tell(self, accounts: list[Account], needed: list[int]) -> None:
        """Tell of these, ask for so many units of each, and take down what is said."""
        node = self._topology.names_node()
        link, since_days, first_day = node.link, self._since_days(), self._first_day
        replies: list[Any] = [None] * len(accounts)
        if link is not None and accounts:
            head = [node.epoch_key.encode(), link.epoch, self._life]
            calls = []
            for account, units in zip(accounts, needed, strict=True):
                asked = [account.part(first_day), b"%d" % units, b"%d" % account.pace, b"%d" % first_day]
                limits = account.limits_at(since_days)
                calls.append(_call(link.calls, "stock", account.key, [*head, *asked, *limits]))
            replies = self._exchanged(node, link, calls) or replies
        for account, units, reply in zip(accounts, needed, replies, strict=True):
            if isinstance(reply, list):
                account.heard(reply[0], part_of(reply[1]))
                account.sold_out = account.room(since_days) <= 0
                self._touch([account])
            else:
                account.changed = account.changed or link is not None
                self._busy.add(account)
                if units:  # nothing can be leased, so nothing is left but what is to spare
                    if node.link is None:
                        self._closed.append(account)
                    self._unknown.discard(account)
                    self._working.know_totals({(account.event, account.slot): account.closed(since_days)})

    def _exchanged(self, node: Node, link: Link, pipeline: list[bytes]) -> list[Any] | None:
        """Return the replies; None when there are none, after which the link is dropped. An error is a matter of its total alone."""
        try:
            replies = link.connection.exchange(b"".join(pipeline), len(pipeline))
        except UnavailableError:
            node.drop(link)
            return None
        wrong = [reply for reply in replies if isinstance(reply, hiredis.ReplyError)]
        if wrong:
            what = "the shared ledger does not take what is said of totals"
            self._complaints.say(what, why=str(wrong[0]), totals=len(wrong))
        if OTHER_EPOCH in replies:
            node.drop(link)
        return replies


def _happen(moved: Moved) -> None:
    """Count the events among these moves on their days."""
    for (account, _), day in zip(moved.moves, moved.days, strict=True):
        if day is not None:
            account.happened(day)


def _call(calls: Calls, function: str, key: bytes, words: list[bytes]) -> bytes:
    prefix = calls.prefix[function]
    return b"*%d\r\n%b$1\r\n1\r\n%b" % (4 + len(words), prefix, b"".join(map(argument, [key, *words])))
