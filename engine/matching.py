"""Lays lists of conditions out for matching (engine.dtypes.matching), by what a measured cost model says of their sizes."""

from collections.abc import Sequence
from math import inf
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.bits import rows_of_bits, words_of
from engine.breathing import breathe
from engine.dtypes.across import BLOCK_MATCHER, SCALE
from engine.dtypes.condition import (
    FALSE,
    FIXED,
    KNOWN,
    PROGRAM,
    RANGE,
    RANGE_DOUBLE,
    RANGE_TEXT,
    UNKNOWN,
    ConditionTables,
)
from engine.dtypes.matching import (
    ACROSS,
    BY_LABEL,
    CHECK,
    COLUMN,
    MATCHER,
    NIBBLE_BITS,
    NIBBLE_VALUES,
    SLICED,
    WORD_NIBBLES,
    Matching,
)
from engine.jit import frozen
from engine.matching_across import add_across
from engine.matching_terms import Bools, Layout, Terms, Words

COLUMN_BYTES_MAX: Final = 64 * 1024
"""What one column's rows may take; more cuts than that are thinned out, and the conditions between those left evaluated."""
INTERVALS_MIN: Final = 32
INTERVALS_AT_ONCE: Final = 16
_INT64: Final = np.iinfo(np.int64)


class Costs(NamedTuple):
    """What matching an item by itself takes, in nanoseconds of the reference machine; `make micro` measures it, and only ratios matter."""

    condition: float = 16.0
    """To evaluate a condition."""
    attributes: float = 80.0
    """To read the attributes."""
    label_list: float = 4.0
    """To visit the list of a label."""
    nibble: float = 1.5
    """To find the row of a nibble."""
    word: float = 0.35
    """To join one word of a row."""
    column: float = 14.0
    """To find the row of a slot's value."""


def lay_out(
    tables: ConditionTables,
    lists: Sequence[Sequence[int]],
    density: npt.NDArray[np.float64],
    strategy: int | None = None,
    ageing: Bools | None = None,
) -> Matching:
    """Return the layout of each list of condition numbers.

    `density`: (64 * label words,) the share of subscribers that have each label, by bit of View.present; `ageing`: the labels that may be past
    their age, None for any. `strategy`: BY_LABEL, SLICED or ACROSS for every list and any number of items, whatever it costs; None: what costs less.
    """
    layout = Layout()
    for numbers in lists:
        terms = Terms(tables, np.array(numbers, np.int64), density)
        alone = _item_costs(terms)
        chosen = strategy if strategy in alone else min(alone, key=alone.__getitem__)
        if chosen == BY_LABEL:
            _add_by_label(layout, terms)
        else:
            _add_sliced(layout, terms)
        across_ns = {None: alone[chosen], ACROSS: inf}.get(strategy, 0.0)
        add_across(layout, terms, np.ones(len(density), np.bool_) if ageing is None else ageing, across_ns)
    return Matching(
        frozen(np.array(layout.matchers, MATCHER)),
        frozen(np.array(layout.columns, COLUMN)),
        frozen(_joined(layout.checks, CHECK)),
        frozen(_joined(layout.bits, np.uint64)),
        frozen(_joined(layout.cuts, np.int64)),
        frozen(_joined(layout.numbers, np.int32)),
        frozen(np.array(layout.across, BLOCK_MATCHER)),
        frozen(np.array(layout.scales, SCALE)),
    )


def _item_costs(terms: Terms) -> dict[int, float]:
    """Return by strategy what the list takes for the average subscriber by itself, in nanoseconds."""
    costs, words = Costs(), words_of(terms.count)
    rarest = terms.rarest()
    listed = np.unique(rarest[rarest >= 0])
    visited = float(terms.density[rarest[rarest >= 0]].sum()) + int((rarest < 0).sum())
    by_label = costs.label_list * float(terms.density[listed].sum()) + costs.condition * visited
    label_words = len(terms.used)
    row_ns = costs.word * words
    columns = [of_key for _, of_key in terms.columns()]
    evaluated = costs.condition * terms.survivors()
    left = len(columns) * (costs.column + row_ns)
    if max(map(len, columns), default=0) >= _intervals_max(
        words
    ):  # half of the rest is left between the cuts that are kept
        left += evaluated / 2
    sliced = WORD_NIBBLES * label_words * (costs.nibble + row_ns) + min(evaluated, left)
    return {BY_LABEL: by_label + costs.attributes, SLICED: sliced + costs.attributes}


