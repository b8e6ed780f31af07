"""The list of mutants, and how one is put into a copy of the tree and taken out again."""

import importlib.util
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LIST: Final = Path(__file__).with_name("mutants.toml")


@dataclass(frozen=True)
class Mutant:
    """One wrong change of one file."""

    id: str
    file: str
    old: str
    """Occurs exactly once in the file."""
    new: str
    why: str
    """What is wrong then."""
    check: tuple[str, ...] = ("worlds",)
    """`worlds`: generated worlds against the oracle; else paths for pytest."""


def read_mutants(path: Path = LIST) -> list[Mutant]:
    """Return the mutants of the list; raises ValueError when an id is there twice."""
    entries = tomllib.loads(path.read_text())["mutant"]
    mutants = [Mutant(**{**entry, "check": tuple(entry.get("check", ("worlds",)))}) for entry in entries]
    if len({mutant.id for mutant in mutants}) != len(mutants):
        raise ValueError(f"{path.name}: expected every id once")
    return mutants


def mutated(source: str, mutant: Mutant) -> str:
    """Return the source with the mutant in it; raises ValueError when the old text is not there exactly once."""
    count = source.count(mutant.old)
    if count != 1 or mutant.old == mutant.new:
        raise ValueError(
            f"mutant {mutant.id}: expected its old text once in {mutant.file}, found it {count} times; write the entry anew"
        )
    return source.replace(mutant.old, mutant.new)


@contextmanager
def applied(mutant: Mutant, tree: Path) -> Iterator[None]:
    """Put the mutant into the copy of the tree for as long as the context lasts."""
    path = tree / mutant.file
    source = path.read_text()
    try:
        _write(path, mutated(source, mutant))
        yield
    finally:
        _write(path, source)


def _write(path: Path, source: str) -> None:
    """Write without leaving bytecode behind: two versions of equal size within a second look alike to Python."""
    path.write_text(source)
    Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)
