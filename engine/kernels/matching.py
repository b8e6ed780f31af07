"""Which conditions of a list hold for an item: rows of bits joined by what the subscriber has, then what is left verified term by term."""

from typing import Any

import numpy as np
from numba import types

from engine.dtypes.condition import FALSE, KNOWN, RANGE_DOUBLE, RANGE_TEXT, TRUE, UNKNOWN, ZONE_SLOT
from engine.dtypes.matching import BY_LABEL, NIBBLE_BITS, NIBBLE_VALUES, WORD_NIBBLES
from engine.dtypes.rules import RUN_TYPE, Run
from engine.intrinsics import lowest_bit, popcount
from engine.jit import kernel, read_only, writable
from engine.kernels.cel_load import is_known
from engine.kernels.cel_number import double_order
from engine.kernels.condition import evaluate_condition, labels_rule_out
from engine.kernels.gather import load_attributes

FALSE_ROW, UNKNOWN_ROW, ERROR_ROW, OPEN_ROW = 0, 1, 2, 3
"""Rows of Work.matched, and those at MATCHER's `fixed_at`: conditions that are false, unknown, in error; those that are still to be evaluated."""
CONDITIONS_A_COLUMN = 0.8
"""Conditions that are evaluated in the time in which one column's row is found and joined; measured by bench/micro."""
BITS = read_only(np.uint64)
ROWS = writable(np.uint64, 2)

_i8 = types.int64


@kernel(types.void(BITS, _i8, _i8, ROWS, _i8), inner=True)
def join_row(bits: np.ndarray, at: int, words: int, rows: np.ndarray, row: int) -> None:
    """Join the row bits[at : at + words] into rows[row]."""
    for w in range(words):
        rows[row, w] |= bits[at + w]


@kernel(types.void(BITS, writable(np.int64), _i8, _i8, ROWS), inner=True)
def join_rows(bits: np.ndarray, row_at: np.ndarray, count: int, words: int, rows: np.ndarray) -> None:
    """Join the rows of bits at row_at[:count] into rows[FALSE_ROW], four words at a time so that they stay in registers."""
    w = 0
    while w + 4 <= words:
        a, b, c, d = np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0)
        for r in range(count):
            at = np.uint64(row_at[np.uint64(r)] + w)
            a |= bits[at]
            b |= bits[at + np.uint64(1)]
            c |= bits[at + np.uint64(2)]
            d |= bits[at + np.uint64(3)]
        rows[FALSE_ROW, w] |= a
        rows[FALSE_ROW, w + 1] |= b
        rows[FALSE_ROW, w + 2] |= c
        rows[FALSE_ROW, w + 3] |= d
        w += 4
    while w < words:
        a = np.uint64(0)
        for r in range(count):
            a |= bits[np.uint64(row_at[np.uint64(r)] + w)]
        rows[FALSE_ROW, w] |= a
        w += 1


@kernel(_i8(RUN_TYPE, _i8, _i8, _i8, _i8, _i8), inner=True)
def label_rows(run: Run, item: int, matcher: int, at: int, nibble: int, count: int) -> int:
    """Append to row_at after `count` the rows of the labels of one nibble of a matcher's label word `at`; return how many there are then.

    What needs or forbids a label past its age is unknown, unless something else rules it out.
    """
    record = run.matching.matchers[matcher]
    words = record["words"]
    word = run.matching.numbers[record["label_word_at"] + at]
    for label in range(nibble * NIBBLE_BITS, (nibble + 1) * NIBBLE_BITS):
        needed_at = record["labels_at"] + (at * 64 + label) * 2 * words
        forbidden_at = needed_at + words
        if run.rows.present[item, word] >> np.uint64(label) & np.uint64(1) == np.uint64(0):
            run.work.row_at[count] = needed_at
            count += 1
        elif run.rows.fresh[item, word] >> np.uint64(label) & np.uint64(1) != np.uint64(0):
            run.work.row_at[count] = forbidden_at
            count += 1
        else:
            join_row(run.matching.bits, needed_at, words, run.work.matched, UNKNOWN_ROW)
            join_row(run.matching.bits, forbidden_at, words, run.work.matched, UNKNOWN_ROW)
    return count


