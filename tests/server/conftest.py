"""One operator, and one server of each front for the tests that only ask."""

from collections.abc import Iterator
from pathlib import Path

import pytest

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
