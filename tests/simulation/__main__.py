"""`python -m tests.simulation --first 1 --seeds 10000`: what `make simulate` calls. The last line says how many ran and how many failed."""

import argparse
import gc
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Final, NamedTuple

from tests.simulation.simulation import Simulation

SHOWN_EVERY: Final = 500
"""Seeds between two lines of progress."""


class Played(NamedTuple):
    """What became of one seed."""

    seed: int
    digest: str
    failure: str
    ends: int
    """How often the server, or its machine, ended in the middle of things."""


def play(seed: int, quiet: bool = True) -> Played:
    """Play a seed; whatever is raised is its failure."""
    if quiet:
        from server.logs import set_up

        set_up("console", "critical")
    simulation, failure = Simulation(seed), ""
    try:
        simulation.run()
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
    return Played(seed, simulation.digest, " ".join(failure.split())[:500], simulation.ends)


def played_alone(seed: int) -> Played:
    """Play a seed in a process that plays many: what it leaves behind goes at once, since much of it is arrays, which the collector does not count."""
    played = play(seed)
    gc.collect()
    return played


def main(arguments: list[str] | None = None) -> int:
    """The command line; 1 when a seed failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--first", type=int, default=1, help="the first seed (1)")
    parser.add_argument("--seeds", type=int, default=10_000, help="how many (10000)")
    parser.add_argument("--jobs", type=int, default=1, help="how many at once, a process each (1)")
    parser.add_argument("--show", action="store_true", help="print what the server logs")
    asked = parser.parse_args(arguments)
    seeds = range(asked.first, asked.first + asked.seeds)
    started, ran, failed, ends = time.monotonic(), 0, 0, 0
    with ProcessPoolExecutor(max(1, asked.jobs), initializer=gc.freeze) as pool:
        played = map(partial(play, quiet=False), seeds) if asked.show else pool.map(played_alone, seeds, chunksize=8)
        for each in played:
            ran, ends = ran + 1, ends + each.ends
            if each.failure:
                failed += 1
                print(f"seed {each.seed} failed: {each.failure}", flush=True)
            if ran % SHOWN_EVERY == 0 and ran < asked.seeds:
                print(
                    f"{ran:,} of {asked.seeds:,} seeds, {failed} failed, {time.monotonic() - started:.0f} s", flush=True
                )
    print(f"{ends:,} ends of a server in the middle of things; {time.monotonic() - started:.0f} s")
    print(f"{ran:,} seeds ran, from {asked.first:,} on; {failed:,} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
