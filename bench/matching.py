"""Our rule matching as the engine does it: look the subscribers up by their hashes, then find which conditions hold for each."""

import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from bench.catalogues import CHANNEL, PLACEMENT, Shelf, rulebook_of
from bench.rules import Rule
from bench.worlds import AS_OF_US, World, keys
from engine.base.keys import SubscriberKeys, read_secret
from engine.base.overlay import Overlay
from engine.base.snapshot import open_current
from engine.bound import new_work
from engine.bound_pairs import lay_out_pairs
from engine.bound_rules import ranked
from engine.dtypes.rules import Moment
from engine.engine import Engine
from engine.kernels.screening import eligible_run
from engine.ledger.answers import RingAnswers
from engine.ledger.memory import MemoryLedger
from engine.limits import BATCH_ITEMS_MAX, MICROSECONDS_PER_DAY
from engine.matching import lay_out
from engine.runs import Prepared, Runs

CONTACTS_MAX: Final = 1_000


def hashes_of(world: World, numbers: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.uint64]:
    """Return the hashes of these subscribers of the world, as a front gets them from the requests' keys."""
    return SubscriberKeys(read_secret(world.key_secret_file), "msisdn", "US").hash_many(keys(numbers, seed))


def engine_of(world: World, shelf: Shelf, contacts_max: int = CONTACTS_MAX) -> Engine:
    """Return an engine over the world and the shelf's rulebook, with an empty ledger."""
    now_us = time.time_ns() // 1_000
    with tempfile.TemporaryDirectory(prefix="touchpoint-bench-") as folder:
        rulebook = rulebook_of(Path(folder) / "catalogue", shelf)
    snapshot = open_current(world.base, SubscriberKeys(read_secret(world.key_secret_file), "msisdn", "US"))
    snapshot.preload()  # as a server does once it is ready
    answers = RingAnswers(max(1 << 20, 512 * contacts_max))
    ledger = MemoryLedger(contacts_max, answers, outcomes_max=1_000, now_us=now_us)
    return Engine(rulebook, snapshot, Overlay(), ledger, now_us)


class Ours:
    """The engine with a rulebook of these rules, one campaign each, a day after the base's: no dynamic label is too old."""

    def __init__(self, world: World, rules: list[Rule], seed: int, strategy: int | None = None) -> None:
        """`strategy`: of engine.dtypes.matching, whatever it costs; None: what the engine chooses."""
        self._engine = engine_of(world, Shelf(rules, 0, seed))
        self._bound = bound = self._engine.bound
        if strategy is not None:
            layout = lay_out_pairs(bound.rules, ranked(bound.rulebook.catalogue, bound.candidates))
            density = bound.binding.label_density()
            bound.matching = lay_out(
                bound.conditions.tables, layout.conditions, density, strategy, bound.binding.ageing()
            )
            bound.work = new_work(bound.rules, layout, bound.matching)
        self._now_us = AS_OF_US + MICROSECONDS_PER_DAY
        self.items_max = BATCH_ITEMS_MAX
        """Most items of one batch."""
        self._runs = Runs(bound)
        self._batch = self._engine.new_batch()
        trigger, channel = bound.trigger_index[PLACEMENT], bound.channel_index[CHANNEL]
        self._batch.trigger[:], self._batch.channel[:] = trigger, channel
        self._index = np.arange(self.items_max)
        self._reading = self._engine.ledger.read(np.zeros(0, np.uint64)).result()
        pair = bound.pairs.pairs[trigger * len(bound.channel_index) + channel]
        candidates = bound.pairs.candidate[int(pair["first"]) : int(pair["first"]) + int(pair["count"])]
        campaigns = [bound.candidates[int(c)].campaign.id for c in candidates]
        self._order = np.argsort(campaigns)
        self._held = np.zeros((self.items_max, int(pair["words"])), np.uint64)

    def gather(self, subscribers: npt.NDArray[np.uint64]) -> Prepared:
        """Look the subscribers up."""
        n = len(subscribers)
        self._batch.count = n
        self._batch.subscriber[:n] = subscribers
        self._runs.gather(self._batch, self._index[:n], self._now_us, matched_alone=True)
        clock = self._bound.clock_at(self._now_us)
        moment = Moment(n, self._now_us, self._now_us, 0, clock.horizon.end_us, 0)
        return self._runs.prepared(clock, self._reading, moment)

    def match(self, prepared: Prepared) -> None:
        """Find for each of the subscribers looked up which rules hold."""
        eligible_run(prepared.reference, self._held)

    def matches(self, subscribers: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Return (n, rules): which rules hold."""
        self.match(self.gather(subscribers))
        held = np.unpackbits(self._held[: len(subscribers)].view(np.uint8), axis=1, bitorder="little")
        ordered: npt.NDArray[np.bool_] = held[:, : len(self._order)].astype(np.bool_)[:, self._order]
        return ordered
