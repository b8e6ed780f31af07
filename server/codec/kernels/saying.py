"""Words that vary by subscriber or trigger, said as engine.templates.render does; what is not said here exactly is left to Python, text by text.

Words are rendered behind room for the length that comes before them, then moved up to it.
"""

import numpy as np
import numpy.typing as npt
from numba import types

from engine.dtypes.ledger import Integer
from engine.jit import kernel, read_only
from engine.kernels.gather import WHOLE, gather
from engine.kernels.texts import copy_bytes
from server.codec.dtypes import ASKED_TYPE, PIECES_TYPE, ROWS_TYPE, STAMP_TYPE, Asked, Pieces, Rows, Stamp
from server.codec.kernels import message
from server.codec.kernels.answers import language_of
from server.codec.kernels.formatting import (
    UNSAID,
    VALUE_BYTES_MAX,
    put_value,
)
from server.codec.kernels.message import FIELDS, NAME_AT, NAME_BYTES, next_entry, split_message
from server.codec.kernels.wire import READ
from server.codec.kernels.writing import OUT, put_varint
from server.codec.sayings import (
    FIELDS_TYPE,
    IF_TRUE,
    SAID_HEARERS,
    SAID_LEFT,
    SAID_NEXT,
    SAID_TEXTS,
    SAID_USED,
    SPEAKER_TYPE,
    STRING,
    VALUE,
    Fields,
    Speaker,
)

NO_ROOM = -1
"""There is not room for the rest of the text."""
CONTENT, SCRIPT = 9 << 3 | 2, 10 << 3 | 2
_HEAD_BYTES = 1 + 4
"""Tag and length at most: LENGTH_MAX characters of four bytes."""
_INDEX = read_only(np.int64)
_VALUE = types.UniTuple(types.int64, 3)  # type: ignore[no-untyped-call]


@kernel(types.int64(OUT, types.int64, read_only(np.uint8), types.int64, types.int64), inner=True)
def put_text(
    out: npt.NDArray[np.uint8], at: Integer, data: npt.NDArray[np.uint8], start: Integer, count: Integer
) -> Integer:
    """Write `count` bytes of `data` and return where they end; NO_ROOM."""
    if at + count > len(out):
        return NO_ROOM
    copy_bytes(out, at, data, start, count)
    return at + count


@kernel(types.boolean(SPEAKER_TYPE, ASKED_TYPE, types.int64, types.int64), inner=True)
def find_field(speaker: Speaker, asked: Asked, column: Integer, row: Integer) -> bool:
    """Return whether the row's request has the field of this column, its entry then being in Said.parts."""
    text, parts, blob = asked.text, speaker.said.parts, speaker.sayings.blob
    name_at, name_bytes = speaker.sayings.fields[column, 0], speaker.sayings.fields[column, 1]
    if split_message(text, asked.item_at[row], np.int64(asked.item_bytes[row]), parts) != READ:
        return False
    at = parts[2 * message.TRIGGER]
    for _ in range(parts[2 * FIELDS + 1]):
        at = next_entry(text, at, parts)
        if at < 0:
            return False
        if parts[NAME_BYTES] == name_bytes:
            same = True
            for k in range(name_bytes):
                same &= text[parts[NAME_AT] + k] == blob[name_at + k]
            if same:
                return True
    return False


@kernel(_VALUE(SPEAKER_TYPE, FIELDS_TYPE, types.int64, types.int64, types.int64), inner=True)
def value_of(
    speaker: Speaker, fields: Fields, number: Integer, hearer: Integer, row: Integer
) -> tuple[Integer, Integer, Integer]:
    """Return what a part names: whether it is known, value, nanos."""
    known, place = speaker.hearers.gathered, np.int64(speaker.sayings.parts[number]["place"])
    if place >= 0:
        return (
            np.int64(known.known[hearer, place]),
            np.int64(known.values[hearer, place]),
            np.int64(known.nanos[hearer, place]),
        )
    column = -1 - place
    return (
        np.int64(fields.field_known[row, column]),
        np.int64(fields.field_values[row, column]),
        np.int64(fields.field_nanos[row, column]),
    )


@kernel(
    types.int64(SPEAKER_TYPE, ASKED_TYPE, FIELDS_TYPE, types.int64, types.int64, types.int64, types.int64), inner=True
)
def put_part(
    speaker: Speaker, asked: Asked, fields: Fields, number: Integer, at: Integer, hearer: Integer, row: Integer
) -> Integer:
    """Write what a TEXT says, or a VALUE or its stand-in; return where it ends, NO_ROOM or UNSAID."""
    sayings, out = speaker.sayings, speaker.said.texts.data
    data, start, count = sayings.blob, sayings.parts[number]["at"], np.int64(sayings.parts[number]["bytes"])
    if sayings.parts[number]["kind"] == VALUE:
        known, value, nanos = value_of(speaker, fields, number, hearer, row)
        place, kind = np.int64(sayings.parts[number]["place"]), np.int64(sayings.parts[number]["type"])
        if known != 0 and kind != STRING:
            if at + VALUE_BYTES_MAX > len(out):
                return NO_ROOM
            zone, scale = np.int64(speaker.hearers.gathered.zone[hearer]), np.int64(sayings.parts[number]["scale"])
            return put_value(out, at, speaker.hearers.zones, zone, kind, scale, value, nanos)
        if known != 0 and place >= 0:
            strings = speaker.strings
            if value < 0 or value >= strings.dictionaries[place, 1]:
                return UNSAID
            string = strings.dictionaries[place, 0] + value
            data, start, count = strings.data, strings.start[string], strings.start[string + 1] - strings.start[string]
        elif known != 0:
            parts = speaker.said.parts
            if not find_field(speaker, asked, -1 - place, row) or parts[message.KIND] != message.STRING:
                return UNSAID
            data, start, count = asked.text, parts[message.VALUE], parts[message.NANOS]
    return put_text(out, at, data, start, count)


