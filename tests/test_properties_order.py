"""What must not matter: the order of lists in the catalogue's files, and how requests are cut into batches."""

import copy
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.worlds.agreement import differences
from tests.worlds.catalogues import Plain
from tests.worlds.commands import Command, Decide, Edit
from tests.worlds.engine_driver import EngineDriver
from tests.worlds.script import written_world
from tests.worlds.world import World

SEEDS = range(20_000, 20_010)


def shuffled(rng: Random, value: Any) -> Any:
    """The same plain value with every list whose order means nothing in another order; that of languages does."""
    if isinstance(value, dict):
        items = [(key, part if key == "languages" else shuffled(rng, part)) for key, part in value.items()]
        rng.shuffle(items)
        return dict(items)
    if isinstance(value, list):
        parts = [shuffled(rng, part) for part in value]
        rng.shuffle(parts)
        return parts
    return value


def permuted(rng: Random, command: Command) -> Command:
    return Edit(shuffled(rng, command.catalogue), command.now_us) if isinstance(command, Edit) else command


def compare(world: World, other: list[Any]) -> None:
    for number, (command, expected, got) in enumerate(zip(world.script, world.expected, other, strict=True)):
        assert differences(command, expected, got) == [], (world.seed, number)


@pytest.mark.parametrize("seed", SEEDS)
def test_permuting_the_lists_of_a_catalogue_changes_no_answer(seed: int, tmp_path: Path) -> None:
    world, rng = written_world(seed, 60), Random(seed)
    plain: Plain = shuffled(rng, copy.deepcopy(world.catalogue))
    assert plain == plain | {"catalogue": world.catalogue["catalogue"]}
    driver = EngineDriver(World(seed, world.shape, plain, world.rows[::-1]), tmp_path)
    compare(world, [driver.play(permuted(rng, command)) for command in world.script])


@pytest.mark.parametrize("seed", SEEDS)
def test_a_batch_is_its_items_one_by_one(seed: int, tmp_path: Path) -> None:
    world = written_world(seed, 60)
    driver = EngineDriver(world, tmp_path)
    answers = [
        [driver.play(Decide((request,)))[0] for request in command.requests]
        if isinstance(command, Decide)
        else driver.play(command)
        for command in world.script
    ]
    compare(world, answers)


@pytest.mark.parametrize("seed", SEEDS)
def test_requests_that_follow_each_other_may_come_in_one_batch(seed: int, tmp_path: Path) -> None:
    world = written_world(seed, 60)
    driver = EngineDriver(world, tmp_path)
    answers: list[Any] = []
    waiting: list[Decide] = []
    for command in [*world.script, None]:
        if isinstance(command, Decide):
            waiting.append(command)
            continue
        requests = tuple(request for each in waiting for request in each.requests)
        together = driver.play(Decide(requests)) if requests else []
        for each in waiting:
            answers.append(together[: len(each.requests)])
            together = together[len(each.requests) :]
        waiting = []
        if command is not None:
            answers.append(driver.play(command))
    compare(world, answers)
