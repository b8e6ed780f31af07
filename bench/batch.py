"""Decisions in batches over gRPC, beside a server that sends the same requests back: what is left of the wire's own rate.

The echo is pygrpc-native's batch interface with one I/O thread, which takes each DecideBatchRequest and answers with its bytes.
"""

from typing import Any, Final

from bench.driving import OURS, Driving, middle, told
from bench.figure import Figure
from bench.generator import Load
from bench.measured import OFFERED_MIN, Measured
from bench.operator import Asked, operator
from bench.sizes import Sizes
from bench.subjects import rivals

ITEMS: Final = 256
ECHO: Final = "native_echo"
IN_FLIGHT: Final = 8
"""Calls: enough that the server never waits for the load."""
DECISIONS_PER_S_MAX: Final = 400_000
"""The ledger gets room for so many."""
FIGURES: Final = (
    Figure("decisions_per_s", "full decisions a second through DecideBatch of 256, on one core", least=250_000),
    Figure("decisions_per_processor_s", "the same for each second of the server's processor time"),
    Figure(
        "ratio_vs_echo",
        "batches a second over those of a server that sends the requests back, by rate or processor time, whichever is less",
    ),
    Figure("server_us_per_decision", "our processor time a decision", unit="us"),
    Figure("offered_share", "least share of a run's answers that held an offer; none was a repeat", least=OFFERED_MIN),
)


def run(sizes: Sizes) -> dict[str, Any]:
    """Measure and return the figures; raises RunError when answers are not what was asked for."""
    return measure(sizes, Asked(items=16 if sizes.smallest else ITEMS), IN_FLIGHT)


def measure(sizes: Sizes, asked: Asked, in_flight: int) -> dict[str, Any]:
    """Return the figures of calls with many decisions each, so many of them in flight; raises RunError when answers are not what was asked for."""
    rows, offers = sizes.subscribers(1_000_000), 10 if sizes.smallest else 100
    seconds, repeats = sizes.seconds_of(1.0), sizes.runs()
    room = int((repeats + 1) * seconds * DECISIONS_PER_S_MAX)
    with operator(rows, offers, sizes.seed) as made, made.served(room) as ours, rivals((ECHO,)) as others:
        driving = Driving(made, sizes, asked)
        runs = driving.in_turn(
            [ours, *others.subjects], repeats, lambda n: Load(seconds, sizes.seed * 1_000 + n, 2, in_flight)
        )
    us = middle(runs[OURS], "server_us_per_call") / asked.items
    return {
        "decisions_per_s": round(middle(runs[OURS], "items_per_s")),
        "decisions_per_processor_s": round(1e6 / us) if us else None,
        **_ratios(runs),
        "server_us_per_decision": round(us, 3),
        "offered_share": round(min(one.offered_share for one in runs[OURS]), 4),
        "limited_by": {name: [one.limited_by for one in each] for name, each in runs.items()},
        "percentiles": told(runs),
        "missing": others.missing,
        "shape": {"rows": rows, "offers": offers, "items": asked.items, "in_flight": in_flight, "seconds": seconds},
    }


def _ratios(runs: dict[str, list[Measured]]) -> dict[str, float | None]:
    """Return the ratios to the echo, by rate, by processor time, and the smaller of the two."""
    if ECHO not in runs:
        return dict.fromkeys(("ratio_vs_echo", "rate_ratio_vs_echo", "processor_ratio_vs_echo"))
    by_rate = middle(runs[OURS], "calls_per_s") / middle(runs[ECHO], "calls_per_s")
    by_processor = middle(runs[ECHO], "server_us_per_call") / max(middle(runs[OURS], "server_us_per_call"), 1e-9)
    found = {"ratio_vs_echo": min(by_rate, by_processor), "rate_ratio_vs_echo": by_rate}
    return {name: round(value, 4) for name, value in (found | {"processor_ratio_vs_echo": by_processor}).items()}
