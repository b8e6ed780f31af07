"""How a decision's cost grows with offers and with subscribers: in the engine, in batches of 256, without the wire.

The growth exponent between two sizes is the slope on logarithmic axes: 0 is no growth, 1 grows as the size does. The worst of a series is
what counts. Each size is measured in turn with the others.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from statistics import median
from typing import Any, Final

from bench.charts import cost_chart
from bench.deciding import Deciding
from bench.figure import Figure, Grid
from bench.sizes import Sizes
from bench.worlds import built

OFFERS: Final = (10, 100, 1_000, 10_000)
ROWS: Final = (10_000, 100_000, 1_000_000, 20_000_000)
ITEMS: Final = 256
LINEAR: Final = 1.05
"""The largest exponent that is called linear: what noise adds to 1."""
FIGURES: Final = (
    Figure("offers_exponent", "worst growth from one number of offers to the next; 1 is linear", most=LINEAR),
    Figure("subscribers_exponent", "worst growth from one number of subscribers to the next", most=LINEAR),
    Figure("offers_exponent_overall", "from the fewest offers to the most"),
    Figure("subscribers_exponent_overall", "from the fewest subscribers to the most"),
)


def run(sizes: Sizes) -> dict[str, Any]:
    """Measure and return the figures."""
    small = sizes.smallest
    offers = (10, 40) if small else OFFERS
    rows = (1_000, 4_000) if small else tuple(count for count in ROWS if count <= (sizes.rows or ROWS[-1]))
    decisions = 512 if small else 8_192
    middle_rows = rows[-1] if small else 1_000_000
    by_offers = _costs(
        [(count, lambda count=count: _deciding(middle_rows, count, sizes, decisions)) for count in offers],  # type: ignore[misc]  # bound now
        sizes.runs(), decisions,
    )  # fmt: skip
    by_rows = _costs(
        [(count, lambda count=count: _deciding(count, 10 if small else 100, sizes, decisions)) for count in rows],  # type: ignore[misc]  # bound now
        sizes.runs(), decisions,
    )  # fmt: skip
    charts = [
        cost_chart(
            "scale-offers", "offers", "us a decision", {"ours": [(float(n), us) for n, us in by_offers.items()]}
        ),
        cost_chart(
            "scale-subscribers", "subscribers", "us a decision", {"ours": [(float(n), us) for n, us in by_rows.items()]}
        ),
    ]
    return {
        "offers_exponent": _worst(by_offers),
        "subscribers_exponent": _worst(by_rows),
        "offers_exponent_overall": _exponent(by_offers, min(by_offers), max(by_offers)),
        "subscribers_exponent_overall": _exponent(by_rows, min(by_rows), max(by_rows)),
        "us_by_offers": {str(n): round(us, 3) for n, us in by_offers.items()},
        "us_by_subscribers": {str(n): round(us, 3) for n, us in by_rows.items()},
        "charts": [str(path) for path in charts],
    }


def _deciding(rows: int, offers: int, sizes: Sizes, decisions: int) -> Deciding:
    return Deciding(built(rows, sizes.seed), offers, sizes.seed, 2 * decisions * sizes.runs())


def _costs(made: list[tuple[int, Callable[[], Deciding]]], repeats: int, decisions: int) -> dict[int, float]:
    engines = {count: make() for count, make in made}
    runs: dict[int, list[float]] = {count: [] for count in engines}
    for _ in range(repeats):
        for count, deciding in engines.items():
            runs[count].append(deciding.cost_us(ITEMS, decisions))
    return {count: median(each) for count, each in runs.items()}


def _exponent(costs: dict[int, float], low: int, high: int) -> float:
    return round(math.log(costs[high] / costs[low]) / math.log(high / low), 3)


def _worst(costs: dict[int, float]) -> float:
    counts = sorted(costs)
    return max(_exponent(costs, low, high) for low, high in pairwise(counts))


def tables(found: dict[str, Any]) -> list[Grid]:
    """Return the costs by size."""
    return [
        Grid(
            f"Processor time of a decision, us, by {what}",
            [what, "us"],
            [[f"{int(n):,}", us] for n, us in found[key].items()],
        )
        for what, key in (("offers", "us_by_offers"), ("subscribers", "us_by_subscribers"))
    ]
