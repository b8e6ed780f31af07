"""Each fault of the proxy, over real sockets: what arrives, when, and how a connection ends."""

import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from tests.faults.proxy import Proxy, running_proxy

QUICK_S = 0.5


class Echo(socketserver.BaseRequestHandler):
    """Sends back what comes; when nothing more comes, says so and ends."""

    def handle(self) -> None:
        try:
            while data := self.request.recv(65_536):
                self.request.sendall(data)
            self.request.sendall(b"[end]")
        except ConnectionError:
            return


class Server(socketserver.ThreadingTCPServer):
    """Leaves nothing running."""

    daemon_threads = True
    allow_reuse_address = True


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with Server(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        with running_proxy("127.0.0.1", server.server_address[1]) as proxy:
            yield proxy
        server.shutdown()
        thread.join()


def connected(proxy: Proxy) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
    client.settimeout(5)
    return client


def read(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = client.recv(size - len(data))
        if not more:
            break
        data += more
    return data


def asked(client: socket.socket, data: bytes) -> float:
    """Send, read as much back, and return how long that took."""
    started_s = time.monotonic()
    client.sendall(data)
    assert read(client, len(data)) == data
    return time.monotonic() - started_s


def is_reset(proxy: Proxy) -> bool:
    """Return whether a new connection is reset, as it begins or at its first read."""
    try:
        with connected(proxy) as client:
            client.recv(1)
            return False
    except ConnectionResetError:
        return True


def test_without_faults_all_gets_through(proxy: Proxy) -> None:
    with connected(proxy) as client:
        large = bytes(range(256)) * 4_000
        thread = threading.Thread(target=client.sendall, args=(large,))
        thread.start()
        assert read(client, len(large)) == large
        thread.join()
        client.shutdown(socket.SHUT_WR)
        assert read(client, 100) == b"[end]"
    assert proxy.bytes_to_server == len(large)
    assert proxy.accepted == 1


def test_a_delay_is_switched_on_and_off_while_it_runs(proxy: Proxy) -> None:
    with connected(proxy) as client:
        assert asked(client, b"one") < QUICK_S
        proxy.to_server.delay_s = 0.6
        assert asked(client, b"two") >= 0.6
        proxy.to_client.delay_s = 0.3
        assert asked(client, b"three") >= 0.9
        proxy.heal()
        assert asked(client, b"four") < QUICK_S


def test_a_throttle_lets_so_much_through(proxy: Proxy) -> None:
    with connected(proxy) as client:
        proxy.to_client.bytes_per_s = 20_000
        assert asked(client, bytes(10_000)) >= 0.45


def test_slices_come_one_by_one(proxy: Proxy) -> None:
    with connected(proxy) as client:
        proxy.to_client.slice_bytes = 3
        client.sendall(b"123456789")
        pieces = [client.recv(100) for _ in range(3)]
    assert pieces == [b"123", b"456", b"789"]


def test_a_blackhole_tells_nobody_and_lets_go_on_afterwards(proxy: Proxy) -> None:
    with connected(proxy) as client:
        asked(client, b"before")
        proxy.to_server.blackhole = True
        client.sendall(b"during")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(5)
        proxy.heal()
        assert read(client, 6) == b"during"


def test_a_reset_ends_connections_with_an_error_and_new_ones_are_taken(proxy: Proxy) -> None:
    with connected(proxy) as client:
        asked(client, b"before")
        assert proxy.open_connections == 1
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        assert proxy.open_connections == 0
    with connected(proxy) as client:
        asked(client, b"after")


def test_a_half_close_towards_the_server_leaves_the_way_back(proxy: Proxy) -> None:
    with connected(proxy) as client:
        asked(client, b"before")
        proxy.half_close(towards_server=True)
        assert read(client, 100) == b"[end]"


def test_a_half_close_towards_the_client_leaves_the_way_there(proxy: Proxy) -> None:
    with connected(proxy) as client:
        asked(client, b"before")
        proxy.half_close(towards_server=False)
        assert client.recv(1) == b""
        sent = proxy.bytes_to_server
        client.sendall(b"still")
        end_s = time.monotonic() + 5
        while proxy.bytes_to_server < sent + 5 and time.monotonic() < end_s:
            time.sleep(0.01)
        assert proxy.bytes_to_server == sent + 5


def test_refused_connections_are_reset(proxy: Proxy) -> None:
    proxy.refusing = True
    assert is_reset(proxy)
    proxy.heal()
    with connected(proxy) as client:
        asked(client, b"after")


def test_a_server_that_is_not_there_is_a_reset(proxy: Proxy) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
    with running_proxy("127.0.0.1", port) as alone:
        assert is_reset(alone)
