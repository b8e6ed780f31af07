"""Frames read as they came: data is put together by stream, header blocks are known by their bytes, and whatever is rare is left to Python."""

import numpy as np
import numpy.typing as npt
from numba import types

from bench.kernels.answers import DELIMITED, OFFER, RESULT_ANSWER, RESULTS, WRONG, check_decision, field_at
from bench.kernels.sending import DATA, END_HEADERS, END_STREAM, HEADERS
from bench.wire import (
    FINISHED,
    FRAME_BYTES,
    NO_STATUS,
    PREFIX_BYTES,
    SLOTS,
    STATUS_MISSING,
    STATUS_RESET,
    Answer,
    Finished,
    Slots,
    State,
    Tally,
    Word,
)
from engine.jit import kernel, read_only, writable

RST_STREAM, WINDOW_UPDATE = 3, 8
PADDED, PRIORITY = 8, 32
READ_AT, READ_END, IN_FLIGHT = State.READ_AT.value, State.READ_END.value, State.IN_FLIGHT.value
SEND_WINDOW, STREAM_WINDOW, SENDING = State.SEND_WINDOW.value, State.STREAM_WINDOW.value, State.SENDING.value
RECEIVED, BLOCKS, DECODED = State.RECEIVED.value, State.BLOCKS.value, State.DECODED.value
CALLS, FAILED, WRONGS, ITEMS = Tally.CALLS.value, Tally.FAILED.value, Tally.WRONG.value, Tally.ITEMS.value
OFFERED, STATUS_LAST, ANSWER_BYTES = Tally.OFFERED.value, Tally.STATUS_LAST.value, Tally.ANSWER_BYTES.value
SALT, KIND, ITEMS_A_CALL = Word.SALT.value, Word.KIND.value, Word.ITEMS.value
DECISION, BATCH, TABLE = Answer.DECISION.value, Answer.BATCH.value, Answer.TABLE.value
TABLE_SLOT = State.TABLE.value
RARE_FRAME, TABLE_CAME = 1, 2
"""What is for Python to read."""
UNKNOWN_BLOCK = -2
"""A header block that was not met before."""


@kernel(types.int64(read_only(np.uint8), types.int64, types.int64), inner=True)
def _big_endian(data: npt.NDArray[np.uint8], at: int, count: int) -> int:
    value = 0
    for k in range(count):
        value = (value << 8) | int(data[at + k])
    return value


@kernel(types.int64(read_only(np.uint8), types.int64, types.int64, writable(np.int64), SLOTS), inner=True)
def _status_of(buffer: npt.NDArray[np.uint8], at: int, length: int, state: npt.NDArray[np.int64], slots: Slots) -> int:
    """Return the status that the header block at `at` says, NO_STATUS, or UNKNOWN_BLOCK."""
    if state[DECODED] != 0:
        status = int(state[DECODED]) - 2
        state[DECODED] = 0
        return status
    for block in range(state[BLOCKS]):
        if slots.blocks[block]["bytes"] == length:
            same = True
            for k in range(length):
                if slots.block_bytes[block, k] != buffer[at + k]:
                    same = False
                    break
            if same:
                return int(slots.blocks[block]["status"])
    return UNKNOWN_BLOCK


@kernel(types.void(types.int64, read_only(np.uint8), types.int64, types.int64, SLOTS), inner=True)
def _take_data(slot: int, buffer: npt.NDArray[np.uint8], at: int, length: int, slots: Slots) -> None:
    """Append data to the call's message; what goes beyond its room is counted but not kept, so that the answer is wrong."""
    room = len(slots.messages) // len(slots.calls)
    held = slots.calls[slot]["bytes"]
    first = slot * room + held
    for k in range(min(length, max(room - held, 0))):
        slots.messages[first + k] = buffer[at + k]
    slots.calls[slot]["bytes"] = held + length


@kernel(
    types.void(types.int64, types.int64, types.uint64, writable(np.int64), FINISHED, read_only(np.uint8)),
    inner=True,
)
def _count_decision(
    start: int,
    end: int,
    request: np.uint64,
    tally: npt.NDArray[np.int64],
    finished: Finished,
    messages: npt.NDArray[np.uint8],
) -> None:
    place = tally[OFFERED]
    said = check_decision(messages, start, end, request, finished.decision, place)
    tally[ITEMS] += 1
    if said == WRONG:
        tally[WRONGS] += 1
    elif said == OFFER:
        tally[OFFERED] += 1


@kernel(
    types.int64(types.int64, types.int64, types.uint64, writable(np.int64), FINISHED, read_only(np.uint8)),
    inner=True,
)
def _count_batch(
    start: int,
    end: int,
    request: np.uint64,
    tally: npt.NDArray[np.int64],
    finished: Finished,
    messages: npt.NDArray[np.uint8],
) -> int:
    """Count the results of a DecideBatchResponse; returns how many there were, -1 when it is malformed."""
    count = 0
    while start < end:
        number, kind, first, stop = field_at(messages, start, end)
        if stop < 0:
            return -1
        if number == RESULTS and kind == DELIMITED:
            inner, inner_kind, answer, answer_end = field_at(messages, first, stop)
            if answer_end != stop or inner != RESULT_ANSWER or inner_kind != DELIMITED:
                tally[WRONGS] += 1
                tally[ITEMS] += 1
            else:
                _count_decision(answer, answer_end, request + np.uint64(count), tally, finished, messages)
            count += 1
        start = stop
    return count


