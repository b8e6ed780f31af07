"""Long work beside a thread that must not wait: its steps call `breathe`, and whoever has it done says what then happens.

Where nobody said so, as at a start, nothing happens. No step may hold the interpreter for more than a fraction of a millisecond; what one call
of a library would do for longer is done some rows at a time (`array_of`).
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
import numpy.typing as npt

ROWS_AT_ONCE: Final = 256
BYTES_AT_ONCE: Final = 1 << 17


class _Breath(threading.local):
    taken: Callable[[], None] | None = None


_breath: Final = _Breath()


def breathe() -> None:
    """Let others go first if whoever called this thread's work wants that."""
    taken = _breath.taken
    if taken is not None:
        taken()


@contextmanager
def breathing(taken: Callable[[], None] | None) -> Iterator[None]:
    """Have `taken`, if it is one, called at each step of what this thread does within the block."""
    before, _breath.taken = _breath.taken, taken
    try:
        yield
    finally:
        _breath.taken = before


def array_of(rows: Sequence[Any], dtype: Any, *width: int) -> npt.NDArray[Any]:
    """Return (rows, *width) of a dtype: what np.array makes of the rows, made some at a time."""
    made = np.empty((len(rows), *width), dtype)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        made[start : start + ROWS_AT_ONCE] = rows[start : start + ROWS_AT_ONCE]
        breathe()
    return made