@kernel(types.void(RUN_TYPE, _i8, _i8), inner=True)
def match_labels(run: Run, item: int, matcher: int) -> None:
    """Rule out by labels."""
    record, row_at = run.matching.matchers[matcher], run.work.row_at
    words, count = record["words"], 0
    for at in range(record["label_words"]):
        word = run.matching.numbers[record["label_word_at"] + at]
        held = run.rows.present[item, word]
        stale = held & ~run.rows.fresh[item, word] & run.matching.bits[record["used_at"] + at]
        table_at = record["nibbles_at"] + at * WORD_NIBBLES * NIBBLE_VALUES * words
        for nibble in range(WORD_NIBBLES):
            if stale >> np.uint64(nibble * NIBBLE_BITS) & np.uint64(NIBBLE_VALUES - 1) == np.uint64(0):
                value = np.int64(held >> np.uint64(nibble * NIBBLE_BITS) & np.uint64(NIBBLE_VALUES - 1))
                row_at[np.uint64(count)] = table_at + (nibble * NIBBLE_VALUES + value) * words
                count += 1
            else:
                count = label_rows(run, item, matcher, at, nibble, count)
    join_rows(run.matching.bits, row_at, count, words, run.work.matched)


@kernel(_i8(read_only(np.int64), _i8, _i8, _i8), inner=True)
def interval_of(cuts: np.ndarray, first: int, count: int, value: int) -> int:
    """Return how many of cuts[first : first + count], which are sorted, are not above the value."""
    low, size = first, count
    while size > 1:
        half = size >> 1
        low = low + half if cuts[np.uint64(low + half - 1)] <= value else low
        size -= half
    return low - first + (size == 1 and cuts[np.uint64(low)] <= value)


@kernel(_i8(RUN_TYPE, _i8, _i8, _i8, _i8), inner=True)
def column_value(run: Run, item: int, slot: int, kind: int, base: int) -> Any:
    """Return what the cuts of a column divide, of a slot that is known."""
    value: Any = np.int64(run.rows.zone[item]) if slot == ZONE_SLOT else run.rows.values[item, slot]
    if kind == RANGE_DOUBLE:
        return double_order(value)
    if kind == RANGE_TEXT:
        return np.int64(run.conditions.numbers[base + value])
    return value


@kernel(types.void(RUN_TYPE, _i8, _i8), inner=True)
def match_columns(run: Run, item: int, matcher: int) -> None:
    """Rule out by the values of slots, which must be loaded."""
    record, columns = run.matching.matchers[matcher], run.matching.columns
    words, row_at, matched = record["words"], run.work.row_at, run.work.matched
    count = 0
    for column in range(record["column_at"], record["column_at"] + record["columns"]):
        slot, kind = columns[column]["slot"], columns[column]["kind"]
        known = is_known(run.rows.known, run.rows.zone, item, slot)
        if kind == KNOWN:
            row_at[count] = columns[column]["table_at"] + np.int64(known) * words
        elif known:
            value = column_value(run, item, slot, kind, columns[column]["base"])
            interval = interval_of(run.matching.cuts, columns[column]["cut_at"], columns[column]["cuts"], value)
            row_at[count] = columns[column]["table_at"] + interval * words
            if columns[column]["uncertain_at"] >= 0:
                join_row(
                    run.matching.bits, columns[column]["uncertain_at"] + interval * words, words, matched, OPEN_ROW
                )
        else:
            join_row(run.matching.bits, columns[column]["unknown_at"], words, matched, UNKNOWN_ROW)
            continue
        count += 1
    join_rows(run.matching.bits, row_at, count, words, matched)


@kernel(_i8(RUN_TYPE, _i8, _i8, _i8), inner=True)
def check_labels(run: Run, item: int, matcher: int, k: int) -> int:
    """Return FALSE, TRUE or UNKNOWN for the labels of condition k of a BY_LABEL list."""
    record, bits = run.matching.matchers[matcher], run.matching.bits
    label_words, status = record["label_words"], TRUE
    needed_at = record["masks_at"] + k * 2 * label_words
    for at in range(label_words):
        word = run.matching.numbers[record["label_word_at"] + at]
        needed, forbidden = bits[needed_at + at], bits[needed_at + label_words + at]
        present, fresh = run.rows.present[item, word], run.rows.fresh[item, word]
        if needed & ~present != np.uint64(0) or forbidden & present & fresh != np.uint64(0):
            return FALSE
        if (needed | forbidden) & present & ~fresh != np.uint64(0):
            status = UNKNOWN
    return status


@kernel(_i8(RUN_TYPE, _i8, _i8, _i8), inner=True)
def check_ranges(run: Run, item: int, matcher: int, k: int) -> int:
    """Return FALSE, TRUE or UNKNOWN for the plain ranges of condition k; slots must be loaded."""
    checks, starts_at, status = run.matching.checks, run.matching.matchers[matcher]["checks_at"] + k, TRUE
    for check in range(run.matching.numbers[starts_at], run.matching.numbers[starts_at + 1]):
        slot = np.uint64(checks[check]["slot"])
        if run.rows.known[np.uint64(item), slot] == 0:
            status = UNKNOWN
            continue
        value = run.rows.values[np.uint64(item), slot]
        if checks[check]["double"]:
            value = double_order(value)
        if (checks[check]["low"] <= value <= checks[check]["high"]) == (checks[check]["negated"] != 0):
            return FALSE
    return status


