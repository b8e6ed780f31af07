"""Words that vary by subscriber or trigger, said as engine.templates.render does; what is not said here exactly is left to Python, text by text.

Words are rendered behind room for the length that comes before them, then moved up to it.
"""

import numpy as np
import numpy.typing as npt
from numba import types

from engine.dtypes.ledger import Integer
from engine.jit import kernel, read_only
from engine.kernels.gather import gather
from engine.kernels.texts import copy_bytes
from server.codec.dtypes import ASKED_TYPE, PIECES_TYPE, ROWS_TYPE, STAMP_TYPE, Asked, Pieces, Rows, Stamp
from server.codec.kernels import message
from server.codec.kernels.answers import language_of
from server.codec.kernels.formatting import (
    UNSAID,
    VALUE_BYTES_MAX,
    put_bool,
    put_date,
    put_decimal,
    put_double,
    put_span,
)
from server.codec.kernels.message import FIELDS, NAME_AT, NAME_BYTES, next_entry, split_message
from server.codec.kernels.wire import READ
from server.codec.kernels.writing import OUT, put_varint
from server.codec.sayings import (
    BOOL,
    DOUBLE,
    DURATION,
    FIELDS_TYPE,
    IF_TRUE,
    SAID_HEARERS,
    SAID_LEFT,
    SAID_NEXT,
    SAID_TEXTS,
    SAID_USED,
    SPEAKER_TYPE,
    STRING,
    TEXT,
    TIMESTAMP,
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


@kernel(types.int64(SPEAKER_TYPE, ASKED_TYPE, types.int64, types.int64, types.int64, types.int64), inner=True)
def put_string(speaker: Speaker, asked: Asked, place: Integer, code: Integer, at: Integer, row: Integer) -> Integer:
    """Write a string: an attribute's by its code, a field's from the request; UNSAID when it is not there."""
    out = speaker.said.texts.data
    if place >= 0:
        strings = speaker.strings
        if code < 0 or code >= strings.dictionaries[place, 1]:
            return UNSAID
        number = strings.dictionaries[place, 0] + code
        start = strings.start[number]
        return put_text(out, at, strings.data, start, strings.start[number + 1] - start)
    if not find_field(speaker, asked, -1 - place, row):
        return UNSAID
    parts = speaker.said.parts
    if parts[message.KIND] != message.STRING:
        return UNSAID
    return put_text(out, at, asked.text, parts[message.VALUE], parts[message.NANOS])


@kernel(
    types.int64(SPEAKER_TYPE, ASKED_TYPE, FIELDS_TYPE, types.int64, types.int64, types.int64, types.int64), inner=True
)
def put_value(
    speaker: Speaker, asked: Asked, fields: Fields, number: Integer, at: Integer, hearer: Integer, row: Integer
) -> Integer:
    """Write the value that a part names, or what stands in for it; return where it ends, NO_ROOM or UNSAID."""
    sayings, view, out = speaker.sayings, speaker.hearers.gathered, speaker.said.texts.data
    place, kind = np.int64(sayings.parts[number]["place"]), sayings.parts[number]["type"]
    if place >= 0:
        known, value, nanos = view.known[hearer, place], view.values[hearer, place], view.nanos[hearer, place]
    else:
        column = -1 - place
        known, value, nanos = (
            fields.field_known[row, column],
            fields.field_values[row, column],
            fields.field_nanos[row, column],
        )
    if known == 0:
        return put_text(out, at, sayings.blob, sayings.parts[number]["at"], np.int64(sayings.parts[number]["bytes"]))
    if kind == STRING:
        return put_string(speaker, asked, place, value, at, row)
    if at + VALUE_BYTES_MAX > len(out):
        return NO_ROOM
    if kind == DOUBLE:
        return put_double(out, at, value)
    if kind == TIMESTAMP:
        return put_date(out, at, speaker.hearers.zones, np.int64(view.zone[hearer]), value)
    if kind == DURATION:
        return put_span(out, at, value, np.int64(nanos))
    if kind == BOOL:
        return put_bool(out, at, value)
    return put_decimal(out, at, value, np.int64(sayings.parts[number]["scale"]))


@kernel(types.boolean(SPEAKER_TYPE, FIELDS_TYPE, types.int64, types.int64, types.int64), inner=True)
def is_true(speaker: Speaker, fields: Fields, number: Integer, hearer: Integer, row: Integer) -> bool:
    """Return whether the bool that a part names is known and true."""
    view, place = speaker.hearers.gathered, np.int64(speaker.sayings.parts[number]["place"])
    if place >= 0:
        return bool(view.known[hearer, place] != 0 and view.values[hearer, place] != 0)
    column = -1 - place
    return bool(fields.field_known[row, column] != 0 and fields.field_values[row, column] != 0)


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
def put_template(
    speaker: Speaker, asked: Asked, fields: Fields, template: Integer, at: Integer, hearer: Integer, row: Integer
) -> Integer:
    """Write what a template says; return where it ends, NO_ROOM or UNSAID."""
    sayings, out, start = speaker.sayings, speaker.said.texts.data, at
    number, end = sayings.templates[template, 0], sayings.templates[template, 1]
    while number < end:
        kind = sayings.parts[number]["kind"]
        if kind == TEXT:
            text_at, count = sayings.parts[number]["at"], np.int64(sayings.parts[number]["bytes"])
            at = put_text(out, at, sayings.blob, text_at, count)
        elif kind == VALUE:
            at = put_value(speaker, asked, fields, number, at, hearer, row)
        elif is_true(speaker, fields, number, hearer, row) != (kind == IF_TRUE):
            number += np.int64(sayings.parts[number]["skip"])
        if at < 0:
            return at
        number += 1
    return cut(out, start, at, sayings.templates[template, 2])


@kernel(types.int64(SPEAKER_TYPE, ASKED_TYPE, FIELDS_TYPE, types.int64, types.int64, types.int64, types.int64))
def say_words(
    speaker: Speaker, asked: Asked, fields: Fields, words: Integer, at: Integer, hearer: Integer, row: Integer
) -> Integer:
    """Write fields 9 to 11 of an Offer for a gathered hearer, who asked in `row`, from `at` on; return where they end, NO_ROOM or UNSAID."""
    sayings, out = speaker.sayings, speaker.said.texts.data
    for script in range(2):
        template = sayings.words[words, script]
        if template < 0:
            continue
        text_at = at + _HEAD_BYTES
        end = put_template(speaker, asked, fields, template, text_at, hearer, row)
        if end < 0:
            return end
        if end > text_at:
            out[at] = SCRIPT if script else CONTENT
            at = put_varint(out, at + 1, np.uint64(end - text_at))
            copy_bytes(out, at, out, text_at, end - text_at)
            at += end - text_at
    return put_text(out, at, sayings.blob, sayings.words[words, 2], sayings.words[words, 3])


@kernel(
    types.boolean(PIECES_TYPE, STAMP_TYPE, ROWS_TYPE, ASKED_TYPE, FIELDS_TYPE, SPEAKER_TYPE, types.int64, types.int64),
    inner=True,
)
def say_row(
    pieces: Pieces,
    stamp: Stamp,
    rows: Rows,
    asked: Asked,
    fields: Fields,
    speaker: Speaker,
    hearer: Integer,
    row: Integer,
) -> bool:
    """Say a row's words that vary, behind those said so far; return whether there was room for all, else there are none of them."""
    texts, state, left = speaker.said.texts, speaker.said.state, speaker.said.left
    number, at, left_count = state[SAID_TEXTS], state[SAID_USED], state[SAID_LEFT]
    language = language_of(stamp, rows, asked, row)
    for seat in range(rows.chosen_count[row]):
        words = pieces.words[pieces.pairs[rows.chosen[row, seat], rows.channel[row]], language, 0]
        if words >= 0:
            continue
        end = say_words(speaker, asked, fields, -1 - words, at, hearer, row)
        if end == NO_ROOM:
            return False
        if end == UNSAID:
            left[left_count, 0], left[left_count, 1], left[left_count, 2] = number, row, -1 - words
            left_count += 1
            end = at
        texts.start[number], texts.length_bytes[number] = at, end - at
        number += 1
        at = end
    state[SAID_TEXTS], state[SAID_USED], state[SAID_LEFT] = number, at, left_count
    return True


@kernel(types.int64(PIECES_TYPE, STAMP_TYPE, ROWS_TYPE, ASKED_TYPE, _INDEX, SPEAKER_TYPE), inner=True)
def find_hearers(
    pieces: Pieces, stamp: Stamp, rows: Rows, asked: Asked, index: npt.NDArray[np.int64], speaker: Speaker
) -> Integer:
    """Take those rows from SAID_NEXT on with words that vary as hearers, as many as there is room for; return where in `index` to go on."""
    hearers, state = speaker.hearers, speaker.said.state
    count, i = np.int64(0), state[SAID_NEXT]
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


@kernel(types.boolean(PIECES_TYPE, STAMP_TYPE, ROWS_TYPE, ASKED_TYPE, _INDEX, FIELDS_TYPE, SPEAKER_TYPE))
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
    hearers, state = speaker.hearers, speaker.said.state
    while state[SAID_NEXT] < len(index):
        following = find_hearers(pieces, stamp, rows, asked, index, speaker)
        gather(hearers.rows, hearers.plan, hearers.live, hearers.asked, hearers.gathered, 0, state[SAID_HEARERS], True)
        for hearer in range(state[SAID_HEARERS]):
            if not say_row(pieces, stamp, rows, asked, fields, speaker, hearer, index[hearers.place[hearer]]):
                state[SAID_NEXT] = hearers.place[hearer]
                return False
        state[SAID_NEXT] = following
    return True
