"""One HTTP/2 connection of the load generator: preface, settings, pings and unknown header blocks in Python, everything frequent in kernels."""

import socket
import struct
import time
from typing import Final

import hpack
import numpy as np
import numpy.typing as npt

from bench.kernels.receiving import TABLE_CAME, read_frames
from bench.kernels.sending import write_calls
from bench.tables import check_table
from bench.wire import (
    BLOCK_BYTES_MAX,
    BLOCKS_MAX,
    FRAME_BYTES,
    NO_STATUS,
    Finished,
    Request,
    State,
    Tally,
    Word,
    new_slots,
)
from engine.jit import frozen

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, PING, GOAWAY, HEADERS = 4, 6, 7, 1
ACK: Final = 1
MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 3, 4, 5
WINDOW_MAX: Final = (1 << 31) - 1
WINDOW_DEFAULT: Final = 65_535
STREAM_ID_MAX: Final = (1 << 31) - 1
BUFFER_BYTES: Final = 1 << 18
PATIENCE_S: Final = 30.0
_READ_AT, _READ_END, _RECEIVED = int(State.READ_AT), int(State.READ_END), int(State.RECEIVED)
_NEXT_STREAM, _STREAM_MAX, _SENDING = int(State.NEXT_STREAM), int(State.STREAM_MAX), int(State.SENDING)
_IN_FLIGHT, _WANTED = int(State.IN_FLIGHT), int(State.WANTED)


class LoadError(Exception):
    """The load could not be driven: the server left, or spoke what no HTTP/2 server speaks."""


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return a frame's bytes."""
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


