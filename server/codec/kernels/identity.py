"""What makes two requests the same: the keyed digests of a request's id and of what else it asks for.

`body_digest` is one number for one question, whichever door it came by and in whatever order its fields were written. It is SipHash-2-4 under
the body key over 64-bit words, without the byte count of the published padding, which these words make needless:

    for each text of placement, channel, language, tool, agent, outlet, trigger.type, in this order, that is not empty:
        part number | bytes << 8, then its bytes as little-endian words, the last one filled up with zeros
    255 | dry_run << 8 | explain << 9 | has(trigger.time) << 10 | has(assumed_now) << 11 | has(trigger.fields) << 12 | (max_offers + 1, or 0 without) << 16
    seconds and nanos of trigger.time if it is there, then of assumed_now if it is there
    the number of trigger.fields and the sum of their digests modulo 2**64, if there are any

A field's digest is the same hash under the fields' key over: bytes of its name | Value's kind << 32, the name's words, then the value: a string
as its bytes and its words, an instant or duration as seconds and nanos, a bool or int as one word, a double as the bits of its float64.
Fields that this server does not know are no part of it, nor are request_id and subscriber, which `request_digest` stands for.
"""

import numpy as np
import numpy.typing as npt
from numba import types

from engine.jit import kernel, read_only, writable
from engine.kernels.siphash import (
    SIP_TYPE,
    WORDS_TYPE,
    Int,
    Sip,
    part_word,
    sip_begin,
    sip_end,
    sip_end_128,
    sip_word,
    whole_word,
)
from server.codec.kernels.message import (
    ASSUMED_NOW,
    DRY_RUN,
    EXPLAIN,
    FIELDS,
    KIND,
    MAX_OFFERS,
    NAME_AT,
    NAME_BYTES,
    NANOS,
    NOW_S,
    OUTLET,
    PLACEMENT,
    STRING,
    TIME,
    TIME_S,
    TIMESTAMP,
    TYPE,
    VALUE,
    has,
)

KEYS_SIZE = 8
SUBSCRIBER_KEY, REQUEST_KEY, BODY_KEY, FIELDS_KEY = 0, 2, 4, 6
"""Places of the keys among (KEYS_SIZE,) uint64, two words each."""
_LAST = 255


@kernel(types.uint64(types.int64), inner=True)
def _word(number: Int) -> np.uint64:
    """Return the bits of a signed number."""
    return np.uint64(np.int64(number).view(np.uint64))


@kernel(SIP_TYPE(SIP_TYPE, read_only(np.uint8), types.int64, types.int64), inner=True)
def _absorb(state: Sip, text: npt.NDArray[np.uint8], at: Int, size: Int) -> Sip:
    whole = at + (size // 8) * 8
    for k in range(at, whole, 8):
        state = sip_word(state, whole_word(text, k))
    return sip_word(state, part_word(text, whole, at + size)) if whole < at + size else state


@kernel(WORDS_TYPE(read_only(np.uint8), types.int64, types.int64, types.uint64, read_only(np.uint64)), inner=True)
def request_digest(
    text: npt.NDArray[np.uint8], at: Int, size: Int, subscriber: np.uint64, keys: npt.NDArray[np.uint64]
) -> tuple[np.uint64, np.uint64]:
    """Return the keyed digest of a request id of `size` bytes and the subscriber's hash: SipHash-2-4-128 of the hash, the id's words and its size."""
    state = sip_word(sip_begin(keys[REQUEST_KEY], keys[REQUEST_KEY + 1] ^ np.uint64(0xEE)), subscriber)
    return sip_end_128(sip_word(_absorb(state, text, at, size), np.uint64(size)))


@kernel(SIP_TYPE(read_only(np.uint8), types.int64, types.int64, types.int64, read_only(np.uint64)), inner=True)
def entry_begun(text: npt.NDArray[np.uint8], at: Int, size: Int, kind: Int, keys: npt.NDArray[np.uint64]) -> Sip:
    """Return the state of a trigger field's digest after the field's name, whose value is of `kind`."""
    state = sip_begin(keys[FIELDS_KEY], keys[FIELDS_KEY + 1])
    return _absorb(sip_word(state, np.uint64(size) | np.uint64(kind) << np.uint64(32)), text, at, size)


@kernel(types.uint64(SIP_TYPE, read_only(np.uint8), writable(np.int64)), inner=True, apart=True)
def entry_ended(state: Sip, text: npt.NDArray[np.uint8], parts: npt.NDArray[np.int64]) -> np.uint64:
    """Return the digest of the trigger field whose kind and value are in `parts`, and whose name `state` has."""
    kind = parts[KIND]
    if kind == STRING:
        state = sip_word(state, np.uint64(parts[NANOS]))
        return sip_end(_absorb(state, text, parts[VALUE], parts[NANOS]))
    state = sip_word(state, _word(parts[VALUE]))
    if kind >= TIMESTAMP:
        state = sip_word(state, _word(parts[NANOS]))
    return sip_end(state)


@kernel(types.uint64(read_only(np.uint8), writable(np.int64), read_only(np.uint64)), inner=True)
def entry_digest(text: npt.NDArray[np.uint8], parts: npt.NDArray[np.int64], keys: npt.NDArray[np.uint64]) -> np.uint64:
    """Return the digest of the trigger field that was read last."""
    return entry_ended(entry_begun(text, parts[NAME_AT], parts[NAME_BYTES], parts[KIND], keys), text, parts)


@kernel(types.uint64(read_only(np.uint8), writable(np.int64), types.uint64, read_only(np.uint64)), inner=True)
def body_digest(
    text: npt.NDArray[np.uint8], parts: npt.NDArray[np.int64], fields: np.uint64, keys: npt.NDArray[np.uint64]
) -> np.uint64:
    """Return the digest of the message that was taken apart, `fields` being the sum of its fields' digests."""
    state = sip_begin(keys[BODY_KEY], keys[BODY_KEY + 1])
    for part in range(PLACEMENT, TYPE + 1):
        at, size = parts[2 * part], parts[2 * part + 1]
        if size > 0 and (part <= OUTLET or part == TYPE):
            state = sip_word(state, np.uint64(part) | np.uint64(size) << np.uint64(8))
            state = _absorb(state, text, at, size)
    word: Int = _LAST | (parts[2 * DRY_RUN] if has(parts, DRY_RUN) else 0) << 8
    word |= (parts[2 * EXPLAIN] if has(parts, EXPLAIN) else 0) << 9
    word |= (
        np.int64(has(parts, TIME)) << 10 | np.int64(has(parts, ASSUMED_NOW)) << 11 | np.int64(has(parts, FIELDS)) << 12
    )
    word |= (parts[2 * MAX_OFFERS] + 1 if has(parts, MAX_OFFERS) else 0) << 16
    state = sip_word(state, np.uint64(word))
    if has(parts, TIME):
        state = sip_word(sip_word(state, _word(parts[TIME_S])), _word(parts[TIME_S + 1]))
    if has(parts, ASSUMED_NOW):
        state = sip_word(sip_word(state, _word(parts[NOW_S])), _word(parts[NOW_S + 1]))
    if has(parts, FIELDS):
        state = sip_word(sip_word(state, np.uint64(parts[2 * FIELDS + 1])), fields)
    return sip_end(state)
