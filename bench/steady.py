"""Whether anything grows: ten million decisions in one process, from message bytes to answer bytes, and the memory that they leave behind.

    touchpoint bench steady --json

Ledger time passes: each day has its share of the decisions within an hour, after which holds have expired, answers are forgotten and contacts grow
too old to count, so that all stores turn over many times. The first quarter fills them to what they then keep. From then on are read, at even
distances, memory of the process's own (`RssAnon`, less what the ledger uses of the arrays that it reserved at the start) and Python's allocated
blocks; growth is the median of the last quarter over that of the first.
"""

import gc
import sys
import time
from statistics import median
from typing import Any, Final

import numpy as np

from bench.catalogues import question
from bench.figure import Figure
from bench.measured import OFFERED_MIN, RunError
from bench.operator import Operator, operator
from bench.requests import template_of
from bench.resident import status_bytes
from bench.sizes import Sizes
from bench.wire import ID_DIGITS
from engine.base.keys import SubscriberKeys, read_secret
from engine.base.overlay import Overlay
from engine.base.snapshot import open_current
from engine.deciding import ANSWER_BYTES_MAX
from engine.engine import Engine
from engine.ledger.answers import RingAnswers
from engine.ledger.memory import MemoryLedger
from engine.limits import MICROSECONDS_PER_DAY
from engine.reasons import Reason
from engine.rulebook import load_rulebook
from server.clock import Clock, steady_us, wall_us
from server.codec.items import items_in
from server.decision_id import DecisionIds
from server.figures import Figures
from server.front import DecisionFront
from server.lifecycle import settle_memory, warm_up
from server.subscriber_hashes import SubscriberHashes
from server.work import CallInfo

DECISIONS: Final = 10_000_000
DAYS: Final = 200
"""Of ledger time."""
BATCHES: Final = (256, 4_096)
"""Sizes of messages, in turn."""
BATCHES_SMALLEST: Final = (16, 256)
READINGS: Final = 40
HOUR_US: Final = MICROSECONDS_PER_DAY // 24
ANSWER_BYTES: Final = 512
"""What one remembered answer takes; a message is taken only while each of its answers could have ANSWER_BYTES_MAX, so there is room for those, too."""
CONTACTS_EACH: Final = 24
"""Room for contacts, by subscriber: those of nine days are about five, and a block that is full is pruned before it grows."""
FIGURES: Final = (
    Figure(
        "growth_bytes",
        "memory of the process's own but for the ledger's, the end over the beginning",
        most=4 << 20,
        unit="B",
    ),
    Figure("growth_blocks", "Python's allocated blocks, likewise", most=500),
    Figure("growth_ledger_bytes", "what the ledger uses of the memory that it reserved at the start", unit="B"),
    Figure("decisions", "decided in one process"),
    Figure("offered_share", "share of the decisions that held an offer", least=OFFERED_MIN),
)


class Steady:
    """A front over an operator whose clock the bench moves on, asked about its subscribers in messages of some items."""

    def __init__(self, made: Operator, decisions: int, batches: tuple[int, ...]) -> None:
        secret = read_secret(made.world.key_secret_file)
        keys = SubscriberKeys(secret, "msisdn", "US")
        self._day = max(1, decisions // DAYS)
        self._stretch = max(batches)
        self._moved_us = 0
        clock = Clock(lambda: wall_us() + self._moved_us, lambda: steady_us() + self._moved_us)
        ledger = MemoryLedger(
            CONTACTS_EACH * made.world.rows,
            RingAnswers(ANSWER_BYTES * self._day + (ANSWER_BYTES_MAX + ANSWER_BYTES) * max(batches)),
            outcomes_max=1_000,
            now_us=wall_us(),
        )
        engine = Engine(load_rulebook(made.rulebook), open_current(made.world.base, keys), Overlay(), ledger, wall_us())
        self.front = DecisionFront(engine, SubscriberHashes(keys, secret), DecisionIds(secret, 0), clock, Figures())
        warm_up(self.front)
        self._keys = made.keys
        self._templates = [template_of(question(1), made.keys, items) for items in batches]
        self._rng = np.random.default_rng(5)
        self.decided = 0

    def decide(self) -> None:
        """Decide one message, and let the time pass that it stands for."""
        template = self._templates[self.decided // self._stretch % len(self._templates)]
        items = len(template.id_at)
        message = np.frombuffer(bytearray(template.message[5:]), np.uint8)
        _write(message, template.id_at - 5, ID_DIGITS, self.decided + np.arange(items))
        rows = self._rng.integers(0, self._keys.rows, items)
        numbers = (self._keys.first + rows * self._keys.step) % 10**self._keys.digits
        _write(message, template.key_at - 5, self._keys.digits, numbers)
        found = items_in(message.tobytes())
        assert found is not None
        self.front.decide_message(found, CallInfo("bench", time.monotonic_ns()))
        days, into = divmod(self.decided + items, self._day)
        self.decided += items
        self._moved_us = days * MICROSECONDS_PER_DAY + into * HOUR_US // self._day


def _write(message: Any, at: Any, digits: int, numbers: Any) -> None:
    """Write numbers as decimals at these places."""
    left = numbers
    for digit in range(digits - 1, -1, -1):
        message[at + digit] = left % 10 + ord("0")
        left = left // 10


def run(sizes: Sizes) -> dict[str, Any]:
    """Decide and return the figures; raises RunError when answers failed or few held an offer."""
    decisions = 160_000 if sizes.smallest else DECISIONS
    with operator(sizes.subscribers(100_000), 10 if sizes.smallest else 100, sizes.seed) as made:
        steady = Steady(made, decisions, BATCHES_SMALLEST if sizes.smallest else BATCHES)
    _decide_until(steady, decisions // 4)
    settle_memory()
    readings = []
    began_s, collections = time.process_time(), _full_collections()
    for number in range(READINGS):
        _decide_until(steady, decisions // 4 + (number + 1) * (decisions - decisions // 4) // READINGS)
        ledger_bytes = steady.front.engine.ledger.statistics()["contacts_used_bytes"]
        readings.append((status_bytes("RssAnon") - ledger_bytes, sys.getallocatedblocks(), ledger_bytes))
    cpu_s = time.process_time() - began_s
    figures = steady.front.figures
    offered_share = float(figures.reasons[Reason.OFFERED] / steady.decided)
    if figures.failed or figures.repeated or offered_share < OFFERED_MIN:
        raise RunError(f"{figures.failed} failed, {figures.repeated} were repeated, {offered_share:.1%} held an offer")
    growth_bytes, growth_blocks, growth_ledger = (_growth([reading[part] for reading in readings]) for part in range(3))
    return {
        "growth_bytes": growth_bytes,
        "growth_blocks": growth_blocks,
        "growth_ledger_bytes": growth_ledger,
        "own_bytes": readings[-1][0] + readings[-1][2],
        "decisions": steady.decided,
        "us_per_decision": round(cpu_s * 1e6 / (steady.decided * 3 / 4), 2),
        "offered_share": round(offered_share, 4),
        "full_collections": _full_collections() - collections,
        "readings": readings,
    }


def _decide_until(steady: Steady, decisions: int) -> None:
    while steady.decided < decisions:
        steady.decide()


def _full_collections() -> int:
    return int(gc.get_stats()[2]["collections"])


def _growth(readings: list[int]) -> int:
    quarter = len(readings) // 4
    return int(median(readings[-quarter:]) - median(readings[:quarter]))
