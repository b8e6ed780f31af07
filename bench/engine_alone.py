"""What a decision costs in the engine alone, by size of batch: 100 offers, holds, no wire and no rendering."""

from statistics import median
from typing import Any, Final

from bench.deciding import Deciding
from bench.figure import Figure, Grid
from bench.sizes import Sizes
from bench.worlds import built

BATCHES: Final = (1, 4, 16, 64, 256, 1_024, 4_096)
FIGURES: Final = (
    Figure("us_per_decision.1", "processor time of a lone decision, looked up, matched, chosen and held", unit="us"),
    Figure("us_per_decision.64", "the same in batches of 64", unit="us"),
    Figure("us_per_decision.256", "the same in batches of 256", unit="us"),
    Figure("us_per_decision.4096", "the same in batches of 4,096", unit="us"),
    Figure("offered_share", "share of the decisions that held an offer", least=0.95),
)


def run(sizes: Sizes) -> dict[str, Any]:
    """Measure and return the figures."""
    small = sizes.smallest
    batches = (1, 16, 256) if small else BATCHES
    decisions, repeats = 512 if small else 16_384, sizes.runs()
    world = built(sizes.subscribers(1_000_000), sizes.seed)
    deciding = Deciding(world, 10 if small else 100, sizes.seed, 2 * decisions * repeats * len(batches))
    runs: dict[int, list[float]] = {items: [] for items in batches}
    for _ in range(repeats):
        for items in batches:
            runs[items].append(deciding.cost_us(items, min(decisions, 256 * items)))
    return {
        "us_per_decision": {str(items): round(median(each), 3) for items, each in runs.items()},
        "runs_us": {str(items): [round(one, 3) for one in each] for items, each in runs.items()},
        "offered_share": round(deciding.offered / deciding.answers, 4),
        "rows": world.rows,
    }


def tables(found: dict[str, Any]) -> list[Grid]:
    """Return the cost by size of batch."""
    return [
        Grid(
            "Processor time of a decision, us",
            ["batch", "us"],
            [[f"{int(n):,}", us] for n, us in found["us_per_decision"].items()],
        )
    ]
