"""Pages of reserved memory, taken before they are needed: the first touch of a page costs as much as a decision, and more on a virtual machine."""

import ctypes
import mmap
from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy.typing as npt

_POPULATE_WRITE: Final = 23
"""MADV_POPULATE_WRITE of Linux 5.14: as if every page were written to, but nothing is."""
_PART_BYTES: Final = 16 << 20


def take_pages(arrays: Iterable[npt.NDArray[Any]], stopped: Callable[[], bool] = lambda: False) -> bool:
    """Have the system give all whole pages of the arrays now, some at a time, until `stopped` says so; others may use the arrays meanwhile.

    The GIL is free while the system works. Returns False when it cannot, as older kernels and other systems; then nothing is done.
    """
    madvise = getattr(ctypes.CDLL(None), "madvise", None)
    if madvise is None:
        return False
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for array in arrays:
        start = -(-array.ctypes.data // mmap.PAGESIZE) * mmap.PAGESIZE
        end = (array.ctypes.data + array.nbytes) // mmap.PAGESIZE * mmap.PAGESIZE
        for part in range(start, end, _PART_BYTES):
            if stopped():
                return True
            if madvise(part, min(_PART_BYTES, end - part), _POPULATE_WRITE):
                return False
    return True
