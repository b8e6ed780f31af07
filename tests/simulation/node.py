"""The server under test: the real front, ledger, journal and decision queue, on a virtual clock and disk, served by whoever calls `turn`."""

import asyncio
from collections.abc import Callable
from functools import cache, partial
from typing import Any, Final

import numpy as np

from engine.base.overlay import Overlay
from engine.journal.journal import Durability
from engine.journal.segments import Owner
from engine.kernels.ledger_blocks import prune_blocks
from engine.ledger.memory import MemoryLedger
from engine.shard import parse_shard
from server.clock import Clock
from server.decision_id import DecisionIds
from server.decision_thread import DecisionThread
from server.figures import Figures
from server.framing import batch_items
from server.front import DecisionFront
from server.journalling import Going, Kept, end_journal, go_on, sizes_of
from server.rpcs import Rpcs
from server.settings import Settings
from server.stores import new_engine
from server.subscriber_hashes import SubscriberHashes
from server.work import CallInfo, Calls, Command, Delivery, Message, Work
from tests.engine.base.world import KEYS, SECRET
from tests.simulation.clock import VirtualClock
from tests.simulation.disk import VirtualDisk
from tests.simulation.world import FRESH, SUBSCRIBERS, stores_of

OWNER: Final = Owner("0", "0011223344556677")
CALLER: Final = CallInfo("simulated", 0)
SETTINGS: Final = Settings(
    journal="virtual", contacts_max=2_048, outcomes_max=2_048, answers_bytes_max=1 << 20, overlay_subscribers_max=64
)
HASHES: Final = {key: KEYS.hash_one(key) for key in (*SUBSCRIBERS, *FRESH)}
SEGMENT_BYTES: Final = 6_000
"""Small, so that a simulation goes through many."""


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """Return what a DecisionThread wants and nothing here runs."""
    return asyncio.new_event_loop()


class Node:
    """One machine's server: it starts, is asked, ends in some way, starts again."""

    def __init__(self, clock: VirtualClock, disk: VirtualDisk, durability: Durability) -> None:
        self.clock, self.disk, self.durability = clock, disk, durability
        self.boots = 1
        """How often the machine began."""
        self.edition = 0
        self.up = False

    def start(self) -> None:
        """Start by what the disk holds; raises what a start raises, and then nothing runs."""
        stores = stores_of(self.edition)
        engine_, kept = new_engine(stores, SETTINGS, SECRET, self.clock.wall_us(), opening=self._open)
        assert kept is not None
        self.kept: Kept = kept
        hashes, ids = SubscriberHashes(KEYS, SECRET), DecisionIds(SECRET, 0)
        clock = Clock(self.clock.wall_us, self.clock.steady_us)
        self.front = DecisionFront(engine_, hashes, ids, clock, Figures(), journal=kept.journal)
        self.rpcs = Rpcs(self.front, parse_shard("0/1"), lambda: "", lambda: 0)
        self.thread = DecisionThread(self.front, SETTINGS.queue_items_max, _loop())
        self.synced_us = self.clock.passed_us
        self.up = True

    def _open(self, settings: Settings, secret: bytes, now_us: int) -> tuple[Kept, MemoryLedger, Overlay]:
        going = Going(OWNER, self.durability, sizes_of(settings), f"boot {self.boots}", self.clock.steady_s)
        return go_on(self.disk, going, now_us)

    def kill(self) -> None:
        """End the process, not the machine."""
        self.up = False

    def fail_power(self) -> None:
        """End the machine."""
        self.up = False
        self.boots += 1
        self.disk.fail_power()

    def stop(self) -> None:
        """End in order."""
        end_journal(self.kept, self.clock.wall_us())
        self.up = False

    def decide(self, payloads: list[bytes], tickets: list[Any], delivery: Delivery) -> None:
        """Queue DecideRequests that are answered one by one."""
        infos, deadlines_s = [CALLER] * len(payloads), [float("inf")] * len(payloads)
        self._submit(Calls(delivery, list(payloads), infos, deadlines_s, list(tickets)))

    def decide_together(self, payload: bytes, ticket: Any, delivery: Delivery) -> None:
        """Queue a DecideBatchRequest."""
        self._submit(Message(batch_items(payload), CALLER, float("inf"), delivery, ticket))

    def call(self, name: str, payload: bytes, ticket: Any, delivery: Delivery) -> None:
        """Queue one of the rare methods, by its name in server.rpcs.Rpcs."""
        method: Callable[[bytes, CallInfo], bytes] = getattr(self.rpcs, name)
        self._submit(Command(partial(method, payload, CALLER), float("inf"), delivery, ticket))

    def _submit(self, work: Work) -> None:
        self.thread.submit([work])

    def turn(self) -> None:
        """Serve what waits."""
        while self.thread.work_waits:
            assert self.thread.take_turn(0.0)

    def idle(self) -> None:
        """Do what time brings: housekeeping, and what another thread would sync."""
        self.front.tick()
        self.front.settle()
        if self.durability == "everysec":
            self.kept.journal.sync()

    @property
    def clean(self) -> bool:
        """Whether all that is in memory is with the disk."""
        journal = self.kept.journal
        return journal.failure is None and journal.used_bytes == 0

    @property
    def safe(self) -> bool:
        """Whether all that is in memory is on the medium."""
        journal = self.kept.journal
        return self.clean and journal.unsafe_bytes == 0 and journal._sync_failure is None and self.durability != "none"

    def swap(self, edition: int) -> None:
        """Answer by another edition of the catalogue, as a reload does between two turns."""
        self.edition = edition
        stores, engine_ = stores_of(edition), self.front.engine
        engine_.admit(engine_.unadmitted(stores.rulebook))
        self.front.take_over(self.front.successor(stores.rulebook, stores.snapshot, self.front.now_us()))
        self.front.settle()

    def state(self) -> dict[str, Any]:
        """Return what the ledger and the overlay hold, in words that do not depend on where it lies."""
        engine_ = self.front.engine
        ledger = engine_.ledger
        assert isinstance(ledger, MemoryLedger)
        ledger.answers.room_bytes(ledger.now_us)  # takes out what is over, as the next line does
        prune_blocks(ledger._store)
        subscribers = np.array(sorted(HASHES.values()), np.uint64)
        reading = ledger.read(subscribers).result()
        contacts, totals = reading.contacts, reading.totals
        held = {}
        for row, subscriber in enumerate(subscribers.tolist()):
            start, count = int(contacts.start[row]), int(contacts.count[row])
            held[subscriber] = [contact.tolist() for contact in contacts.records[start : start + count]]
        changes = {key: engine_.overlay.changes_of(hash_) for key, hash_ in HASHES.items()}
        erased = [key for key, hash_ in HASHES.items() if engine_.overlay.is_erased(hash_)]
        sums = [column.tolist() for column in (totals.live, totals.lifetime, totals.daily, totals.day)]
        names = ["contacts", "live_contacts"]
        if not erased:  # answers to somebody erased keep their room for a day, which a snapshot leaves out
            names += ["answers", "answers_used_bytes"]
        statistics = {name: ledger.statistics()[name] for name in names}
        return {"held": held, "changes": changes, "erased": erased, "totals": sums, **statistics}
