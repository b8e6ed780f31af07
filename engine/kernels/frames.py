"""Frames of the journal: a header of 16 bytes, then the record, MessagePack.

bytes   0       4        8          16
        crc32c  length   sequence   record     numbers little-endian; the CRC32C is of all that follows it, the header's rest included
"""

import numpy as np
import numpy.typing as npt
from numba import types

from engine.jit import kernel, read_only, writable
from engine.kernels.crc32c import crc32c
from engine.kernels.siphash import Int, half_word, whole_word

HEADER_BYTES = 16
NOT_WHOLE, DAMAGED, OUT_OF_TURN = -1, -2, -3
"""What `frame_end` says: the bytes end before the frame does; its checksum is wrong; it is whole, and another than the one that comes next."""


@kernel(types.void(writable(np.uint8), types.int64, types.uint64, types.int64), inner=True)
def _put_little(buffer: npt.NDArray[np.uint8], at: Int, number: np.uint64, count: Int) -> None:
    for k in range(count):
        buffer[at + k] = number >> np.uint64(8 * k) & np.uint64(0xFF)


@kernel(types.void(writable(np.uint8), types.int64, types.int64, types.int64), apart=True)
def seal_frame(buffer: npt.NDArray[np.uint8], start: Int, end: Int, sequence: Int) -> None:
    """Write the header of the frame [start, end) whose record lies behind it."""
    _put_little(buffer, start + 4, np.uint64(end - start - HEADER_BYTES), 4)
    _put_little(buffer, start + 8, np.uint64(sequence), 8)
    _put_little(buffer, start, np.uint64(crc32c(buffer, start + 4, end)), 4)


@kernel(types.int64(read_only(np.uint8), types.int64, types.int64), apart=True)
def frame_end(data: npt.NDArray[np.uint8], start: Int, sequence: Int) -> int:
    """Return where the frame at `start` ends if it is whole, right and numbered so; else NOT_WHOLE, DAMAGED or OUT_OF_TURN."""
    if start + HEADER_BYTES > len(data):
        return NOT_WHOLE
    end = start + HEADER_BYTES + np.int64(half_word(data, start + 4))
    if end > len(data):
        return NOT_WHOLE
    if crc32c(data, start + 4, end) != np.int64(half_word(data, start)):
        return DAMAGED
    return int(end) if np.int64(whole_word(data, start + 8)) == sequence else OUT_OF_TURN
