"""What no door may be hurt by: bombs, floods, garbage, crowds of idle connections, oversized headers. Each ends with a call that is answered."""

import contextlib
import random
import socket
import time
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.server.fronts.doors import PATIENCE_S, Door
from tests.server.fronts.raw_http2 import (
    DATA,
    END_HEADERS,
    HEADERS,
    PREFACE,
    SETTINGS,
    ConnectionEndedError,
    RawClient,
    frame,
    message,
)
from tests.server.running import asking

MIB: Final = 1 << 20
BOMB_BYTES: Final = 256 * MIB
GROWTH_BYTES_MAX: Final = 64 * MIB
"""A few messages' worth; a bomb that goes off takes four times as much."""
FLOOD_BYTES_MAX: Final = 160 * MIB
"""Six thousand calls at once, of 10 KB and more each in grpcio."""
IDLE_CONNECTIONS: Final = 1_000
GZIP: Final = (("grpc-encoding", "gzip"),)
SEED: Final = 20_261_122


@cache
def bomb() -> bytes:
    """Return gzip of BOMB_BYTES zeros: less than a message's limit as it travels."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = b"".join(packer.compress(bytes(MIB)) for _ in range(BOMB_BYTES // MIB)) + packer.flush()
    assert len(packed) < MIB // 2
    return packed


def peak_growth_bytes(door: Door, act: Callable[[], None]) -> int:
    """Return by how much the resident memory of this process, and with it the server's, and of Envoy rose above its start at its highest."""
    processes = ("self", *map(str, door.process_ids))
    for process in processes:
        Path(f"/proc/{process}/clear_refs").write_text("5")
    before = sum(_status_bytes(process, "VmRSS") for process in processes)
    act()
    return sum(_status_bytes(process, "VmHWM") for process in processes) - before


def _status_bytes(process: str, name: str) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith(name + ":")]
    return int(line.split()[1]) * 1024


def answers(door: Door) -> None:
    """Assert that a call on a new connection is answered soon."""
    with contextlib.closing(RawClient(door.connect())) as client:
        client.socket.settimeout(PATIENCE_S)
        reply = client.call(message(asking(14, dry_run=True).SerializeToString()), more=door.metadata)
        assert reply.status == 0, reply
        assert reply.data


@pytest.fixture
def client(door: Door) -> Iterator[RawClient]:
    opened = RawClient(door.connect())
    opened.socket.settimeout(PATIENCE_S)
    yield opened.greeted()
    opened.close()
    answers(door)


def drop_bomb(client: RawClient, more: tuple[tuple[str, str], ...]) -> int | None:
    """Send a bomb; return the status, None when the call or connection was ended."""
    stream = client.request(more=(*GZIP, *more))
    try:
        client.data(stream, message(bomb(), compressed=True))
        return client.reply(stream).status
    except ConnectionEndedError:
        return None


@pytest.mark.parametrize("name", ["grpcio", "envoy-l7", "envoy-l4"])
def test_a_bomb_of_a_stranger_does_not_go_off(request: pytest.FixtureRequest, name: str) -> None:
    """Wherever peers are not trusted: the native front alone is not such a place, see test_differences."""
    door: Door = request.getfixturevalue(name)
    bomb()
    statuses: list[int | None] = []

    def throw() -> None:
        for _ in range(4):
            client = RawClient(door.connect())
            statuses.append(drop_bomb(client, ()))
            client.close()

    assert peak_growth_bytes(door, throw) < GROWTH_BYTES_MAX
    assert 0 not in statuses
    wanted = {"grpcio": 8, "envoy-l7": 12, "envoy-l4": 16}[name]
    assert set(statuses) <= {wanted, None}
    answers(door)


@pytest.mark.parametrize("name", ["grpcio", "envoy-l7"])
def test_an_endless_message_is_not_gathered(request: pytest.FixtureRequest, name: str) -> None:
    """A message that says 2 GB and sends 128 MiB of it is given up before that."""
    door: Door = request.getfixturevalue(name)
    chunk = bytes(MIB)

    def send() -> None:
        client = RawClient(door.connect())
        stream = client.request(more=door.metadata)
        with contextlib.suppress(ConnectionEndedError, OSError):
            client.data(stream, b"\0\x7f\xff\xff\xff", end=False)
            for _ in range(128):
                client.data(stream, chunk, end=False)
            assert client.reply(stream).status == 8
        client.close()

    assert peak_growth_bytes(door, send) < 48 * MIB
    answers(door)


def test_a_compressed_flag_without_a_compression_is_an_error(client: RawClient, door: Door) -> None:
    stream = client.request(more=door.metadata)
    client.data(stream, message(b"abc", compressed=True))
    assert client.reply(stream).status not in (0, None)


@pytest.mark.parametrize("body", [b"", b"\0\0", b"\0\0\0\0\x09abc", b"\x07\0\0\0\x01a"])
def test_a_cut_or_odd_message_is_an_error(client: RawClient, door: Door, body: bytes) -> None:
    """Or it is not answered before its deadline: see test_differences."""
    stream = client.request(more=(("grpc-timeout", "300m"), *door.metadata), end=not body)
    client.data(stream, body)
    reply = client.reply(stream)
    assert reply.status not in (0, None) or reply.reset is not None
    assert client.call(message(asking(14, dry_run=True).SerializeToString()), more=door.metadata).status == 0


