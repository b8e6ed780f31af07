"""Calls written as HTTP/2 frames: a HEADERS frame that is always the same, and DATA with an id and a subscriber of its own."""

import numpy as np
import numpy.typing as npt
from numba import types

from bench.wire import (
    FRAME_BYTES,
    ID_DIGITS,
    REQUEST,
    SLOTS,
    Request,
    Slots,
    State,
    Tally,
    Word,
)
from engine.jit import kernel, read_only, writable
from engine.kernels.mix import mix64

READ_AT, NEXT_STREAM, STREAM_MAX = State.READ_AT.value, State.NEXT_STREAM.value, State.STREAM_MAX.value
IN_FLIGHT, CALLS_MAX, WANTED = State.IN_FLIGHT.value, State.CALLS_MAX.value, State.WANTED.value
SEND_WINDOW, STREAM_WINDOW = State.SEND_WINDOW.value, State.STREAM_WINDOW.value
STREAM_WINDOW_NEW, FRAME_BYTES_MAX = State.STREAM_WINDOW_NEW.value, State.FRAME_BYTES_MAX.value
SENDING, SENT, START_AT = State.SENDING.value, State.SENT.value, State.START_AT.value
SEQUENCE, LATE_NS = Tally.SEQUENCE.value, Tally.LATE_NS.value
SALT, SEED, ROWS, KEY_FIRST = Word.SALT.value, Word.SEED.value, Word.ROWS.value, Word.KEY_FIRST.value
KEY_STEP, KEY_MODULUS, KEY_DIGITS = Word.KEY_STEP.value, Word.KEY_MODULUS.value, Word.KEY_DIGITS.value
DATA, HEADERS = 0, 1
END_STREAM, END_HEADERS = 1, 4


@kernel(
    types.void(writable(np.uint8), types.int64, types.int64, types.int64, types.int64, types.int64),
    inner=True,
)
def _frame(out: npt.NDArray[np.uint8], at: int, length: int, kind: int, flags: int, stream: int) -> None:
    for k in range(3):
        out[at + k] = (length >> (16 - 8 * k)) & 255
    out[at + 3] = kind
    out[at + 4] = flags
    for k in range(4):
        out[at + 5 + k] = (stream >> (24 - 8 * k)) & 255


@kernel(types.void(writable(np.uint8), types.int64, types.uint64), inner=True)
def write_id(out: npt.NDArray[np.uint8], at: int, value: np.uint64) -> None:
    """Write `value` as 16 hexadecimal digits at `out[at]`."""
    for k in range(ID_DIGITS):
        digit = np.int64((value >> np.uint64(60 - 4 * k)) & np.uint64(15))
        out[at + k] = 48 + digit if digit < 10 else 87 + digit


@kernel(types.void(writable(np.uint8), types.int64, types.int64, types.int64), inner=True)
def write_digits(out: npt.NDArray[np.uint8], at: int, value: int, digits: int) -> None:
    """Write `value` as so many decimal digits at `out[at]`."""
    for k in range(digits - 1, -1, -1):
        out[at + k] = 48 + value % 10
        value //= 10


@kernel(types.uint64(types.uint64, types.uint64, types.uint64), inner=True)
def subscriber_of(seed: np.uint64, sequence: np.uint64, rows: np.uint64) -> np.uint64:
    """Return which subscriber request `sequence` asks about: uniform over the rows, the same for the same seed."""
    return mix64(seed + sequence * np.uint64(0x9E3779B97F4A7C15)) % rows


@kernel(types.void(REQUEST, types.uint64), inner=True)
def _patch(request: Request, sequence: np.uint64) -> None:
    """Give each item of the message its id and its subscriber, the first item those of `sequence`."""
    words = request.words
    for item in range(len(request.id_at)):
        number = sequence + np.uint64(item)
        write_id(request.message, request.id_at[item], words[SALT] + number)
        row = subscriber_of(words[SEED], number, words[ROWS])
        key = (words[KEY_FIRST] + row * words[KEY_STEP]) % words[KEY_MODULUS]
        write_digits(request.message, request.key_at[item], int(key), int(words[KEY_DIGITS]))


