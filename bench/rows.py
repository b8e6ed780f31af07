"""The rows of some subscribers as columns, for engines that get them ready-made; what is missing is a number below every range."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bench.rules import Rule
from bench.worlds import BLOCK_ROWS, subscribers

MISSING: Final = -1_000_000_000
"""Stands for a value that is not known: no range holds it, as no condition holds for an unknown value."""

Columns = dict[str, npt.NDArray[Any]]


def columns_of(numbers: npt.NDArray[np.int64], rows: int, seed: int) -> Columns:
    """Return the labels (bool) and number attributes (float64, in their own units) of these subscribers of a world, in their order."""
    order = np.argsort(numbers, kind="stable")
    parts: list[Columns] = []
    for place, batch in enumerate(subscribers(rows, seed)):
        low, high = np.searchsorted(numbers[order], (place * BLOCK_ROWS, (place + 1) * BLOCK_ROWS))
        if low < high:
            parts.append(_taken(batch, numbers[order[low:high]] - place * BLOCK_ROWS))
    back = np.argsort(order, kind="stable")
    return {name: np.concatenate([part[name] for part in parts])[back] for name in parts[0]}


def _taken(batch: Any, places: npt.NDArray[np.int64]) -> Columns:
    import pyarrow as pa  # type: ignore[import-untyped]  # it ships none

    found: Columns = {}
    for field in batch.schema:
        column = batch.column(field.name).take(pa.array(places))
        if pa.types.is_boolean(field.type) and not column.null_count:
            found[field.name] = column.to_numpy(zero_copy_only=False)
        elif pa.types.is_integer(field.type) or pa.types.is_decimal(field.type):
            found[field.name] = np.nan_to_num(
                column.cast(pa.float64()).to_numpy(zero_copy_only=False), nan=float(MISSING)
            )
    return found


def used(rules: list[Rule], columns: Columns) -> Columns:
    """Return the columns that the rules ask about: the others would only be in a rival's way."""
    labels = {term.label for rule in rules for term in rule.labels}
    ranges = {term.attribute for rule in rules for term in rule.ranges}
    return {name: columns[name] for name in sorted(labels | ranges)}


def matches_of(rule: Rule, columns: Columns) -> npt.NDArray[np.bool_]:
    """Return for which rows the rule holds, by NumPy: what every engine's answer is compared with."""
    held = np.ones(len(next(iter(columns.values()))), np.bool_)
    for label in rule.labels:
        held &= columns[label.label] == label.wanted
    for term in rule.ranges:
        values = columns[term.attribute]
        held &= (values >= term.low / 10**term.scale) & (values <= term.high / 10**term.scale)
    return held
