"""The tests of what a server answers, asked of one whose ledger is in Redis."""

from collections.abc import Iterator
from inspect import signature
from typing import Final

import pytest

from tests.server import test_columns, test_columns_agreement, test_decisions, test_doors, test_protection, test_rpcs
from tests.server.operator_fixture import Operator
from tests.server.running import Running, running, settings_for
from tests.server.shared.redis_servers import redis_server

MODULES: Final = (test_columns, test_columns_agreement, test_decisions, test_doors, test_protection, test_rpcs)
OTHERWISE: Final = {
    "test_a_dry_run_holds_nothing": "looks into the ledger in memory; tests/server/shared/test_replicas.py has its own",
    "test_explain_agrees_with_deciding_and_holds_nothing": "looks into the ledger in memory",
    "test_an_outcome_of_other_times_says_who_made_it": "replicas take outcomes of each other's decisions",
    "test_status_tells_what_is_served": "the ledger's figures are others",
}
assert all(any(hasattr(module, name) for module in MODULES) for name in OTHERWISE)


@pytest.fixture(scope="module")
def server(operator: Operator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with (
        redis_server(tmp_path_factory.mktemp("redis")) as redis,
        running(settings_for(operator, ledger_redis=redis.url, ledger_redis_timeout_ms=5_000)) as started,
    ):
        yield started


for _module in MODULES:
    for _name, _test in vars(_module).items():
        if _name.startswith("test_") and _name not in OTHERWISE and "server" in signature(_test).parameters:
            globals()[_name] = _test
