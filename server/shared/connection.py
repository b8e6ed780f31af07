"""One long connection to one server: whole pipelines out, all their replies back, nothing sent twice.

A pipeline that is not answered in time leaves the connection of no use, since its replies may yet come, and its commands may yet be done. Nobody retries
it: every change names what it was based on, so that whoever asks again finds it done or does it.
Rejected: redis-py, whose pipeline costs several times as much for each command as all that is done here, and whose pool and retries are in the way.
"""

import socket
import time
from typing import Any, Final

import hiredis

from server.shared.address import Address

CONNECT_S: Final = 1.0
RECEIVE_BYTES: Final = 1 << 16
_NOTHING: Final = object()


class UnavailableError(Exception):
    """A server of the ledger did not answer, or not in time, or refused what it was told; the message names it and says why."""


class ReplyError(UnavailableError):
    """It answered with an error."""


class Connection:
    """An open connection; used by one thread at a time."""

    def __init__(self, address: Address, timeout_s: float) -> None:
        """Connect and be let in; raises UnavailableError."""
        self.address = address
        self._timeout_s = timeout_s
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        try:
            plain = socket.create_connection((address.host, address.port), max(timeout_s, CONNECT_S))
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            self._socket = address.tls.wrap_socket(plain, server_hostname=address.host) if address.tls else plain
        except (OSError, UnicodeError) as error:  # a host's name may be none
            raise UnavailableError(f"{address.name}: cannot be reached: {error}") from None
        self._socket.settimeout(timeout_s)
        try:
            self._enter(address)
        except UnavailableError:
            self.close()
            raise

    def _enter(self, address: Address) -> None:
        if address.password:
            self.command("AUTH", *([address.user] if address.user else []), address.password)
        if address.database:
            self.command("SELECT", str(address.database))
        self.command("PING")

    def command(self, *words: str | bytes) -> Any:
        """Return the reply to one command; raises UnavailableError, ReplyError for an error."""
        packed = hiredis.pack_command(words)  # type: ignore[arg-type]  # its stub has one word
        (reply,) = self.exchange(packed, 1)
        if isinstance(reply, hiredis.ReplyError):
            raise ReplyError(f"{self.address.name}: {reply}")
        return reply

    def exchange(self, pipeline: bytes, replies: int) -> list[Any]:
        """Return the replies to a pipeline, errors as hiredis.ReplyError; raises UnavailableError, after which the connection is of no use."""
        self.send(pipeline)
        return self.receive(replies)

    def send(self, pipeline: bytes) -> None:
        """Send a pipeline, whose replies are to be received next; raises UnavailableError."""
        try:
            self._socket.sendall(pipeline)
        except OSError as error:
            raise self._failed(error) from None

    def receive(self, replies: int) -> list[Any]:
        """Return so many replies; raises UnavailableError when they are not there in time: the timeout, and as much again for every 1,000 of them."""
        reader, found = self._reader, []
        end_s = time.monotonic() + self._timeout_s * (1 + replies / 1_000)
        try:
            while True:
                while (reply := reader.gets()) is not _NOTHING:
                    found.append(reply)
                if len(found) >= replies:
                    break
                data = self._socket.recv(RECEIVE_BYTES)
                if not data:
                    raise ConnectionResetError("it closed the connection")
                if time.monotonic() > end_s:
                    raise TimeoutError("timed out")
                reader.feed(data)
            if len(found) > replies:
                raise hiredis.ProtocolError(f"expected {replies} replies, were {len(found)}")
        except (OSError, hiredis.ProtocolError) as error:
            raise self._failed(error) from None
        return found

    def close(self) -> None:
        """Close; what was sent may yet be done."""
        self._socket.close()

    def _failed(self, error: Exception) -> UnavailableError:
        self.close()
        return UnavailableError(f"{self.address.name}: {error}")
