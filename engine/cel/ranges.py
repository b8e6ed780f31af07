"""Comparisons of a slot with a constant as ranges of the slot's int64, exact for every value of its type."""

import math
from collections.abc import Callable
from typing import Final

from engine.cel.literals import double_bits

INT_MIN: Final = -(1 << 63)
INT_MAX: Final = (1 << 63) - 1
EMPTY: Final = (1, 0)

Range = tuple[int, int]

FLIPPED: Final = {"_==_": "_==_", "_!=_": "_!=_", "_<_": "_>_", "_<=_": "_>=_", "_>_": "_<_", "_>=_": "_<=_"}
"""The comparison with its sides exchanged."""


def _between(function: str, at_least: int, above: int, lowest: int, highest: int) -> Range:
    """Return the range of a comparison from the first value that is >= the constant and the first that is > it."""
    low, high = {
        "_==_": (at_least, above - 1),
        "_!=_": (at_least, above - 1),
        "_<_": (lowest, at_least - 1),
        "_<=_": (lowest, above - 1),
        "_>_": (above, highest),
        "_>=_": (at_least, highest),
    }[function]
    return (low, high) if lowest <= low <= high <= highest else EMPTY


def whole_range(function: str, constant: int) -> Range:
    """Return (low, high), both included, of `slot function constant` on an int64; for `!=`, the range to negate."""
    return _between(function, constant, constant + 1, INT_MIN, INT_MAX)


def _first(holds: Callable[[int], bool]) -> int:
    """Return the first int64 for which `holds`, a test that stays true once it is; one more than the last int64 when none."""
    low, high = INT_MIN, INT_MAX + 1
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


def decimal_range(function: str, constant: float, scale: int) -> Range:
    """Return the range of the scaled integers i for which the double nearest to i / 10**scale compares so with `constant`.

    That double never falls as i grows, so bisection finds both ends; Python divides integers with a single rounding.
    """
    if math.isnan(constant):
        return EMPTY
    divisor = 10**scale
    at_least = _first(lambda value: value / divisor >= constant)
    above = _first(lambda value: value / divisor > constant)
    return _between(function, at_least, above, INT_MIN, INT_MAX)


def _order(value: float) -> int:
    bits = double_bits(value)
    return bits if bits >= 0 else bits ^ INT_MAX


def double_range(function: str, constant: float) -> Range:
    """Return the range in the order of engine.kernels.cel_number.double_order, in which -0.0 and 0.0 are neighbours and NaN is outside."""
    if math.isnan(constant):
        return EMPTY
    at_least = -1 if constant == 0.0 else _order(constant)
    above = (0 if constant == 0.0 else _order(constant)) + 1
    return _between(function, at_least, above, _order(-math.inf), _order(math.inf))
