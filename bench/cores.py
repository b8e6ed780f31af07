"""Which core runs what: the server has one to itself, the load the others; and how much processor time a process used."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

TICKS_PER_S: int = os.sysconf("SC_CLK_TCK")


class Cores(NamedTuple):
    """The cores of a run."""

    server: int
    load: frozenset[int]

    @property
    def shared(self) -> bool:
        """Whether load and server have to share one core: figures then say little."""
        return self.server in self.load


def cores() -> Cores:
    """Return the last core for the server and all others for the load."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(allowed[-1], frozenset(allowed[:-1] or allowed))


@contextmanager
def pinned(to: frozenset[int]) -> Iterator[None]:
    """Keep this thread, and the processes that it starts meanwhile, on some cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, to)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def processor_s(pid: int) -> float:
    """Return the processor time of a process, all its threads and the children that have ended, user and system, to a hundredth of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / TICKS_PER_S
