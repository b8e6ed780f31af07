"""The suite in two processes at once, since a large part of it waits for servers: `python -m tests.halves`, with options of pytest."""

import subprocess
import sys
import tempfile
from typing import IO, Final

WAITING: Final = ("tests/server/shared", "tests/server/workers")
"""Folders whose tests wait most of the time."""


def main(options: list[str]) -> int:
    """Run both, and return what pytest returns: of the first that failed, if any did. What the waiting half says follows when both have ended."""
    rest = [f"--ignore={folder}" for folder in WAITING]
    with tempfile.TemporaryFile() as said:
        waiting = _started(["-p", "no:cacheprovider", *options, *WAITING], said)
        others = _started([*options, *rest], None)
        codes = []
        for half in (others, waiting):
            while half.poll() is None:
                try:
                    half.wait()
                except KeyboardInterrupt:
                    continue  # they were told as well, and end what they started
            codes.append(half.returncode)
        said.seek(0)
        sys.stdout.buffer.write(said.read())
    return next((code for code in codes if code), 0)


def _started(arguments: list[str], output: IO[bytes] | None) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "pytest", *arguments], stdin=subprocess.DEVNULL, stdout=output)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
