"""The engine and the oracle side by side in a small world: every command is played on both, and every difference fails."""

from pathlib import Path
from typing import Any

import numpy as np

from engine.deciding import drive
from engine.dtypes.rules import Run
from engine.jit import frozen
from tests.oracle.decide import Answer, Request
from tests.oracle.ledger import Outcome
from tests.oracle.oracle import HandOff
from tests.oracle.small import CHICAGO, NOON, WRITTEN, catalogue, reasons
from tests.worlds.agreement import differences
from tests.worlds.catalogues import Shape
from tests.worlds.commands import CheckHandOff, Command, Decide, Edit, Explain, Record
from tests.worlds.engine_driver import EngineDriver
from tests.worlds.people import Row
from tests.worlds.play import play
from tests.worlds.world import World, hash_of, oracle_of

ANN, BOB, CAT = "ann", "bob", "cat"


def person(key: str, **more: Any) -> Row:
    """A subscriber in Chicago unless another zone is given."""
    return Row(key, more.pop("zone", CHICAGO), "en", NOON, **more)


class Pair:
    """One small world: `changes` are those of tests.oracle.small.catalogue."""

    def __init__(self, folder: Path, *people: Row, **changes: Any) -> None:
        """Ann, Bob and Cat live in Chicago unless others are given."""
        self.changes = changes
        rows = list(people) or [person(ANN), person(BOB), person(CAT)]
        self.world = World(0, Shape("small", 0, 3, 3, 1, NOON), self.catalogue(), rows)
        self.oracle = oracle_of(self.world)
        self.driver = EngineDriver(self.world, folder)
        self.count = 0

    def catalogue(self, **changes: Any) -> dict[str, Any]:
        return catalogue(**(self.changes | changes), **WRITTEN)

    def play(self, command: Command) -> Any:
        """The answer of both."""
        expected, got = play(self.oracle, command), self.driver.play(command)
        assert differences(command, expected, got) == []
        return expected

    def request(self, who: str, now_us: int, **more: Any) -> Request:
        self.count += 1
        id_, channel = more.pop("id", f"request {self.count}"), more.pop("channel", "desk")
        return Request(id_, hash_of(who), "open", channel, now_us, more.pop("offers_max", 1), **more)

    def ask(self, now_us: int = NOON, who: str = ANN, **more: Any) -> Answer:
        """One request, with an id of its own unless it is given."""
        found: list[Answer] = self.play(Decide((self.request(who, now_us, **more),)))
        return found[0]

    def reasons(self, now_us: int = NOON, who: str = ANN, **more: Any) -> dict[str, str | None]:
        """Offer to reason, as Explain says."""
        return reasons(self.play(Explain(self.request(who, now_us, dry_run=True, **more))))

    def tell(self, given: Answer, kind: str, now_us: int, who: str = ANN, rank: int = 1) -> str:
        """One outcome that happens now."""
        self.count += 1
        outcome = Outcome(f"outcome {self.count}", given.decision, rank, kind, now_us)
        said: str = self.play(Record(outcome, hash_of(who), now_us))
        return said

    def check(self, given: Answer, now_us: int, who: str = ANN, rank: int = 1) -> HandOff:
        found: HandOff = self.play(CheckHandOff(given.decision, rank, hash_of(who), now_us))
        return found

    def edit(self, now_us: int, **changes: Any) -> None:
        """Answer by another catalogue from now on."""
        self.play(Edit(self.catalogue(**changes), now_us))


def blank_run(folder: Path) -> Run:
    """Return a run of a small engine, for the parts that matching does not read."""
    engine = Pair(folder).driver.engine
    batch = engine.new_batch(1)
    batch.count, batch.now_us[0] = 1, NOON
    decider = engine._decider
    return drive(decider.prepare(batch, frozen(np.zeros(1, np.int64)), decider.instant(NOON, True, False))).run
