"""Compares what the oracle and the engine answered, and says in few words where they part."""

import shutil
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from engine.dtypes.matching import ACROSS, SLICED
from engine.matching import lay_out
from tests.oracle.decide import Answer
from tests.oracle.oracle import HandOff
from tests.worlds.commands import CheckHandOff, Command, Decide, Explain, Record
from tests.worlds.engine_driver import EngineDriver
from tests.worlds.script import written_world
from tests.worlds.world import World

ALWAYS = ("reason", "now_us", "decision", "chosen", "scores", "stages", "would_be", "next_allowed_us")
STRATEGIES = (None, ACROSS, None, SLICED)
"""Ways of matching, by seed: worlds are too small for the cost model to choose these itself."""
WITH_AN_OFFER = ("expires_us", "not_before_us", "deadline_us", "language")


def answer_differences(expected: Answer, got: Answer) -> list[str]:
    """`field: oracle ..., engine ...` for each field that differs."""
    if expected.conflict or got.conflict:
        names: tuple[str, ...] = ("conflict",)
    elif expected.replayed or got.replayed:
        names = ("replayed", "decision")
    else:
        names = ALWAYS + (WITH_AN_OFFER if expected.chosen else ())
    pairs = [(name, getattr(expected, name), getattr(got, name)) for name in names]
    return [f"{name}: oracle {mine!r}, engine {theirs!r}" for name, mine, theirs in pairs if mine != theirs]


def verdict_differences(expected: Answer, got: dict[tuple[str, str], tuple[str, int | None, str]]) -> list[str]:
    mine = {v.key: (v.reason, v.until_us, v.cap or "") for v in expected.verdicts}
    keys = sorted(mine.keys() | got.keys())
    return [f"candidate {k}: oracle {mine.get(k)}, engine {got.get(k)}" for k in keys if mine.get(k) != got.get(k)]


def differences(command: Command, expected: Any, got: Any) -> list[str]:
    """What differs between the oracle's and the engine's answer to one command; empty when nothing does."""
    if isinstance(command, Decide):
        for number, (mine, theirs) in enumerate(zip(expected, got, strict=True)):
            found = answer_differences(mine, theirs)
            if found:
                return [f"item {number} of {len(expected)}: {command.requests[number]}", *found]
        return []
    if isinstance(command, Explain):
        answer, verdicts = got
        return answer_differences(expected, answer) + verdict_differences(expected, verdicts)
    return [] if expected == got else [f"oracle {expected!r}, engine {got!r}"]


def first_difference(world: World, folder: Path) -> str | None:
    """Play the world's script on the engine, matching as its seed says; say where it first parts from the oracle, or None."""
    strategy = STRATEGIES[world.seed % len(STRATEGIES)]
    with patch("engine.bound.lay_out", partial(lay_out, strategy=strategy)):
        return _first_difference(world, folder)


def _first_difference(world: World, folder: Path) -> str | None:
    driver = EngineDriver(world, folder)
    for number, (command, expected) in enumerate(zip(world.script, world.expected, strict=True)):
        found = differences(command, expected, driver.play(command))
        if found:
            asked = type(command).__name__ if isinstance(command, Decide) else str(command)
            lines = [f"seed {world.seed}, {world.shape}", f"command {number}: {asked}", *found]
            return "\n  ".join(line[:2000] for line in lines)
    return None


def check_seed(seed: int, decisions: int, seen: Counter[str]) -> str | None:
    """Write the world of a seed, play it on the engine, count what was hit; return the difference, if any."""
    world = written_world(seed, decisions)
    tally(world, seen)
    folder = Path(tempfile.mkdtemp(prefix="world-"))
    try:
        return first_difference(world, folder)
    finally:
        shutil.rmtree(folder)


def tally(world: World, seen: Counter[str]) -> None:
    """Count decisions, reasons, outcome results and hand-off verdicts."""
    for command, expected in zip(world.script, world.expected, strict=True):
        if isinstance(command, Decide | Explain):
            for answer in expected if isinstance(command, Decide) else [expected]:
                seen.update(answer_tally(answer))
        elif isinstance(command, Record):
            seen[f"outcome {expected}"] += 1
        elif isinstance(command, CheckHandOff):
            found: HandOff = expected
            seen[f"hand-off {found.verdict} {found.reason}"] += 1


def answer_tally(answer: Answer) -> list[str]:
    if answer.conflict or answer.replayed:
        return ["decisions", "conflict" if answer.conflict else "replayed"]
    found = ["decisions", f"decision {answer.reason}", *(f"candidate {verdict.reason}" for verdict in answer.verdicts)]
    found += ["would be"] * bool(answer.would_be)
    found += ["deferred"] * (answer.not_before_us > answer.now_us)
    return found
