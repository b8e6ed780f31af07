"""The management port over a real socket."""

import asyncio

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from engine.batch import DecisionRows, new_batch
from engine.limits import BATCH_ITEMS_MAX
from engine.reasons import Reason
from engine.texts import TextArena
from server.figures import LATENCY_BOUNDS_US, Figures, FiguresCollector
from server.load import Load, Source
from server.management import Management
from server.settings import SettingsError

FRONT = {"front": "native", "reason": "because"}
LOAD = Load(Source(9, 8, 3), Source(0, 0, 4), dropped_items=2, batch_items={1: 3, 4: 2})


async def fetch(port: int, sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    if not sent.endswith(b"\r\n\r\n"):
        writer.write_eof()
    received = await reader.read()
    writer.close()
    return received


def answers(*requests: bytes, unready: str = "", figures: Figures | None = None) -> list[bytes]:
    async def talk() -> list[bytes]:
        registry = CollectorRegistry()
        registry.register(FiguresCollector(figures or Figures(), lambda: {"memory_bytes": 5.0}, lambda: LOAD, FRONT))
        management = Management(registry, lambda: unready)
        await management.start("127.0.0.1:0")
        try:
            return [await fetch(management.port, request) for request in requests]
        finally:
            await management.stop()

    return asyncio.run(talk())


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def test_it_lives_before_it_is_ready() -> None:
    live, ready = answers(get("/livez"), get("/readyz?verbose"), unready="loading")
    assert live.startswith(b"HTTP/1.1 200 ")
    assert ready.startswith(b"HTTP/1.1 503 ")
    assert ready.endswith(b"\r\nloading\n")
    assert answers(get("/readyz"))[0].startswith(b"HTTP/1.1 200 ")


def test_wrong_requests_get_their_status() -> None:
    missing, posted, cut, long = answers(
        get("/secret"), b"POST /livez HTTP/1.1\r\n\r\n", b"GET /livez", b"GET /" + b"x" * 20_000 + b"\r\n\r\n"
    )
    assert missing.startswith(b"HTTP/1.1 404 ")
    assert posted.startswith(b"HTTP/1.1 405 ")
    assert cut == long == b""


def test_metrics_are_prometheus_text_with_the_counts() -> None:
    figures = Figures()
    batch, decisions = new_batch(1, 4), DecisionRows(TextArena(), 4).begin(4)
    batch.count = 4
    decisions.reason[:] = (Reason.OFFERED, Reason.OFFERED, Reason.CAP_REACHED, Reason.OFFERED)
    decisions.chosen_count[:] = (2, 3, 0, 7)
    decisions.conflict[3] = 1
    assert figures.decided(batch, decisions) == 1
    taken_us = [LATENCY_BOUNDS_US[0], LATENCY_BOUNDS_US[0] + 1, 10**9]
    assert figures.took(np.array([-1_000 * us for us in taken_us]), 0).tolist() == taken_us
    (response,) = answers(get("/metrics"), figures=figures)
    body = response.partition(b"\r\n\r\n")[2].decode()
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }
    assert samples["touchpoint_decisions_total", "OFFERED"] == 2
    assert samples["touchpoint_decisions_total", "CAP_REACHED"] == 1
    assert samples["touchpoint_offers_total",] == 5
    assert samples["touchpoint_decision_seconds_bucket", "5e-05"] == 1
    assert samples["touchpoint_decision_seconds_bucket", "+Inf"] == 3
    assert samples["touchpoint_batch_items_bucket", "4.0"] == 5
    assert samples["touchpoint_batch_items_bucket", "2.0"] == 3, "bounds stay the same whatever was seen"
    assert samples["touchpoint_batch_items_bucket", f"{2.0 * BATCH_ITEMS_MAX}"] == 5
    assert samples["touchpoint_batch_items_sum",] == 3
    assert samples["touchpoint_items_shed_total",] == 7
    assert samples["touchpoint_items_dropped_total",] == 2
    assert samples["touchpoint_memory_bytes",] == 5


@pytest.mark.parametrize("address", ["here", "127.0.0.1:65536", "127.0.0.1:\u0661", "..:0", "x" * 64 + ":0"])
def test_a_wrong_address_is_reported(address: str) -> None:
    with pytest.raises(SettingsError, match="expected host:port"):
        asyncio.run(Management(CollectorRegistry(), str).start(address))