@kernel(_i8(RUN_TYPE, _i8, _i8, _i8), inner=True)
def evaluate(run: Run, item: int, matcher: int, k: int) -> int:
    """Return the status of condition k; of a SLICED list's plain condition but for its labels, which are settled."""
    record = run.matching.matchers[matcher]
    if run.matching.bits[record["whole_at"] + (k >> 6)] >> np.uint64(k & 63) & np.uint64(1) != np.uint64(0):
        number = run.matching.numbers[record["numbers_at"] + k]
        if labels_rule_out(run.conditions, run.rows, item, number):
            return FALSE
        load_attributes(run.base, run.plan, run.rows, item)
        return evaluate_condition(run.conditions, run.rows, item, number) & 255
    status = TRUE
    if record["strategy"] == BY_LABEL:
        status = check_labels(run, item, matcher, k)
        if status == FALSE:
            return FALSE
    load_attributes(run.base, run.plan, run.rows, item)
    ranges = check_ranges(run, item, matcher, k)
    return ranges if ranges != TRUE else status


@kernel(types.void(RUN_TYPE, _i8, _i8, types.boolean), inner=True)
def evaluate_open(run: Run, item: int, matcher: int, every: bool) -> None:
    """Evaluate the open conditions that nothing has ruled out, or every one that nothing has."""
    matched = run.work.matched
    for w in range(run.matching.matchers[matcher]["words"]):
        left = ~matched[FALSE_ROW, w]
        if not every:
            left &= matched[OPEN_ROW, w]
        while left != np.uint64(0):
            k = lowest_bit(left)
            bit = np.uint64(1) << np.uint64(k)
            left ^= bit
            status = evaluate(run, item, matcher, w * 64 + k)
            if status == FALSE:
                matched[FALSE_ROW, w] |= bit
            elif status == UNKNOWN:
                matched[UNKNOWN_ROW, w] |= bit
            elif status > UNKNOWN:
                matched[ERROR_ROW, w] |= bit


@kernel(_i8(RUN_TYPE, _i8), inner=True)
def count_left(run: Run, matcher: int) -> int:
    """Return how many conditions are not known to be false."""
    count = 0
    for w in range(run.matching.matchers[matcher]["words"]):
        count += popcount(~run.work.matched[FALSE_ROW, w])
    return count


@kernel(types.void(RUN_TYPE, _i8, _i8), inner=True)
def visit_lists(run: Run, item: int, matcher: int) -> None:
    """Rule out all conditions but those in the lists of the labels that the item has, and those out of every list."""
    record, numbers, false = run.matching.matchers[matcher], run.matching.numbers, run.work.matched
    words, label_words = record["words"], record["label_words"]
    for w in range(words):
        false[FALSE_ROW, w] = ~run.matching.bits[record["access_at"] + label_words + w]
        false[UNKNOWN_ROW, w] = false[ERROR_ROW, w] = np.uint64(0)
    for at in range(label_words):
        word = numbers[record["label_word_at"] + at]
        held = run.rows.present[item, word] & run.matching.bits[record["access_at"] + at]
        while held != np.uint64(0):
            label = record["lists_at"] + at * 64 + lowest_bit(held)
            held &= held - np.uint64(1)
            for entry in range(numbers[label], numbers[label + 1]):
                k = numbers[entry]
                false[FALSE_ROW, k >> 6] &= ~(np.uint64(1) << np.uint64(k & 63))


@kernel(types.void(RUN_TYPE, _i8, _i8), inner=True)
def join_sliced(run: Run, item: int, matcher: int) -> None:
    """Rule out by labels, then by values or, when few conditions are left, by evaluating them."""
    record, matched = run.matching.matchers[matcher], run.work.matched
    words = record["words"]
    for w in range(words):
        for row in range(OPEN_ROW + 1):
            matched[row, w] = run.matching.bits[record["fixed_at"] + row * words + w]
    match_labels(run, item, matcher)
    left = count_left(run, matcher)
    if left > 0:
        few = left <= CONDITIONS_A_COLUMN * record["columns"]
        if not few:
            load_attributes(run.base, run.plan, run.rows, item)
            match_columns(run, item, matcher)
        evaluate_open(run, item, matcher, few)


@kernel(types.void(RUN_TYPE, _i8, _i8), apart=True)
def match_conditions(run: Run, item: int, matcher: int) -> None:
    """Fill work.matched for the item: a condition holds when no row has its bit; false wins over unknown, unknown over an error.

    Bits past the last condition are set in FALSE_ROW.
    """
    if run.matching.matchers[matcher]["strategy"] == BY_LABEL:
        visit_lists(run, item, matcher)
        evaluate_open(run, item, matcher, True)
    else:
        join_sliced(run, item, matcher)
