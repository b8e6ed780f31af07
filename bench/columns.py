"""Decisions by the table over gRPC, beside a server that sends the same requests back: what is left of the wire's own rate.

Each call is a table of 4,096 rows through DecideColumns, and the answers have the words. The echo is that of `batch`.
"""

from typing import Any, Final

from bench.batch import measure
from bench.figure import Figure
from bench.measured import OFFERED_MIN
from bench.operator import Asked
from bench.sizes import Sizes

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
    return measure(sizes, Asked(items=64 if sizes.smallest else ROWS, tables=True), IN_FLIGHT)
