"""`python -m tests.chaos --kills 500`: what `make chaos` calls. Prints how long each start took, and what was not as promised."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.chaos.chaos import Chaos


def main(arguments: list[str] | None = None) -> int:
    """The command line; 1 when something was not as promised."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=500, help="how many, half of them at each durability (500)")
    parser.add_argument("--seed", type=int, default=1, help="what moments are drawn from (1)")
    asked = parser.parse_args(arguments)
    broken = 0
    for durability, kills in (("always", asked.kills - asked.kills // 2), ("everysec", asked.kills // 2)):
        with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
            chaos = Chaos(Path(folder), durability, asked.seed)
            violations = chaos.run(kills, lambda text, durability=durability: print(durability, text, flush=True))  # type: ignore[misc]
            counter, ready_s = chaos.counter, sorted(life.ready_s for life in chaos.lives if life.ready_s)
            print(
                f"{durability}: {len(chaos.lives)} kills, {counter.answers:,} answers, {counter.offers:,} offers, {counter.stocked} of the stock, "
                f"{counter.pushes:,} pushes, {counter.outcomes:,} outcomes; ready after {ready_s[len(ready_s) // 2]:.2f} s (median), "
                f"{ready_s[-1]:.2f} s (longest); {len(violations)} violations"
            )
            for violation in violations[:10]:
                print(violation)
            broken += len(violations)
    print(f"{asked.kills} kills, {broken} violations")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