@pytest.mark.parametrize("size", [30_000, 60_000, 100_000])
def test_an_oversized_header_block_ends_no_other_call(client: RawClient, door: Door, size: int) -> None:
    """A block over any limit fails its own call at most; the connection goes on. Where that ends is in test_differences."""
    many = tuple((f"x-large-{number}", "v" * 10_000) for number in range(size // 10_000))
    large = client.request(more=(*many, *door.metadata))
    client.data(large, message(asking(14, dry_run=True).SerializeToString()))
    reply = client.reply(large)
    assert reply.reset is not None or reply.headers[":status"] == "431" or reply.status in (0, 8), reply
    assert client.call(message(asking(14, dry_run=True).SerializeToString()), more=door.metadata).status == 0


def test_a_thousand_idle_connections_hinder_nobody(door: Door) -> None:
    idle: list[socket.socket] = []
    try:
        for _ in range(IDLE_CONNECTIONS):
            idle.append(door.connect())
            idle[-1].sendall(PREFACE + frame(SETTINGS, 0, 0, b""))
        began_s = time.monotonic()
        answers(door)
        assert time.monotonic() - began_s < 5
        last = RawClient(door.connect())
        for _ in range(20):
            assert last.call(message(asking(14, dry_run=True).SerializeToString()), more=door.metadata).status == 0
        last.close()
    finally:
        for each in idle:
            each.close()
    answers(door)


def settled(door: Door) -> None:
    end = time.monotonic() + PATIENCE_S
    while door.server.server.thread.load.waiting_items:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("body", [False, True])
def test_a_flood_of_resets_leaves_nothing_behind(door: Door, body: bool) -> None:
    """Rapid reset: calls begun and given up at once, thousands of them; a server may end the connection for it."""
    payload = message(asking(14, dry_run=True).SerializeToString())

    def flood() -> None:
        for _ in range(4):
            client = RawClient(door.connect())
            with contextlib.suppress(ConnectionEndedError, OSError):
                for _ in range(1_500):
                    stream = client.request(more=door.metadata)
                    if body:
                        client.send(DATA, 1, stream, payload)
                    client.reset(stream)
            client.close()

    assert peak_growth_bytes(door, flood) < FLOOD_BYTES_MAX
    settled(door)
    answers(door)


def test_calls_that_are_never_finished_hinder_nobody(door: Door) -> None:
    """Hundreds of calls whose message never comes, on one connection."""
    client = RawClient(door.connect())
    with contextlib.suppress(ConnectionEndedError, OSError):
        for _ in range(500):
            client.data(client.request(more=door.metadata), b"\0\0\0\x10\0abc", end=False)
    answers(door)
    client.close()
    settled(door)


def test_garbage_is_shown_the_door(door: Door) -> None:
    chance = random.Random(SEED)
    for number in range(60):
        with contextlib.closing(door.connect()) as connection, contextlib.suppress(OSError):
            garbage = chance.randbytes(chance.randrange(1, 20_000))
            connection.sendall(garbage if number % 2 else PREFACE + garbage)
            if number % 3 == 0:
                connection.settimeout(0.2)
                connection.recv(65_536)
    answers(door)


def test_cut_and_nonsense_frames_are_survived(door: Door) -> None:
    good = frame(SETTINGS, 0, 0, b"")
    nonsense = [
        frame(HEADERS, END_HEADERS, 1, b"\xff" * 50),
        frame(HEADERS, 0, 1, b""),
        frame(HEADERS, END_HEADERS, 2, b"\x82"),
        frame(DATA, 0, 99, b"x"),
        frame(DATA, 0, 0, b"x"),
        frame(SETTINGS, 0, 0, b"123"),
        frame(SETTINGS, 0, 1, b""),
        frame(8, 0, 0, bytes(4)),
        frame(8, 0, 0, b"\x7f\xff\xff\xff"),
        frame(9, END_HEADERS, 1, b"x"),
        frame(250, 255, 7, b"y" * 1_000),
        b"\xff\xff\xff\0\0\0\0\0\1",
        frame(HEADERS, END_HEADERS, 1, b"x")[:-1],
        frame(HEADERS, END_HEADERS, 1, b"")[:5],
    ]
    for each in nonsense:
        for repeated in (1, 20):
            with contextlib.closing(door.connect()) as connection, contextlib.suppress(OSError):
                connection.sendall(PREFACE + good + each * repeated)
    answers(door)


def test_a_flood_of_settings_and_pings_is_survived(door: Door) -> None:
    def flood() -> None:
        client = RawClient(door.connect())
        with contextlib.suppress(ConnectionEndedError, OSError):
            client.socket.sendall(frame(6, 0, 0, b"12345678") * 20_000)
        with contextlib.suppress(ConnectionEndedError, OSError):
            client.socket.sendall(frame(SETTINGS, 0, 0, b"") * 20_000)
        client.close()

    assert peak_growth_bytes(door, flood) < GROWTH_BYTES_MAX
    answers(door)


def test_a_header_block_without_an_end_is_not_gathered(door: Door) -> None:
    """CONTINUATION frames for ever."""

    def flood() -> None:
        client = RawClient(door.connect())
        with contextlib.suppress(ConnectionEndedError, OSError):
            client.send(HEADERS, 0, 1, b"")
            for _ in range(6_000):
                client.send(9, 0, 1, b"\x40\x01a\x7f\x81\x3e" + b"b" * 16_000)
        client.close()

    assert peak_growth_bytes(door, flood) < GROWTH_BYTES_MAX
    answers(door)