class Connection:
    """Calls in flight on one socket; `address` is host:port or unix:<path>."""

    def __init__(self, address: str, slots: int, answer_bytes_max: int, stream_id_max: int = STREAM_ID_MAX) -> None:
        self.socket = _connected(address)
        self.slots = new_slots(slots, answer_bytes_max)
        self.state = np.zeros(len(State), np.int64)
        # The same words for Python: indexing an array costs several times as much, and these are read for every few calls.
        self._words = self.state.data
        self._buffer = np.zeros(BUFFER_BYTES, np.uint8)
        self._view = self._buffer.data
        self._frozen = frozen(self._buffer)
        self._out = np.zeros(BUFFER_BYTES, np.uint8)
        self._out_view = self._out.data
        self._unsent = b""
        self._given: Request | None = None
        self._own: Request
        self._decoder = hpack.Decoder()
        self._leaving = False
        state = self.state
        state[State.NEXT_STREAM], state[State.STREAM_MAX] = 1, stream_id_max
        state[State.CALLS_MAX] = min(slots, 100)
        state[State.SEND_WINDOW] = state[State.STREAM_WINDOW_NEW] = WINDOW_DEFAULT
        state[State.FRAME_BYTES_MAX], state[State.START_AT] = 16_384, -1
        self._open(slots)

    def _open(self, slots: int) -> None:
        """Send the preface and wait for the server's settings: before them nobody knows how many calls it takes."""
        window = frame(8, 0, 0, struct.pack(">I", WINDOW_MAX - WINDOW_DEFAULT))
        self._calls_max = slots
        self._settled = False
        self.socket.sendall(
            PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, WINDOW_MAX)) + window
        )
        end = time.monotonic() + PATIENCE_S
        nothing = Finished(np.zeros(1, np.int64), np.zeros(1, np.uint64))
        while not self._settled:
            if time.monotonic() > end:
                raise LoadError(f"{self.socket.getpeername()}: no HTTP/2 settings within {PATIENCE_S:.0f} s")
            self.receive(np.zeros(len(Tally), np.int64), nothing, frozen(np.zeros(len(Word), np.uint64)))
        self.socket.setblocking(False)

    @property
    def exhausted(self) -> bool:
        """Whether its stream ids are used up, or the server asked to leave: calls must go to a new connection."""
        return self._leaving or self._words[_NEXT_STREAM] > self._words[_STREAM_MAX]

    @property
    def in_flight(self) -> int:
        """Calls that were begun and have not ended."""
        return int(self._words[_IN_FLIGHT])

    @property
    def sending(self) -> bool:
        """Whether a call's message is on its way, held up by windows or room."""
        return bool(self._words[_SENDING])

    def start_at(self, place: int) -> None:
        """Take the calls' starts from the intended ones, from this place on."""
        self.state[State.START_AT] = place

    @property
    def has_unsent(self) -> bool:
        """Whether bytes wait for the socket to take them."""
        return bool(self._unsent)

    def fileno(self) -> int:
        """Return the socket's number, for select."""
        return self.socket.fileno()

    def begin(
        self,
        request: Request,
        wanted: int,
        tally: npt.NDArray[np.int64],
        starts_ns: npt.NDArray[np.int64],
    ) -> int:
        """Begin up to `wanted` calls, and go on sending what is under way; returns how many were begun."""
        if self._unsent and not self._send(self._unsent):
            return 0
        wanted = 0 if self._leaving else wanted
        self._words[_WANTED] = wanted
        if request is not self._given:
            # A message that goes out in several pieces must not be overwritten by another connection's next call.
            self._given, self._own = request, request._replace(message=request.message.copy())
        size = write_calls(self._out, self._own, self.state, self.slots, tally, starts_ns, time.monotonic_ns())
        if size:
            self._send(self._out_view[:size])
        begun = wanted - self._words[_WANTED]
        self._words[_WANTED] = 0
        return int(begun)

    def _send(self, data: bytes | memoryview) -> bool:
        """Return whether all went out; what did not is kept for later."""
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        self._unsent = bytes(data[sent:]) if sent < len(data) else b""
        return not self._unsent

    def receive(
        self,
        tally: npt.NDArray[np.int64],
        finished: Finished,
        fixed: npt.NDArray[np.uint64],
    ) -> None:
        """Read what is there, and every call's end in it; `fixed` are the request's words. Raises LoadError when the server is gone."""
        words = self._words
        try:
            count = self.socket.recv_into(self._view[words[_READ_END] :])
        except BlockingIOError:
            return
        except ConnectionError as error:
            raise LoadError(f"the server ended the connection: {error}") from None
        if count == 0:
            raise LoadError("the server closed the connection")
        words[_READ_END] += count
        now_ns = time.monotonic_ns()
        while left := read_frames(self._frozen, self.state, self.slots, tally, finished, fixed, now_ns):
            if left == TABLE_CAME:
                self._read_table(tally, finished, int(fixed[Word.ITEMS]))
            else:
                self._read_rare()
        at, end = words[_READ_AT], words[_READ_END]
        if at < end:  # a part of a frame is left: to the buffer's start with it
            self._buffer[: end - at] = self._buffer[at:end].copy()
        words[_READ_AT], words[_READ_END] = 0, end - at
        if words[_RECEIVED] > WINDOW_MAX >> 2:
            self._say(frame(8, 0, 0, struct.pack(">I", words[_RECEIVED])))
            words[_RECEIVED] = 0

    def _say(self, data: bytes) -> None:
        """Send a control frame after whatever waits; never within a frame, since what waits ends with a whole one."""
        self._send(self._unsent + data)

    def _read_table(self, tally: npt.NDArray[np.int64], finished: Finished, items: int) -> None:
        """Check the answer that has just come."""
        slot = int(self.state[State.TABLE]) - 1
        self.state[State.TABLE] = 0
        room = len(self.slots.messages) // len(self.slots.calls)
        start, size = slot * room, min(int(self.slots.calls[slot]["bytes"]), room)
        check_table(self.slots.messages[start : start + size], items, tally, finished)

    def _read_rare(self) -> None:
        """Read the frame at READ_AT, which the kernel left."""
        at = int(self.state[State.READ_AT])
        length = int.from_bytes(self._view[at : at + 3], "big")
        kind, flags = int(self._buffer[at + 3]), int(self._buffer[at + 4])
        payload = bytes(self._view[at + FRAME_BYTES : at + FRAME_BYTES + length])
        if kind == HEADERS:
            self._learn(payload, flags)
            return
        if kind == SETTINGS and not flags & ACK:
            self._settings(payload)
            self._say(frame(SETTINGS, ACK, 0, b""))
        elif kind == PING and not flags & ACK:
            self._say(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            self._leaving = True
        elif kind not in (SETTINGS, PING, 2) and kind < 10:
            raise LoadError(f"expected frames that gRPC servers send, was one of type {kind} with flags {flags}")
        self.state[State.READ_AT] += FRAME_BYTES + length

    def _settings(self, payload: bytes) -> None:
        state = self.state
        for at in range(0, len(payload), 6):
            name, value = struct.unpack_from(">HI", payload, at)
            if name == MAX_CONCURRENT_STREAMS:
                self._calls_max = min(value, self._calls_max)
            elif name == INITIAL_WINDOW_SIZE:
                state[State.STREAM_WINDOW] += value - state[State.STREAM_WINDOW_NEW]
                state[State.STREAM_WINDOW_NEW] = value
            elif name == MAX_FRAME_SIZE:
                state[State.FRAME_BYTES_MAX] = value
        state[State.CALLS_MAX] = self._calls_max
        self._settled = True

    def _learn(self, block: bytes, flags: int) -> None:
        """Decode a header block; the kernel finds the status in DECODED, and knows the block from now on if it means the same next time."""
        if flags & ~(1 | 4):
            raise LoadError(f"expected header blocks whole and without padding, was one with flags {flags}")
        before = tuple(self._decoder.header_table.dynamic_entries)
        said = {name: value for name, value, *_ in self._decoder.decode(block, raw=True)}
        status = int(said[b"grpc-status"]) if b"grpc-status" in said else NO_STATUS
        if said.get(b":status", b"200") != b"200":
            status = int(said[b":status"])
        self.state[State.DECODED] = status + 2
        if tuple(self._decoder.header_table.dynamic_entries) != before:
            self.state[State.BLOCKS] = 0
        elif len(block) <= BLOCK_BYTES_MAX:
            place = int(self.state[State.BLOCKS]) % BLOCKS_MAX
            self.slots.blocks[place]["bytes"], self.slots.blocks[place]["status"] = len(block), status
            self.slots.block_bytes[place, : len(block)] = np.frombuffer(block, np.uint8)
            self.state[State.BLOCKS] = min(place + 1, BLOCKS_MAX)

    def close(self) -> None:
        """End the connection."""
        self.socket.close()


def _connected(address: str) -> socket.socket:
    if address.startswith("unix:"):
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.settimeout(PATIENCE_S)
        made.connect(address.removeprefix("unix:"))
        return made
    host, _, port = address.rpartition(":")
    made = socket.create_connection((host, int(port)), PATIENCE_S)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made
