"""Rules of five terms against random subscribers: ours, which looks each subscriber up, beside rule engines that get their rows ready-made.

Every engine answers the same question: which of the rules hold? Equal answers are checked first, on the same rows. Times are processor
time an event, all threads; the engines take turns, and each figure is the median of its rounds.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from bench.charts import cost_chart
from bench.figure import Figure, Grid
from bench.matching import Ours, hashes_of
from bench.measured import RunError
from bench.rivals.matchers import RIVALS, Matcher, missing
from bench.rows import Columns, columns_of, used
from bench.rules import rules
from bench.sizes import Sizes
from bench.worlds import World, built

RULES: Final = (10, 100, 1_000, 10_000)
EVENTS: Final = 2_048
"""Rows of a rival's batch."""
EVENTS_OURS: Final = 1 << 18
"""Subscribers that ours meets in turn, so that their rows are not all in the processor's caches."""
ROUND_S: Final = 0.1
"""Least processor time of one engine in one round."""
FIGURES: Final = (
    Figure("equal", "every engine finds the same rules for the same rows"),
    Figure(
        "ratio_vs_blazerules_batch",
        "BlazeRules' time over ours, in batches of 2,048 ready-made rows; least of all sizes",
        least=2,
    ),
    Figure("ratio_vs_blazerules_single", "the same, a row at a time", least=50),
    Figure(
        "ratio_vs_zen",
        "GoRules zen's time over ours, asked one event at a time with a decision table, as documented",
        least=100,
    ),
    Figure(
        "ratio_vs_datalogic", "datalogic's time over ours, asked one compiled rule at a time, as documented", least=100
    ),
    Figure("ratio_vs_zen_fastest", "the same for zen with all rules as one compiled expression, its fastest way found"),
    Figure(
        "ratio_vs_datalogic_fastest",
        "the same for datalogic with all rules as one list in a session, its fastest way found",
    ),
)


def tables(found: dict[str, Any]) -> list[Grid]:
    """Return the times by number of rules."""
    names = next(iter(found["by_rules"].values()))["us"]
    rows = [[f"{int(count):,}", *(each["us"][name] for name in names)] for count, each in found["by_rules"].items()]
    return [Grid("Processor time of an event, us", ["rules", *names], rows)]


class _Contest(NamedTuple):
    """One size: ours and the rivals that are there, ready to run."""

    ours: Ours
    subscribers: npt.NDArray[np.uint64]
    rivals: dict[str, Matcher]


def run(sizes: Sizes) -> dict[str, Any]:
    """Measure and return the figures; raises RunError when an engine finds other rules than the terms say."""
    rows = sizes.subscribers(2_000_000)
    events = 128 if sizes.smallest else EVENTS
    world = built(rows, sizes.seed)
    numbers = np.random.default_rng([sizes.seed, 3]).integers(0, rows, max(events, min(EVENTS_OURS, rows)))
    subscribers = hashes_of(world, numbers, sizes.seed)
    columns = columns_of(numbers[:events], rows, sizes.seed)
    absent = {name: why for name in RIVALS if (why := missing(name))}
    by_rules = {
        str(count): _one_size(count, sizes, (world, subscribers, columns), absent)
        for count in ((10, 100) if sizes.smallest else RULES)
    }
    ratios = {
        f"ratio_vs_{name}": None
        if name in absent
        else round(min(each["us"][name] / each["us"]["ours"] for each in by_rules.values()), 3)
        for name in RIVALS
    }
    return {
        **ratios,
        "equal": all(each["equal"] for each in by_rules.values()),
        "by_rules": by_rules,
        "rows": rows,
        "missing": absent,
        "charts": [str(cost_chart("match", "rules of five terms", "us an event", _lines(by_rules)))],
    }


