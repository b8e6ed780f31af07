"""MessagePack, the few forms of it that decided records have, written and read where they lie. Each kind of number has one form: rows need no second look.

u64 0xcf, i64 0xd3, u16 0xcd, u8 0xcc: big-endian behind the byte | bin 0xc6 and four bytes of length | array 0x90 + n, or 0xdd and four bytes | nil 0xc0
"""

import numpy as np
import numpy.typing as npt
from numba import types

from engine.jit import kernel, read_only, writable
from engine.kernels.siphash import Int, byte_at

NIL, U8, U16, U64, I64, BIN, ARRAY, SHORT_ARRAY = 0xC0, 0xCC, 0xCD, 0xCF, 0xD3, 0xC6, 0xDD, 0x90
OUT = writable(np.uint8)


@kernel(types.int64(OUT, types.int64, types.uint64, types.int64), inner=True)
def put_big(out: npt.NDArray[np.uint8], at: Int, number: np.uint64, count: Int) -> Int:
    """Write a number of `count` bytes, the highest first; return where it ends."""
    for k in range(count):
        out[at + k] = number >> np.uint64(8 * (count - 1 - k)) & np.uint64(0xFF)
    return at + count


@kernel(types.int64(OUT, types.int64, types.int64, types.uint64, types.int64), inner=True)
def put_form(out: npt.NDArray[np.uint8], at: Int, form: Int, number: np.uint64, count: Int) -> Int:
    """Write a form's byte and a number of `count` bytes behind it; return where that ends."""
    out[at] = form
    return put_big(out, at + 1, number, count)


@kernel(types.uint64(read_only(np.uint8), types.int64, types.int64), inner=True)
def big_at(data: npt.NDArray[np.uint8], at: Int, count: Int) -> np.uint64:
    """Return the number of `count` bytes at `at`, the highest first."""
    number = np.uint64(0)
    for k in range(count):
        number = number << np.uint64(8) | byte_at(data, at + k)
    return number


@kernel(types.boolean(read_only(np.uint8), types.int64, types.int64, types.int64, types.int64), inner=True)
def is_form(data: npt.NDArray[np.uint8], at: Int, end: Int, form: Int, count: Int) -> bool:
    """Return whether such a form, with `count` bytes behind it, lies at `at` before `end`."""
    return bool(at >= 0 and at + 1 + count <= end and byte_at(data, at) == np.uint64(form))
