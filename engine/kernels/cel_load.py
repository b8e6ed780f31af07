"""Loads of a condition's program: each pushes one cell, from the view or the tables."""

from typing import Any

import numpy as np
from numba import types

from engine.dtypes.condition import (
    CONDITION_TABLES_TYPE,
    ERROR,
    MASK,
    STACK_TYPE,
    TRUE,
    UNKNOWN,
    ZONE_SLOT,
    ConditionTables,
)
from engine.dtypes.operation import (
    FAIL,
    FIRST_SECOND,
    LAST_SECOND,
    LOAD,
    LOAD_DECIMAL,
    LOAD_KNOWN,
    LOAD_SPAN,
    LOAD_TEXT,
    PUSH,
    Failure,
)
from engine.dtypes.view import VIEW_TYPE, View
from engine.jit import kernel, read_only, writable
from engine.kernels.cel_number import bits_of_double, decimal_double
from engine.kernels.cel_time import SECOND_NS

TIMESTAMP_RANGE = int(Failure.TIMESTAMP_RANGE)
DURATION_RANGE = int(Failure.DURATION_RANGE)

KNOWN_TYPE: Any = writable(np.uint8, 2)
ZONE_CODE_TYPE: Any = writable(np.int32)
LABELS_TYPE: Any = writable(np.uint64, 2)

_i8 = types.int64


@kernel(types.void(STACK_TYPE, _i8, _i8, _i8, _i8), inner=True)
def put(stack: Any, at: int, status: int, value: int, nanos: int) -> None:
    """Write one cell."""
    stack[at]["status"] = status
    stack[at]["value"] = value
    stack[at]["nanos"] = nanos


@kernel(types.boolean(KNOWN_TYPE, ZONE_CODE_TYPE, _i8, _i8), inner=True)
def is_known(known: Any, zone: Any, item: int, slot: int) -> bool:
    """Return whether a slot (View.known), or the zone (View.zone), has a value."""
    if slot == ZONE_SLOT:
        return bool(zone[item] >= 0)
    return bool(known[item, slot] != 0)


@kernel(_i8(read_only(MASK), LABELS_TYPE, LABELS_TYPE, _i8, _i8, _i8), inner=True)
def label_state(masks: Any, present: Any, fresh: Any, item: int, first: int, count: int) -> int:
    """Return 0 when a label of masks[first : first + count] is absent, else 2 when one is not fresh, else 1."""
    stale = False
    for at in range(first, first + count):
        word = masks[at]["word"]
        bits = masks[at]["bits"]
        if present[item, word] & bits != bits:
            return 0
        stale = stale or fresh[item, word] & bits != bits
    return UNKNOWN if stale else TRUE


@kernel(types.void(STACK_TYPE, _i8, _i8, _i8), inner=True)
def _put_span(stack: Any, at: int, seconds: int, nanos: int) -> None:
    """Write a duration as nanoseconds, or the error that it is out of range."""
    if seconds >= 0:
        if seconds > 9_223_372_036 or (seconds == 9_223_372_036 and nanos > 854_775_807):
            put(stack, at, ERROR, DURATION_RANGE, 0)
        else:
            put(stack, at, TRUE, seconds * SECOND_NS + nanos, 0)
    elif seconds < -9_223_372_037 or (seconds == -9_223_372_037 and nanos < 145_224_192):
        put(stack, at, ERROR, DURATION_RANGE, 0)
    else:
        put(stack, at, TRUE, (seconds + 1) * SECOND_NS + (nanos - SECOND_NS), 0)


@kernel(types.void(CONDITION_TABLES_TYPE, VIEW_TYPE, _i8, _i8, _i8), inner=True)
def _load_slot(tables: ConditionTables, view: View, item: int, at: int, top: int) -> None:
    """Push the slot that instruction `at` names, which is known."""
    stack = tables.stack
    op, slot, operand = int(tables.code[at]["op"]), int(tables.code[at]["a"]), int(tables.code[at]["b"])
    if op == LOAD_TEXT:
        code = int(view.zone[item]) if slot == ZONE_SLOT else int(view.values[item, slot])
        put(stack, top, TRUE, int(tables.numbers[operand + code]), 0)
        return
    value, nanos = int(view.values[item, slot]), int(view.nanos[item, slot])
    if op == LOAD:
        put(stack, top, TRUE, value, 0)
    elif op == LOAD_DECIMAL:
        put(stack, top, TRUE, bits_of_double(decimal_double(value, int(tables.constants[operand]["value"]))), 0)
    elif op == LOAD_SPAN:
        _put_span(stack, top, value, nanos)
    elif value < FIRST_SECOND or value > LAST_SECOND:
        put(stack, top, ERROR, TIMESTAMP_RANGE, 0)
    else:
        put(stack, top, TRUE, value, nanos)


@kernel(_i8(CONDITION_TABLES_TYPE, VIEW_TYPE, _i8, _i8, _i8), inner=True)
def run_load(tables: ConditionTables, view: View, item: int, at: int, top: int) -> int:
    """Run the load at code[at] with `top` cells on the stack; return the new count."""
    stack = tables.stack
    op, a = int(tables.code[at]["op"]), int(tables.code[at]["a"])
    name = int(tables.code[at]["name"])
    if op == PUSH:
        put(stack, top, TRUE, int(tables.constants[a]["value"]), int(tables.constants[a]["nanos"]))
    elif op == FAIL:
        put(stack, top, ERROR, a, 0)
    elif op <= LOAD_TEXT:
        if is_known(view.known, view.zone, item, a):
            _load_slot(tables, view, item, at, top)
        else:
            put(stack, top, UNKNOWN, 1 << name, 0)
    elif op == LOAD_KNOWN:
        put(stack, top, TRUE, 1 if is_known(view.known, view.zone, item, a) else 0, 0)
    else:
        state = label_state(tables.masks, view.present, view.fresh, item, a, 1)
        if state == UNKNOWN:
            put(stack, top, UNKNOWN, 1 << name, 0)
        else:
            put(stack, top, TRUE, state, 0)
    return top + 1
