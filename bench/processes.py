"""One load from several processes, for servers that one process cannot keep busy: each drives its share, all begin together."""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Final

import numpy as np

from bench.generator import Driven, Generator, Load, Target, drive
from bench.requests import Salts

PATIENCE_S: Final = 120.0
"""For the slowest process to be ready."""
_begin: Any = None
"""In a worker: what all wait for before they begin."""


def _ready(barrier: Any) -> None:
    global _begin  # a pool gives its workers nothing else than what an initializer leaves
    _begin = barrier


def _share(target: Target, load: Load, salts: Salts) -> Driven:
    generator = Generator(target, load, salts)
    try:
        _begin.wait(PATIENCE_S)
        return generator.run()
    finally:
        generator.close()


def drive_together(target: Target, load: Load, salts: Salts, processes: int) -> Driven:
    """Drive one load from so many processes and return it as one; raises LoadError."""
    if processes == 1:
        return drive(target, load, salts)
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(processes)
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_ready, initargs=(barrier,)) as pool:
        waiting = [pool.submit(_share, target, share, salts.apart()) for share in shares_of(load, processes)]
        return joined([future.result() for future in waiting])


def shares_of(load: Load, processes: int) -> list[Load]:
    """Return each process's part: calls, connections and rate divided, seeds of their own."""
    return [
        load._replace(
            seed=load.seed + 10_007 * place,
            connections=max(1, load.connections // processes),
            in_flight=max(1, load.in_flight // processes),
            rate_per_s=load.rate_per_s / processes,
            calls_max=-(-load.calls_max // processes),
        )
        for place in range(processes)
    ]


def joined(parts: Sequence[Driven]) -> Driven:
    """Return the parts of one load as one run."""
    tally = {name: sum(part.tally[name] for part in parts) for name in parts[0].tally}
    tally["status_last"] = max(part.tally["status_last"] for part in parts)
    return Driven(
        latency_ns=np.concatenate([part.latency_ns for part in parts]),
        decisions=np.concatenate([part.decisions for part in parts]),
        tally=tally,
        seconds=max(part.seconds for part in parts),
        cpu_s=sum(part.cpu_s for part in parts),
        open_loop=parts[0].open_loop,
        began_s=max(part.began_s for part in parts),
        processes=len(parts),
    )
