"""A server as operators run it: a process of its own, started by the command, ended by a signal, everything that it printed kept."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

import grpc

ROOT: Final = Path(__file__).resolve().parents[2]
PATIENCE_S: Final = 180.0
"""Long enough to compile every kernel on a machine that never did."""


class Process:
    """`touchpoint serve` with some flags; use it as a context, which kills what is left."""

    def __init__(self, folder: Path, **flags: Any) -> None:
        self.announced = folder / "address"
        self.printed = folder / "printed"
        words = [f"--{name.replace('_', '-')}={value}" for name, value in flags.items()]
        command = [
            sys.executable,
            "-m",
            "server",
            "serve",
            "--listen=127.0.0.1:0",
            f"--announce={self.announced}",
            *words,
        ]
        self._out = self.printed.open("wb")
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}"}
        self.popen = subprocess.Popen(command, stdout=self._out, stderr=subprocess.STDOUT, env=environment)

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()
        self._out.close()

    def address(self) -> str:
        """Return where it serves, once it does."""
        end = time.monotonic() + PATIENCE_S
        while not self.announced.exists():
            assert self.popen.poll() is None, self.text()
            assert time.monotonic() < end, self.text()
            time.sleep(0.02)
        return self.announced.read_text().strip()

    def channel(self) -> grpc.Channel:
        """Return a channel to it, once it serves."""
        return grpc.insecure_channel(self.address(), [("grpc.enable_http_proxy", 0)])

    def text(self) -> str:
        """Return everything that it printed so far."""
        return self.printed.read_text(encoding="utf-8", errors="replace")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.popen.send_signal(number)

    def end(self) -> int:
        """Return its exit code, having waited for its end."""
        return self.popen.wait(PATIENCE_S)
