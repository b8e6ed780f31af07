"""A client of HTTP/2 that says what it is told to, well-formed or not; one thread, blocking, with hpack for header blocks."""

import socket
import struct
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from hpack import Decoder, Encoder

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS = 0x1, 0x1, 0x4
FRAME_BYTES_MAX: Final = 16_384
CANCEL: Final = 8
DECIDE: Final = "/touchpoint.v1.DecisionService/Decide"
Headers = Iterable[tuple[str, str]]


class ConnectionEndedError(Exception):
    """The server ended the connection."""


@dataclass
class Reply:
    """What came on one stream."""

    headers: dict[str, str] = field(default_factory=dict)
    """Of all header blocks, trailers too."""
    data: bytes = b""
    ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> int | None:
        """The gRPC status; None without one."""
        return int(self.headers["grpc-status"]) if "grpc-status" in self.headers else None

    @property
    def message(self) -> str:
        """The gRPC message."""
        return unquote(self.headers.get("grpc-message", ""))


def message(payload: bytes, compressed: bool = False) -> bytes:
    """Return a gRPC message as it travels."""
    return struct.pack(">BI", compressed, len(payload)) + payload


class RawClient:
    """One connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._encoder = Encoder()
        self._decoder = Decoder(max_header_list_size=1 << 20)
        self._received = b""
        self._next_stream = 1
        self._stream_room = 65_535
        self._room: defaultdict[int, int] = defaultdict(lambda: self._stream_room)
        self._connection_room = 65_535
        self._block = b""
        self.replies: defaultdict[int, Reply] = defaultdict(Reply)
        self.pongs = 0
        self.goaway_error: int | None = None
        """Of the last GOAWAY; calls under way go on."""
        self.authority = "localhost"
        self._greeted = False
        connection.sendall(PREFACE)
        self.send(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 20))

    def greeted(self) -> "RawClient":
        """Return this, having read and acknowledged the server's settings: some limits hold from then on."""
        while not self._greeted:
            self.read()
        return self

    def close(self) -> None:
        """End the connection."""
        self.socket.close()

    def send(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        """Send one frame, whatever sense it makes."""
        self.socket.sendall(frame(kind, flags, stream, payload))

    def request(self, path: str = DECIDE, more: Headers = (), end: bool = False) -> int:
        """Begin a call and return its stream."""
        stream = self._next_stream
        self._next_stream += 2
        headers = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", self.authority)]
        headers += [("content-type", "application/grpc"), ("te", "trailers"), *more]
        block = self._encoder.encode(headers, huffman=False)
        kind = HEADERS
        while True:
            part, block = block[:FRAME_BYTES_MAX], block[FRAME_BYTES_MAX:]
            flags = (0 if block else END_HEADERS) | (END_STREAM if end and kind == HEADERS else 0)
            self.send(kind, flags, stream, part)
            if not block:
                return stream
            kind = CONTINUATION

    def data(self, stream: int, payload: bytes, end: bool = True) -> None:
        """Send data as the server makes room for it; stops when the server has ended the stream."""
        while payload:
            while min(self._room[stream], self._connection_room) <= 0 and not self.replies[stream].ended:
                self.read()
            if self.replies[stream].ended:
                return
            part = payload[: min(FRAME_BYTES_MAX, self._room[stream], self._connection_room)]
            payload = payload[len(part) :]
            self._room[stream] -= len(part)
            self._connection_room -= len(part)
            self.send(DATA, END_STREAM if end and not payload else 0, stream, part)

    def call(self, payload: bytes, path: str = DECIDE, more: Headers = ()) -> Reply:
        """Make one call with one message and return its reply."""
        stream = self.request(path, more)
        self.data(stream, payload)
        return self.reply(stream)

    def reply(self, stream: int) -> Reply:
        """Return the whole reply of a stream."""
        while not self.replies[stream].ended:
            self.read()
        return self.replies[stream]

    def reset(self, stream: int) -> None:
        """Give a call up."""
        self.send(RST_STREAM, 0, stream, struct.pack(">I", CANCEL))

    def read_until_ended(self) -> None:
        """Take frames until the server ends the connection; raises TimeoutError."""
        with suppress(ConnectionEndedError):
            while True:
                self.read()

    def read(self) -> None:
        """Take one frame; raises ConnectionEndedError, TimeoutError."""
        kind, flags, stream, payload = self._frame()
        if kind == SETTINGS and not flags & ACK:
            self._settings(payload)
        elif kind == PING:
            if flags & ACK:
                self.pongs += 1
            else:
                self.send(PING, ACK, 0, payload)
        elif kind == WINDOW_UPDATE:
            (more,) = struct.unpack(">I", payload)
            if stream:
                self._room[stream] += more
            else:
                self._connection_room += more
        elif kind == GOAWAY:
            self.goaway_error = struct.unpack(">II", payload[:8])[1]
        elif kind in (HEADERS, CONTINUATION, DATA, RST_STREAM):
            self._take(kind, flags, stream, payload)

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        reply = self.replies[stream]
        if kind == RST_STREAM:
            (reply.reset,) = struct.unpack(">I", payload)
            reply.ended = True
            return
        if kind == DATA:
            reply.data += payload
            if payload:
                self.send(WINDOW_UPDATE, 0, 0, struct.pack(">I", len(payload)))
        else:
            self._block += payload
            if flags & END_HEADERS:
                reply.headers |= {str(name): str(value) for name, value in self._decoder.decode(self._block)}
                self._block = b""
        reply.ended = reply.ended or (kind != CONTINUATION and bool(flags & END_STREAM))

    def _settings(self, payload: bytes) -> None:
        for at in range(0, len(payload), 6):
            name, value = struct.unpack_from(">HI", payload, at)
            if name == 4:
                for stream in self._room:
                    self._room[stream] += value - self._stream_room
                self._stream_room = value
        self._greeted = True
        self.send(SETTINGS, ACK, 0, b"")

    def _frame(self) -> tuple[int, int, int, bytes]:
        head = self._exactly(9)
        size = int.from_bytes(head[:3], "big")
        return head[3], head[4], int.from_bytes(head[5:9], "big") & 0x7FFFFFFF, self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        while len(self._received) < size:
            try:
                more = self.socket.recv(65_536)
            except ConnectionError as error:
                raise ConnectionEndedError(str(error)) from None
            if not more:
                raise ConnectionEndedError("closed")
            self._received += more
        taken, self._received = self._received[:size], self._received[size:]
        return taken


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return the bytes of one frame."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload
