"""A folder of YAML becomes a catalogue, or one report of everything that is wrong with it."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from engine.catalogue.model import Catalogue
from engine.catalogue.slots import schema_of
from engine.cel.conditions import Compiler
from engine.rulebook import Rulebook, compile_rulebook
from loaders.catalogue.checks import check_things
from loaders.catalogue.gather import Gathered, gather
from loaders.catalogue.places import Places
from loaders.catalogue.policy_checks import check_policy
from loaders.catalogue.problems import Problems
from loaders.catalogue.reading import Reading
from loaders.catalogue.resolve import resolve
from loaders.catalogue.texts import check_texts


def load_catalogue(folder: Path, *, now_us: int) -> Catalogue:
    """Return the catalogue in the *.yaml files of `folder`; `now_us` sets the years of public holidays.

    Raises CatalogueErrors with every mistake of every file, at most 1,000 of them, when there is any.
    """
    with _collection_paused():
        return _load(folder, now_us).catalogue


def compile_catalogue(folder: Path, *, now_us: int) -> Rulebook:
    """Return the rulebook of the catalogue in `folder`; raises CatalogueErrors like load_catalogue, which does the same work but the last step."""
    with _collection_paused():
        return _load(folder, now_us).rulebook()


def compile_with_places(folder: Path, *, now_us: int) -> tuple[Rulebook, Places]:
    """Return the rulebook of the catalogue in `folder`, and where its things stand; raises CatalogueErrors."""
    with _collection_paused():
        loaded = _load(folder, now_us)
        return loaded.rulebook(), Places(loaded.gathered)


@contextmanager
def _collection_paused() -> Iterator[None]:
    """Hold off the search for reference cycles: there are none here, and among so many nodes it takes half of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _Loaded(NamedTuple):
    """A catalogue without mistakes."""

    catalogue: Catalogue
    compiler: Compiler
    """It has every condition."""
    gathered: Gathered

    def rulebook(self) -> Rulebook:
        return compile_rulebook(self.catalogue, self.compiler)


def _load(folder: Path, now_us: int) -> _Loaded:
    reading = Reading(Problems())
    gathered = gather(folder, reading)
    if not gathered.whole.nodes:
        reading.problems.raise_any()
        raise AssertionError("a folder without fields has a problem")
    check_things(gathered, reading)
    check_policy(gathered, reading)
    catalogue = resolve(gathered, now_us)
    compiler = Compiler(schema_of(catalogue))
    check_texts(gathered, catalogue, compiler, reading)
    reading.problems.raise_any()
    return _Loaded(catalogue, compiler, gathered)
