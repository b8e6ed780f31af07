"""What durability costs: unary decisions over gRPC with no journal, and with one at each durability, in turn within one run."""

import shutil
from contextlib import ExitStack
from statistics import median
from typing import Any, Final

from bench.driving import OURS, Driving, middle, told
from bench.figure import Figure
from bench.generator import Load
from bench.measured import OFFERED_MIN, Measured
from bench.operator import Asked, operator
from bench.rpc import CALLS_PER_S_MAX, shape_of
from bench.sizes import Sizes

DURABILITIES: Final = ("none", "everysec", "always")
FIGURES: Final = (
    Figure(
        "everysec_ratio",
        "decisions a second with a journal that is synced every second, over those without one",
        least=0.9,
    ),
    Figure("always_ratio", "the same with one that is synced before each answer, 64 in flight", least=0.5),
    Figure("none_ratio", "the same with one that is never synced by us"),
    Figure("always_added_p50_ms", "what waiting for the disk adds to the median of a call", unit="ms"),
    Figure("journal_bytes_per_decision", "what a decision takes on disk", unit="bytes"),
    Figure("offered_share", "least share of a run's answers that held an offer; none was a repeat", least=OFFERED_MIN),
)


def run(sizes: Sizes) -> dict[str, Any]:
    """Measure and return the figures; raises RunError when answers are not what was asked for."""
    shape = shape_of(sizes)
    room = int((shape.repeats + 2) * shape.seconds * CALLS_PER_S_MAX)
    with operator(shape.rows, shape.offers, shape.seed) as made, ExitStack() as stack:
        subjects = [stack.enter_context(made.served(room))]
        for name in DURABILITIES:
            more = {"journal": made.folder / f"journal-{name}", "journal_durability": name}
            subjects.append(stack.enter_context(made.served(room, f"{OURS}_{name}", **more)))
        driving = Driving(made, sizes, Asked(shape.offers_max))
        runs = driving.in_turn(
            subjects,
            shape.repeats,
            lambda number: Load(shape.seconds, shape.seed * 1_000 + number, shape.connections, shape.in_flight),
        )
        journal = made.folder / "journal-everysec"
        written = sum(path.stat().st_size for path in journal.glob("*.journal"))
        calls = sum(one.calls for one in runs[f"{OURS}_everysec"])
        free_bytes = shutil.disk_usage(journal).free
    return _told(runs, written / max(calls, 1), free_bytes) | {"shape": shape._asdict()}


def _told(runs: dict[str, list[Measured]], bytes_each: float, free_bytes: int) -> dict[str, Any]:
    rates = {name: middle(each, "calls_per_s") for name, each in runs.items()}
    p50 = {name: median(one.latency_ms["p50"] for one in each) for name, each in runs.items()}
    return {
        **{f"{name}_ratio": round(rates[f"{OURS}_{name}"] / rates[OURS], 3) for name in DURABILITIES},
        "always_added_p50_ms": round(p50[f"{OURS}_always"] - p50[OURS], 3),
        "journal_bytes_per_decision": round(bytes_each),
        "offered_share": round(min(one.offered_share for each in runs.values() for one in each), 4),
        "calls_per_s": {name: round(rate) for name, rate in rates.items()},
        "server_us_per_call": {name: round(middle(each, "server_us_per_call"), 1) for name, each in runs.items()},
        "p50_ms": {name: round(value, 3) for name, value in p50.items()},
        "limited_by": {name: [one.limited_by for one in each] for name, each in runs.items()},
        "disk_free_bytes": free_bytes,
        "percentiles": told(runs),
    }
