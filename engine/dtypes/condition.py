"""Bound conditions: what the kernel reads for each of a rulebook's conditions against one base.

    condition c -> terms[start[c] : start[c + 1]]
    term        -> kind, and by kind: a range of a slot's value; masks[base : base + count]; code[base : base + count]
    text table  -> numbers[base + code]: what one string test gives for each code of one slot's dictionary

A term is 48 bytes, an instruction 16, a mask 16. Rejected: a column for each field of a term, because calling cost grows with the number of
arrays; jumps in programs, because every operation is total and cheap, so evaluating both sides is exact.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.dtypes.zone import ZONE_TABLES_TYPE, ZoneTables
from engine.jit import bundle, read_only, writable

FALSE, TRUE, UNKNOWN, ERROR = 0, 1, 2, 3
"""Results of a term or a condition."""

LABELS_ALL: Final = 0
"""Every label of the masks is present and fresh."""
LABELS_NONE: Final = 1
"""No label of the masks is present."""
RANGE: Final = 2
"""low <= value <= high, for bool, int and decimal slots."""
RANGE_DOUBLE: Final = 3
"""The same on doubles in the order of engine.kernels.cel_number.double_order; what is not a number lies outside every range."""
RANGE_TEXT: Final = 4
"""low <= numbers[base + code] <= high."""
KNOWN: Final = 5
"""The slot has a value; never unknown."""
PROGRAM: Final = 6
FIXED: Final = 7
"""The result is `low`."""

ZONE_SLOT: Final = -1
"""Stands for `subscriber.zone`, which is View.zone."""

TERM: Final = np.dtype(
    [
        ("kind", np.int32),
        ("slot", np.int32),
        ("base", np.int64),
        ("count", np.int64),
        ("low", np.int64),
        ("high", np.int64),
        ("negated", np.int64),  # 1: the term is true outside the range, or when the slot is not known
    ],
    align=True,
)
assert TERM.itemsize == 48

MASK: Final = np.dtype([("word", np.int64), ("bits", np.uint64)], align=True)

INSTRUCTION: Final = np.dtype(
    [
        ("op", np.int32),
        ("a", np.int32),
        ("b", np.int32),
        ("name", np.int32),  # the bit (0 to 62) that stands for this name in the set of an unknown value
    ],
    align=True,
)

CONSTANT: Final = np.dtype([("value", np.int64), ("nanos", np.int64)], align=True)

CELL: Final = np.dtype(
    [
        (
            "status",
            np.int64,
        ),  # TRUE: a value; UNKNOWN: value is the set of names, a bit each; ERROR: value is a Failure
        (
            "value",
            np.int64,
        ),  # bool 0/1; int; bits of the double; number of the text; duration in ns; timestamp in whole seconds
        ("nanos", np.int64),  # of a timestamp
    ],
    align=True,
)

STACK_MAX: Final = 512
NAMES_MAX: Final = 63
"""Names of one condition that an unknown value tells apart; the rest share the last bit."""


class ConditionTables(NamedTuple):
    """The bound conditions of a rulebook. `stack` is scratch: give each thread its own (engine.cel.bind.for_thread)."""

    start: npt.NDArray[np.int64]
    """(conditions + 1,)"""
    terms: npt.NDArray[np.void]
    """(terms,) TERM"""
    masks: npt.NDArray[np.void]
    """(masks,) MASK"""
    code: npt.NDArray[np.void]
    """(instructions,) INSTRUCTION"""
    constants: npt.NDArray[np.void]
    """(constants,) CONSTANT"""
    numbers: npt.NDArray[np.int32]
    """(rows,): text tables, one after the other; the interner fills the rows that are reserved for new strings."""
    stack: npt.NDArray[np.void]
    """(STACK_MAX,) CELL"""
    zones: ZoneTables
    """The base's zones, in its order, then those that conditions name."""


CONDITION_TABLES_TYPE: Any = bundle(
    ConditionTables,
    read_only(np.int64),
    read_only(TERM),
    read_only(MASK),
    read_only(INSTRUCTION),
    read_only(CONSTANT),
    read_only(np.int32),
    writable(CELL),
    ZONE_TABLES_TYPE,
)
STACK_TYPE: Any = writable(CELL)
