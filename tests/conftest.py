"""What all tests are run with."""

import pytest

from engine.jit import COMPILED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let kernels wrap around when they are plain Python: NumPy warns of it, also on the decision thread, where a test cannot say errstate."""
    if not COMPILED:
        for item in items:
            item.add_marker(pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning"))
