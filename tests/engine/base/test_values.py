"""What an attribute takes, and how a wrong value is said."""

from decimal import Decimal

import pytest

from engine.base.schema import AttributeSpec
from engine.base.values import Value, check_text, encode_value
from engine.catalogue.terms import ValueType

CHARGES = AttributeSpec("charges", ValueType.DECIMAL, min=0, max=1000, scale=2)


@pytest.mark.parametrize(
    ("value", "said"),
    [(Decimal("9.999"), "was 9.999"), (Decimal("NaN"), "was NaN"), ("x", "was 'x'"), (True, "was True")],
)
def test_wrong_value_is_said_as_it_was_written(value: Value, said: str) -> None:
    with pytest.raises(ValueError, match="attribute charges: expected a number with at most 2 decimals") as caught:
        encode_value(CHARGES, value)
    assert str(caught.value).endswith(said)


def test_text_that_is_too_long_is_said_cut_short() -> None:
    with pytest.raises(ValueError, match=r"expected a text of at most 1024 bytes in UTF-8, was 'x+$"):
        check_text(AttributeSpec("city", ValueType.STRING), "x" * 1025)
