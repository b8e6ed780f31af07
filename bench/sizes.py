"""How large a bench runs: what the command's options say, and the defaults."""

from typing import NamedTuple

from bench.worlds import WORLDS


class Sizes(NamedTuple):
    """The options of every bench; None: the bench's own default."""

    world: str | None = None
    rows: int | None = None
    seed: int = 1
    repeats: int | None = None
    seconds: float | None = None
    processes: int = 1
    smallest: bool = False

    def subscribers(self, default: int) -> int:
        """Return how many subscribers: as said by `rows`, else by the world, else a thousand at the smallest, else the default."""
        if self.rows:
            return self.rows
        if self.world:
            return WORLDS[self.world]
        return 1_000 if self.smallest else default

    def runs(self, default: int = 5) -> int:
        """Return how often each subject is measured, in turn with the others."""
        return self.repeats or (1 if self.smallest else default)

    def seconds_of(self, default: float) -> float:
        """Return how long one run takes."""
        return self.seconds or (0.2 if self.smallest else default)
