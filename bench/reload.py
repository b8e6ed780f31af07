"""A rulebook of 1,000 offers reloaded while decisions go on: what it does to latency at half load.

Runs with and without reloads take turns. The two rulebooks differ in one offer's worth, are compiled beforehand, and change places every so
often through AdminService.Reload, called from the load's core. Each reload must have changed the rulebook, and have begun and ended while the
load lasted, else the run fails.
"""

import threading
import time
from statistics import median
from typing import Any, Final

import grpc
from touchpoint.v1.admin_service_pb2 import ReloadRequest
from touchpoint.v1.admin_service_pb2_grpc import AdminServiceStub

from bench.catalogues import shelf_of, write_rulebook
from bench.driving import OURS, Driving, middle, told
from bench.figure import Figure
from bench.generator import Load
from bench.measured import Measured, RunError
from bench.operator import Operator, operator
from bench.sizes import Sizes
from bench.subjects import Subject

CALLS_PER_S_MAX: Final = 40_000
PATIENCE_S: Final = 60.0
RELOAD_AT: Final = 0.15
"""Share of a run after which its reload begins; it must end within the run."""
SECONDS: Final = 6.0
SECONDS_SMALLEST: Final = 2.0
"""A reload takes a while even if it is of ten offers."""
CALLS_PER_S_SMALLEST: Final = 500
"""A thousand subscribers have soon been offered what they may be."""
FIGURES: Final = (
    Figure("p99_ratio", "p99 of runs with a reload over p99 of runs without", most=1.2),
    Figure("p99_ms_with", "99 % of the calls end within this, a reload in the middle", unit="ms"),
    Figure("p99_ms_without", "the same without", unit="ms"),
    Figure("longest_ms_with", "the longest call of a run with a reload", unit="ms"),
    Figure("longest_ms_without", "the same without", unit="ms"),
    Figure("reload_s", "from the reload's call to its answer", unit="s"),
)


class Reloader:
    """Changes the rulebook that a server serves, between two compiled ones."""

    def __init__(self, made: Operator, address: str, seed: int) -> None:
        self._serves = made.rulebook
        shelf = shelf_of(made.offers, seed)
        other = made.folder / "other"
        other.mkdir()
        self._texts = [write_rulebook(other, shelf, worth=1.01).read_bytes(), made.rulebook.read_bytes()]
        self._channel = grpc.insecure_channel(address)
        self._admin = AdminServiceStub(self._channel)
        self.spans: list[tuple[float, float]] = []
        """When each began and ended, of time.monotonic()."""
        self.failed: list[str] = []

    def reload(self) -> None:
        """Put the other rulebook in place and have the server load it."""
        part = self._serves.with_suffix(".part")
        part.write_bytes(self._texts[len(self.spans) % 2])
        part.replace(self._serves)
        began = time.monotonic()
        try:
            changed = self._admin.Reload(ReloadRequest(), timeout=PATIENCE_S).changed
        except grpc.RpcError as error:
            self.failed.append(str(error))
            return
        self.spans.append((began, time.monotonic()))
        if not changed:
            self.failed.append("the server says that nothing changed")

    def close(self) -> None:
        """End the connection."""
        self._channel.close()


def run(sizes: Sizes) -> dict[str, Any]:
    """Measure and return the figures; raises RunError when answers are not what was asked for, or a reload did nothing."""
    small = sizes.smallest
    rows, offers = sizes.subscribers(1_000_000), 10 if small else 1_000
    seconds, repeats = sizes.seconds or (SECONDS_SMALLEST if small else SECONDS), sizes.runs()
    room = int((2 * repeats + 3) * seconds * CALLS_PER_S_MAX)
    with operator(rows, offers, sizes.seed) as made, made.served(room) as ours:
        driving = Driving(made, sizes)
        short = 0.2 if small else 2.0
        closed = driving.in_turn([ours], 1, lambda n: Load(short, sizes.seed * 1_000 + n))[OURS]
        rate_per_s = min(middle(closed, "calls_per_s") / 2, CALLS_PER_S_SMALLEST if small else CALLS_PER_S_MAX)
        reloader = Reloader(made, ours.address, sizes.seed)
        try:
            runs = _in_turn(driving, ours, reloader, (repeats, seconds, rate_per_s, sizes.seed))
        finally:
            reloader.close()
    return _told(runs, reloader, round(rate_per_s))


def _in_turn(
    driving: Driving, ours: Subject, reloader: Reloader, shape: tuple[int, float, float, int]
) -> dict[str, list[Measured]]:
    repeats, seconds, rate_per_s, seed = shape
    runs: dict[str, list[Measured]] = {"without": [], "with": []}
    for number in range(repeats):
        load = Load(seconds, seed * 1_000 + 100 + number, rate_per_s=rate_per_s)
        runs["without"].append(driving.once(ours, load))
        timer = threading.Timer(seconds * RELOAD_AT, reloader.reload)
        timer.start()
        try:
            runs["with"].append(driving.once(ours, load))
        finally:
            timer.join(PATIENCE_S)
        if reloader.failed or len(reloader.spans) != number + 1:
            raise RunError(f"expected a reload in every other run: {reloader.failed or 'it did not end'}")
        check_within(reloader.spans[-1], runs["with"][-1].began_s, seconds)
    return runs


def check_within(span: tuple[float, float], began_s: float, seconds: float) -> None:
    """Raise RunError when a reload did not begin and end while the load lasted."""
    if not began_s <= span[0] <= span[1] <= began_s + seconds:
        raise RunError(
            f"expected the reload within the run of {seconds:g} s, it was from {span[0] - began_s:.2f} to {span[1] - began_s:.2f} s; "
            f"lengthen the run with --seconds"
        )


def _told(runs: dict[str, list[Measured]], reloader: Reloader, rate_per_s: int) -> dict[str, Any]:
    p99 = {name: median(one.latency_ms["p99"] for one in each) for name, each in runs.items()}
    longest = {name: median(one.latency_ms["max"] for one in each) for name, each in runs.items()}
    return {
        "p99_ratio": round(p99["with"] / p99["without"], 3),
        "p99_ms_with": p99["with"],
        "p99_ms_without": p99["without"],
        "longest_ms_with": longest["with"],
        "longest_ms_without": longest["without"],
        "reload_s": round(median(end - begin for begin, end in reloader.spans), 3),
        "reloads": len(reloader.spans),
        "rate_per_s": rate_per_s,
        "percentiles": told({f"{name} reload": each for name, each in runs.items()}),
    }