@kernel(types.boolean(writable(np.int64), SLOTS), inner=True)
def _may_begin(state: npt.NDArray[np.int64], slots: Slots) -> bool:
    if state[WANTED] == 0 or state[IN_FLIGHT] >= state[CALLS_MAX] or state[NEXT_STREAM] > state[STREAM_MAX]:
        return False
    slot = (state[NEXT_STREAM] >> 1) & (len(slots.calls) - 1)
    return bool(slots.calls[slot]["stream"] == 0)


@kernel(
    types.int64(
        writable(np.uint8),
        types.int64,
        REQUEST,
        writable(np.int64),
        SLOTS,
        writable(np.int64),
        read_only(np.int64),
        types.int64,
    ),
    inner=True,
)
def _begin(
    out: npt.NDArray[np.uint8],
    at: int,
    request: Request,
    state: npt.NDArray[np.int64],
    slots: Slots,
    tally: npt.NDArray[np.int64],
    starts_ns: npt.NDArray[np.int64],
    now_ns: int,
) -> int:
    """Write the HEADERS of a new call and make its message ready; returns where the next frame goes."""
    stream = state[NEXT_STREAM]
    slot = (stream >> 1) & (len(slots.calls) - 1)
    start_ns = now_ns
    if state[START_AT] >= 0:
        start_ns = starts_ns[state[START_AT]]
        state[START_AT] += 1
        tally[LATE_NS] += now_ns - start_ns
    slots.calls[slot]["start_ns"] = start_ns
    slots.calls[slot]["sequence"] = np.uint64(tally[SEQUENCE])
    slots.calls[slot]["stream"] = stream
    slots.calls[slot]["bytes"] = 0
    _patch(request, np.uint64(tally[SEQUENCE]))
    tally[SEQUENCE] += max(1, len(request.id_at))
    state[NEXT_STREAM] += 2
    state[IN_FLIGHT] += 1
    state[WANTED] -= 1
    state[SENDING], state[SENT], state[STREAM_WINDOW] = stream, 0, state[STREAM_WINDOW_NEW]
    length = len(request.headers)
    _frame(out, at, length, HEADERS, END_HEADERS, stream)
    for k in range(length):
        out[at + FRAME_BYTES + k] = request.headers[k]
    return at + FRAME_BYTES + length


@kernel(types.int64(writable(np.uint8), types.int64, REQUEST, writable(np.int64)), inner=True)
def _send_data(out: npt.NDArray[np.uint8], at: int, request: Request, state: npt.NDArray[np.int64]) -> int:
    """Write as much of the present message as windows and room allow; returns where the next frame goes, `at` when nothing could be sent."""
    left = len(request.message) - state[SENT]
    length = min(left, state[FRAME_BYTES_MAX], state[SEND_WINDOW], state[STREAM_WINDOW], len(out) - at - FRAME_BYTES)
    if length <= 0:
        return at
    flags = END_STREAM if length == left else 0
    _frame(out, at, length, DATA, flags, state[SENDING])
    for k in range(length):
        out[at + FRAME_BYTES + k] = request.message[state[SENT] + k]
    state[SENT] += length
    state[SEND_WINDOW] -= length
    state[STREAM_WINDOW] -= length
    if length == left:
        state[SENDING] = 0
    return int(at + FRAME_BYTES + length)


@kernel(
    types.int64(
        writable(np.uint8), REQUEST, writable(np.int64), SLOTS, writable(np.int64), read_only(np.int64), types.int64
    )
)
def write_calls(
    out: npt.NDArray[np.uint8],
    request: Request,
    state: npt.NDArray[np.int64],
    slots: Slots,
    tally: npt.NDArray[np.int64],
    starts_ns: npt.NDArray[np.int64],
    now_ns: int,
) -> int:
    """Write the calls that are wanted, as far as windows, streams and room allow; returns how many bytes of `out` to send.

    `starts_ns` are the instants at which calls were meant to start, used from state[START_AT] on unless that is negative.
    """
    at = 0
    while True:
        if state[SENDING] == 0:
            if len(out) - at < FRAME_BYTES + len(request.headers) or not _may_begin(state, slots):
                return at
            at = _begin(out, at, request, state, slots, tally, starts_ns, now_ns)
        after = _send_data(out, at, request, state)
        if after == at:
            return at
        at = after
