"""Snapshots without the erased: what was held of them stays under their stand-ins, as segments have it; answers and changes go.

A snapshot from before an erasure is the state that later records are taken back into, so it cannot just drop somebody: outcomes that the segments report
of a stand-in come to holds, and find their ids remembered, where they did.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from engine.base.overlay import CHANGES_PER_SUBSCRIBER, Overlay
from engine.dtypes.ledger import GRAIN_BYTES
from engine.journal.disk import Disk
from engine.journal.segments import JournalError
from engine.journal.snapshot import next_of, read, snapshot_names, write
from engine.kernels.ledger_blocks import find_subscriber, place_subscriber, remove_subscriber

Arrays = dict[str, npt.NDArray[Any]]


def erase_in_snapshots(disk: Disk, until: Mapping[int, int], stand_ins: Mapping[int, int]) -> None:
    """Have no snapshot know the subscribers as they were before record `until` of each; raises OSError, and may then be called again.

    A snapshot that cannot be read goes: nobody could tell what is in it.
    """
    for name in snapshot_names(disk):
        after = {subscriber: stand_ins[subscriber] for subscriber, last in until.items() if last >= next_of(name)}
        if not after:
            continue
        try:
            about, arrays = read(disk, name, None)
        except JournalError:
            disk.remove(name)
            continue
        overlay_names, changed = _erase_changes(arrays, after, about.overlay_names)
        if any([changed, _erase_held(arrays, after), _erase_answers(arrays, after)]):
            write(disk, name, msgspec.structs.replace(about, overlay_names=overlay_names), arrays)


def _erase_held(arrays: Arrays, stand_ins: Mapping[int, int]) -> bool:
    """Let stand-ins hold what the subscribers do; return whether any does."""
    table, known = arrays["table"].copy(), False
    for subscriber, stand_in in stand_ins.items():
        slot = int(find_subscriber(table, np.uint64(subscriber)))
        if slot < 0:
            continue
        start, count, size = (int(table[slot][name]) for name in ("start", "count", "size"))
        remove_subscriber(table, slot)
        table[int(place_subscriber(table, np.uint64(stand_in), start, size))]["count"] = count
        known = True
    arrays["table"] = table
    for name in ("holds", "outcome_ids"):
        arrays[name] = arrays[name].copy()
        column = arrays[name]["subscriber"]
        for subscriber, stand_in in stand_ins.items():
            theirs = column == np.uint64(subscriber)
            known = known or bool(theirs.any())
            column[theirs] = stand_in
    return known


def _erase_answers(arrays: Arrays, stand_ins: Mapping[int, int]) -> bool:
    """Leave out the answers that the subscribers had; return whether there were any."""
    entries, data = arrays["answers"], arrays["answer_bytes"]
    gone = np.isin(entries["subscriber"], np.array(list(stand_ins), np.uint64))
    if not gone.any():
        return False
    sizes = -(-entries["length_bytes"].astype(np.int64) // GRAIN_BYTES) * GRAIN_BYTES
    kept = np.repeat(~gone, sizes)
    arrays["answers"], arrays["answer_bytes"] = entries[~gone], data[: len(kept)][kept]
    return True


def _erase_changes(
    arrays: Arrays, stand_ins: Mapping[int, int], names: list[tuple[str, str]]
) -> tuple[list[tuple[str, str]], bool]:
    """Drop the subscribers' changes; return the names that the others' are told in, and whether anything was dropped."""
    persons, changes = arrays["persons"], arrays["changes"]
    overlay = Overlay(max(1, len(persons), -(-len(changes) // CHANGES_PER_SUBSCRIBER)))
    overlay.restore(persons, changes, names)
    for subscriber in stand_ins:
        overlay.drop(subscriber)
    arrays["persons"], arrays["changes"], left = overlay.state()
    return left, len(arrays["persons"]) < len(persons) or left != names
