"""Ranges against the comparisons that they stand for, at and around every threshold."""

import math
import operator
import random
from fractions import Fraction

import numpy as np
import pytest

from engine.cel.ranges import decimal_range, double_range, whole_range
from engine.kernels.cel_number import bits_of_double, decimal_double, double_of_bits, double_order

COMPARE = {
    "_==_": operator.eq,
    "_!=_": operator.eq,
    "_<_": operator.lt,
    "_<=_": operator.le,
    "_>_": operator.gt,
    "_>=_": operator.ge,
}
"""`!=` is lowered to the range of `==`, negated."""
INT_MIN, INT_MAX = -(2**63), 2**63 - 1


def near(value: float) -> list[float]:
    return [math.nextafter(value, -math.inf), value, math.nextafter(value, math.inf)]


@pytest.mark.parametrize("scale", [0, 1, 2, 9, 18])
def test_decimal_range_at_thresholds_and_one_ulp_beside(scale: int) -> None:
    rng = random.Random(scale)
    values = [
        0,
        1,
        -1,
        7955,
        10**15 + 1,
        2**53,
        2**53 + 1,
        INT_MAX,
        INT_MIN,
        *(rng.randrange(INT_MIN, INT_MAX) for _ in range(20)),
    ]
    for value in values:
        for constant in (*near(value / 10**scale), 0.0, -0.0):
            for function, compare in COMPARE.items():
                low, high = decimal_range(function, constant, scale)
                for near_value in {*range(value - 3, value + 4), low, low - 1, high, high + 1}:
                    if INT_MIN <= near_value <= INT_MAX:
                        assert (low <= near_value <= high) == compare(near_value / 10**scale, constant)


@pytest.mark.parametrize("constant", [math.nan, math.inf, -math.inf, 1e300, -1e300])
def test_decimal_range_of_what_no_decimal_reaches(constant: float) -> None:
    for function, compare in COMPARE.items():
        low, high = decimal_range(function, constant, 2)
        for value in (INT_MIN, -1, 0, INT_MAX):
            assert (low <= value <= high) == compare(value / 100, constant)


ODD = [
    0.0,
    -0.0,
    5e-324,
    -5e-324,
    1.0,
    -1.0,
    1.7976931348623157e308,
    -1.7976931348623157e308,
    math.inf,
    -math.inf,
    math.nan,
    -math.nan,
]


@pytest.mark.parametrize("function", COMPARE)
def test_double_range_of_every_odd_pair(function: str) -> None:
    values = [*ODD, *(v for x in ODD for v in near(x))]
    for constant in values:
        low, high = double_range(function, constant)
        for value in values:
            assert (low <= double_order(bits_of_double(value)) <= high) == COMPARE[function](value, constant), (
                value,
                constant,
            )


@pytest.mark.parametrize("function", COMPARE)
def test_whole_range_at_the_ends(function: str) -> None:
    values = [INT_MIN, INT_MIN + 1, -1, 0, 1, INT_MAX - 1, INT_MAX]
    for constant in values:
        low, high = whole_range(function, constant)
        assert [low <= value <= high for value in values] == [COMPARE[function](value, constant) for value in values]


def test_decimal_double_rounds_once() -> None:
    rng = random.Random(5)
    for _ in range(4_000):
        scale = rng.randrange(19)
        value = rng.choice(
            (rng.randrange(INT_MIN, INT_MAX + 1), rng.randrange(-(2**54), 2**54), INT_MIN, INT_MAX, 2**53 + 1)
        )
        assert decimal_double(value, 10**scale) == float(Fraction(value, 10**scale))


def test_double_order_and_bits_are_those_of_numpy() -> None:
    values = [v for v in ODD if not math.isnan(v)]
    assert [bits_of_double(v) for v in values] == np.array(values).view(np.int64).tolist()
    assert [double_of_bits(bits_of_double(v)) for v in values] == values
    ordered = sorted(values, key=lambda v: (v, math.copysign(1, v)))
    assert sorted(values, key=lambda v: double_order(bits_of_double(v))) == ordered
