"""Operations of a condition's program, and the failures that they can end in; the numbers are stored in rulebooks."""

from enum import IntEnum
from typing import Final

GROUP: Final = 32
"""Operation // GROUP is the kernel that runs it."""

# Loads: push one value.
PUSH, FAIL, LOAD, LOAD_DECIMAL, LOAD_INSTANT, LOAD_SPAN, LOAD_TEXT, LOAD_KNOWN, LOAD_LABEL = range(0, 9)
# Logic.
NOT, AND, OR, SELECT = range(32, 36)
# Comparisons; WHOLE: int, bool, texts by number, durations.
(
    EQUAL_WHOLE,
    LESS_WHOLE,
    AT_MOST_WHOLE,
    EQUAL_DOUBLE,
    LESS_DOUBLE,
    AT_MOST_DOUBLE,
    EQUAL_INSTANT,
    LESS_INSTANT,
    AT_MOST_INSTANT,
) = range(64, 73)
IN_WHOLE, IN_DOUBLE, IN_INSTANT = range(73, 76)
# int64 and durations (int64 nanoseconds).
ADD, SUBTRACT, MULTIPLY, DIVIDE, REMAINDER, NEGATE, ADD_SPAN, SUBTRACT_SPAN, SPAN_PART = range(96, 105)
# float64.
ADD_DOUBLE, SUBTRACT_DOUBLE, MULTIPLY_DOUBLE, DIVIDE_DOUBLE, NEGATE_DOUBLE, TO_DOUBLE, TO_INT = range(128, 135)
# Timestamps.
INSTANT_PLUS, INSTANT_MINUS, INSTANT_BETWEEN, INSTANT_OF_INT, INT_OF_INSTANT, INSTANT_PART = range(160, 166)


class Failure(IntEnum):
    """Why a value is an error."""

    DIVISION_BY_ZERO = 1
    REMAINDER_BY_ZERO = 2
    INT_RANGE = 3
    TIMESTAMP_RANGE = 4
    DURATION_RANGE = 5
    DOUBLE_TO_INT = 6
    NOT_A_TIMESTAMP = 7
    NOT_A_DURATION = 8
    NOT_A_NUMBER = 9
    NOT_A_ZONE = 10
    NOT_A_BOOL = 11


FAILURES: Final = {
    Failure.DIVISION_BY_ZERO: "division by zero",
    Failure.REMAINDER_BY_ZERO: "remainder of a division by zero",
    Failure.INT_RANGE: "integer overflow",
    Failure.TIMESTAMP_RANGE: "timestamp out of range (years 1 to 9999)",
    Failure.DURATION_RANGE: "duration out of range (64-bit nanoseconds, about 292 years)",
    Failure.DOUBLE_TO_INT: "double out of the range of int",
    Failure.NOT_A_TIMESTAMP: "not an RFC 3339 timestamp",
    Failure.NOT_A_DURATION: "not a duration",
    Failure.NOT_A_NUMBER: "not a number",
    Failure.NOT_A_ZONE: "not a time zone",
    Failure.NOT_A_BOOL: "not a bool",
}

# Parts of a timestamp in its zone, and of a duration.
YEAR, MONTH, DAY, DAY_OF_MONTH, DAY_OF_WEEK, DAY_OF_YEAR, HOURS, MINUTES, SECONDS, MILLISECONDS = range(10)

FIRST_SECOND: Final = -62_135_596_800
"""0001-01-01T00:00:00Z."""
LAST_SECOND: Final = 253_402_300_799
"""9999-12-31T23:59:59Z."""
