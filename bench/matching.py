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
from engine.dtypes.rules import Items
from engine.dtypes.view import View
from engine.engine import Engine
from engine.jit import frozen
from engine.kernels.screening import screen_run
from engine.ledger.answers import RingAnswers
from engine.ledger.memory import MemoryLedger
from engine.limits import MICROSECONDS_PER_DAY

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
    answers = RingAnswers(max(1 << 20, 512 * contacts_max))
    ledger = MemoryLedger(contacts_max, answers, outcomes_max=1_000, now_us=now_us)
    return Engine(rulebook, snapshot, Overlay(), ledger, now_us)


class Ours:
    """The engine with a rulebook of these rules, one campaign each, a day after the base's: no dynamic label is too old."""

    def __init__(self, world: World, rules: list[Rule], seed: int) -> None:
        self._engine = engine_of(world, Shelf(rules, 0, seed))
        self._bound = self._engine.bound
        self._now_us = AS_OF_US + MICROSECONDS_PER_DAY
        self.items_max = self._bound.items_max
        """Most items of one batch."""
        pair = self._bound.trigger_index[PLACEMENT], self._bound.channel_index[CHANNEL]
        self._items = [np.full(self.items_max, code, np.int32) for code in pair]
        first = pair[0] * len(self._bound.channel_index) + pair[1]
        starts = self._bound.rules.pair_start
        candidates = self._bound.rules.pair[int(starts[first]) : int(starts[first + 1])]
        campaigns = [self._bound.candidates[int(c)].campaign.id for c in candidates]
        self._order = np.argsort(campaigns)

    def gather(self, subscribers: npt.NDArray[np.uint64]) -> View:
        """Look the subscribers up."""
        n = len(subscribers)
        view = View._make(array[:n] for array in self._bound.view)
        self._bound.binding.gather(subscribers, np.full(n, self._now_us), view, 0, n)
        return view

    def match(self, subscribers: npt.NDArray[np.uint64], view: View) -> None:
        """Find for each of the subscribers looked up which rules hold."""
        n = len(subscribers)
        trigger, channel = (column[:n] for column in self._items)
        items = Items(frozen(subscribers), frozen(trigger), frozen(channel), frozen(np.ones(n, np.int32)))
        screen_run(self._bound.rules, self._bound.conditions.tables, view, items, self._now_us, self._bound.work)

    def matches(self, subscribers: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Return (n, rules): which rules hold."""
        self.match(subscribers, self.gather(subscribers))
        held = self._bound.work.reason[: len(subscribers), : len(self._order)] == 0
        ordered: npt.NDArray[np.bool_] = held[:, self._order]
        return ordered
