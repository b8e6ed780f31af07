"""Decision ids as server.decision_id has them, written where they go."""

from typing import Final

import numpy as np
import numpy.typing as npt
from numba import types

from engine.dtypes.ledger import Integer
from engine.jit import frozen, kernel, writable
from engine.kernels.siphash import siphash24_of_three
from server.codec.dtypes import STAMP_TYPE, Stamp

_DIGITS: Final = frozen(np.frombuffer(b"0123456789ABCDEFGHJKMNPQRSTVWXYZ", np.uint8))
_SUBSCRIBER_DIGITS, _TAG_DIGITS = 13, 8
ID_BYTES_MAX: Final = 1 + 5 + 1 + 13 + 1 + _SUBSCRIBER_DIGITS + 1 + _TAG_DIGITS
_OUT = writable(np.uint8)


@kernel(types.int64(types.uint64), inner=True)
def digits_of(number: np.uint64) -> Integer:
    """Return how many digits of base 32 a number has: 0 for 0."""
    count = 0
    while number > np.uint64(0):
        number = number >> np.uint64(5)
        count += 1
    return count


@kernel(types.int64(_OUT, types.int64, types.uint64, types.int64), inner=True)
def put_digits(out: npt.NDArray[np.uint8], at: Integer, number: np.uint64, digits: Integer) -> Integer:
    """Write the last digits of a number; return where they end."""
    for i in range(digits):
        out[at + digits - 1 - i] = _DIGITS[np.int64((number >> np.uint64(5 * i)) & np.uint64(31))]
    return at + digits


@kernel(types.int64(_OUT, types.int64, types.int64), inner=True)
def put_decimal(out: npt.NDArray[np.uint8], at: Integer, number: Integer) -> Integer:
    """Write a number from 0 up as people do; return where it ends."""
    digits, rest = 1, number // 10
    while rest > 0:
        digits += 1
        rest //= 10
    for i in range(digits):
        out[at + digits - 1 - i] = 48 + number % 10
        number //= 10
    return at + digits


@kernel(types.int64(_OUT, types.int64, STAMP_TYPE, types.uint64, types.uint64))
def put_decision_id(
    out: npt.NDArray[np.uint8], at: Integer, stamp: Stamp, sequence: np.uint64, subscriber: np.uint64
) -> Integer:
    """Write the id of a decision, its number 1 or more; return where it ends: at most ID_BYTES_MAX on."""
    shard = stamp.shard[0]
    out[at] = 115  # s
    at = put_decimal(out, at + 1, shard)
    out[at] = 45  # -
    at = put_digits(out, at + 1, sequence, digits_of(sequence))
    out[at] = 45
    at = put_digits(out, at + 1, subscriber, _SUBSCRIBER_DIGITS)
    out[at] = 45
    tag = siphash24_of_three(np.uint64(shard), sequence, subscriber, stamp.id_key[0], stamp.id_key[1])
    return put_digits(out, at + 1, tag >> np.uint64(24), _TAG_DIGITS)
