"""One demo server for this folder's tests, in a process of its own, over real gRPC."""

from collections.abc import Iterator

import pytest

from clients.demo.own_server import own_server


@pytest.fixture(scope="session")
def demo_address() -> Iterator[str]:
    """The address of a demo server that is ready."""
    with own_server() as address:
        yield address
