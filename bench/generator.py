"""Drives unary gRPC calls from pre-encoded frames: closed loop (so many calls in flight) or open loop (Poisson arrivals at a rate).

In the open loop a call's latency counts from the instant at which it was meant to be sent, however late it was (no coordinated omission).
Every answer is checked: its status, that it belongs to its request, that it held an offer, and that no decision id comes twice.
"""

import select
import time
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from bench.connection import STREAM_ID_MAX, Connection, LoadError
from bench.requests import Keys, Question, Salts, header_block, request_of, template_of
from bench.wire import Answer, Finished, Tally
from engine.jit import frozen

CALLS_PER_S_MAX: Final = 250_000
"""More than one process of the generator has ever begun: room is kept for so many."""
IN_FLIGHT_OPEN: Final = 8_192
"""Calls in flight in an open loop, over all connections, before the generator keeps them waiting; the wait counts."""
END_PATIENCE_S: Final = 20.0


class Target(NamedTuple):
    """Which server is asked what."""

    address: str
    path: str
    question: Question
    keys: Keys
    kind: Answer
    items: int = 0
    """Items of a batch call; 0: a call is one request."""
    answer_bytes_max: int = 16_384
    stream_id_max: int = STREAM_ID_MAX


class Load(NamedTuple):
    """How hard, for how long."""

    seconds: float
    seed: int
    connections: int = 4
    in_flight: int = 64
    """Calls in flight over all connections, in the closed loop."""
    rate_per_s: float = 0.0
    """Calls a second of the open loop; 0: the closed loop."""
    calls_max: int = 0
    """End after so many calls; 0: only time ends the run."""


class Driven(NamedTuple):
    """What one run measured; times in the generator's clock."""

    latency_ns: npt.NDArray[np.int64]
    decisions: npt.NDArray[np.uint64]
    """A digest of the decision id of each answer that held an offer."""
    tally: dict[str, int]
    seconds: float
    """From the first call begun to the last one ended within the run's time."""
    cpu_s: float
    """The generator's own processor time."""
    open_loop: bool
    began_s: float
    """Of time.monotonic()."""
    processes: int = 1


