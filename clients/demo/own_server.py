"""A demo server in a process of its own, on a free port, ended with the demo."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from clients.target import CallError

START_TIMEOUT_S: Final = 300.0
"""The first start compiles every kernel; later ones take a few seconds."""
STOP_TIMEOUT_S: Final = 20.0


@contextmanager
def own_server() -> Iterator[str]:
    """Yield the address of a demo server that is ready; raises CallError with the server's last lines when it does not come up."""
    with tempfile.TemporaryDirectory(prefix="touchpoint-demo-") as folder:
        announced, log = Path(folder) / "address", Path(folder) / "log"
        with log.open("wb") as lines:
            process = subprocess.Popen(  # noqa: S603  # our own program, no shell
                [
                    sys.executable, "-m", "server", "serve", "--demo", "--listen", "127.0.0.1:0", "--management-listen", "",
                    "--drain-notice-ms", "0", "--announce", str(announced),
                ],
                stdin=subprocess.DEVNULL, stdout=lines, stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            yield _address(process, announced, log)
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _address(process: "subprocess.Popen[bytes]", announced: Path, log: Path) -> str:
    until = time.monotonic() + START_TIMEOUT_S
    while not announced.exists():
        if process.poll() is not None or time.monotonic() > until:
            why = (
                f"ended with code {process.returncode}"
                if process.poll() is not None
                else f"was not ready in {START_TIMEOUT_S:.0f} s"
            )
            last = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
            raise CallError(f"the demo's server {why}; it last said:\n{last}")
        time.sleep(0.02)
    return announced.read_text(encoding="utf-8").strip()
