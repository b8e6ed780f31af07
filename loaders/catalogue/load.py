"""A folder of YAML becomes a catalogue, or one report of everything that is wrong with it."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.catalogue.model import Catalogue
from loaders.catalogue.checks import check_things
from loaders.catalogue.gather import gather
from loaders.catalogue.policy_checks import check_policy
from loaders.catalogue.problems import Problems
from loaders.catalogue.reading import Reading
from loaders.catalogue.resolve import resolve
from loaders.catalogue.texts import check_texts


def load_catalogue(folder: Path, *, now_us: int) -> Catalogue:
    """Return the catalogue in the *.yaml files of `folder`; `now_us` sets the years of public holidays.

    Raises CatalogueErrors with every mistake of every file, at most 1,000 of them, when there is any.
    """
    problems = Problems()
    with _collection_paused():
        catalogue = _load(folder, now_us, Reading(problems))
    problems.raise_any()
    assert catalogue is not None
    return catalogue


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


def _load(folder: Path, now_us: int, reading: Reading) -> Catalogue | None:
    gathered = gather(folder, reading)
    if not gathered.whole.nodes:
        return None
    check_things(gathered, reading)
    check_policy(gathered, reading)
    catalogue = resolve(gathered, now_us)
    check_texts(gathered, catalogue, reading)
    return catalogue
