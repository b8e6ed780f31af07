"""What words that name the subscriber cost, beside words that are the same for all: answers rendered again and again, by size of batch.

    python -m bench.words

The operator is the benches' (bench.catalogues): 100 offers, of which one in four names the subscriber's plan. Subscribers are decided dry, and those whose
one offer varies are rendered in batches of their own, in turn with as many others; each batch has other subscribers than the last. Figures are
medians over rounds of processor time, in microseconds an answer.
"""

import argparse
import json
import statistics
import time
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bench.answers import asked
from bench.catalogues import CHANNEL, PLACEMENT, shelf_of
from bench.machine import machine
from bench.matching import engine_of, hashes_of
from bench.worlds import built
from engine.batch import DRY_RUN
from server.answers import Answers
from server.content import Content
from server.decision_id import DecisionIds

ROWS: Final = 100_000
OFFERS: Final = 100
ITEMS: Final = 4_096
SIZES: Final = (1, 16, 64, 256, 1_024)


class Rendered:
    """Decisions about ITEMS subscribers, those whose offer varies apart from the others."""

    def __init__(self, rows: int, seed: int) -> None:
        world = built(rows, seed)
        engine = engine_of(world, shelf_of(OFFERS, seed))
        bound, rng = engine.bound, np.random.default_rng([seed, 5])
        self.batch = engine.new_batch(ITEMS)
        self.batch.count = ITEMS
        self.batch.subscriber[:] = hashes_of(world, rng.integers(0, world.rows, ITEMS), seed)
        self.batch.trigger[:] = bound.trigger_index[PLACEMENT]
        self.batch.channel[:] = channel = bound.channel_index[CHANNEL]
        self.batch.flags[:] = DRY_RUN
        self.batch.now_us[:] = time.time_ns() // 1_000
        self.decisions = engine.decide(self.batch)
        content = Content(engine.rulebook)
        self.answers = Answers(bound, content, 1, DecisionIds(b"0123456789abcdef", 0))
        self.answers.prepare(asked(ITEMS))
        offered = self.decisions.chosen_count == 1
        pairs = content.pieces.pairs[self.decisions.chosen[:, 0], channel]
        varies = content.pieces.words[pairs, 0, 0] < 0
        self.rows = {"varying": np.flatnonzero(offered & varies), "same": np.flatnonzero(offered & ~varies)}

    def render(self, index: npt.NDArray[np.int64]) -> float:
        """Render some rows and return the processor time, us."""
        self.decisions.texts.clear()
        began = time.thread_time_ns()
        self.answers.render(self.batch, self.decisions, index)
        return (time.thread_time_ns() - began) / 1_000


def cost(rendered: Rendered, size: int, rounds: int) -> dict[str, float]:
    """Return the medians for batches of `size`, or of all there are when these are fewer."""
    found: dict[str, float] = {}
    spent: dict[str, list[float]] = {sort: [] for sort in rendered.rows}
    for number in range(rounds):
        for sort, rows in rendered.rows.items():
            index = np.sort(np.roll(rows, -number * size)[:size])
            spent[sort].append(rendered.render(index) / len(index))
    for sort, times in spent.items():
        found[f"{sort}_us"] = round(statistics.median(times), 3)
    return {**found, "words_us": round(found["varying_us"] - found["same_us"], 3)}


def run(rows: int, rounds: int, seed: int, sizes: tuple[int, ...] = SIZES) -> dict[str, Any]:
    """Measure batches of these sizes."""
    rendered = Rendered(rows, seed)
    counts = {sort: len(index) for sort, index in rendered.rows.items()}
    found = {f"batch_{size}": cost(rendered, size, rounds) for size in sizes}
    return {"machine": machine(), "seed": seed, "rows": rows, "rounds": rounds, "answers": counts, **found}


def main() -> None:
    """Print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    print(json.dumps(run(arguments.rows, arguments.rounds, arguments.seed)))


if __name__ == "__main__":
    main()
