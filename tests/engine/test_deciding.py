"""What the decider owes beside the rules: the memory of answers bounds what is held, and what does not fit is taken back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from engine.base.overlay import Overlay
from engine.batch import DRY_RUN, Batch, Decisions
from engine.deciding import ANSWER_BYTES_MAX, NO_MEMORY, REPEATED, SETTLED_AT_ONCE, Render, settle_at_once
from engine.engine import Engine
from engine.ledger.answers import RingAnswers
from engine.ledger.memory import MemoryLedger
from engine.reasons import Reason
from tests.worlds.commands import Decide
from tests.worlds.engine_driver import EngineDriver
from tests.worlds.script import written_world

SEED = 2


@pytest.fixture
def offered(tmp_path: Path) -> Iterator[tuple[EngineDriver, Batch]]:
    """An engine, and a batch of one request that it answers with an offer."""
    world = written_world(SEED, 200)
    driver = EngineDriver(world, tmp_path)
    with np.errstate(over="ignore"):
        for command in world.script:
            if isinstance(command, Decide):
                for request in command.requests:
                    batch = driver.batch([request])
                    batch.flags[0] |= DRY_RUN
                    if driver.engine.decide(batch).chosen_count[0]:
                        batch.flags[0] = 0
                        yield driver, batch
                        return
    raise AssertionError("the world offers nothing; choose another seed")


def engine_with(driver: EngineDriver, arena_bytes: int) -> Engine:
    engine = driver.engine
    ledger = MemoryLedger(64, RingAnswers(arena_bytes), outcomes_max=16)
    return Engine(engine.rulebook, engine.snapshot, Overlay(64, 512), ledger, 0)


def saying(text: bytes) -> Render:
    """Answers all alike, but for the item's number where the text has %d."""

    def render(_: Batch, decisions: Decisions, index: npt.NDArray[np.int64]) -> None:
        for item in index.tolist():
            decisions.write(item, text % item if b"%d" in text else text)

    return render


def contacts(engine: Engine) -> tuple[int, int]:
    statistics = engine.ledger.statistics()
    return statistics["contacts"], statistics["live_contacts"]


def test_a_request_without_room_for_its_answer_holds_nothing(offered: tuple[EngineDriver, Batch]) -> None:
    driver, batch = offered
    engine = engine_with(driver, ANSWER_BYTES_MAX // 2)
    decisions = engine.decide(batch, saying(b"answer"))
    assert decisions.conflict[0] == NO_MEMORY
    assert (decisions.decision[0], decisions.chosen_count[0]) == (0, 0)
    assert contacts(engine) == (0, 0)


def test_an_answer_longer_than_the_memory_is_taken_back(offered: tuple[EngineDriver, Batch]) -> None:
    driver, batch = offered
    engine = engine_with(driver, 2 * ANSWER_BYTES_MAX)
    decisions = engine.decide(batch, saying(bytes(3 * ANSWER_BYTES_MAX)))
    assert decisions.conflict[0] == NO_MEMORY
    assert (decisions.decision[0], decisions.chosen_count[0], decisions.text(0)) == (0, 0, None)
    assert contacts(engine)[1] == 0, "no hold is left open"


def test_a_remembered_request_gets_the_same_bytes_and_holds_once(offered: tuple[EngineDriver, Batch]) -> None:
    driver, batch = offered
    engine = engine_with(driver, 8 * ANSWER_BYTES_MAX)
    first = engine.decide(batch, saying(b"first"))
    assert (first.text(0), first.replayed[0]) == (b"first", 0)
    held = contacts(engine)
    batch.now_us[0] += 1
    second = engine.decide(batch, saying(b"second"))
    assert (second.text(0), second.replayed[0]) == (b"first", 1)
    assert contacts(engine) == held != (0, 0)


def test_another_body_under_the_same_id_is_refused(offered: tuple[EngineDriver, Batch]) -> None:
    driver, batch = offered
    engine = engine_with(driver, 8 * ANSWER_BYTES_MAX)
    engine.decide(batch, saying(b"first"))
    batch.body[0] += np.uint64(1)
    decisions = engine.decide(batch, saying(b"second"))
    assert (decisions.conflict[0], decisions.text(0), decisions.chosen_count[0]) == (REPEATED, None, 0)


def test_the_same_request_twice_in_a_batch_holds_once(offered: tuple[EngineDriver, Batch]) -> None:
    driver, one = offered
    engine = engine_with(driver, 8 * ANSWER_BYTES_MAX)
    batch = engine.new_batch(3)
    batch.count = 3
    for name in ("request", "body", "subscriber", "trigger", "channel", "offers_max", "now_us"):
        getattr(batch, name)[:] = getattr(one, name)[0]
    for name in ("field_values", "field_nanos", "field_known"):
        getattr(batch, name)[:] = getattr(one, name)[0]
    decisions = engine.decide(batch, saying(b"answer %d"))
    assert [decisions.text(item) for item in range(3)] == [b"answer 0"] * 3
    assert decisions.replayed.tolist() == [0, 1, 1]
    assert engine.ledger.statistics()["contacts"] == decisions.chosen_count[0]


def test_a_small_batch_after_a_large_one_is_one_run_too(offered: tuple[EngineDriver, Batch]) -> None:
    driver, one = offered
    engine = engine_with(driver, 80 * ANSWER_BYTES_MAX)
    took: list[int] = []

    def watched(step: Any, batch: Batch, decisions: Decisions) -> int:
        took.append(settle_at_once(step, batch, decisions))
        return took[-1]

    subscribers = one.subscriber[0] + np.arange(64, dtype=np.uint64)
    for number, asked in enumerate((subscribers, subscribers[2:4])):
        batch = engine.new_batch(len(asked))
        batch.count = len(asked)
        for name in ("trigger", "channel", "offers_max", "now_us", "field_values", "field_nanos", "field_known"):
            getattr(batch, name)[:] = getattr(one, name)[0]
        batch.subscriber[:] = asked
        batch.request[:, 0], batch.request[:, 1] = number, asked
        engine.decide(batch, saying(b"answer"), watched)
    assert took == [SETTLED_AT_ONCE] * 2


def test_an_erasure_drops_the_remembered_answer(offered: tuple[EngineDriver, Batch]) -> None:
    driver, batch = offered
    engine = engine_with(driver, 8 * ANSWER_BYTES_MAX)
    engine.decide(batch, saying(b"first"))
    engine.forget(int(batch.subscriber[0]))
    decisions = engine.decide(batch, saying(b"second"))
    assert not decisions.replayed[0]
    assert decisions.reason[0] == Reason.SUBSCRIBER_ERASED
