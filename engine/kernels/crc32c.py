"""CRC32C (Castagnoli), the checksum of iSCSI, RFC 3720: it finds every burst of up to 32 wrong bits, and processors have it as an instruction."""

import numpy as np
import numpy.typing as npt
from numba import types

from engine.intrinsics import crc32c_word
from engine.jit import kernel, read_only
from engine.kernels.siphash import Int, byte_at, whole_word

_ALL = 0xFFFFFFFF
_POLYNOMIAL = 0x82F63B78
"""Its bits in the order in which they are sent."""


@kernel(types.int64(read_only(np.uint8), types.int64, types.int64), apart=True)
def crc32c(data: npt.NDArray[np.uint8], start: Int, stop: Int) -> int:
    """Return the CRC32C of bytes [start, stop)."""
    crc = np.uint64(_ALL)
    whole = start + (stop - start) // 8 * 8
    for at in range(start, whole, 8):
        crc = crc32c_word(crc, whole_word(data, at))
    for at in range(whole, stop):
        crc ^= byte_at(data, at)
        for _ in range(8):
            crc = crc >> np.uint64(1) ^ np.uint64(_POLYNOMIAL) * (crc & np.uint64(1))
    return int(crc ^ np.uint64(_ALL))