@kernel(types.void(types.int64, SLOTS, writable(np.int64), FINISHED, read_only(np.uint64)), inner=True)
def _check_answer(
    slot: int, slots: Slots, tally: npt.NDArray[np.int64], finished: Finished, words: npt.NDArray[np.uint64]
) -> None:
    room = len(slots.messages) // len(slots.calls)
    start, length = slot * room, slots.calls[slot]["bytes"]
    end = start + length
    if length < PREFIX_BYTES or length > room or slots.messages[start] != 0:
        tally[WRONGS] += 1
        return
    if _big_endian(slots.messages, start + 1, 4) != length - PREFIX_BYTES:
        tally[WRONGS] += 1
        return
    request = words[SALT] + slots.calls[slot]["sequence"]
    if words[KIND] == np.uint64(DECISION):
        _count_decision(start + PREFIX_BYTES, end, request, tally, finished, slots.messages)
    elif words[KIND] == np.uint64(BATCH):
        found = _count_batch(start + PREFIX_BYTES, end, request, tally, finished, slots.messages)
        if found != np.int64(words[ITEMS_A_CALL]):
            tally[WRONGS] += 1
    elif words[KIND] != np.uint64(TABLE):
        tally[ITEMS] += np.int64(words[ITEMS_A_CALL])


@kernel(
    types.void(
        types.int64,
        types.int64,
        SLOTS,
        writable(np.int64),
        writable(np.int64),
        FINISHED,
        read_only(np.uint64),
        types.int64,
    ),
    inner=True,
)
def _end_call(
    slot: int,
    status: int,
    slots: Slots,
    state: npt.NDArray[np.int64],
    tally: npt.NDArray[np.int64],
    finished: Finished,
    words: npt.NDArray[np.uint64],
    now_ns: int,
) -> None:
    finished.latency_ns[tally[CALLS]] = now_ns - slots.calls[slot]["start_ns"]
    tally[CALLS] += 1
    tally[ANSWER_BYTES] += slots.calls[slot]["bytes"]
    state[IN_FLIGHT] -= 1
    slots.calls[slot]["stream"] = 0
    if status != 0:
        tally[FAILED] += 1
        tally[STATUS_LAST] = status
    else:
        _check_answer(slot, slots, tally, finished, words)
        if words[KIND] == np.uint64(TABLE):
            state[TABLE_SLOT] = slot + 1


@kernel(
    types.int64(
        read_only(np.uint8),
        writable(np.int64),
        SLOTS,
        writable(np.int64),
        FINISHED,
        read_only(np.uint64),
        types.int64,
    )
)
def read_frames(
    buffer: npt.NDArray[np.uint8],
    state: npt.NDArray[np.int64],
    slots: Slots,
    tally: npt.NDArray[np.int64],
    finished: Finished,
    words: npt.NDArray[np.uint64],
    now_ns: int,
) -> int:
    """Read the whole frames of `buffer[READ_AT:READ_END]`; returns 0 when all were read.

    RARE_FRAME: the frame at READ_AT is for Python to read. TABLE_CAME: the table in slot TABLE - 1 is, before anything else.
    """
    while True:
        at = state[READ_AT]
        if state[READ_END] - at < FRAME_BYTES:
            return 0
        length, kind = _big_endian(buffer, at, 3), int(buffer[at + 3])
        flags, stream = int(buffer[at + 4]), _big_endian(buffer, at + 5, 4)
        first = at + FRAME_BYTES
        if state[READ_END] - first < length:
            return 0
        slot = (stream >> 1) & (len(slots.calls) - 1)
        ours = stream != 0 and slots.calls[slot]["stream"] == stream
        status = NO_STATUS
        if kind == DATA and flags & PADDED == 0:
            state[RECEIVED] += length
            if ours:
                _take_data(slot, buffer, first, length, slots)
        elif kind == HEADERS and flags & (PADDED | PRIORITY | END_HEADERS) == END_HEADERS:
            status = _status_of(buffer, first, length, state, slots)
            if status == UNKNOWN_BLOCK:
                return RARE_FRAME
        elif kind == WINDOW_UPDATE:
            if stream == 0:
                state[SEND_WINDOW] += _big_endian(buffer, first, 4)
            elif stream == state[SENDING]:
                state[STREAM_WINDOW] += _big_endian(buffer, first, 4)
        elif kind == RST_STREAM:
            flags, status = END_STREAM, STATUS_RESET
        else:
            return RARE_FRAME
        if ours and kind != WINDOW_UPDATE and flags & END_STREAM:
            _end_call(
                slot, STATUS_MISSING if status == NO_STATUS else status, slots, state, tally, finished, words, now_ns
            )
        state[READ_AT] = first + length
        if state[TABLE_SLOT] != 0:
            return TABLE_CAME
