"""A folder of YAML becomes a catalogue, or one report of everything that is wrong with it."""

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
    reading = Reading(problems)
    gathered = gather(folder, reading)
    if gathered.whole.nodes:
        check_things(gathered, reading)
        check_policy(gathered, reading)
        catalogue = resolve(gathered, now_us)
        check_texts(gathered, catalogue, reading)
        problems.raise_any()
        return catalogue
    problems.raise_any()
    raise AssertionError("a folder without any field has at least one problem")
