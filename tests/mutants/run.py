"""Shows that each mutant is caught: copies of the tree, one mutant at a time in each, its check in a process of its own."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from queue import SimpleQueue
from typing import Final, NamedTuple

from tests.mutants.check import BROKEN, CAUGHT, SURVIVED
from tests.mutants.mutant import Mutant, applied, read_mutants

ROOT: Final = Path(__file__).parents[2]
COPIED: Final = ("bench", "engine", "loaders", "server", "clients", "proto", "tests", "pyproject.toml")
CHECK_S_MAX: Final = 180
HUNG: Final = 3
WORDS: Final = {SURVIVED: "MISSED", CAUGHT: "caught", BROKEN: "BROKEN", HUNG: "HUNG"}


class Result(NamedTuple):
    """What became of one check."""

    name: str
    code: int
    why: str
    seconds: float


@contextmanager
def copies(count: int) -> Iterator[SimpleQueue[Path]]:
    """Give so many copies of the tree, each for one worker at a time; removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="mutants-"))
    free: SimpleQueue[Path] = SimpleQueue()
    try:
        for number in range(count):
            tree = folder / str(number)
            tree.mkdir()
            for name in COPIED:
                copy_into(tree, name)
            free.put(tree)
        yield free
    finally:
        shutil.rmtree(folder)


def copy_into(tree: Path, name: str) -> None:
    source = ROOT / name
    if source.is_dir():
        shutil.copytree(source, tree / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    else:
        shutil.copy(source, tree / name)


def checked(tree: Path, check: Iterable[str]) -> tuple[int, str]:
    """Run a check in the copy; return its code and the last line that it printed."""
    path = os.pathsep.join((str(tree), str(tree / "proto")))
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": path, "PYTHONSAFEPATH": ""}
    command = [sys.executable, "-m", "tests.mutants.check", *check]
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment, capture_output=True, text=True, timeout=CHECK_S_MAX, check=False
        )
    except subprocess.TimeoutExpired:
        return HUNG, f"no result within {CHECK_S_MAX} s"
    lines = [line for line in (done.stdout if done.returncode in WORDS else done.stderr).splitlines() if line.strip()]
    return done.returncode if lines and done.returncode in WORDS else BROKEN, lines[-1] if lines else done.stderr


def result_of(free: SimpleQueue[Path], name: str, check: tuple[str, ...], mutant: Mutant | None) -> Result:
    """Run the check with the mutant, if there is one, in a free copy."""
    tree = free.get()
    started = time.monotonic()
    try:
        with applied(mutant, tree) if mutant is not None else nullcontext():
            code, why = checked(tree, check)
    finally:
        free.put(tree)
    return Result(name, code, why, time.monotonic() - started)


def show(result: Result, word: str) -> None:
    print(f"{word:7} {result.name:40} {result.seconds:5.1f} s  {result.why[:140]}", flush=True)


def run(mutants: list[Mutant], jobs: int) -> bool:
    """Check the unmutated tree, then every mutant; print a line for each, and return whether all are caught."""
    with copies(jobs) as free, ThreadPoolExecutor(jobs) as pool:
        checks = sorted({mutant.check for mutant in mutants})
        sound = True
        for result in pool.map(lambda check: result_of(free, " ".join(check), check, None), checks):
            show(result, "sound" if result.code == SURVIVED else "UNSOUND")
            sound = sound and result.code == SURVIVED
        if not sound:
            print("the tree fails its own tests: mutants would show nothing")
            return False
        caught = 0
        for result in pool.map(lambda mutant: result_of(free, mutant.id, mutant.check, mutant), mutants):
            show(result, WORDS[result.code])
            caught += result.code == CAUGHT
    print(f"{caught} caught, {len(mutants) - caught} missed")
    return caught == len(mutants)


def main(arguments: list[str] | None = None) -> int:
    """The command line; 1 when a mutant is missed, or the tree fails its own tests."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", action="append", metavar="ID", help="this mutant alone; may be repeated")
    parser.add_argument("--jobs", type=int, default=2, help="how many at once (2)")
    asked = parser.parse_args(arguments)
    mutants = read_mutants()
    unknown = set(asked.only or ()) - {mutant.id for mutant in mutants}
    if unknown:
        parser.error(f"no mutant is called {', '.join(sorted(unknown))}")
    return 0 if run([m for m in mutants if not asked.only or m.id in asked.only], max(1, asked.jobs)) else 1


if __name__ == "__main__":
    sys.exit(main())
