"""Operations of a condition's program on cells: each takes its operands from the top of the stack and leaves one result."""

from typing import Any

from numba import types

from engine.dtypes.condition import ERROR, STACK_TYPE, TRUE, UNKNOWN
from engine.dtypes.operation import (
    ADD,
    ADD_DOUBLE,
    ADD_SPAN,
    AND,
    AT_MOST_DOUBLE,
    AT_MOST_WHOLE,
    DIVIDE,
    DIVIDE_DOUBLE,
    EQUAL_DOUBLE,
    EQUAL_INSTANT,
    EQUAL_WHOLE,
    FIRST_SECOND,
    IN_DOUBLE,
    IN_WHOLE,
    INSTANT_BETWEEN,
    INSTANT_MINUS,
    INSTANT_OF_INT,
    INSTANT_PLUS,
    LAST_SECOND,
    LESS_DOUBLE,
    LESS_INSTANT,
    LESS_WHOLE,
    MULTIPLY,
    MULTIPLY_DOUBLE,
    NEGATE,
    NEGATE_DOUBLE,
    NOT,
    SELECT,
    SPAN_PART,
    SUBTRACT,
    SUBTRACT_DOUBLE,
    SUBTRACT_SPAN,
    TO_DOUBLE,
    Failure,
)
from engine.jit import kernel
from engine.kernels.cel_load import put
from engine.kernels.cel_number import (
    INT_MIN,
    adds,
    bits_of_double,
    divide_doubles,
    double_of_bits,
    multiplies,
    quotient_of,
    subtracts,
)
from engine.kernels.cel_time import SECOND_NS, span_part

DIVISION_BY_ZERO = int(Failure.DIVISION_BY_ZERO)
REMAINDER_BY_ZERO = int(Failure.REMAINDER_BY_ZERO)
INT_RANGE = int(Failure.INT_RANGE)
DURATION_RANGE = int(Failure.DURATION_RANGE)
TIMESTAMP_RANGE = int(Failure.TIMESTAMP_RANGE)
DOUBLE_TO_INT = int(Failure.DOUBLE_TO_INT)
TWO_63 = 9223372036854775808.0

_i8, _f8, _b1, _void = types.int64, types.float64, types.boolean, types.void


@kernel(_b1(STACK_TYPE, _i8, _i8), inner=True)
def blocked(stack: Any, first: int, count: int) -> bool:
    """Return whether an operand in stack[first : first + count] is no value; stack[first] is then the result.

    The names of all unknown operands together; else the first error.
    """
    unknown, error = 0, 0
    for at in range(first, first + count):
        status = stack[at]["status"]
        if status == UNKNOWN:
            unknown |= int(stack[at]["value"])
        elif status == ERROR and error == 0:
            error = int(stack[at]["value"])
    if unknown != 0:
        put(stack, first, UNKNOWN, unknown, 0)
    elif error != 0:
        put(stack, first, ERROR, error, 0)
    return unknown != 0 or error != 0


@kernel(_void(STACK_TYPE, _i8, _i8), inner=True)
def _absorb(stack: Any, first: int, absorbing: int) -> None:
    """AND (absorbing 0) and OR (absorbing 1) of two cells."""
    for at in range(first, first + 2):
        if stack[at]["status"] == TRUE and stack[at]["value"] == absorbing:
            put(stack, first, TRUE, absorbing, 0)
            return
    if not blocked(stack, first, 2):
        put(stack, first, TRUE, 1 - absorbing, 0)


@kernel(_i8(STACK_TYPE, _i8, _i8), inner=True)
def run_logic(stack: Any, op: int, top: int) -> int:
    """Run a logical operation with `top` cells on the stack; return the new count."""
    if op == NOT:
        if stack[top - 1]["status"] == TRUE:
            put(stack, top - 1, TRUE, 1 - int(stack[top - 1]["value"]), 0)
        return top
    if op == SELECT:
        first = top - 3
        if stack[first]["status"] == TRUE:
            chosen = first + 1 if stack[first]["value"] != 0 else first + 2
            put(stack, first, int(stack[chosen]["status"]), int(stack[chosen]["value"]), int(stack[chosen]["nanos"]))
        return top - 2
    _absorb(stack, top - 2, 0 if op == AND else 1)
    return top - 1


