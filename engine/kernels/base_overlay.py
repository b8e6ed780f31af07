"""Puts persons into the overlay's table and changes onto their lists: after a change, and for all of them after a new snapshot."""

import numpy as np
import numpy.typing as npt
from numba import types

from engine.dtypes.base import CHANGE, PERSON
from engine.jit import kernel, writable


@kernel(types.void(writable(np.int32), writable(PERSON), types.int64, types.int64))
def insert_persons(table: npt.NDArray[np.int32], persons: npt.NDArray[np.void], start: int, stop: int) -> None:
    """Enter persons [start, stop), whose hashes are not in the table; its length is a power of two above twice their number."""
    mask = np.uint64(table.shape[0] - 1)
    for person in range(start, stop):
        slot = persons[person]["hash"] & mask
        while table[slot] != 0:
            slot = (slot + np.uint64(1)) & mask
        table[slot] = person + 1


@kernel(types.void(writable(PERSON), writable(CHANGE), types.int64, types.int64))
def link_changes(persons: npt.NDArray[np.void], changes: npt.NDArray[np.void], start: int, stop: int) -> None:
    """Put changes [start, stop) at the head of their persons' lists."""
    for change in range(start, stop):
        person = changes[change]["person"]
        changes[change]["next"] = persons[person]["head"]
        persons[person]["head"] = change
