"""The suite in two processes at once, since a large part of it waits for servers: `python -m tests.halves`, with options of pytest."""

import signal
import subprocess
import sys
import tempfile
from typing import IO, Final

WAITING: Final = ("tests/server/shared", "tests/server/workers")
"""Folders whose tests wait most of the time."""
END_S_MAX: Final = 30
"""Within which a half that was interrupted ends what it started."""


def main(options: list[str]) -> int:
    """Run both, and return what pytest returns: of the first that failed, if any did. What the waiting half says follows when both have ended."""
    # A script's background job would be deaf to it, and so would the halves.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    rest = [f"--ignore={folder}" for folder in WAITING]
    with tempfile.TemporaryFile() as said:
        waiting = _started(["-p", "no:cacheprovider", *options, *WAITING], said)
        others = _started([*options, *rest], None)
        halves = (others, waiting)
        try:
            codes = [_ended(half) for half in halves]
        finally:
            _interrupt(halves)
        said.seek(0)
        sys.stdout.buffer.write(said.read())
    return next((code for code in codes if code), 0)


def _started(arguments: list[str], output: IO[bytes] | None) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "pytest", *arguments], stdin=subprocess.DEVNULL, stdout=output)


def _ended(half: subprocess.Popen[bytes]) -> int:
    while True:
        try:
            return half.wait()
        except KeyboardInterrupt:
            continue  # both were told as well, and end what they started


def _interrupt(halves: tuple[subprocess.Popen[bytes], ...]) -> None:
    """As Ctrl-C does: pytest that is terminated would leave the servers that its tests started. One that is deaf to it is killed."""
    for half in halves:
        half.send_signal(signal.SIGINT)
    for half in halves:
        try:
            half.wait(END_S_MAX)
        except subprocess.TimeoutExpired:
            half.kill()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
