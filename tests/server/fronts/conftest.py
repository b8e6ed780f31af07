"""The doors, each with its server, shared by the whole suite."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.server.fronts.doors import ALL_DOORS, Door, envoy, opened
from tests.server.operator_fixture import Operator


def _plain(name: str) -> Any:
    @pytest.fixture(scope="session", name=name)
    def fixture(operator: Operator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
        with opened(name, operator, tmp_path_factory.mktemp(name)) as (server, token):
            yield Door(name, server, server.serving.port, token=token)

    return fixture


grpcio_door = _plain("grpcio")
native_door = _plain("native")
workers_door = _plain("workers")


@pytest.fixture(scope="session", name="envoy-l7")
def l7_door(native: Door, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with envoy("l7", tmp_path_factory.mktemp("l7"), native.server) as (port, process_id):
        yield Door("envoy-l7", native.server, port, tls=True, process_ids=(process_id,))


@pytest.fixture(scope="session", name="envoy-l4")
def l4_door(operator: Operator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("l4")
    with (
        opened("envoy-l4", operator, folder) as (server, token),
        envoy("l4", folder, server) as (port, process_id),
    ):
        yield Door("envoy-l4", server, port, tls=True, token=token, process_ids=(process_id,))


@pytest.fixture(scope="session", params=ALL_DOORS)
def door(request: pytest.FixtureRequest) -> Door:
    """Each door in its turn."""
    found: Door = request.getfixturevalue(request.param)
    return found