@kernel(_i8(STACK_TYPE, _i8, _i8), inner=True)
def _order_instants(stack: Any, a: int, b: int) -> int:
    """Return -1, 0 or 1 as the timestamp in stack[a] is before, at or after that in stack[b]."""
    left, right = int(stack[a]["value"]), int(stack[b]["value"])
    if left == right:
        left, right = int(stack[a]["nanos"]), int(stack[b]["nanos"])
    return -1 if left < right else (1 if left > right else 0)


@kernel(_b1(STACK_TYPE, _i8, _i8, _i8), inner=True)
def _compare(stack: Any, op: int, a: int, b: int) -> bool:
    """Return the comparison of the values in stack[a] and stack[b]."""
    left, right = int(stack[a]["value"]), int(stack[b]["value"])
    if op == EQUAL_WHOLE:
        return left == right
    if op == LESS_WHOLE:
        return left < right
    if op == AT_MOST_WHOLE:
        return left <= right
    if op == EQUAL_DOUBLE:
        return double_of_bits(left) == double_of_bits(right)
    if op == LESS_DOUBLE:
        return double_of_bits(left) < double_of_bits(right)
    if op == AT_MOST_DOUBLE:
        return double_of_bits(left) <= double_of_bits(right)
    order = _order_instants(stack, a, b)
    if op == EQUAL_INSTANT:
        return order == 0
    return order < 0 if op == LESS_INSTANT else order <= 0


@kernel(_i8(STACK_TYPE, _i8, _i8, _i8), inner=True)
def run_compare(stack: Any, op: int, count: int, top: int) -> int:
    """Run a comparison, or a test of membership among `count` elements, with `top` cells on the stack; return the new count."""
    if op < IN_WHOLE:
        first = top - 2
        if not blocked(stack, first, 2):
            put(stack, first, TRUE, 1 if _compare(stack, op, first, first + 1) else 0, 0)
        return first + 1
    first = top - 1 - count
    equal = EQUAL_WHOLE if op == IN_WHOLE else (EQUAL_DOUBLE if op == IN_DOUBLE else EQUAL_INSTANT)
    if not blocked(stack, first, count + 1):
        found = False
        for at in range(first + 1, top):
            found = found or _compare(stack, equal, first, at)
        put(stack, first, TRUE, 1 if found else 0, 0)
    return first + 1


@kernel(_void(STACK_TYPE, _i8, _i8, _i8, _i8), inner=True)
def _integers(stack: Any, first: int, op: int, a: int, b: int) -> None:
    """Run a binary operation of int64 into stack[first]."""
    if op == ADD and adds(a, b):
        put(stack, first, TRUE, a + b, 0)
    elif op == SUBTRACT and subtracts(a, b):
        put(stack, first, TRUE, a - b, 0)
    elif op == MULTIPLY and multiplies(a, b):
        put(stack, first, TRUE, a * b, 0)
    elif op < DIVIDE or (a == INT_MIN and b == -1):
        put(stack, first, ERROR, INT_RANGE, 0)
    elif b == 0:
        put(stack, first, ERROR, DIVISION_BY_ZERO if op == DIVIDE else REMAINDER_BY_ZERO, 0)
    else:
        quotient = quotient_of(a, b)
        put(stack, first, TRUE, quotient if op == DIVIDE else a - quotient * b, 0)


@kernel(_i8(STACK_TYPE, _i8, _i8, _i8), inner=True)
def run_integers(stack: Any, op: int, part: int, top: int) -> int:
    """Run an operation on int64 or durations with `top` cells on the stack; return the new count."""
    arity = 1 if op in (NEGATE, SPAN_PART) else 2
    first = top - arity
    if blocked(stack, first, arity):
        return first + 1
    a = int(stack[first]["value"])
    if op == NEGATE:
        put(stack, first, ERROR if a == INT_MIN else TRUE, INT_RANGE if a == INT_MIN else -a, 0)
        return first + 1
    if op == SPAN_PART:
        put(stack, first, TRUE, span_part(a, part), 0)
        return first + 1
    b = int(stack[first + 1]["value"])
    if op in (ADD_SPAN, SUBTRACT_SPAN):
        _integers(stack, first, ADD if op == ADD_SPAN else SUBTRACT, a, b)
        if stack[first]["status"] == ERROR:
            put(stack, first, ERROR, DURATION_RANGE, 0)
    else:
        _integers(stack, first, op, a, b)
    return first + 1


