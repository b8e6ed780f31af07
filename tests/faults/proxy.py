"""A TCP proxy on loopback whose faults are switched while it runs, from any thread: delay, throttle, slice, blackhole, reset, half-close, refuse.

with running_proxy("127.0.0.1", 6379) as proxy:
    connect to 127.0.0.1:<proxy.port>
    proxy.to_server.delay_s = 0.2
    proxy.to_client.blackhole = True
    proxy.reset()
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

T = TypeVar("T")
CHUNK_BYTES: Final = 64 << 10
STEP_S: Final = 0.01
"""How often what waits looks whether the faults have changed."""
PATIENCE_S: Final = 10.0
_ABORT: Final = struct.pack("ii", 1, 0)
"""Linger for no time: closing sends a reset."""


@dataclass(slots=True)
class Faults:
    """What is wrong with one direction."""

    delay_s: float = 0.0
    """How long each piece is kept back; pieces stay in order."""
    bytes_per_s: float = 0.0
    """How much gets through; 0: all there is."""
    slice_bytes: int = 0
    """The largest piece that is sent at once; 0: any."""
    blackhole: bool = False
    """Nothing gets through, and nobody is told; what came meanwhile goes on once it ends."""


@dataclass(slots=True)
class _Connection:
    """A client's connection and the one to the server that stands for it."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    task: "asyncio.Task[None]"


class Proxy:
    """Forwards connections to one server; `running_proxy` starts and ends it."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.server_port = host, port
        self.to_server, self.to_client = Faults(), Faults()
        self.refusing = False
        """New connections are reset at once."""
        self.port = 0
        """Where it listens."""
        self.accepted = 0
        """How many connections came."""
        self.bytes_to_server = self.bytes_to_client = 0
        self._loop = asyncio.new_event_loop()
        self._connections: list[_Connection] = []
        self._ended: set[asyncio.StreamWriter] = set()
        """Those to which nothing more goes, by a half-close."""
        self._listening: asyncio.Server | None = None

    @property
    def open_connections(self) -> int:
        """Return how many connections are open."""
        return len(self._connections)

    def heal(self) -> None:
        """Let everything through again."""
        self.to_server, self.to_client, self.refusing = Faults(), Faults(), False

    def reset(self) -> None:
        """End every open connection with a reset, on both sides."""
        self._do(self._reset())

    def half_close(self, *, towards_server: bool) -> None:
        """End one direction of every open connection: that side is told that nothing more comes, the other direction goes on."""
        self._do(self._half_close(towards_server))

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_S)

    async def _start(self) -> None:
        self._listening = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._listening.sockets[0].getsockname()[1]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            if self.refusing:
                raise ConnectionError
            server_reader, server_writer = await asyncio.open_connection(self.host, self.server_port)
        except OSError:
            _abort(writer)
            return
        task = asyncio.current_task()
        assert task is not None
        connection = _Connection(writer, server_writer, task)
        self._connections.append(connection)
        try:
            await asyncio.gather(
                self._forward(reader, server_writer, towards_server=True),
                self._forward(server_reader, writer, towards_server=False),
            )
        except (OSError, asyncio.CancelledError):
            _abort(writer)
            _abort(server_writer)
        finally:
            self._connections.remove(connection)
            for side in (writer, server_writer):
                self._ended.discard(side)
                side.close()

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, towards_server: bool
    ) -> None:
        """Forward one direction until its end, which is forwarded too."""
        while data := await reader.read(CHUNK_BYTES):
            while data:
                faults = self.to_server if towards_server else self.to_client
                piece = data[: faults.slice_bytes] if faults.slice_bytes else data
                await self._keep_back(len(piece), towards_server)
                if writer in self._ended or writer.transport.is_closing():
                    return
                writer.write(piece)
                await writer.drain()
                data = data[len(piece) :]
                if towards_server:
                    self.bytes_to_server += len(piece)
                else:
                    self.bytes_to_client += len(piece)
                if data:
                    await asyncio.sleep(STEP_S)  # so that slices arrive as such
        with suppress(OSError, RuntimeError):
            writer.write_eof()

    async def _keep_back(self, size: int, towards_server: bool) -> None:
        """Wait as long as the direction's faults have a piece wait."""
        faults = self.to_server if towards_server else self.to_client
        wait_s = faults.delay_s + (size / faults.bytes_per_s if faults.bytes_per_s else 0.0)
        if wait_s:
            await asyncio.sleep(wait_s)
        while (self.to_server if towards_server else self.to_client).blackhole:
            await asyncio.sleep(STEP_S)

    async def _reset(self) -> None:
        tasks = [connection.task for connection in self._connections]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _half_close(self, towards_server: bool) -> None:
        for connection in self._connections:
            side = connection.server if towards_server else connection.client
            self._ended.add(side)
            await side.drain()
            with suppress(OSError, RuntimeError):
                side.write_eof()

    async def _stop(self) -> None:
        if self._listening is not None:
            self._listening.close()
        await self._reset()


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close with a reset."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
    writer.transport.abort()


@contextmanager
def running_proxy(host: str, port: int) -> Iterator[Proxy]:
    """Start a proxy to a server in a thread of its own, and end it, with its connections, at the end."""
    proxy = Proxy(host, port)
    thread = threading.Thread(target=proxy._loop.run_forever, name="proxy", daemon=True)
    thread.start()
    try:
        proxy._do(proxy._start())
        yield proxy
    finally:
        proxy._do(proxy._stop())
        proxy._loop.call_soon_threadsafe(proxy._loop.stop)
        thread.join(PATIENCE_S)
        proxy._loop.close()