def _intervals_max(words: int) -> int:
    """Return how many intervals of one column's values have rows of so many words."""
    return max(INTERVALS_MIN, COLUMN_BYTES_MAX // (8 * words))


def _add_by_label(layout: Layout, terms: Terms) -> None:
    rarest, words = terms.rarest(), words_of(terms.count)
    used = terms.used
    has_list = np.zeros((len(terms.density) // 64, 64), np.bool_)
    has_list.reshape(-1)[rarest[rarest >= 0]] = True
    order = np.argsort(rarest, kind="stable")
    order = order[rarest[order] >= 0]
    labels = (used[:, None] * 64 + np.arange(64)).reshape(-1)
    starts = np.searchsorted(rarest[order], np.append(labels, len(terms.density)))
    lists_at = layout.numbers_end
    layout.add_numbers(np.concatenate([starts + lists_at + len(starts), order]))
    access_at = layout.add_bits(rows_of_bits(has_list)[used])
    layout.add_bits(rows_of_bits(rarest[None, :] < 0))
    masks = np.stack([_label_masks(members, used) for members in (terms.needed, terms.forbidden)], axis=1)
    masks_at = layout.add_bits(masks)
    whole_at, checks_at = _add_checks(layout, terms)
    layout.matchers.append(
        (
            access_at, masks_at, 0, 0, 0, 0, whole_at, terms.count, words, layout.add_numbers(terms.numbers), checks_at,
            layout.add_numbers(used), len(used), lists_at, len(layout.columns), 0, BY_LABEL,
        )
    )  # fmt: skip


def _label_masks(members: Bools, used: npt.NDArray[np.int64]) -> Words:
    """Return (conditions, used label words): the labels of each condition."""
    labels, count = members.shape
    return rows_of_bits(members.reshape(labels // 64, 64, count)[used].transpose(2, 0, 1).reshape(-1, 64)).reshape(
        count, len(used)
    )


def _add_checks(layout: Layout, terms: Terms) -> tuple[int, int]:
    """Add the plain ranges of each condition; return where the row of conditions with other terms is, and where the starts are."""
    plain = terms.of(RANGE, RANGE_DOUBLE)
    rows = np.zeros(len(plain), CHECK)
    for name in ("low", "high", "slot", "negated"):
        rows[name] = terms.rows[name][plain]
    rows["double"] = terms.rows["kind"][plain] == RANGE_DOUBLE
    starts = np.searchsorted(terms.owner[plain], np.arange(terms.count + 1)) + layout.checks_end
    layout.checks.append(rows)
    layout.checks_end += len(rows)
    whole = np.zeros((1, terms.count), np.bool_)
    whole[0, terms.owner[terms.of(RANGE_TEXT, KNOWN, PROGRAM, FIXED)]] = True
    return layout.add_bits(rows_of_bits(whole)), layout.add_numbers(starts)


def _add_sliced(layout: Layout, terms: Terms) -> None:
    always = np.zeros((1, terms.count), np.bool_)
    always[0, terms.owner[terms.of(PROGRAM)]] = True
    used, tables_at = _add_labels(layout, terms)
    column_at = len(layout.columns)
    _add_columns(layout, terms)
    fixed_at = layout.add_bits(np.vstack([rows_of_bits(_fixed(terms)), rows_of_bits(always)]))
    whole_at, checks_at = _add_checks(layout, terms)
    layout.matchers.append(
        (
            0, 0, *tables_at, fixed_at, whole_at, terms.count, words_of(terms.count), layout.add_numbers(terms.numbers),
            checks_at, layout.add_numbers(used), len(used), 0, column_at, len(layout.columns) - column_at, SLICED,
        )
    )  # fmt: skip


def _fixed(terms: Terms) -> Bools:
    """Return (3, 64 * words): the conditions with a term that is false, unknown or in error whoever asks; false beyond the last condition."""
    rows = np.zeros((3, 64 * words_of(terms.count)), np.bool_)
    rows[0, terms.count :] = True
    fixed = terms.of(FIXED)
    results = terms.rows["low"][fixed]
    for row, result in enumerate((FALSE, UNKNOWN, UNKNOWN + 1)):
        rows[row, terms.owner[fixed[results == result]]] = True
    return rows


def _add_labels(layout: Layout, terms: Terms) -> tuple[npt.NDArray[np.int64], tuple[int, int, int]]:
    """Add the rows of labels; return the label words that conditions ask about, and where the three tables are."""
    asked = rows_of_bits((terms.needed | terms.forbidden).any(axis=1).reshape(-1, 64))
    used = terms.used
    breathe()
    rows = np.stack([rows_of_bits(members) for members in (terms.needed, terms.forbidden)], axis=1)
    breathe()
    rows = rows.reshape(len(asked), WORD_NIBBLES, NIBBLE_BITS, 2, words_of(terms.count))[used]
    ruled_out = np.zeros((len(used), WORD_NIBBLES, NIBBLE_VALUES, rows.shape[-1]), np.uint64)
    for value in range(NIBBLE_VALUES):
        for bit in range(NIBBLE_BITS):
            ruled_out[:, :, value] |= rows[:, :, bit, value >> bit & 1]
        breathe()
    return used, (layout.add_bits(ruled_out), layout.add_bits(rows), layout.add_bits(asked[used]))


def _add_columns(layout: Layout, terms: Terms) -> None:
    """Add a column for each slot (and text table) that ranges ask about."""
    count = terms.count
    for key, of_key in terms.columns():
        owner, rows = terms.owner[of_key], terms.rows[of_key]
        cuts, uncertain_at = np.empty(0, np.int64), -1
        if key["kind"] == KNOWN:
            table = _known_rows(owner, rows, count)
        else:
            cuts, table, uncertain = _interval_rows(owner, rows, count)
            uncertain_at = layout.add_bits(rows_of_bits(uncertain)) if uncertain.any() else -1
        unknown = np.zeros((1, count), np.bool_)
        unknown[0, owner] = key["kind"] != KNOWN
        table_at, unknown_at = layout.add_bits(rows_of_bits(table)), layout.add_bits(rows_of_bits(unknown))
        layout.columns.append(
            (
                int(key["base"]), table_at, uncertain_at, unknown_at, int(key["slot"]), int(key["kind"]),
                layout.add_cuts(cuts), len(cuts),
            )
        )  # fmt: skip


def _known_rows(owner: npt.NDArray[Any], rows: npt.NDArray[np.void], count: int) -> Bools:
    """Return (2, count): what is ruled out when the slot is not known, and when it is."""
    table = np.zeros((2, count), np.bool_)
    table[0, owner[rows["negated"] == 0]] = True
    table[1, owner[rows["negated"] != 0]] = True
    return table


def _interval_rows(
    owner: npt.NDArray[Any], rows: npt.NDArray[np.void], count: int
) -> tuple[npt.NDArray[np.int64], Bools, Bools]:
    """Return the cuts, and (cuts + 1, count) twice: what each interval rules out for certain, and what it does not settle."""
    low, high, negated = rows["low"], rows["high"], rows["negated"] != 0
    below = high < _INT64.max
    after = np.where(below, high, 0) + 1
    cuts = np.unique(np.concatenate([low[low > _INT64.min], after[below]]))
    most = _intervals_max(words_of(count))
    if len(cuts) >= most:
        cuts = np.unique(cuts[np.linspace(0, len(cuts) - 1, most - 1).astype(np.int64)])
    table, uncertain = np.zeros((len(cuts) + 1, count), np.bool_), np.zeros((len(cuts) + 1, count), np.bool_)
    first = np.concatenate([[_INT64.min], cuts])
    last = np.concatenate([cuts - 1, [_INT64.max]])
    for start in range(0, len(first), INTERVALS_AT_ONCE):
        some = slice(start, start + INTERVALS_AT_ONCE)
        begin, end = first[some, None], last[some, None]
        within = (low <= begin) & (end <= high)
        outside = (high < begin) | (end < low)
        interval, term = np.nonzero(np.where(negated, within, outside))
        table[start + interval, owner[term]] = True
        interval, term = np.nonzero(~within & ~outside)
        uncertain[start + interval, owner[term]] = True
        breathe()
    return cuts, table, uncertain


def _joined(parts: list[npt.NDArray[Any]], dtype: Any) -> npt.NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0, dtype)
