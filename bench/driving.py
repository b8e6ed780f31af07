"""Runs of the generator over several servers in turn, each run's answers checked."""

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any, Final

from bench.generator import Load
from bench.measured import Decisions, Measured, check_empty
from bench.operator import Asked, Operator
from bench.requests import Salts
from bench.sizes import Sizes
from bench.subjects import Subject
from bench.wire import Answer

OURS: Final = "touchpoint"
ONE: Final = Asked()
WARM_UP_S: Final = 0.5


class Driving:
    """One bench's runs against one operator; every subject is asked the same."""

    def __init__(self, made: Operator, sizes: Sizes, asked: Asked = ONE) -> None:
        self._made = made
        self._processes = sizes.processes
        self._asked = asked
        self._salts = Salts(sizes.seed)
        self._decisions: dict[str, Decisions] = {}

    def once(self, subject: Subject, load: Load) -> Measured:
        """Drive one load; raises RunError when the answers are not what was asked for."""
        ours = (Answer.TABLE if self._asked.tables else Answer.BATCH) if self._asked.items else Answer.DECISION
        kind = ours if subject.name.startswith(OURS) else Answer.ANY
        target = self._made.target(subject.address, kind, self._asked)
        driven, one = subject.drive(target, load, self._salts, self._processes)
        if kind is Answer.ANY:
            check_empty(driven)
        else:
            self._decisions.setdefault(subject.name, Decisions()).check(driven)
        return one

    def in_turn(
        self, subjects: Sequence[Subject], repeats: int, load_of: Callable[[int], Load]
    ) -> dict[str, list[Measured]]:
        """Return each subject's runs: one after the other, and all of them again, after a short first round that does not count."""
        found: dict[str, list[Measured]] = {subject.name: [] for subject in subjects}
        for number in range(repeats + 1):
            load = load_of(number)
            for subject in subjects:
                if number:
                    found[subject.name].append(self.once(subject, load))
                else:
                    self.once(subject, load._replace(seconds=min(load.seconds, WARM_UP_S)))
        return found


def middle(runs: Sequence[Measured], name: str) -> float:
    """Return the median of one figure over runs."""
    return float(median(getattr(one, name) for one in runs))


def told(runs: dict[str, list[Measured]]) -> dict[str, list[dict[str, Any]]]:
    """Return every run as JSON has it."""
    return {name: [one.told() for one in each] for name, each in runs.items()}
