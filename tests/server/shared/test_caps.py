"""No cap is passed, whatever the concurrency: clients count what they were given themselves."""

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.reasons import Reason
from tests.server.operator_fixture import CATALOGUE, write_operator
from tests.server.running import Running, asking, running, settings_for
from tests.server.shared.conftest import CAP, CAPPED
from tests.server.shared.redis_servers import redis_server

CLIENTS = 16
SUBSCRIBERS = 1_000
WINDOW_S = 2
ROLLING = CATALOGUE.replace(
    "  cool_down:",
    f"    - {{id: desk_soon, scope: channel, target: desk, per: subscriber, counts: decided, window: {{rolling: {WINDOW_S}s}}, limit: {CAP}}}\n  cool_down:",
)


@pytest.fixture(scope="module", params=[CAPPED, ROLLING], ids=["week", "rolling"])
def replicas(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Running]]:
    folder: Path = tmp_path_factory.mktemp("many")
    operator = write_operator(folder, request.param, SUBSCRIBERS)
    with (
        redis_server(folder / "redis") as redis,
        running(settings_for(operator, ledger_redis=redis.url, replica=1, ledger_redis_timeout_ms=2_000)) as one,
        running(settings_for(operator, ledger_redis=redis.url, replica=2, ledger_redis_timeout_ms=2_000)) as other,
    ):
        yield [one, other]


def attempt(
    replicas: list[Running], attempts: int, subscribers: int, least_s: float
) -> tuple[dict[int, list[int]], Counter[int]]:
    """Ask so often, and for so long, from all clients at once, in turn by both replicas; return when each subscriber was offered something, and how
    often each reason came."""
    given: dict[int, list[int]] = {n: [] for n in range(subscribers)}
    reasons: Counter[int] = Counter()
    numbers, end_s = itertools.count(), time.monotonic() + least_s

    def ask(client: int) -> None:
        while (number := next(numbers)) < attempts or time.monotonic() < end_s:
            answer = replicas[(number + client) % 2].decisions.Decide(asking(number % subscribers))
            reasons[answer.reason] += 1
            if answer.offers:
                given[number % subscribers].append(answer.decided_at.ToMicroseconds())

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(ask, range(CLIENTS)))
    return given, reasons


def check_capped(replicas: list[Running], attempts: int, subscribers: int) -> None:
    rolling = _rolling(replicas)
    given, reasons = attempt(replicas, attempts, subscribers, 1.5 * WINDOW_S * rolling)
    if rolling:
        for times in given.values():
            ordered = sorted(times)
            assert all(
                later - first >= WINDOW_S * 1_000_000 for first, later in zip(ordered, ordered[CAP:], strict=False)
            )
        assert max(map(len, given.values())) > CAP, "the window's edge was never reached"
    else:
        assert {len(times) for times in given.values()} == {CAP}
    assert set(reasons) == {int(Reason.OFFERED), int(Reason.CAP_REACHED)}


def _rolling(replicas: list[Running]) -> bool:
    caps = replicas[0].server.decisions.engine.rulebook.catalogue.contact_policy.caps
    return any(cap.id == "desk_soon" for cap in caps)


def test_caps_under_16_clients_on_two_replicas(replicas: list[Running]) -> None:
    check_capped(replicas, 6_000, 20)


@pytest.mark.long
def test_100_000_attempts_on_1_000_subscribers(replicas: list[Running]) -> None:
    """With the rolling cap on a tenth of them, who are asked more often than it allows however slow the machine is."""
    check_capped(replicas, 100_000, SUBSCRIBERS // 10 if _rolling(replicas) else SUBSCRIBERS)