@kernel(types.int64(OUT, types.int64, types.int64, types.int64), inner=True)
def cut(out: npt.NDArray[np.uint8], start: Integer, end: Integer, chars_max: Integer) -> Integer:
    """Return where the UTF-8 in [start, end) ends when it is cut to so many characters."""
    if end - start <= chars_max:
        return end
    chars = np.int64(0)
    for at in range(start, end):
        if np.int64(out[at]) & 0xC0 != 0x80:
            if chars == chars_max:
                return at
            chars += 1
    return end


@kernel(
    types.int64(SPEAKER_TYPE, ASKED_TYPE, FIELDS_TYPE, types.int64, types.int64, types.int64, types.int64), inner=True
)
def say_words(
    speaker: Speaker, asked: Asked, fields: Fields, words: Integer, at: Integer, hearer: Integer, row: Integer
) -> Integer:
    """Write fields 9 to 11 of an Offer for a gathered hearer, who asked in `row`, from `at` on; return where they end, NO_ROOM or UNSAID."""
    sayings, out = speaker.sayings, speaker.said.texts.data
    for script in range(2):
        template = sayings.words[words, script]
        if template < 0:
            continue
        start: Integer = at + _HEAD_BYTES
        end: Integer = start
        number, last = sayings.templates[template, 0], sayings.templates[template, 1]
        while number < last:
            kind = sayings.parts[number]["kind"]
            if kind <= VALUE:
                end = put_part(speaker, asked, fields, number, end, hearer, row)
                if end < 0:
                    return end
            else:
                known, value, _ = value_of(speaker, fields, number, hearer, row)
                if (known != 0 and value != 0) != (kind == IF_TRUE):
                    number += np.int64(sayings.parts[number]["skip"])
            number += 1
        end = cut(out, start, end, sayings.templates[template, 2])
        if end > start:
            out[at] = SCRIPT if script else CONTENT
            at = put_varint(out, at + 1, np.uint64(end - start))
            copy_bytes(out, at, out, start, end - start)
            at += end - start
    return put_text(out, at, sayings.blob, sayings.words[words, 2], sayings.words[words, 3])


@kernel(types.int64(PIECES_TYPE, STAMP_TYPE, ROWS_TYPE, ASKED_TYPE, _INDEX, SPEAKER_TYPE), inner=True)
def find_hearers(
    pieces: Pieces, stamp: Stamp, rows: Rows, asked: Asked, index: npt.NDArray[np.int64], speaker: Speaker
) -> Integer:
    """Take those rows from SAID_NEXT on with words that vary as hearers, as many as there is room for; return where in `index` to go on."""
    hearers, state = speaker.hearers, speaker.said.state
    count: Integer = 0
    i: Integer = state[SAID_NEXT]
    while i < len(index) and count < len(hearers.place):
        row = index[i]
        language = language_of(stamp, rows, asked, row)
        for seat in range(rows.chosen_count[row]):
            if pieces.words[pieces.pairs[rows.chosen[row, seat], rows.channel[row]], language, 0] < 0:
                hearers.place[count], hearers.subscriber[count], hearers.now_us[count] = (
                    i,
                    rows.subscriber[row],
                    rows.now_us[row],
                )
                count += 1
                break
        i += 1
    state[SAID_HEARERS] = count
    return i


@kernel(types.boolean(PIECES_TYPE, STAMP_TYPE, ROWS_TYPE, ASKED_TYPE, _INDEX, FIELDS_TYPE, SPEAKER_TYPE), apart=True)
def say_varying(
    pieces: Pieces,
    stamp: Stamp,
    rows: Rows,
    asked: Asked,
    index: npt.NDArray[np.int64],
    fields: Fields,
    speaker: Speaker,
) -> bool:
    """Say the words of rows `index` that vary, from SAID_NEXT on; return whether all are said. When they are not, go on with more room for bytes."""
    hearers, texts, left, state = speaker.hearers, speaker.said.texts, speaker.said.left, speaker.said.state
    while state[SAID_NEXT] < len(index):
        following = find_hearers(pieces, stamp, rows, asked, index, speaker)
        gather(hearers.rows, hearers.plan, hearers.live, hearers.asked, hearers.gathered, 0, state[SAID_HEARERS], WHOLE)
        for hearer in range(state[SAID_HEARERS]):
            row = index[hearers.place[hearer]]
            number, at, left_count = state[SAID_TEXTS], state[SAID_USED], state[SAID_LEFT]
            language = language_of(stamp, rows, asked, row)
            for seat in range(rows.chosen_count[row]):
                words = pieces.words[pieces.pairs[rows.chosen[row, seat], rows.channel[row]], language, 0]
                if words >= 0:
                    continue
                end = say_words(speaker, asked, fields, -1 - words, at, hearer, row)
                if end == NO_ROOM:
                    state[SAID_NEXT] = hearers.place[hearer]
                    return False
                if end == UNSAID:
                    left[left_count, 0], left[left_count, 1], left[left_count, 2] = number, row, -1 - words
                    left_count += 1
                    end = at
                texts.start[number], texts.length_bytes[number] = at, end - at
                number += 1
                at = end
            # A row is said as a whole, or anew.
            state[SAID_TEXTS], state[SAID_USED], state[SAID_LEFT] = number, at, left_count
        state[SAID_NEXT] = following
    return True
