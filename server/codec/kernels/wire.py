"""Protobuf's wire format, read in place (https://protobuf.dev/programming-guides/encoding): the forms that well-formed messages of ours have.

What is legal but rare is not read here, it is reported as odd: numbers padded beyond their length, lengths of 256 MiB and more.
"""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numba import types

from engine.jit import kernel, read_only

Int: TypeAlias = int | np.integer[Any]
PAIR: Any = types.UniTuple(types.int64, 2)  # type: ignore[no-untyped-call]
LENGTH_BYTES_MAX = 4
"""A length takes at most so many bytes here."""


@kernel(PAIR(read_only(np.uint8), types.int64, types.int64), inner=True)
def length_at(text: npt.NDArray[np.uint8], at: Int, end: Int) -> tuple[Int, Int]:
    """Return (start, size) of what follows the length at `at`, lying before `end`; size is -1 when that is odd or beyond."""
    size: Int = 0
    shift = 0
    while at < end and shift < 7 * LENGTH_BYTES_MAX:
        byte = np.int64(text[at])
        at += 1
        size |= (byte & 127) << shift
        if byte < 128:
            return at, (size if size <= end - at else -1)
        shift += 7
    return at, -1
