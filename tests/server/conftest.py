"""One operator, and one server of each front for the tests that only ask."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.jit import COMPILED
from tests.server.operator_fixture import Operator, write_operator
from tests.server.running import Running, running, settings_for


@pytest.fixture(scope="session")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Operator:
    return write_operator(tmp_path_factory.mktemp("operator"))


@pytest.fixture(scope="session", params=["grpcio", "native"])
def server(operator: Operator, request: pytest.FixtureRequest) -> Iterator[Running]:
    """Each front in its turn."""
    with running(settings_for(operator, front=request.param)) as started:
        yield started


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "operator"
    made.mkdir()
    return made


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let kernels wrap around when they are plain Python: numpy warns of it, on the decision thread, where a test cannot say errstate."""
    for item in items:
        if not COMPILED and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning"))
