"""Answers checked where they lie: a DecideResponse must be of its request, with a decision id and an offer; a batch must hold one for each item."""

import numpy as np
import numpy.typing as npt
from numba import types

from bench.wire import ID_DIGITS
from engine.jit import kernel, read_only, writable
from engine.kernels.mix import mix64

REQUEST_ID, DECISION_ID, OFFERS = 1, 2, 4
RESULTS, RESULT_ANSWER = 1, 1
VARINT, FIXED_64, DELIMITED, FIXED_32 = 0, 1, 2, 5
WRONG, NO_OFFER, OFFER = -1, 0, 1
"""What is said of an answer."""

_FIELD = types.UniTuple(types.int64, 4)  # type: ignore[no-untyped-call]


@kernel(types.UniTuple(types.int64, 2)(read_only(np.uint8), types.int64, types.int64), inner=True)  # type: ignore[no-untyped-call]
def _varint(message: npt.NDArray[np.uint8], at: int, end: int) -> tuple[int, int]:
    """Return the value at `at` and where it ends, (0, -1) when it does not end in time."""
    value, shift = 0, 0
    while at < end and shift < 63:
        byte = int(message[at])
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return value, at
        shift += 7
    return 0, -1


@kernel(_FIELD(read_only(np.uint8), types.int64, types.int64), inner=True)
def field_at(message: npt.NDArray[np.uint8], at: int, end: int) -> tuple[int, int, int, int]:
    """Return (number, wire type, first byte of the value, where it ends) of the field at `at`; the end is -1 when it is malformed."""
    tag, at = _varint(message, at, end)
    number, kind = tag >> 3, tag & 7
    if at < 0:
        return 0, 0, 0, -1
    if kind == VARINT:
        _, stop = _varint(message, at, end)
        return number, kind, at, stop
    if kind == DELIMITED:
        length, at = _varint(message, at, end)
        if at < 0 or length < 0 or length > end - at:
            return 0, 0, 0, -1
        return number, kind, at, at + length
    width = 8 if kind == FIXED_64 else 4
    if kind not in (FIXED_64, FIXED_32) or at + width > end:
        return 0, 0, 0, -1
    return number, kind, at, at + width


@kernel(types.boolean(read_only(np.uint8), types.int64, types.int64, types.uint64), inner=True)
def _is_id(message: npt.NDArray[np.uint8], at: int, end: int, value: np.uint64) -> bool:
    """Whether the bytes are `value` as the generator writes request ids."""
    if end - at != ID_DIGITS:
        return False
    for k in range(ID_DIGITS):
        digit = np.int64((value >> np.uint64(60 - 4 * k)) & np.uint64(15))
        if message[at + k] != (48 + digit if digit < 10 else 87 + digit):
            return False
    return True


@kernel(types.uint64(read_only(np.uint8), types.int64, types.int64), inner=True)
def digest(message: npt.NDArray[np.uint8], at: int, end: int) -> np.uint64:
    """Return a 64-bit digest of some bytes, never 0."""
    found = np.uint64(end - at)
    word = np.uint64(0)
    for k in range(at, end):
        word = (word << np.uint64(8)) | np.uint64(message[k])
        if (k - at) & 7 == 7:
            found = mix64(found ^ word)
            word = np.uint64(0)
    return mix64(found ^ word) | np.uint64(1)


@kernel(types.int64(read_only(np.uint8), types.int64, types.int64, types.uint64, writable(np.uint64), types.int64))
def check_decision(
    message: npt.NDArray[np.uint8], at: int, end: int, request: np.uint64, decision: npt.NDArray[np.uint64], place: int
) -> int:
    """Return OFFER, NO_OFFER or WRONG for the DecideResponse in `message[at:end]` to the request with this id.

    Sets `decision[place]` to the digest of its decision id, 0 when it has none.
    """
    ours = offers = False
    decision[place] = np.uint64(0)
    while at < end:
        number, kind, start, stop = field_at(message, at, end)
        if stop < 0:
            return WRONG
        if kind == DELIMITED:
            if number == REQUEST_ID:
                ours = _is_id(message, start, stop, request)
            elif number == DECISION_ID and stop > start:
                decision[place] = digest(message, start, stop)
            elif number == OFFERS:
                offers = True
        at = stop
    if not ours:
        return WRONG
    return OFFER if offers and decision[place] != np.uint64(0) else NO_OFFER


@kernel(types.void(read_only(np.uint8), read_only(np.int32), writable(np.uint64)))
def digest_texts(data: npt.NDArray[np.uint8], ends: npt.NDArray[np.int32], out: npt.NDArray[np.uint64]) -> None:
    """Set out[i] to the digest of text i, which is data[ends[i] : ends[i + 1]]."""
    for text in range(len(out)):
        out[text] = digest(data, int(ends[text]), int(ends[text + 1]))
