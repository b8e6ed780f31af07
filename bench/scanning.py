"""What a scan of a whole base costs: `touchpoint whatif` over a synthetic world, the offers of the benches' shelf on one trigger and channel.

    python -m bench.scanning --rows 1000000 --offers 100

Processor seconds by what is asked, each asked once, the base in the page cache: `answered`, the decisions alone; `counted`, a scan; `segments`, one by
a label and by the ranges of an attribute; `against`, one with a second rulebook, which decides too; `rounds`, a scan and three rounds of holds.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from bench.catalogues import CHANNEL, PLACEMENT, shelf_of, write_rulebook
from bench.machine import machine
from bench.worlds import built
from engine.base.overlay import Overlay
from engine.base.snapshot import Snapshot, open_current
from engine.bound import Bound
from engine.kernels.answering import answer_run
from engine.limits import BATCH_ITEMS_MAX
from engine.reasons import Reason
from engine.rulebook import Rulebook, load_rulebook
from engine.whatif.question import Question
from engine.whatif.scan import Scan
from engine.whatif.side import CONTACTS_MAX, Asker, new_ledger
from engine.whatif.tallies import Pair, counts_of

ROUNDS: Final = 3


def answered_s(rulebook: Rulebook, snapshot: Snapshot, at_us: int) -> float:
    """Return the processor time of the decisions of a scan, none of them counted."""
    question, ledger = Question(at_us=at_us), new_ledger(CONTACTS_MAX, at_us)
    bound = Bound(rulebook, snapshot, Overlay(1), ledger.names, at_us)
    asker, hashes = Asker(bound, ledger, question, answer_run), snapshot.rows.hashes
    began = time.process_time()
    for start in range(0, len(hashes), BATCH_ITEMS_MAX):
        asker.ask(Pair(PLACEMENT, CHANNEL), hashes[start : start + BATCH_ITEMS_MAX], dry=True)
    return time.process_time() - began


def seconds_of(scan: Scan) -> float:
    """Return the processor time of a scan's work."""
    began = time.process_time()
    for _ in scan.steps():
        pass
    return time.process_time() - began


def run(rulebook: Rulebook, snapshot: Snapshot) -> dict[str, Any]:
    """Return the figures, of this very time: the quiet hours of the benches' catalogues lie half a day away from when they were written."""
    label, at_us = rulebook.catalogue.labels[0].id, time.time_ns() // 1_000
    figures = {"answered_s": answered_s(rulebook, snapshot, at_us)}
    counted = Scan(rulebook, snapshot, Question(at_us=at_us))
    figures["counted_s"] = seconds_of(counted)
    segments = Question(at_us=at_us, segments=(label, "age_years"))
    figures["segments_s"] = seconds_of(Scan(rulebook, snapshot, segments))
    figures["against_s"] = seconds_of(Scan(rulebook, snapshot, Question(at_us=at_us), against=rulebook))
    figures["rounds_s"] = seconds_of(Scan(rulebook, snapshot, Question(at_us=at_us, rounds=ROUNDS)))
    counts = counts_of(counted.after.tallies[counted.pairs[0]], 0, 1)
    reached = counts.groups[0].sum() / 2 / max(1, counts.looked)
    return {
        "subscribers": counts.looked,
        "candidates": counts.rows.shape[1],
        "offered": counts.reasons.get(Reason.OFFERED.name, 0),
        "candidates_that_reach_a_subscriber": round(float(reached), 2),
        **{name: round(value, 6) for name, value in figures.items()},
    }


def main() -> None:
    """Run and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--offers", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    world = built(asked.rows, asked.seed)
    with tempfile.TemporaryDirectory(prefix="touchpoint-bench-") as name:
        rulebook = load_rulebook(write_rulebook(Path(name), shelf_of(asked.offers, asked.seed)))
    print(json.dumps({"bench": "scanning", "machine": machine(), **run(rulebook, open_current(world.base, None))}))


if __name__ == "__main__":
    main()
