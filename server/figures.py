"""What the server counts about itself, kept as plain arrays by the decision thread, and read as Prometheus metrics when someone scrapes."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from engine.batch import Batch, Decisions
from engine.jit import direct, frozen
from engine.limits import BATCH_ITEMS_MAX
from engine.reasons import Reason
from server.codec.kernels.tallies import CONFLICTS, OFFERS, REPEATED, TALLY_WORDS, count_decisions, count_times
from server.load import Load

_count_decisions: Final = direct(count_decisions)
_count_times: Final = direct(count_times)

LATENCY_BOUNDS_US: Final = tuple(50 * 2**power for power in range(16))
"""50 us to 1.6 s."""
_LATENCY_BOUNDS: Final = frozen(np.array(LATENCY_BOUNDS_US, np.int64))
BATCH_BOUNDS_ITEMS: Final = tuple(1 << power for power in range((2 * BATCH_ITEMS_MAX).bit_length()))
"""1 to twice BATCH_ITEMS_MAX: what waits is taken until there are that many, and the last call may bring as many again."""
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class Figures:
    """Counts since start; written by the decision thread alone."""

    def __init__(self) -> None:
        self.reasons: npt.NDArray[np.int64] = np.zeros(256, np.int64)
        """(256,): decisions by reason; dry runs and repeated answers are not counted."""
        self.latency: npt.NDArray[np.int64] = np.zeros(len(LATENCY_BOUNDS_US) + 1, np.int64)
        """Decisions by time in the server; bucket i is up to LATENCY_BOUNDS_US[i], the last is above all."""
        self.latency_sum_us = 0
        self._tally: npt.NDArray[np.int64] = np.zeros(TALLY_WORDS, np.int64)
        self.offers = 0
        self.repeated = 0
        self.failed = 0
        self.foreign = 0
        self.outcomes: dict[str, int] = {}
        self.reloads = 0
        self.reloads_failed = 0

    def forget(self) -> None:
        """Begin to count anew, in the same arrays, which kernels may have been given."""
        self.reasons[:] = 0
        self.latency[:] = 0
        self.latency_sum_us = self.offers = self.repeated = self.failed = self.foreign = 0
        self.reloads = self.reloads_failed = 0
        self.outcomes.clear()

    def decided(self, batch: Batch, decisions: Decisions) -> int:
        """Count a batch's decisions; return how many of them are conflicts, which count as nothing."""
        flags, tally = batch.flags[: batch.count], self._tally
        _count_decisions(
            decisions.reason,
            decisions.chosen_count,
            decisions.replayed,
            decisions.conflict,
            flags,
            self.reasons,
            tally,
        )
        self.offers += int(tally[OFFERS])
        self.repeated += int(tally[REPEATED])
        return int(tally[CONFLICTS])

    def took(self, arrived_ns: npt.NDArray[np.int64], now_ns: int) -> npt.NDArray[np.int64]:
        """Count the time that each answer took in the server, and return it, (n,) microseconds; both instants are time.monotonic_ns()."""
        taken_us = np.empty(len(arrived_ns), np.int64)
        self.latency_sum_us += _count_times(frozen(arrived_ns), now_ns, _LATENCY_BOUNDS, self.latency, taken_us)
        return taken_us


def memory_bytes() -> int:
    """Return this process's resident memory; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0


class FiguresCollector(Collector):
    """Figures and gauges as Prometheus metrics, made when scraped."""

    def __init__(
        self,
        figures: Figures,
        gauges: Callable[[], dict[str, float]],
        load: Callable[[], Load],
        front: Mapping[str, str],
    ) -> None:
        self._figures = figures
        self._front = front
        self._gauges = gauges
        self._load = load

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        figures = self._figures
        decisions = CounterMetricFamily("touchpoint_decisions", "Decisions by reason", labels=["reason"])
        for reason in Reason:
            decisions.add_metric([reason.name], float(figures.reasons[reason]))
        yield decisions
        outcomes = CounterMetricFamily("touchpoint_outcomes", "Outcomes by result", labels=["result"])
        for result, count in sorted(figures.outcomes.items()):
            outcomes.add_metric([result], float(count))
        yield outcomes
        for name, about, count in (
            ("offers", "Offers made", figures.offers),
            ("answers_repeated", "Requests answered from memory", figures.repeated),
            ("requests_failed", "Requests refused as wrong", figures.failed),
            ("requests_foreign", "Requests refused since another shard owns their subscriber", figures.foreign),
            ("reloads", "Reloads that succeeded", figures.reloads),
            ("reloads_failed", "Reloads that failed", figures.reloads_failed),
        ):
            yield CounterMetricFamily(f"touchpoint_{name}", about, value=float(count))
        yield _histogram(
            "decision_seconds", "Time of a decision in the server", self._latency(), figures.latency_sum_us / 1e6
        )
        batches = dict(self._load().batch_items)
        sizes = [(float(most), batches.get(most, 0)) for most in BATCH_BOUNDS_ITEMS]
        yield _histogram("batch_items", "Items decided at once", sizes, float(sum(figures.latency)))
        for name, value in sorted(self._gauges().items()):
            yield GaugeMetricFamily(f"touchpoint_{name}", name.replace("_", " "), value=value)
        yield InfoMetricFamily("touchpoint_front", "Which front serves, and why", value=dict(self._front))
        load = self._load()
        for name, about, items in (
            ("items_shed", "Items refused because too many waited", load.shed_items),
            ("items_dropped", "Items past their deadline or cancelled, never evaluated", load.dropped_items),
        ):
            yield CounterMetricFamily(f"touchpoint_{name}", about, value=float(items))

    def _latency(self) -> list[tuple[float, int]]:
        bounds = [*(bound / 1e6 for bound in LATENCY_BOUNDS_US), float("inf")]
        return list(zip(bounds, self._figures.latency.tolist(), strict=True))


def _histogram(name: str, about: str, buckets: list[tuple[float, int]], total: float) -> Metric:
    rows: list[tuple[str, float]] = []
    seen = 0
    for bound, count in buckets:
        seen += count
        rows.append(("+Inf" if bound == float("inf") else str(bound), float(seen)))
    if not rows or rows[-1][0] != "+Inf":
        rows.append(("+Inf", float(seen)))
    return HistogramMetricFamily(f"touchpoint_{name}", about, buckets=rows, sum_value=total)
