"""Decisions by the table over gRPC, beside a server that sends the same requests back: what is left of the wire's own rate.

Each call is a table of 4,096 rows through DecideColumns, and the answers have the words. The echo is that of `batch`.
"""

from typing import Any, Final

from bench.batch import DECISIONS_PER_S_MAX, ECHO, ratios
from bench.driving import OURS, Driving, middle, told
from bench.figure import Figure
from bench.generator import Load
from bench.measured import OFFERED_MIN
from bench.operator import Asked, operator
from bench.sizes import Sizes
from bench.subjects import rivals

ROWS: Final = 4_096
IN_FLIGHT: Final = 4
"""Calls: enough that the server never waits for the load."""
FIGURES: Final = (
    Figure("decisions_per_s", "full decisions a second through DecideColumns of 4,096, on one core", least=400_000),
    Figure("decisions_per_processor_s", "the same for each second of the server's processor time"),
    Figure(
        "ratio_vs_echo",
        "tables a second over those of a server that sends the requests back, by rate or processor time, whichever is less",
    ),
    Figure("server_us_per_decision", "our processor time a decision", unit="us"),
    Figure("offered_share", "least share of a run's answers that held an offer; none was a repeat", least=OFFERED_MIN),
)


def run(sizes: Sizes) -> dict[str, Any]:
    """Measure and return the figures; raises RunError when answers are not what was asked for."""
    small = sizes.smallest
    rows, offers, items = sizes.subscribers(1_000_000), 10 if small else 100, 64 if small else ROWS
    seconds, repeats = sizes.seconds_of(1.0), sizes.runs()
    room = int((repeats + 1) * seconds * DECISIONS_PER_S_MAX)
    with operator(rows, offers, sizes.seed) as made, made.served(room) as ours, rivals((ECHO,)) as others:
        driving = Driving(made, sizes, Asked(items=items, tables=True))
        runs = driving.in_turn(
            [ours, *others.subjects], repeats, lambda n: Load(seconds, sizes.seed * 1_000 + n, 2, IN_FLIGHT)
        )
    us = middle(runs[OURS], "server_us_per_call") / items
    return {
        "decisions_per_s": round(middle(runs[OURS], "items_per_s")),
        "decisions_per_processor_s": round(1e6 / us) if us else None,
        **ratios(runs),
        "server_us_per_decision": round(us, 3),
        "offered_share": round(min(one.offered_share for one in runs[OURS]), 4),
        "limited_by": {name: [one.limited_by for one in each] for name, each in runs.items()},
        "percentiles": told(runs),
        "missing": others.missing,
        "shape": {"rows": rows, "offers": offers, "items": items, "in_flight": IN_FLIGHT, "seconds": seconds},
    }
