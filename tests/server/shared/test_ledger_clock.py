"""The clock of the ledger's server jumps (libfaketime): no cap is passed, push waits until the clocks agree, nobody is locked out."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from touchpoint.v1 import reason_pb2

from server.shared.watch import BEAT_S
from tests.server.operator_fixture import Operator
from tests.server.running import asking, running, settings_for
from tests.server.shared.conftest import CAP
from tests.server.shared.redis_servers import RedisServer
from tests.server.shared.test_failover import until
from tests.server.shared.test_faults import heals
from tests.server.test_clock_jumps import LIBRARIES
from tests.server.test_decisions import usage

pytestmark = pytest.mark.skipif(not LIBRARIES, reason="libfaketime is not installed here; apt-get install faketime")


class Jumping:
    """A server whose clock is off by what a file says."""

    def __init__(self, server: RedisServer, file: Path) -> None:
        self.server, self._file = server, file

    def jump(self, seconds: int) -> None:
        part = self._file.with_suffix(".part")
        part.write_text(f"{seconds:+d}\n", encoding="ascii")
        part.replace(self._file)

    def off_s(self) -> float:
        seconds, _ = self.server.command("TIME")
        return float(int(seconds) - time.time())


@pytest.fixture
def jumping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Jumping]:
    file = tmp_path / "offset"
    file.write_text("+0\n", encoding="ascii")
    with monkeypatch.context() as patched:
        for name, value in {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }.items():
            patched.setenv(name, value)
        server = RedisServer(tmp_path / "redis")
    try:
        yield Jumping(server, file)
    finally:
        server.stop()


@pytest.mark.parametrize("seconds", [86_400, -86_400])
def test_a_jump_passes_no_cap_and_locks_nobody_out(capped: Operator, jumping: Jumping, seconds: int) -> None:
    told = {"ledger_redis": jumping.server.url, "ledger_redis_timeout_ms": 500}
    with (
        running(settings_for(capped, replica=1, **told)) as one,
        running(settings_for(capped, replica=2, **told)) as other,
    ):
        given = [bool(each.decisions.Decide(asking(1)).offers) for each in (one, other)]
        jumping.jump(seconds)
        until(lambda: abs(jumping.off_s() - seconds) < 2)
        given += [bool(heals(partial(each.decisions.Decide, asking(1))).offers) for each in (other, one, other, one)]
        assert given == [True] * CAP + [False] * 3
        pushed = one.decisions.Decide(asking(1, channel="sms", trigger=usage()))
        assert pushed.reason == reason_pb2.REASON_CLOCK_UNCONFIRMED
        with running(settings_for(capped, replica=3, **told)) as third:
            assert third.decisions.Decide(asking(1)).reason == reason_pb2.REASON_CAP_REACHED
            assert third.decisions.Decide(asking(4)).offers
        time.sleep(2 * BEAT_S)  # that the third is gone is known
        jumping.server.command("FLUSHALL")
        for each in (one, other):
            assert heals(partial(each.decisions.Decide, asking(1))).reason == reason_pb2.REASON_CAP_REACHED
        jumping.jump(0)
        until(lambda: abs(jumping.off_s()) < 2)
        for each in (one, other):
            assert heals(partial(each.decisions.Decide, asking(1))).reason == reason_pb2.REASON_CAP_REACHED
            assert each.decisions.Decide(asking(5)).offers
