"""A server that answers, but refuses: no decision fails, it is said once and without secrets, and all goes on when it is mended."""

import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final

import hiredis
import pytest
from msgspec.structs import replace

from server.shared.connection import UnavailableError
from tests.server.operator_fixture import Operator
from tests.server.running import asking, running, settings_for
from tests.server.shared.conftest import CAP
from tests.server.shared.redis_servers import RedisServer, free_port, redis_server
from tests.server.shared.test_faults import UNAVAILABLE, heals
from tests.server.shared.test_ways import RIGHTS

REFUSED_S: Final = 0.8
ANSWERED_S: Final = 0.5
LINES_MAX: Final = 2
"""Of each replica: what decisions met, and what the watch finds when it connects anew."""
SUBSCRIBERS: Final = 40
SECRET: Final = "secret"


def tell(redis: RedisServer, *words: str) -> None:
    """Send a command to a server that may refuse whatever a connection begins with."""
    with socket.create_connection(("127.0.0.1", redis.port)) as plain:
        plain.sendall(hiredis.pack_command(words))  # type: ignore[arg-type]  # as in Connection
        plain.recv(1 << 16)


@contextmanager
def set_to(redis: RedisServer, name: str, value: str, back: str) -> Iterator[None]:
    tell(redis, "CONFIG", "SET", name, value)
    yield
    tell(redis, "CONFIG", "SET", name, back)


@contextmanager
def without(redis: RedisServer, right: str) -> Iterator[None]:
    tell(redis, "ACL", "SETUSER", "touchpoint", f"-{right}")
    yield
    tell(redis, "ACL", "SETUSER", "touchpoint", f"+{right}")


@contextmanager
def read_only(redis: RedisServer) -> Iterator[None]:
    tell(redis, "REPLICAOF", "127.0.0.1", str(free_port()))
    yield
    tell(redis, "REPLICAOF", "NO", "ONE")


@contextmanager
def unable_to_save(redis: RedisServer) -> Iterator[None]:
    """Have it try to save where a folder is in the way, until it takes no more writes."""
    (redis.folder / "dump.rdb").mkdir()
    tell(redis, "CONFIG", "SET", "save", "1 1")
    with suppress(UnavailableError):
        while redis.command("SET", "tp:other", "x"):
            time.sleep(0.02)
    yield
    shutil.rmtree(redis.folder / "dump.rdb")
    tell(redis, "CONFIG", "SET", "save", "")


@contextmanager
def busy(redis: RedisServer) -> Iterator[None]:
    """Have it in a script of somebody else's."""
    tell(redis, "CONFIG", "SET", "busy-reply-threshold", "10")
    worker = threading.Thread(target=tell, args=(redis, "EVAL", "while true do end", "0"))
    worker.start()
    time.sleep(0.1)
    yield
    tell(redis, "SCRIPT", "KILL")
    worker.join()


FAULTS: Final[dict[str, Callable[[RedisServer], AbstractContextManager[None]]]] = {
    "its memory is full": lambda redis: set_to(redis, "maxmemory", "1mb", "0"),
    "too few replicas": lambda redis: set_to(redis, "min-replicas-to-write", "1", "0"),
    "it cannot save": unable_to_save,
    "busy": busy,
    "read only": read_only,
    "no right to functions": lambda redis: without(redis, "@scripting"),
    "no right to read": lambda redis: without(redis, "@read"),
    "no right to write": lambda redis: without(redis, "@write"),
    "no right to the time": lambda redis: without(redis, "time"),
}


@pytest.mark.parametrize("what", FAULTS)
def test_nothing_is_offered_until_it_is_mended(
    capped: Operator, tmp_path: Path, what: str, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "password"
    file.write_text(SECRET)
    with redis_server(tmp_path / "redis") as redis:
        redis.command("ACL", "SETUSER", "touchpoint", *RIGHTS.split(" "))
        settings = settings_for(
            capped,
            ledger_redis=redis.url.replace("//", "//touchpoint@"),
            ledger_redis_password_file=str(file),
            ledger_redis_timeout_ms=200,
        )
        with running(replace(settings, replica=1)) as one, running(replace(settings, replica=2)) as other:
            assert one.decisions.Decide(asking(0)).offers
            with FAULTS[what](redis):
                capfd.readouterr()
                began, asked = time.monotonic(), 0
                while time.monotonic() - began < REFUSED_S:
                    at_s = time.monotonic()
                    answer = (one, other)[asked % 2].decisions.Decide(asking(asked % SUBSCRIBERS))
                    assert (answer.reason, len(answer.offers)) == (UNAVAILABLE, 0)
                    assert time.monotonic() - at_s < ANSWERED_S
                    asked += 1
                said = "".join(capfd.readouterr())
            for replica in (one, other):
                heals(lambda: replica.decisions.Decide(asking(0, dry_run=True)))  # noqa: B023
            given = [bool(replica.decisions.Decide(asking(0)).offers) for replica in (one, other, one)]
            assert given == [True] * (CAP - 1) + [False]
            lines = [line for line in said.splitlines() if "error" in line]
            assert 0 < len(lines) <= 2 * LINES_MAX
            assert SECRET not in said