class Generator:
    """Connections to one server; `run` drives one load over them."""

    def __init__(self, target: Target, load: Load, salts: Salts) -> None:
        self._target = target
        self._load = load
        headers = header_block(target.path, target.address if ":" in target.address[5:] else "localhost")
        template = template_of(target.question, target.keys, target.items, target.path)
        self._request = request_of(template, headers, target.keys, target.kind, (salts.take(), load.seed))
        self._slots = _slots_for(load)
        self._connections = [self._connect() for _ in range(load.connections)]
        self._number()
        self._tally = np.zeros(len(Tally), np.int64)
        room = int(load.calls_max or load.seconds * CALLS_PER_S_MAX / max(1, target.items)) + load.in_flight
        self._finished = Finished(
            np.zeros(room, np.int64),
            np.zeros(1 if target.kind is Answer.ANY else room * max(1, target.items), np.uint64),
        )
        self._left = room

    def _connect(self) -> Connection:
        return Connection(self._target.address, self._slots, self._target.answer_bytes_max, self._target.stream_id_max)

    def run(self) -> Driven:
        """Drive the load and wait for what is in flight; raises LoadError."""
        began_ns, began_cpu_s = time.monotonic_ns(), time.process_time()
        if self._load.rate_per_s:
            self._open_loop(began_ns)
        else:
            self._closed_loop(began_ns)
        seconds = (time.monotonic_ns() - began_ns) / 1e9
        measured_calls = self._tally[Tally.CALLS]
        self._finish()
        cpu_s = time.process_time() - began_cpu_s
        tally = {word.name.lower(): int(self._tally[word]) for word in Tally}
        tally["calls_in_time"] = int(measured_calls)
        return Driven(
            latency_ns=self._finished.latency_ns[: tally["calls"]].copy(),
            decisions=self._finished.decision[: tally["offered"]].copy(),
            tally=tally,
            seconds=seconds,
            cpu_s=cpu_s,
            open_loop=self._load.rate_per_s > 0,
            began_s=began_ns / 1e9,
        )

    def close(self) -> None:
        """End the connections."""
        for connection in self._connections:
            connection.close()

    def _closed_loop(self, began_ns: int) -> None:
        end_ns = began_ns + int(self._load.seconds * 1e9)
        each = self._load.in_flight // len(self._connections)
        starts = frozen(np.zeros(1, np.int64))
        calls_max = self._load.calls_max or self._left
        spare = self._left - calls_max
        while time.monotonic_ns() < end_ns and self._tally[Tally.CALLS] < calls_max:
            self._replace_exhausted()
            for connection in self._connections:
                wanted = min(each - connection.in_flight, self._left - spare)
                if wanted > 0 or connection.has_unsent or connection.sending:
                    self._left -= connection.begin(self._request, max(wanted, 0), self._tally, starts)
            self._receive(end_ns)

    def _open_loop(self, began_ns: int) -> None:
        starts = frozen(_arrivals(self._load, began_ns))
        if self._load.calls_max:
            starts = starts[: self._load.calls_max]
        next_start, count = 0, len(starts)
        while next_start < count:
            now_ns = time.monotonic_ns()
            due = int(np.searchsorted(starts[next_start:], now_ns, "right"))
            self._replace_exhausted()
            for connection in sorted(self._connections, key=lambda one: one.in_flight):
                wanted = min(-(-due // len(self._connections)), due)
                if wanted or connection.has_unsent or connection.sending:
                    connection.start_at(next_start)
                    begun = connection.begin(self._request, wanted, self._tally, starts)
                    next_start, due = next_start + begun, due - begun
                    self._left -= begun
            self._receive(int(starts[next_start]) if next_start < count and not due else now_ns + 1_000_000)

    def _receive(self, until_ns: int) -> None:
        """Read from whichever connections have something, waiting until then."""
        wait_s = max(0.0, (until_ns - time.monotonic_ns()) / 1e9)
        unsent = [number for number, connection in self._by_number.items() if connection.has_unsent]
        readable, _, _ = select.select(self._by_number, unsent, (), wait_s)
        for number in readable:
            self._by_number[number].receive(self._tally, self._finished, self._request.words)

    def _replace_exhausted(self) -> None:
        """Go on over a new connection where an old one's stream ids are used up and its calls have ended."""
        for place, connection in enumerate(self._connections):
            if connection.exhausted and not connection.in_flight:
                connection.close()
                self._connections[place] = self._connect()
                self._number()

    def _number(self) -> None:
        self._by_number = {connection.fileno(): connection for connection in self._connections}

    def _finish(self) -> None:
        """Wait for the calls in flight; their answers count, and are checked, like all others."""
        end_ns = time.monotonic_ns() + int(END_PATIENCE_S * 1e9)
        starts = frozen(np.zeros(1, np.int64))
        while any(connection.in_flight for connection in self._connections):
            if time.monotonic_ns() > end_ns:
                left = sum(connection.in_flight for connection in self._connections)
                raise LoadError(f"{left} calls have no answer {END_PATIENCE_S:.0f} s after the last was sent")
            for connection in self._connections:
                if connection.sending or connection.has_unsent:
                    connection.begin(self._request, 0, self._tally, starts)
            self._receive(end_ns)


def _slots_for(load: Load) -> int:
    """Return how many slots a connection needs, a power of two: answers may come in another order than calls went out."""
    each = (IN_FLIGHT_OPEN if load.rate_per_s else 4 * load.in_flight) // load.connections
    return 1 << max(4, each - 1).bit_length()


def _arrivals(load: Load, began_ns: int) -> npt.NDArray[np.int64]:
    """Return the instants of a Poisson process of the load's rate, within its time."""
    rng = np.random.default_rng([load.seed, 7])
    count = load.rate_per_s * load.seconds
    gaps_s = rng.exponential(1 / load.rate_per_s, int(count + 6 * count**0.5 + 16))
    instants_s = np.cumsum(gaps_s)
    instants: Any = began_ns + (instants_s[instants_s < load.seconds] * 1e9).astype(np.int64)
    return np.asarray(instants, np.int64)


def drive(target: Target, load: Load, salts: Salts) -> Driven:
    """Connect, drive one load, disconnect; raises LoadError."""
    generator = Generator(target, load, salts)
    try:
        return generator.run()
    finally:
        generator.close()
