"""The engine's decisions without any wire: batches of arrays in, arrays out, offers held in a ledger."""

import time
from statistics import median
from typing import Final

import numpy as np
import numpy.typing as npt

from bench.catalogues import CHANNEL, PLACEMENT, shelf_of
from bench.matching import engine_of, hashes_of
from bench.measured import OFFERED_MIN, RunError
from bench.worlds import World
from engine.limits import BATCH_ITEMS_MAX

SUBSCRIBERS_MAX: Final = 1 << 18
"""Subscribers that are met in turn."""


class Deciding:
    """An engine over a world with so many offers, asked about random subscribers; every request has an id of its own."""

    def __init__(self, world: World, offers: int, seed: int, decisions_max: int) -> None:
        self._engine = engine_of(world, shelf_of(offers, seed), max(10_000, 8 * decisions_max))
        rng = np.random.default_rng([seed, 4])
        numbers = rng.integers(0, world.rows, min(SUBSCRIBERS_MAX, max(BATCH_ITEMS_MAX, decisions_max)))
        self._subscribers = hashes_of(world, numbers, seed)
        self._batch = self._engine.new_batch()
        self._batch.trigger[:] = self._engine.bound.trigger_index[PLACEMENT]
        self._batch.channel[:] = self._engine.bound.channel_index[CHANNEL]
        self._met = 0
        self.answers = self.offered = 0

    def decide(self, items: int) -> float:
        """Decide one batch and return the processor time of one decision, us."""
        batch = self._batch
        batch.count = items
        batch.subscriber[:items] = self._next(items)
        batch.request[:items, 0] = np.arange(self._met, self._met + items)
        batch.now_us[:items] = time.time_ns() // 1_000
        began = time.thread_time_ns()
        decisions = self._engine.decide(batch)
        taken_ns = time.thread_time_ns() - began
        self.answers += items
        self.offered += int((decisions.chosen_count > 0).sum())
        return taken_ns / items / 1_000

    def _next(self, items: int) -> npt.NDArray[np.uint64]:
        first = self._met % len(self._subscribers)
        self._met += items
        return np.take(self._subscribers, np.arange(first, first + items), mode="wrap")

    def cost_us(self, items: int, decisions: int) -> float:
        """Return the median processor time of a decision in batches of `items`, over so many decisions; raises RunError when few held an offer."""
        self.decide(items)
        times = [self.decide(items) for _ in range(max(3, decisions // items))]
        if self.offered < OFFERED_MIN * self.answers:
            raise RunError(
                f"expected an offer in at least {OFFERED_MIN:.0%} of the answers, {self.offered} of {self.answers} held one"
            )
        return float(median(times))
