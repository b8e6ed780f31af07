"""The test operator bound, and requests read both ways."""

import pytest

from tests.server.codec.both_ways import BothWays
from tests.server.operator_fixture import Operator


@pytest.fixture(scope="session")
def both(operator: Operator) -> BothWays:
    return BothWays(operator)


@pytest.fixture(scope="session")
def both_opaque(operator: Operator) -> BothWays:
    """The same, were subscribers' keys any text."""
    return BothWays(operator, "opaque")
