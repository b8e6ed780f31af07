"""How long a server takes from its command to ready: 1,000,000 subscribers, 100 offers; kernels in the cache, and compiled anew.

    touchpoint bench start --json

Ready means that the address is announced, which is when the first decision would be answered: nothing is compiled after it. A server that finds
its kernels has one core; one that compiles them has all, since it does so in a process for each. `cpu_s` is the processor time until then, which
other processes on the machine lengthen less than the clock's.
"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.cores import cores, pinned, processor_s
from bench.figure import Figure
from bench.operator import Operator, operator
from bench.sizes import Sizes
from bench.subjects import StartError

ROWS: Final = 1_000_000
OFFERS: Final = 100
FIGURES: Final = (
    Figure("ready_warm_s", "from command to ready with the kernels compiled before", most=4, unit="s"),
    Figure("ready_cold_s", "from command to ready when every kernel must be compiled", most=45, unit="s"),
    Figure("ready_warm_cpu_s", "processor time until ready, kernels compiled before", unit="s"),
    Figure("ready_cold_cpu_s", "processor time until ready, every kernel compiled", unit="s"),
)
PATIENCE_S: Final = 600.0


class Started(NamedTuple):
    """One start."""

    ready_s: float
    cpu_s: float


def run(sizes: Sizes) -> dict[str, Any]:
    """Start the server some times with a warm cache and once with an empty one, and return the medians in seconds."""
    with operator(sizes.subscribers(ROWS), 3 if sizes.smallest else OFFERS, sizes.seed) as served:
        with tempfile.TemporaryDirectory(prefix="touchpoint-bench-") as empty:
            one_core, all_cores = frozenset({cores().server}), frozenset(os.sched_getaffinity(0))
            cold = _start(served, {"XDG_CACHE_HOME": empty}, all_cores)
            warm = [_start(served, {"XDG_CACHE_HOME": empty}, one_core) for _ in range(sizes.runs())]
        return {
            "rows": served.world.rows,
            "offers": served.offers,
            "ready_warm_s": round(statistics.median(one.ready_s for one in warm), 3),
            "ready_warm_cpu_s": round(statistics.median(one.cpu_s for one in warm), 3),
            "ready_cold_s": round(cold.ready_s, 3),
            "ready_cold_cpu_s": round(cold.cpu_s, 3),
            "ready_warm_runs_s": [round(one.ready_s, 3) for one in warm],
        }


def _start(served: Operator, environment: dict[str, str], to: frozenset[int]) -> Started:
    """Start a server, wait until it is ready, and end it."""
    with tempfile.TemporaryDirectory(prefix="touchpoint-bench-") as name, tempfile.TemporaryFile() as said:
        announced = Path(name) / "address"
        command = [sys.executable, "-m", "server", "serve", "--announce", str(announced), "--listen", "127.0.0.1:0"]
        command += ["--management-listen", "", "--rulebook", str(served.rulebook), "--base", str(served.world.base)]
        command += ["--key-secret-file", str(served.world.key_secret_file)]
        began = time.perf_counter()
        with pinned(to):
            process = subprocess.Popen(command, stdout=said, stderr=said, env={**os.environ, **environment})
        try:
            while not announced.exists():
                if process.poll() is not None or time.perf_counter() - began > PATIENCE_S:
                    said.seek(0)
                    raise StartError(said.read().decode(errors="replace"))
                time.sleep(0.005)
            return Started(time.perf_counter() - began, processor_s(process.pid))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
