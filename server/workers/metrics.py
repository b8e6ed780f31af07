"""The workers' metrics on their router's management port: each worker's own with the label `shard`, and whether it is ready."""

import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from server.load import Load
from server.workers.processes import Worker

PATIENCE_S: Final = 1.0
"""How long a worker may keep silent."""
_ASK: Final = b"GET /metrics HTTP/1.1\r\nHost: worker\r\n\r\n"
_ANSWER_BYTES_MAX: Final = 16 << 20


class WorkersCollector(Collector):
    """Asks all workers at once when scraped; one that does not answer is left out."""

    def __init__(self, workers: Sequence[Worker], load: Callable[[], Load], front: dict[str, str]) -> None:
        self._workers = workers
        self._load = load
        self._front = front

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        yield from self._own()
        families: dict[str, Metric] = {}
        with ThreadPoolExecutor(len(self._workers), "scrape") as asking:
            answers = list(asking.map(_scraped, [worker.management for worker in self._workers]))
        for worker, answer in zip(self._workers, answers, strict=True):
            shard = {"shard": str(worker.shard.number)}
            for family in text_string_to_metric_families(answer):
                kept = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                kept.samples += [sample._replace(labels=sample.labels | shard) for sample in family.samples]
        yield from families.values()

    def _own(self) -> Iterator[Metric]:
        ready = GaugeMetricFamily("touchpoint_worker_ready", "Whether the worker serves", labels=["shard"])
        restarts = CounterMetricFamily("touchpoint_worker_restarts", "Times it was started again", labels=["shard"])
        for worker in self._workers:
            ready.add_metric([str(worker.shard.number)], float(worker.ready))
            restarts.add_metric([str(worker.shard.number)], float(worker.restarts))
        yield ready
        yield restarts
        load = self._load()
        yield GaugeMetricFamily(
            "touchpoint_router_queue_depth_items", "items that the router holds", load.waiting_items
        )
        yield InfoMetricFamily("touchpoint_router_front", "Which front serves, and why", value=self._front)
        yield CounterMetricFamily(
            "touchpoint_router_items_shed", "Items refused because too many waited", load.shed_items
        )


def _scraped(path: Path) -> str:
    """Return a worker's metrics; empty when it does not answer."""
    answer = bytearray()
    try:
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(PATIENCE_S)
            asked.connect(str(path))
            asked.sendall(_ASK)
            while (some := asked.recv(65_536)) and len(answer) < _ANSWER_BYTES_MAX:
                answer += some
    except OSError:
        return ""
    head, _, body = bytes(answer).partition(b"\r\n\r\n")
    return body.decode() if head.startswith(b"HTTP/1.1 200 ") else ""
