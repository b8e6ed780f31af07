"""Numbers of conditions: doubles in an order of int64, decimals as doubles, and int64 arithmetic with its bounds checked beforehand."""

import numpy as np
from numba import types

from engine.jit import kernel

INT_MAX = (1 << 63) - 1
INT_MIN = -(1 << 63)
EXACT_MAX = 1 << 53
"""Every int of this size or smaller is a double."""

_i8, _f8, _b1 = types.int64, types.float64, types.boolean


@kernel(_f8(_i8))
def double_of_bits(bits: int) -> float:
    """Return the float64 whose bits are `bits`."""
    return float(np.int64(bits).view(np.float64))


@kernel(_i8(_f8))
def bits_of_double(value: float) -> int:
    """Return the bits of a float64."""
    return int(np.float64(value).view(np.int64))


@kernel(_i8(_i8))
def double_order(bits: int) -> int:
    """Return an int64 that orders doubles as they compare, -0.0 (-1) before 0.0 (0); NaN lies beyond the infinities."""
    return bits if bits >= 0 else bits ^ INT_MAX


@kernel(_f8(_i8, _i8), inner=True)
def _long_division(value: int, divisor: int) -> float:
    """Return |value| / divisor rounded once, for |value| > 2**53 and divisor 10 to 10**18: 55 bits or more and a sticky bit."""
    negative = value if value < 0 else -value  # |int64 min| is no int64
    quotient = -(negative // divisor)
    rest = negative % divisor
    if rest > 0:
        quotient -= 1
        rest = divisor - rest
    shift = 0
    while quotient < 1 << 54:  # |value| / divisor > 2**-7, so at most 62 times
        rest *= 2
        quotient *= 2
        shift += 1
        if rest >= divisor:
            rest -= divisor
            quotient += 1
    if rest > 0:
        quotient |= 1
    return float(quotient) / float(1 << shift)


@kernel(_f8(_i8, _i8))
def decimal_double(value: int, divisor: int) -> float:
    """Return the double nearest to value / divisor, ties to even; `divisor` is 10**scale, scale 0 to 18.

    10**18 has 42 significant bits, so up to 2**53 both are doubles and IEEE division rounds once.
    """
    if divisor == 1:
        return float(value)
    if -EXACT_MAX <= value <= EXACT_MAX:
        return float(value) / float(divisor)
    size = _long_division(value, divisor)
    return size if value > 0 else -size


@kernel(_f8(_f8, _f8))
def divide_doubles(a: float, b: float) -> float:
    """Return IEEE a / b; spelled out for zero, where Python raises."""
    if b != 0.0:
        return a / b
    if a == 0.0 or a != a:
        return float(np.nan)
    return float(np.copysign(np.inf, a) * np.copysign(1.0, b))


@kernel(_b1(_i8, _i8))
def adds(a: int, b: int) -> bool:
    """Return whether a + b is an int64."""
    return a <= INT_MAX - b if b > 0 else a >= INT_MIN - b


@kernel(_b1(_i8, _i8))
def subtracts(a: int, b: int) -> bool:
    """Return whether a - b is an int64."""
    return a >= INT_MIN + b if b > 0 else a <= INT_MAX + b


@kernel(_b1(_i8, _i8))
def multiplies(a: int, b: int) -> bool:
    """Return whether a * b is an int64."""
    if a == 0 or b == 0:
        return True
    if a == INT_MIN:
        return b == 1
    if b == INT_MIN:
        return a == 1
    return abs(a) <= INT_MAX // abs(b)


@kernel(_i8(_i8, _i8))
def quotient_of(a: int, b: int) -> int:
    """Return a / b truncated toward zero; b != 0 and not (int64 min / -1)."""
    floor = a // b
    return floor + 1 if floor < 0 and floor * b != a else floor
