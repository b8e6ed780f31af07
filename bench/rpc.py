"""Unary decisions over gRPC beside empty handlers: the same generator, the same requests, in turn within one run.

Ours decides: 100 candidates with conditions of five terms, consent, quiet hours, caps, a hold, content in two languages, an answer remembered.
The rivals decide nothing and answer an empty message. So the ratio says how much of an empty server's rate is left once the work is done.
"""

from statistics import median
from typing import Any, Final, NamedTuple

from bench.driving import OURS, Driving, middle, told
from bench.figure import Figure
from bench.generator import Load
from bench.measured import OFFERED_MIN, Measured
from bench.operator import Asked, operator
from bench.sizes import Sizes
from bench.subjects import rivals
from server.front_choice import choose_front
from server.settings import Settings

CALLS_PER_S_MAX: Final = 60_000
"""More than one core of ours answers: the ledger gets room for so many decisions."""


FIGURES: Final = (
    Figure(
        "ratio_vs_grpc_aio_empty",
        "our calls a second over those of an empty handler on grpc.aio with uvloop, by rate or by processor time, whichever is less",
        least=6,
    ),
    Figure("ratio_vs_native_empty", "the same over an empty handler on pygrpc-native's batch interface", least=0.45),
    Figure("ratio_vs_cpp_empty", "the same over an empty handler on gRPC C++'s callback API", least=0.40),
    Figure(
        "p99_ms_at_half_load",
        "99 % of the calls of an open loop at half our rate end within this, from the intended start",
        most=3,
        unit="ms",
    ),
    Figure("calls_per_s.touchpoint", "full decisions a second on one core, 64 in flight"),
    Figure("server_us_per_call.touchpoint", "our processor time a call", unit="us"),
    Figure("offered_share", "least share of a run's answers that held an offer; none was a repeat", least=OFFERED_MIN),
    Figure("generator_us_per_call", "the load generator's own processor time a call", unit="us"),
)


class Shape(NamedTuple):
    """What is asked, and how hard."""

    rows: int
    offers: int
    offers_max: int
    seconds: float
    repeats: int
    seed: int
    in_flight: int
    connections: int


def shape_of(sizes: Sizes) -> Shape:
    """Return the bench's own size, or the smallest one."""
    small = sizes.smallest
    return Shape(
        rows=sizes.subscribers(1_000_000),
        offers=10 if small else 100,
        offers_max=1,
        seconds=sizes.seconds_of(2.0),
        repeats=sizes.runs(),
        seed=sizes.seed,
        in_flight=16 if small else 64,
        connections=2 if small else 4,
    )


def run(sizes: Sizes) -> dict[str, Any]:
    """Measure and return the figures; raises RunError when answers are not what was asked for."""
    shape = shape_of(sizes)
    room = int((2 * shape.repeats + 2) * shape.seconds * CALLS_PER_S_MAX)
    with operator(shape.rows, shape.offers, shape.seed) as made, made.served(room) as ours, rivals() as others:
        driving = Driving(made, sizes, Asked(shape.offers_max))
        closed = driving.in_turn([ours, *others.subjects], shape.repeats, lambda number: _load(shape, number))
        half_per_s = middle(closed[OURS], "calls_per_s") / 2
        half = [driving.once(ours, _load(shape, 100 + n)._replace(rate_per_s=half_per_s)) for n in range(shape.repeats)]
        return _told(shape, closed, half, others.missing)


def _load(shape: Shape, number: int) -> Load:
    return Load(shape.seconds, shape.seed * 1_000 + number, shape.connections, shape.in_flight)


def _told(
    shape: Shape, closed: dict[str, list[Measured]], half: list[Measured], missing: dict[str, str]
) -> dict[str, Any]:
    rates = {name: middle(runs, "calls_per_s") for name, runs in closed.items()}
    costs = {name: middle(runs, "server_us_per_call") for name, runs in closed.items()}
    ratios: dict[str, Any] = {}
    for name in ("grpc_aio_empty", "native_empty", "cpp_empty"):
        there = name in rates
        by_rate = round(rates[OURS] / rates[name], 3) if there else None
        by_processor = round(costs[name] / costs[OURS], 3) if there and costs[OURS] else None
        ratios[f"ratio_vs_{name}"] = min(by_rate, by_processor) if by_rate and by_processor else by_rate
        ratios |= {f"rate_ratio_vs_{name}": by_rate, f"processor_ratio_vs_{name}": by_processor}
    return {
        **ratios,
        "p99_ms_at_half_load": round(median(one.latency_ms["p99"] for one in half), 3),
        "calls_per_s": {name: round(rate) for name, rate in rates.items()},
        "server_us_per_call": {name: round(cost, 1) for name, cost in costs.items()},
        "offered_share": round(min(one.offered_share for one in closed[OURS] + half), 4),
        "half_load_per_s": round(rates[OURS] / 2),
        "generator_us_per_call": round(
            median(one.generator_us_per_call for runs in closed.values() for one in runs), 2
        ),
        "limited_by": {name: [one.limited_by for one in runs] for name, runs in closed.items()},
        "percentiles": told(closed | {"touchpoint at half load": half}),
        "front": choose_front(Settings(listen="127.0.0.1:0")).front,
        "missing": missing,
        "shape": shape._asdict(),
    }
