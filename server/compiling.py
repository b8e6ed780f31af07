"""`python -m server.compiling <catalogue folder>`: a catalogue to a rulebook file's bytes on standard output, in a process of its own.

Compiling takes CPU, and a busy thread would slow every decision down, so the server never does it itself. Exit 1 with the mistakes on standard error.
"""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

from engine.rulebook import RulebookError

COMMAND = (sys.executable, "-m", "server.compiling")
SECONDS_MAX = 120


async def compiled(folder: Path) -> bytes:
    """Return the rulebook's bytes of a catalogue folder, compiled in another process; raises RulebookError with every mistake.

    The event loop's own subprocesses are forked, and a fork runs gRPC's handlers in a process full of its threads, which now and then kills
    the child; `subprocess` does without (vfork), so it is used, on a thread that only waits.
    """
    process = subprocess.Popen(  # noqa: S603  # our own program, no shell; starting one takes a millisecond
        [*COMMAND, str(folder)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        out, err = await asyncio.to_thread(process.communicate, timeout=SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise RulebookError(f"{folder}: compiling was given up after {SECONDS_MAX} s") from None
    finally:
        if process.poll() is None:
            process.kill()
    if process.returncode:
        raise RulebookError(
            err.decode(errors="replace").strip() or f"{folder}: compiling ended with {process.returncode}"
        )
    return out


def main() -> None:
    """Compile the folder that the command line names."""
    from engine.cel.errors import CelError
    from engine.rulebook import encode_rulebook
    from loaders.catalogue.load import compile_catalogue
    from loaders.catalogue.problems import CatalogueErrors

    try:
        rulebook = compile_catalogue(Path(sys.argv[1]), now_us=time.time_ns() // 1_000)
    except (CatalogueErrors, CelError) as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"{error.filename}: {error.strerror}")
    sys.stdout.buffer.write(encode_rulebook(rulebook))


if __name__ == "__main__":
    main()
