"""What one run of the generator says: rates, percentiles, shares, and whether it may be believed."""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from bench.generator import Driven

OFFERED_MIN: Final = 0.95
"""The least share of answers that must hold an offer: an answer without one costs less."""
PERCENTILES: Final = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99_9": 99.9, "p99_99": 99.99}
_LATENCY_US_MAX: Final = 120_000_000
BUSY: Final = 0.9
"""Share of its core above which a process is taken to be what limits the run."""


class RunError(Exception):
    """A run's answers are not what was asked for; its figures are worth nothing."""


class Measured(NamedTuple):
    """One run of one subject."""

    calls_per_s: float
    items_per_s: float
    server_us_per_call: float
    """Processor time of the server, all its threads, a call."""
    server_utilisation: float
    """Of the one core that it has."""
    generator_us_per_call: float
    generator_utilisation: float
    """Of the cores that its processes could have had, one each."""
    offered_share: float
    failed: int
    latency_ms: dict[str, float]
    calls: int
    sent_late_ms: float
    """Open loop: how much later than intended calls were sent, the mean; latency counts it. 0 in the closed loop."""
    open_loop: bool
    began_s: float
    """Of time.monotonic()."""

    @property
    def limited_by(self) -> str:
        """What held the rate of a closed loop down: `server`, as it should; `generator`; or `machine`, when other processes had the cores.

        Of an open loop, `arrivals`: its rate is given.
        """
        if self.open_loop:
            return "arrivals"
        if self.server_utilisation >= BUSY:
            return "server"
        return "generator" if self.generator_utilisation >= BUSY else "machine"

    def told(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            **{name: _rounded(value) for name, value in self._asdict().items() if name != "began_s"},
            "limited_by": self.limited_by,
        }


def _rounded(value: Any) -> Any:
    return round(value, 3) if isinstance(value, float) else value


def percentiles_ms(latency_ns: npt.NDArray[np.int64]) -> dict[str, float]:
    """Return the percentiles and the `max` of an HDR histogram with three significant digits, in milliseconds."""
    from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]  # it ships none

    histogram = HdrHistogram(1, _LATENCY_US_MAX, 3)
    values_us, counts = np.unique(np.clip(latency_ns // 1_000, 1, _LATENCY_US_MAX), return_counts=True)
    for value_us, count in zip(values_us.tolist(), counts.tolist(), strict=True):
        histogram.record_value(value_us, count)
    found = {name: round(histogram.get_value_at_percentile(share) / 1_000, 4) for name, share in PERCENTILES.items()}
    return found | {"max": round(histogram.get_max_value() / 1_000, 4)}


def measured(driven: Driven, server_s: float) -> Measured:
    """Return the figures of one run during which the server used `server_s` of processor time."""
    calls = max(driven.tally["calls"], 1)
    items_a_call = driven.tally["items"] / calls
    return Measured(
        calls_per_s=driven.tally["calls_in_time"] / driven.seconds,
        items_per_s=items_a_call * driven.tally["calls_in_time"] / driven.seconds,
        server_us_per_call=server_s / calls * 1e6,
        server_utilisation=server_s / driven.seconds,
        generator_us_per_call=driven.cpu_s / calls * 1e6,
        generator_utilisation=driven.cpu_s / driven.seconds / driven.processes,
        offered_share=driven.tally["offered"] / max(driven.tally["items"] + driven.tally["failed"], 1),
        failed=driven.tally["failed"],
        latency_ms=percentiles_ms(driven.latency_ns),
        calls=driven.tally["calls"],
        sent_late_ms=driven.tally["late_ns"] / calls / 1e6,
        open_loop=driven.open_loop,
        began_s=driven.began_s,
    )


class Decisions:
    """Every decision id that one server gave, as digests, over all runs."""

    def __init__(self) -> None:
        self._met: list[npt.NDArray[np.uint64]] = []

    def check(self, driven: Driven) -> None:
        """Raise RunError when answers were malformed or of other requests, when too few held an offer, or when one was a repeat."""
        tally = driven.tally
        asked = tally["items"] + tally["failed"]
        if tally["wrong"]:
            raise RunError(
                f"expected every answer to be of its request and well formed, {tally['wrong']} of {asked} were not"
            )
        if tally["offered"] < OFFERED_MIN * asked or not asked:
            status = (
                f", {tally['failed']} calls failed, the last with status {tally['status_last']}"
                if tally["failed"]
                else ""
            )
            raise RunError(
                f"expected an offer in at least {OFFERED_MIN:.0%} of the answers, {tally['offered']} of {asked} held one{status}"
            )
        self._met.append(driven.decisions)
        ids = np.concatenate(self._met)
        repeated = len(ids) - len(np.unique(ids))
        if repeated:
            raise RunError(f"expected every decision to be new, {repeated} of {len(ids)} repeat another")
        self._met = [ids]


def check_empty(driven: Driven) -> None:
    """Raise RunError when a call to a handler that decides nothing failed."""
    if driven.tally["failed"] or driven.tally["wrong"] or not driven.tally["calls"]:
        raise RunError(f"expected every call to succeed: {driven.tally}")