def _lines(by_rules: dict[str, dict[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    names = next(iter(by_rules.values()))["us"]
    return {name: [(float(count), each["us"][name]) for count, each in by_rules.items()] for name in names}


def _one_size(
    count: int, sizes: Sizes, on: tuple[World, npt.NDArray[np.uint64], Columns], absent: dict[str, str]
) -> dict[str, Any]:
    world, subscribers, columns = on
    made = rules(count, sizes.seed)
    asked = used(made, columns)
    ours = Ours(world, made, sizes.seed)
    rivals = {name: make(made, asked) for name, make in RIVALS.items() if name not in absent}
    contest = _Contest(ours, subscribers, rivals)
    checked = _check(contest, made, asked)
    times = _times(contest, len(next(iter(asked.values()))), sizes.runs(), ROUND_S / 20 if sizes.smallest else ROUND_S)
    return {
        "us": {name: round(median(taken), 4) for name, taken in times.items()},
        "runs_us": {name: [round(one, 4) for one in taken] for name, taken in times.items()},
        "equal": True,
        "events_checked": checked,
        "matches_per_event": round(float(_expected(made, asked).sum(axis=1).mean()), 2),
    }


def _expected(made: list[Any], columns: Columns) -> npt.NDArray[np.bool_]:
    from bench.rows import matches_of

    return np.stack([matches_of(rule, columns) for rule in made], axis=1)


def _check(contest: _Contest, made: list[Any], columns: Columns) -> dict[str, int]:
    """Compare every engine with the terms themselves, on as many rows as it does in a few seconds; returns on how many."""
    expected = _expected(made, columns)
    events = len(expected)
    slow = max(16, min(events, 200_000 // len(made)))
    counts = {"ours": min(events, contest.ours.items_max)} | {
        name: events if name == "blazerules_batch" else slow for name in contest.rivals
    }
    for name, count in counts.items():
        ours = name == "ours"
        found = contest.ours.matches(contest.subscribers[:count]) if ours else contest.rivals[name].matches(count)
        wrong = np.argwhere(found != expected[:count])
        if len(wrong):
            event, rule = wrong[0].tolist()
            raise RunError(f"{name} finds other rules: event {event}, rule {made[rule]}, {len(wrong)} differences")
    return counts


def _times(contest: _Contest, rows: int, rounds: int, least_s: float) -> dict[str, list[float]]:
    """Return each engine's time an event, in us, in every round."""
    size = min(contest.ours.items_max, len(contest.subscribers))
    batches = [contest.subscribers[at : at + size] for at in range(0, len(contest.subscribers) - size + 1, size)]
    turn = iter(range(1 << 60))

    def both() -> None:
        batch = batches[next(turn) % len(batches)]
        contest.ours.match(contest.ours.gather(batch))

    batch = batches[0]
    view = contest.ours.gather(batch)
    engines: dict[str, tuple[Callable[[], object], int]] = {
        "ours": (both, size),
        "ours_match_only": (lambda: contest.ours.match(view), size),
    }
    for name, rival in contest.rivals.items():
        events = rows if name == "blazerules_batch" else _events_for(rival, rows, least_s)
        engines[name] = (lambda rival=rival, events=events: rival.match(events), events)  # type: ignore[misc]  # bound now
    times: dict[str, list[float]] = {name: [] for name in engines}
    for number in range(rounds + 1):
        for name, (work, events) in engines.items():
            if name == "ours_match_only":
                view = contest.ours.gather(batch)
            taken = _us(work, events, least_s)
            if number:
                times[name].append(taken)
    return times


def _events_for(rival: Matcher, rows: int, least_s: float) -> int:
    """Return how many of its rows a turn takes: as many as fill the time, at least four."""
    began = time.process_time()
    rival.match(4)
    each_s = max((time.process_time() - began) / 4, 1e-7)
    return int(min(rows, max(4, least_s / each_s)))


def _us(work: Callable[[], object], events: int, least_s: float) -> float:
    """Return the processor time of one event, in us, over at least so long."""
    times, began = 0, time.process_time()
    while True:
        work()
        times += 1
        taken = time.process_time() - began
        if taken >= least_s:
            return taken / times / events * 1e6
