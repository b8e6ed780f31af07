"""What a large catalogue costs: from YAML files to a rulebook's bytes, stage by stage, and from the bytes to the arrays that decide.

    python -m bench.compiling --offers 10000 --campaigns 10000

Every campaign has a condition of its own, of five terms; see bench/large_catalogue.py. All figures are processor seconds, medians over rounds:
`compile` is all that `touchpoint build rulebook` does after its imports, `from_documents` the same without parsing YAML; `decode`, `bind_conditions`
and `bind_rules` is what a server does with the result. Each round starts anew, with no condition known.
"""

import argparse
import gc
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np

from bench.large_catalogue import write_catalogue
from bench.machine import machine
from engine.bound_rules import bind_rules, uncoded
from engine.catalogue.model import Catalogue
from engine.catalogue.slots import schema_of
from engine.cel.bind import bind
from engine.cel.conditions import Compiler
from engine.cel.frontend import frontend_of
from engine.ledger.names import Names
from engine.rulebook import Rulebook, compile_rulebook, decode_rulebook, encode_rulebook
from loaders.catalogue.checks import check_things
from loaders.catalogue.document import parse_document
from loaders.catalogue.files import read_files
from loaders.catalogue.gather import Gathered, gather
from loaders.catalogue.load import compile_catalogue
from loaders.catalogue.policy_checks import check_policy
from loaders.catalogue.problems import Problems
from loaders.catalogue.reading import Reading
from loaders.catalogue.resolve import resolve
from loaders.catalogue.texts import check_texts

NOW_US: Final = 1_796_083_200_000_000

T = TypeVar("T")


class Stopwatch:
    """Processor seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def time(self, stage: str, work: Callable[[], T]) -> T:
        """Return what the work returns."""
        began = time.process_time_ns()
        result = work()
        self.seconds[stage] = (time.process_time_ns() - began) / 1e9
        return result


def _parse(folder: Path) -> None:
    problems = Problems()
    for name, text in read_files(folder, problems):
        assert text is not None
        parse_document(name, text, problems)
    problems.raise_any()


def _check(gathered: Gathered, reading: Reading) -> Catalogue:
    check_things(gathered, reading)
    check_policy(gathered, reading)
    return resolve(gathered, NOW_US)


def _stages(folder: Path, watch: Stopwatch) -> bytes:
    """Time each stage of compiling, and return the rulebook's bytes; cycles are not searched for, as in compile_catalogue."""
    reading = Reading(Problems())
    watch.time("yaml", lambda: _parse(folder))
    gathered = watch.time("yaml_and_read", lambda: gather(folder, reading))
    catalogue = watch.time("check", lambda: _check(gathered, reading))
    compiler = Compiler(schema_of(catalogue))
    watch.time("texts", lambda: check_texts(gathered, catalogue, compiler, reading))
    rulebook = watch.time("rulebook", lambda: compile_rulebook(catalogue, compiler))
    return watch.time("encode", lambda: encode_rulebook(rulebook))


def _bind(rulebook: Rulebook, watch: Stopwatch) -> int:
    """Time binding to a base with every label; return how many candidates there are."""
    zones, catalogue = list(rulebook.catalogue.country.zones), rulebook.catalogue
    bits = np.arange(len(catalogue.labels))
    strings = {n: ["Ann"] for n, slot in enumerate(rulebook.schema.slots) if slot.name == "subscriber.first_name"}
    watch.time("bind_conditions", lambda: bind(rulebook.conditions, bits, strings, zones))
    names = Names()
    for kind, name in uncoded(catalogue, names):
        names.code(kind, name)
    rules = watch.time(
        "bind_rules", lambda: bind_rules(catalogue, rulebook.candidates, names, zones, rulebook.campaign_conditions)
    )
    return len(rules.candidates)


def _round(folder: Path) -> tuple[dict[str, float], dict[str, int]]:
    watch = Stopwatch()
    frontend_of.cache_clear()
    data = _stages(folder, watch)
    frontend_of.cache_clear()
    gc.enable()
    whole = watch.time("compile", lambda: encode_rulebook(compile_catalogue(folder, now_us=NOW_US)))
    assert whole == data
    watch.seconds["from_documents"] = watch.seconds["compile"] - watch.seconds["yaml"]
    rulebook = watch.time("decode", lambda: decode_rulebook(data, "bench"))
    candidates = _bind(rulebook, watch)
    return watch.seconds, {"bytes": len(data), "candidates": candidates, "conditions": len(rulebook.terms)}


def run(offers: int, campaigns: int, rounds: int, seed: int, folder: Path) -> dict[str, Any]:
    """Write a catalogue below `folder` and measure it `rounds` times."""
    write_catalogue(folder / "catalogue", offers, campaigns, seed)
    measured = []
    found: dict[str, int] = {}
    for _ in range(rounds):
        gc.collect()
        gc.disable()
        try:
            seconds, found = _round(folder / "catalogue")
        finally:
            gc.enable()
        measured.append(seconds)
    medians = {f"{stage}_s": round(statistics.median(each[stage] for each in measured), 6) for stage in measured[0]}
    return {"offers": offers, "campaigns": campaigns, "rounds": rounds, "seed": seed, **found, **medians}


def main() -> None:
    """Print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--offers", type=int, default=10_000)
    parser.add_argument("--campaigns", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = run(arguments.offers, arguments.campaigns, arguments.rounds, arguments.seed, Path(folder))
    print(json.dumps({"bench": "compiling", "machine": machine(), **figures}))


if __name__ == "__main__":
    main()
