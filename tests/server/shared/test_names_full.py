"""Codes that run out: who would need more does not start and does not reload, and everybody else goes on."""

import shutil
from pathlib import Path

import grpc
import pytest
from touchpoint.v1 import admin_service_pb2 as admin

from engine.limits import CODES_MAX
from tests.server.operator_fixture import write_operator
from tests.server.running import asking, running, settings_for
from tests.server.shared.conftest import CAPPED
from tests.server.shared.redis_servers import redis_server
from tests.server.shared.test_faults import refused
from tests.server.shared.test_ways import rewrite


def test_codes_that_run_out(tmp_path: Path) -> None:
    (tmp_path / "operator").mkdir()
    made = write_operator(tmp_path / "operator", CAPPED)
    newer = made._replace(rulebook=tmp_path / "newer")
    shutil.copy(made.rulebook, newer.rulebook)
    with redis_server(tmp_path / "redis") as redis:
        url = redis.url
        with running(settings_for(made, ledger_redis=url, replica=1, ledger_redis_timeout_ms=1_000)) as one:
            last = redis.command("HLEN", "tp:{0}:names:offer")
            words = [str(word) for code in range(last + 1, CODES_MAX + 1) for word in (f"offer-{code}", code)]
            redis.command("HSET", "tp:{0}:names:offer", *words)
            assert one.decisions.Decide(asking(1)).offers
            rewrite(newer, CAPPED.replace("film_month", "series_month"), tmp_path / "source")
            assert "at most 65535 different offer ids" in refused(newer, ledger_redis=url, replica=2)
            shutil.copy(newer.rulebook, made.rulebook)
            with pytest.raises(grpc.RpcError, match="different offer ids") as raised:
                one.admin.Reload(admin.ReloadRequest())
            assert raised.value.code() == grpc.StatusCode.FAILED_PRECONDITION
            assert redis.command("HLEN", "tp:{0}:names:offer") == CODES_MAX
            assert one.decisions.Decide(asking(2)).offers
            redis.command("CLIENT", "KILL", "TYPE", "normal")
        rewrite(made, CAPPED, tmp_path / "again")
        with running(settings_for(made, ledger_redis=url, replica=2, ledger_redis_timeout_ms=1_000)) as other:
            assert other.decisions.Decide(asking(3)).offers
