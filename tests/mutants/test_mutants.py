"""The list of mutants fits the tree, and the runner tells caught, missed and broken apart."""

import dataclasses
from pathlib import Path

import pytest

from tests.mutants.check import BROKEN, CAUGHT, SURVIVED
from tests.mutants.mutant import Mutant, mutated, read_mutants
from tests.mutants.run import ROOT, copies, result_of

MUTANTS = read_mutants()
BY_ID = {mutant.id: mutant for mutant in MUTANTS}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.id)
def test_each_mutant_still_applies(mutant: Mutant) -> None:
    source = (ROOT / mutant.file).read_text()
    assert mutated(source, mutant) != source
    assert mutant.why
    assert mutant.file.startswith(("bench/", "clients/", "engine/", "loaders/", "server/"))
    assert all((ROOT / path.split("::")[0]).exists() for path in mutant.check if path != "worlds")


def test_there_are_mutants_of_the_engine_and_of_its_ledger() -> None:
    assert len(MUTANTS) >= 24
    assert sum("ledger" in mutant.file for mutant in MUTANTS) >= 10


def test_an_entry_whose_text_is_gone_is_refused() -> None:
    with pytest.raises(ValueError, match="expected its old text once"):
        mutated("nothing of the kind", MUTANTS[0])


def test_the_runner_tells_caught_missed_and_broken_apart() -> None:
    known = BY_ID["holds_by_expiry_alone"]
    tells_nothing = dataclasses.replace(known, id="the_same", new=f"{known.old}  # the same")
    cannot_start = dataclasses.replace(known, id="cannot_start", new="return no_such_name")
    with copies(1) as free:
        codes = [result_of(free, m.id, m.check, m).code for m in (known, tells_nothing, cannot_start)]
        tree: Path = free.get()
        assert (tree / known.file).read_text() == (ROOT / known.file).read_text()
    assert codes == [CAUGHT, SURVIVED, BROKEN]
