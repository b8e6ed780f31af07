"""What the load generator keeps of a connection: arrays that Python and the kernels share.

    buffer     [ done |..frames read..|..part of a frame..| room ]   bytes as they came
    state      [ words of one connection: see State ]
    calls      [ one CALL for each slot; stream id s has slot (s >> 1) & (slots - 1) ]
    messages   answer_bytes_max bytes for each slot: its answer as it comes together
    blocks     [ header blocks met before, with the status that each says ]
    tally      [ counts over all connections: see Tally ]

A header block that was met before is known by its bytes; one that was not goes to a full HPACK decoder and is then known, until the server
changes the dynamic table. So every answer's status is looked at, at the cost of comparing a few bytes.
"""

from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.jit import bundle, read_only, writable

FRAME_BYTES: Final = 9
PREFIX_BYTES: Final = 5
"""Before a gRPC message: whether it is compressed, and its length."""
BLOCKS_MAX: Final = 16
BLOCK_BYTES_MAX: Final = 512
NO_STATUS: Final = -1
"""A header block without grpc-status: the answer's first one."""
STATUS_RESET: Final = 100
"""The status of a call that the server reset."""
STATUS_MISSING: Final = 101
"""The status of a call that ended without one."""


class State(IntEnum):
    """Words of one connection."""

    READ_AT = 0
    """First byte of the buffer that was not read yet."""
    READ_END = 1
    NEXT_STREAM = 2
    STREAM_MAX = 3
    """Largest stream id that may be used; then a new connection is needed."""
    IN_FLIGHT = 4
    CALLS_MAX = 5
    """Calls that may be in flight: ours, or as many streams as the server allows."""
    WANTED = 6
    """Calls to begin."""
    SEND_WINDOW = 7
    STREAM_WINDOW = 8
    """What may still be sent on the stream that is being sent."""
    STREAM_WINDOW_NEW = 9
    """What may be sent on a new stream."""
    FRAME_BYTES_MAX = 10
    SENDING = 11
    """Stream whose message is being sent; 0: none."""
    SENT = 12
    """Bytes of its message that went out."""
    RECEIVED = 13
    """Bytes of data received since the last window update."""
    BLOCKS = 14
    """Header blocks known."""
    DECODED = 15
    """What the decoder said about the block at READ_AT, plus 2; 0: it was not asked."""
    START_AT = 16
    """Next of the intended starts; -1: calls start when they are sent."""
    TABLE = 17
    """Slot, plus 1, of a call that has just ended with a table, for Python to read; 0: none."""


class Tally(IntEnum):
    """Counts over all connections of one run."""

    CALLS = 0
    """Calls that ended."""
    FAILED = 1
    """Calls with another status than OK."""
    WRONG = 2
    """Calls whose answer was malformed, of another request, or an item's failure."""
    ITEMS = 3
    """Answers; a batch call has one for each item."""
    OFFERED = 4
    """Answers that held an offer and a decision id."""
    SEQUENCE = 5
    """Number of the next request: no two of a run, or of runs with other salts, have one id."""
    STATUS_LAST = 6
    """The last status that was not OK."""
    ANSWER_BYTES = 7
    """Bytes of all messages received."""
    LATE_NS = 8
    """Sum of how much later than intended calls were sent."""


CALL: Final = np.dtype(
    [
        ("start_ns", np.int64),  # when it was meant to be sent
        ("sequence", np.uint64),
        ("stream", np.int64),  # 0: the slot is free
        ("bytes", np.int64),  # of the message so far
    ]
)
BLOCK: Final = np.dtype([("bytes", np.int64), ("status", np.int64)])


class Request(NamedTuple):
    """How requests are written: one message, in which only ids and subscribers differ."""

    message: npt.NDArray[np.uint8]
    """The gRPC message with its prefix; scratch, of which the varying parts are overwritten for each call."""
    id_at: npt.NDArray[np.int64]
    """(items,): where each item's request id lies, 16 hexadecimal digits."""
    key_at: npt.NDArray[np.int64]
    """(items,): where the digits of each item's subscriber key lie."""
    headers: npt.NDArray[np.uint8]
    """The header block of every call."""
    words: npt.NDArray[np.uint64]
    """See Word."""


class Answer(IntEnum):
    """What an answer must be."""

    ANY = 0
    """A message of any kind: an empty handler's."""
    DECISION = 1
    """A DecideResponse."""
    BATCH = 2
    """A DecideBatchResponse with an answer for each item."""
    TABLE = 3
    """A DecideColumnsResponse with a row for each item."""


class Word(IntEnum):
    """What is fixed for a run."""

    SALT = 0
    """The first of its request ids."""
    SEED = 1
    """Draws the subscribers."""
    ROWS = 2
    """Subscribers: their numbers are 0 to ROWS - 1."""
    KEY_FIRST = 3
    """The key of subscriber i is (KEY_FIRST + i * KEY_STEP) modulo KEY_MODULUS, in KEY_DIGITS digits."""
    KEY_STEP = 4
    KEY_MODULUS = 5
    KEY_DIGITS = 6
    KIND = 7
    """Of answer; see Answer."""
    ITEMS = 8
    """Of a call."""


ID_DIGITS: Final = 16

REQUEST: Final[Any] = bundle(
    Request, writable(np.uint8), read_only(np.int64), read_only(np.int64), read_only(np.uint8), read_only(np.uint64)
)


class Finished(NamedTuple):
    """What is kept of calls that ended, in the order in which they did."""

    latency_ns: npt.NDArray[np.int64]
    decision: npt.NDArray[np.uint64]
    """A 64-bit digest of every decision id."""


FINISHED: Final[Any] = bundle(Finished, writable(np.int64), writable(np.uint64))


class Slots(NamedTuple):
    """One connection's calls in flight, their answers, and the header blocks that are known."""

    calls: npt.NDArray[Any]
    messages: npt.NDArray[np.uint8]
    blocks: npt.NDArray[Any]
    block_bytes: npt.NDArray[np.uint8]


SLOTS: Final[Any] = bundle(Slots, writable(CALL), writable(np.uint8), writable(BLOCK), writable(np.uint8, 2))


def new_slots(slots: int, answer_bytes_max: int) -> Slots:
    """Return room for `slots` calls, a power of two."""
    assert slots & (slots - 1) == 0, slots
    return Slots(
        calls=np.zeros(slots, CALL),
        messages=np.zeros(slots * answer_bytes_max, np.uint8),
        blocks=np.zeros(BLOCKS_MAX, BLOCK),
        block_bytes=np.zeros((BLOCKS_MAX, BLOCK_BYTES_MAX), np.uint8),
    )