@kernel(_f8(_i8, _f8, _f8), inner=True)
def _doubles(op: int, a: float, b: float) -> float:
    """Return a binary operation of float64."""
    if op == ADD_DOUBLE:
        return a + b
    if op == SUBTRACT_DOUBLE:
        return a - b
    if op == MULTIPLY_DOUBLE:
        return a * b
    assert op == DIVIDE_DOUBLE
    return divide_doubles(a, b)


@kernel(_i8(STACK_TYPE, _i8, _i8), inner=True)
def run_doubles(stack: Any, op: int, top: int) -> int:
    """Run an operation on float64, or a conversion, with `top` cells on the stack; return the new count."""
    arity = 1 if op >= NEGATE_DOUBLE else 2
    first = top - arity
    if blocked(stack, first, arity):
        return first + 1
    value = int(stack[first]["value"])
    if op == TO_DOUBLE:
        put(stack, first, TRUE, bits_of_double(float(value)), 0)
        return first + 1
    a = double_of_bits(value)
    if arity == 2:
        put(stack, first, TRUE, bits_of_double(_doubles(op, a, double_of_bits(int(stack[first + 1]["value"])))), 0)
    elif op == NEGATE_DOUBLE:
        put(stack, first, TRUE, value ^ INT_MIN, 0)
    elif -TWO_63 < a < TWO_63:
        put(stack, first, TRUE, int(a), 0)
    else:
        put(stack, first, ERROR, DOUBLE_TO_INT, 0)
    return first + 1


@kernel(_void(STACK_TYPE, _i8, _i8, _i8), inner=True)
def _put_instant(stack: Any, at: int, seconds: int, nanos: int) -> None:
    """Write a timestamp whose `nanos` may lie up to a second outside [0, 1 s), or the error that it is out of range."""
    carry = nanos // SECOND_NS
    seconds += carry
    nanos -= carry * SECOND_NS
    if seconds < FIRST_SECOND or seconds > LAST_SECOND:
        put(stack, at, ERROR, TIMESTAMP_RANGE, 0)
    else:
        put(stack, at, TRUE, seconds, nanos)


@kernel(_void(STACK_TYPE, _i8, _i8), inner=True)
def _between(stack: Any, a: int, b: int) -> None:
    """Write the duration from stack[b] to stack[a] into stack[a]."""
    seconds = int(stack[a]["value"]) - int(stack[b]["value"])
    nanos = int(stack[a]["nanos"]) - int(stack[b]["nanos"])
    if seconds < 0:  # both parts of one sign, so that the sum overflows only when the duration does
        seconds += 1
        nanos -= SECOND_NS
    if multiplies(seconds, SECOND_NS) and adds(seconds * SECOND_NS, nanos):
        put(stack, a, TRUE, seconds * SECOND_NS + nanos, 0)
    else:
        put(stack, a, ERROR, DURATION_RANGE, 0)


@kernel(_i8(STACK_TYPE, _i8, _i8), inner=True)
def run_instants(stack: Any, op: int, top: int) -> int:
    """Run an operation on timestamps with `top` cells on the stack; return the new count."""
    arity = 2 if op in (INSTANT_PLUS, INSTANT_MINUS, INSTANT_BETWEEN) else 1
    first = top - arity
    if blocked(stack, first, arity):
        return first + 1
    seconds, nanos = int(stack[first]["value"]), int(stack[first]["nanos"])
    if op == INSTANT_BETWEEN:
        _between(stack, first, first + 1)
    elif arity == 2:
        span = int(stack[first + 1]["value"])
        whole = span // SECOND_NS
        rest = span - whole * SECOND_NS
        if op == INSTANT_PLUS:
            _put_instant(stack, first, seconds + whole, nanos + rest)
        else:
            _put_instant(stack, first, seconds - whole, nanos - rest)
    elif op == INSTANT_OF_INT:
        in_range = FIRST_SECOND <= seconds <= LAST_SECOND
        put(stack, first, TRUE if in_range else ERROR, seconds if in_range else TIMESTAMP_RANGE, 0)
    else:
        put(stack, first, TRUE, seconds, 0)
    return first + 1
