"""What sharing a ledger costs: unary decisions over gRPC with the ledger in memory, and with it in a Redis on this machine, in turn within one run."""

from statistics import median
from typing import Any, Final

from bench.driving import OURS, Driving, middle, told
from bench.figure import Figure
from bench.generator import Load
from bench.measured import OFFERED_MIN, Measured
from bench.operator import Asked, operator
from bench.redis_server import redis_server
from bench.rpc import CALLS_PER_S_MAX, shape_of
from bench.sizes import Sizes

SHARED: Final = f"{OURS}_redis"
FIGURES: Final = (
    Figure("redis_ratio", "decisions a second with the ledger in Redis, over those with it in memory", least=0.3),
    Figure("redis_added_p50_ms", "what that adds to the median of a call that is alone", most=1, unit="ms"),
    Figure("offered_share", "least share of a run's answers that held an offer; none was a repeat", least=OFFERED_MIN),
)


def run(sizes: Sizes) -> dict[str, Any]:
    """Measure and return the figures; raises RunError when answers are not what was asked for."""
    shape = shape_of(sizes)
    room = int((2 * shape.repeats + 2) * shape.seconds * CALLS_PER_S_MAX)
    with (
        operator(shape.rows, shape.offers, shape.seed) as made,
        redis_server() as url,
        made.served(room) as plain,
        made.served(room, SHARED, ledger_redis=url, ledger_redis_timeout_ms=1_000) as shared,
    ):
        driving = Driving(made, sizes, Asked(shape.offers_max))

        def load(number: int) -> Load:
            return Load(shape.seconds, shape.seed * 1_000 + number, shape.connections, shape.in_flight)

        runs = driving.in_turn([plain, shared], shape.repeats, load)
        alone = driving.in_turn(
            [plain, shared],
            shape.repeats,
            lambda number: load(500 + number)._replace(connections=1, in_flight=1),
        )
    return _told(runs, alone) | {"shape": shape._asdict()}


def _told(runs: dict[str, list[Measured]], alone: dict[str, list[Measured]]) -> dict[str, Any]:
    rates = {name: middle(each, "calls_per_s") for name, each in runs.items()}
    p50 = {name: median(one.latency_ms["p50"] for one in each) for name, each in alone.items()}
    everything = [one for each in (*runs.values(), *alone.values()) for one in each]
    return {
        "redis_ratio": round(rates[SHARED] / rates[OURS], 3),
        "redis_added_p50_ms": round(p50[SHARED] - p50[OURS], 3),
        "offered_share": round(min(one.offered_share for one in everything), 4),
        "calls_per_s": {name: round(rate) for name, rate in rates.items()},
        "server_us_per_call": {name: round(middle(each, "server_us_per_call"), 1) for name, each in runs.items()},
        "p50_alone_ms": {name: round(value, 3) for name, value in p50.items()},
        "limited_by": {name: [one.limited_by for one in each] for name, each in runs.items()},
        "percentiles": told(runs | {f"{name} alone": each for name, each in alone.items()}),
    }
