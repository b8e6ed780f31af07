"""Evaluation of bound conditions: the terms of a condition against one item of a view, and the programs that some terms are."""

from typing import Any

from numba import types

from engine.dtypes.condition import (
    CONDITION_TABLES_TYPE,
    ERROR,
    FALSE,
    FIXED,
    KNOWN,
    LABELS_ALL,
    LABELS_NONE,
    MASK,
    PROGRAM,
    RANGE_DOUBLE,
    RANGE_TEXT,
    TERM,
    TRUE,
    UNKNOWN,
    ZONE_SLOT,
    ConditionTables,
)
from engine.dtypes.operation import GROUP, INSTANT_PART, MILLISECONDS, Failure
from engine.dtypes.view import VIEW_TYPE, View
from engine.jit import kernel, read_only
from engine.kernels.cel_load import LABELS_TYPE, is_known, label_state, put, run_load
from engine.kernels.cel_number import double_order
from engine.kernels.cel_operate import blocked, run_compare, run_doubles, run_instants, run_integers, run_logic
from engine.kernels.cel_time import instant_part
from engine.kernels.cel_zone import NO_ZONE, utc_offset_s

NOT_A_ZONE = int(Failure.NOT_A_ZONE)

_i8 = types.int64


@kernel(_i8(CONDITION_TABLES_TYPE, VIEW_TYPE, _i8, _i8, _i8), inner=True)
def _run_instant_part(tables: ConditionTables, view: View, item: int, at: int, top: int) -> int:
    """Replace the timestamp on top by a part of it; the zone is code[at].b, or the subscriber's when that is negative."""
    stack, first = tables.stack, top - 1
    part, zone = int(tables.code[at]["a"]), int(tables.code[at]["b"])
    if zone < 0:
        zone = int(view.zone[item])
        put(stack, top, TRUE if zone >= 0 else UNKNOWN, 1 << int(tables.code[at]["name"]), 0)
        if blocked(stack, first, 2):
            return top
    elif blocked(stack, first, 1):
        return top
    seconds = int(stack[first]["value"])
    offset = utc_offset_s(tables.zones, zone, seconds)
    if offset == NO_ZONE:
        put(stack, first, ERROR, NOT_A_ZONE, 0)
    elif part == MILLISECONDS:
        put(stack, first, TRUE, int(stack[first]["nanos"]) // 1_000_000, 0)
    else:
        put(stack, first, TRUE, instant_part(seconds + offset, part), 0)
    return top


@kernel(_i8(CONDITION_TABLES_TYPE, VIEW_TYPE, _i8, _i8, _i8), apart=True)
def run_program(tables: ConditionTables, view: View, item: int, first: int, count: int) -> int:
    """Run code[first : first + count]; return the status of the result, which is stack[0]."""
    top = 0
    for at in range(first, first + count):
        op = int(tables.code[at]["op"])
        group = op // GROUP
        if group == 0:
            top = run_load(tables, view, item, at, top)
        elif group == 1:
            top = run_logic(tables.stack, op, top)
        elif group == 2:
            top = run_compare(tables.stack, op, int(tables.code[at]["a"]), top)
        elif group == 3:
            top = run_integers(tables.stack, op, int(tables.code[at]["a"]), top)
        elif group == 4:
            top = run_doubles(tables.stack, op, top)
        elif op == INSTANT_PART:
            top = _run_instant_part(tables, view, item, at, top)
        else:
            top = run_instants(tables.stack, op, top)
    return int(tables.stack[0]["status"])


@kernel(_i8(read_only(MASK), LABELS_TYPE, LABELS_TYPE, _i8, _i8, _i8), inner=True)
def _no_label(masks: Any, present: Any, fresh: Any, item: int, first: int, count: int) -> int:
    """Return TRUE when the item has none of the labels of masks[first : first + count], FALSE when one is present and fresh, else UNKNOWN."""
    stale = False
    for at in range(first, first + count):
        word = masks[at]["word"]
        held = present[item, word] & masks[at]["bits"]
        if held & fresh[item, word] != 0:
            return FALSE
        stale = stale or held != 0
    return UNKNOWN if stale else TRUE


@kernel(_i8(read_only(TERM), _i8, _i8), inner=True)
def _in_range(terms: Any, term: int, value: int) -> int:
    """Return a range term's result for the value of its slot."""
    inside = terms[term]["low"] <= value <= terms[term]["high"]
    return TRUE if inside != (terms[term]["negated"] != 0) else FALSE


@kernel(_i8(CONDITION_TABLES_TYPE, VIEW_TYPE, _i8, _i8, _i8), inner=True)
def _in_text_range(tables: ConditionTables, view: View, item: int, term: int, slot: int) -> int:
    """Return the result of a range of what a text table has for the slot's string."""
    if not is_known(view.known, view.zone, item, slot):
        return UNKNOWN
    code = int(view.zone[item]) if slot == ZONE_SLOT else int(view.values[item, slot])
    return _in_range(tables.terms, term, int(tables.numbers[tables.terms[term]["base"] + code]))


@kernel(_i8(CONDITION_TABLES_TYPE, VIEW_TYPE, _i8, _i8), inner=True)
def _plain_term(tables: ConditionTables, view: View, item: int, term: int) -> int:
    """Return the result of a term that is neither of labels nor a program."""
    terms = tables.terms
    kind, slot = terms[term]["kind"], int(terms[term]["slot"])
    if kind == FIXED:
        return int(terms[term]["low"])
    if kind == RANGE_TEXT:
        return _in_text_range(tables, view, item, term, slot)
    if kind == KNOWN:
        return TRUE if is_known(view.known, view.zone, item, slot) != (terms[term]["negated"] != 0) else FALSE
    if view.known[item, slot] == 0:
        return UNKNOWN
    value = int(view.values[item, slot])
    return _in_range(terms, term, double_order(value) if kind == RANGE_DOUBLE else value)


@kernel(_i8(CONDITION_TABLES_TYPE, VIEW_TYPE, _i8, _i8), inner=True)
def _term_result(tables: ConditionTables, view: View, item: int, term: int) -> int:
    """Return FALSE, TRUE, UNKNOWN or ERROR for terms[term]; only programs are a call, the rest is inlined."""
    kind = tables.terms[term]["kind"]
    first, count = int(tables.terms[term]["base"]), int(tables.terms[term]["count"])
    if kind == LABELS_ALL:
        return label_state(tables.masks, view.present, view.fresh, item, first, count)
    if kind == LABELS_NONE:
        return _no_label(tables.masks, view.present, view.fresh, item, first, count)
    if kind == PROGRAM:
        status = run_program(tables, view, item, first, count)
        return status if status != TRUE else int(tables.stack[0]["value"])
    return _plain_term(tables, view, item, term)


@kernel(_i8(CONDITION_TABLES_TYPE, VIEW_TYPE, _i8, _i8))
def evaluate_term(tables: ConditionTables, view: View, item: int, term: int) -> int:
    """Return FALSE, TRUE, UNKNOWN or ERROR for terms[term]; a program leaves its result in stack[0]."""
    return _term_result(tables, view, item, term)


@kernel(types.boolean(CONDITION_TABLES_TYPE, VIEW_TYPE, _i8, _i8), inner=True)
def labels_rule_out(tables: ConditionTables, view: View, item: int, condition: int) -> bool:
    """Return whether a leading term of labels is false, so that nothing else of the condition need be looked at."""
    for term in range(tables.start[condition], tables.start[condition + 1]):
        if tables.terms[term]["kind"] > LABELS_NONE:
            return False
        if _term_result(tables, view, item, term) == FALSE:
            return True
    return False


@kernel(_i8(CONDITION_TABLES_TYPE, VIEW_TYPE, _i8, _i8), inner=True)
def condition_result(tables: ConditionTables, view: View, item: int, condition: int) -> int:
    """Return the result of a condition for one item of the view; mutates only tables.stack.

    Low 8 bits: FALSE when a term is false, else UNKNOWN when one is unknown, else ERROR when one is, else TRUE. The bits above: the number,
    within the condition, of the first term with that result; 0 when TRUE.
    """
    first = tables.start[condition]
    result, decided = TRUE, 0
    for term in range(first, tables.start[condition + 1]):
        status = _term_result(tables, view, item, term)
        if status == FALSE:
            return int(term - first) << 8
        if (status == UNKNOWN and result != UNKNOWN) or (status == ERROR and result == TRUE):
            result = status
            decided = int(term - first)
    return decided << 8 | result


@kernel(_i8(CONDITION_TABLES_TYPE, VIEW_TYPE, _i8, _i8), apart=True)
def evaluate_condition(tables: ConditionTables, view: View, item: int, condition: int) -> int:
    """Return `condition_result`, for callers in Python; kernels call that one, which is inlined."""
    return condition_result(tables, view, item, condition)


assert (LABELS_ALL, LABELS_NONE) == (0, 1)
assert (FALSE, TRUE, UNKNOWN, ERROR) == (0, 1, 2, 3), "the low byte of a result, and label_state"
