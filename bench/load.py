"""Latency against offered load: an open loop with Poisson arrivals, from a tenth of our closed-loop rate up to all of it."""

from statistics import median
from typing import Any, Final

from bench.charts import latency_chart
from bench.driving import OURS, Driving, middle, told
from bench.figure import Figure, Grid
from bench.generator import Load
from bench.measured import PERCENTILES, Measured
from bench.operator import operator
from bench.sizes import Sizes

SHARES: Final = (0.1, 0.25, 0.5, 0.7, 0.8, 0.9, 1.0)
CALLS_PER_S_MAX: Final = 60_000
FIGURES: Final = (
    Figure("saturation_per_s", "calls a second of the closed loop, 64 in flight: what the shares of load are of"),
    Figure("p50_ms_at_half_load", "half of the calls end within this, from the intended start", unit="ms"),
    Figure("p99_ms_at_half_load", "99 % of them", most=3, unit="ms"),
    Figure("p99_ms_at_nine_tenths", "99 % of them at nine tenths of the closed loop's rate", unit="ms"),
)


def run(sizes: Sizes) -> dict[str, Any]:
    """Measure and return the figures; raises RunError when answers are not what was asked for."""
    small = sizes.smallest
    rows, offers = sizes.subscribers(1_000_000), 10 if small else 100
    seconds, repeats = sizes.seconds_of(2.0), sizes.runs(3)
    shares = (0.25, 0.5) if small else SHARES
    room = int((1 + len(shares)) * (repeats + 1) * seconds * CALLS_PER_S_MAX)
    with operator(rows, offers, sizes.seed) as made, made.served(room) as ours:
        driving = Driving(made, sizes)
        closed = driving.in_turn([ours], repeats, lambda n: Load(seconds, sizes.seed * 1_000 + n))[OURS]
        rate_per_s = middle(closed, "calls_per_s")
        runs: dict[float, list[Measured]] = {share: [] for share in shares}
        for number in range(repeats):
            for place, share in enumerate(shares):
                seed = sizes.seed * 1_000 + 100 + number * len(shares) + place
                runs[share].append(driving.once(ours, Load(seconds, seed, rate_per_s=share * rate_per_s)))
    return _told(rate_per_s, runs) | {"percentiles": told({f"{share:.0%} load": each for share, each in runs.items()})}


def _told(rate_per_s: float, runs: dict[float, list[Measured]]) -> dict[str, Any]:
    by_load = {
        share: {name: round(median(one.latency_ms[name] for one in each), 3) for name in PERCENTILES}
        for share, each in runs.items()
    }
    lines = {name: [(share * rate_per_s, by_load[share][name]) for share in by_load] for name in PERCENTILES}
    return {
        "saturation_per_s": round(rate_per_s),
        "p50_ms_at_half_load": by_load[0.5]["p50"],
        "p99_ms_at_half_load": by_load[0.5]["p99"],
        "p99_ms_at_nine_tenths": by_load.get(0.9, {}).get("p99"),
        "by_load": {f"{share:g}": {"per_s": round(share * rate_per_s), **each} for share, each in by_load.items()},
        "sent_late_ms": {f"{share:g}": round(middle(each, "sent_late_ms"), 3) for share, each in runs.items()},
        "charts": [str(latency_chart("load", "offered load, calls a second", lines))],
    }


def tables(found: dict[str, Any]) -> list[Grid]:
    """Return latency by load."""
    rows = [[share, *each.values()] for share, each in found["by_load"].items()]
    return [
        Grid(
            "Latency by share of the closed loop's rate, ms, median over the runs",
            ["share", "calls/s", *PERCENTILES],
            rows,
        )
    ]
