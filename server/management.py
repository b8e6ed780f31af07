"""The management port: GET /metrics, /livez, /readyz over HTTP/1.1, one answer a connection. It shows figures, never a subscriber."""

import asyncio
from collections.abc import Callable
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from server.security import check_address
from server.settings import SettingsError

_HEAD_BYTES_MAX: Final = 8_192
_PATIENCE_S: Final = 5.0
_CONNECTIONS_MAX: Final = 64
_PLAIN: Final = "text/plain; charset=utf-8"


class Management:
    """Serves the metrics of a registry, and whether the server lives and is ready (a reason when it is not, else empty)."""

    def __init__(self, registry: CollectorRegistry, unready: Callable[[], str]) -> None:
        self._registry = registry
        self._unready = unready
        self._server: asyncio.Server | None = None
        self._open = 0
        self.port = 0

    async def start(self, listen: str) -> None:
        """Listen on host:port or unix:<path>; raises SettingsError when that is not an address, OSError when it cannot be had."""
        if listen.startswith("unix:"):
            path = listen.removeprefix("unix:")
            self._server = await asyncio.start_unix_server(self._answer, path, limit=_HEAD_BYTES_MAX)
            return
        check_address("management_listen", listen)
        host, _, port = listen.rpartition(":")
        try:
            self._server = await asyncio.start_server(self._answer, host.strip("[]"), int(port), limit=_HEAD_BYTES_MAX)
        except UnicodeError:
            raise SettingsError(
                f"management_listen: expected host:port, was {listen!r}, whose host is no name"
            ) from None
        except OSError as error:
            raise OSError(f"management_listen: cannot listen on {listen}: {error.strerror or error}") from None
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening."""
        if self._server:
            self._server.close()
            await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= _CONNECTIONS_MAX:
                async with asyncio.timeout(_PATIENCE_S):
                    head = await reader.readuntil(b"\r\n\r\n")
                    line = head.partition(b"\r\n")[0].decode("latin-1")
                    # Workers are asked for their metrics when someone asks here.
                    writer.write(await asyncio.to_thread(self._response, line))
                    await writer.drain()
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self._open -= 1
            writer.close()

    def _response(self, request_line: str) -> bytes:
        method, _, rest = request_line.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        if method not in ("GET", "HEAD"):
            return _http("405 Method Not Allowed", _PLAIN, b"expected GET\n")
        if path == "/metrics":
            return _http("200 OK", CONTENT_TYPE_LATEST, generate_latest(self._registry))
        if path == "/livez":
            return _http("200 OK", _PLAIN, b"ok\n")
        if path == "/readyz":
            reason = self._unready()
            return _http("503 Service Unavailable" if reason else "200 OK", _PLAIN, f"{reason or 'ok'}\n".encode())
        return _http("404 Not Found", _PLAIN, b"expected /metrics, /livez or /readyz\n")


def _http(status: str, kind: str, body: bytes) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode("latin-1") + body
