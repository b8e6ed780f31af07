"""Reads a batch of subscribers: index, row, freshness, live changes; one row of the view for each item."""

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from numba import types

from engine.dtypes.base import (
    ASKED_TYPE,
    CLEAR_VALUE,
    FLOAT32,
    FLOAT64,
    GRANT,
    LIVE_TYPE,
    MICROS,
    READ_PLAN_TYPE,
    REFUSE,
    REMOVE_LABEL,
    ROWS_TYPE,
    SET_LABEL,
    SET_LANGUAGE,
    SET_MICROS,
    SET_NAME,
    SET_ZONE,
    WITHDRAW,
    Asked,
    Live,
    ReadPlan,
    Rows,
)
from engine.dtypes.view import ERASED, FOUND, UNKNOWN, VIEW_TYPE, View
from engine.intrinsics import prefetch
from engine.jit import kernel, writable

_MICROS = 1_000_000
CACHE_LINE_BYTES = 64
ITEMS_AHEAD = 32
"""Items whose rows are asked for at once: enough to hide a cache miss behind the others, few enough to stay in the first cache."""
HASHES_COMPARED = 8
"""Hashes that are compared at once, without a branch on any; a bucket has four on average."""
_Int: TypeAlias = int | np.integer[Any]


@kernel(types.int64(ROWS_TYPE, types.uint64, types.uint64))
def find_row(rows: Rows, shift: np.uint64, subscriber: np.uint64) -> _Int:
    """Return the row of the subscriber's hash, or -1. A damaged directory gives a wrong answer, never a read out of bounds."""
    bucket, count = np.int64(subscriber >> shift), np.int64(rows.hashes.shape[0])
    row, stop = np.int64(rows.directory[bucket]), min(np.int64(rows.directory[bucket + 1]), count)
    if row + HASHES_COMPARED <= count and stop <= row + HASHES_COMPARED:
        below = 0
        for k in range(HASHES_COMPARED):
            below += rows.hashes[row + k] < subscriber
        row += below
    else:
        while row < stop and rows.hashes[row] < subscriber:
            row += 1
    if row < stop and rows.hashes[row] == subscriber:
        return row
    return -1


@kernel(types.int64(LIVE_TYPE, types.uint64))
def find_person(live: Live, subscriber: np.uint64) -> _Int:
    """Return the person of the overlay, or -1."""
    mask = np.uint64(live.table.shape[0] - 1)
    slot = subscriber & mask
    while live.table[slot] != 0:
        person = np.int64(live.table[slot]) - 1
        if live.persons[person]["hash"] == subscriber:
            return person
        slot = (slot + np.uint64(1)) & mask
    return -1


@kernel(types.int64(ROWS_TYPE, types.int64, types.int64, types.int64), inner=True)
def stored_value(rows: Rows, start: _Int, at: _Int, width: _Int) -> _Int:
    """Return the field of 1, 2, 4 or 8 bytes of the row at byte `start`; `at` in units of its width."""
    if width == 1:
        return np.int64(rows.r8[start + at])
    if width == 2:
        return np.int64(rows.r16[(start >> 1) + at])
    if width == 4:
        return np.int64(rows.r32[(start >> 2) + at])
    return np.int64(rows.r64[(start >> 3) + at])


@kernel(types.void(VIEW_TYPE, types.int64, types.int64, types.int64), inner=True)
def _set_micros(view: View, item: _Int, slot: _Int, micros: _Int) -> None:
    view.values[item, slot] = micros // _MICROS
    view.nanos[item, slot] = np.int32((micros % _MICROS) * 1000)
    view.known[item, slot] = 1


@kernel(types.void(ROWS_TYPE, READ_PLAN_TYPE, VIEW_TYPE, types.int64, types.int64, types.int64), inner=True)
def read_slot(rows: Rows, read: ReadPlan, view: View, item: _Int, slot: _Int, row: _Int) -> None:
    """Read one attribute of a row; of one that is not known only View.known is written."""
    start = row * read.plan[0]["stride"]
    bit = np.int64(read.fields[slot]["bit"])
    known = (np.int64(rows.r8[start + read.plan[0]["presence_at"] + (bit >> 3)]) >> (bit & 7)) & 1
    view.known[item, slot] = known
    if known == 0:
        return
    at = np.int64(read.fields[slot]["at"])
    kind = read.fields[slot]["kind"]
    if kind == MICROS:
        _set_micros(view, item, slot, rows.r64[(start >> 3) + at])
    elif kind == FLOAT32:
        view.values[item, slot] = np.float64(rows.f32[(start >> 2) + at]).view(np.int64)
    elif kind == FLOAT64:
        view.values[item, slot] = rows.r64[(start >> 3) + at]
    else:
        stored = stored_value(rows, start, at, np.int64(read.fields[slot]["width"]))
        limit = read.fields[slot]["limit"]
        if limit == 0 or stored < limit:
            view.values[item, slot] = read.fields[slot]["bias"] + stored
        else:
            view.known[item, slot] = 0


@kernel(types.uint64(ROWS_TYPE, READ_PLAN_TYPE, types.int64), inner=True)
def _consent_bits(rows: Rows, read: ReadPlan, at: _Int) -> np.uint64:
    """Return the consent bits that start at byte `at`, in the rulebook's order."""
    word = np.uint64(0)
    for k in range(read.plan[0]["pair_bytes"]):
        word |= np.uint64(rows.r8[at + k]) << np.uint64(8 * k)
    if read.plan[0]["pairs_same"] != 0:
        return np.uint64(word & read.plan[0]["pair_mask"])
    bits = np.uint64(0)
    for k in range(read.pair_bits.shape[0]):
        if read.pair_bits[k] >= 0 and (word >> np.uint64(k)) & np.uint64(1) != np.uint64(0):
            bits |= np.uint64(1) << np.uint64(read.pair_bits[k])
    return bits


@kernel(types.int64(ROWS_TYPE, READ_PLAN_TYPE, types.int64, types.int64), inner=True)
def _row_code(rows: Rows, read: ReadPlan, row: _Int, field: _Int) -> _Int:
    """Return the bound code of the row's zone or language, or -1."""
    width = np.int64(read.fields[field]["width"])
    if width == 0:
        return -1
    stored = stored_value(rows, row * read.plan[0]["stride"], np.int64(read.fields[field]["at"]), width)
    if stored == 0 or stored > read.fields[field]["limit"]:
        return -1
    return np.int64(read.codes[stored - 1 + read.fields[field]["bias"]])


@kernel(types.boolean(READ_PLAN_TYPE, types.int64, types.int64), inner=True)
def _within_age(read: ReadPlan, k: _Int, age_us: _Int) -> bool:
    """Return whether labels of class k hold at that age."""
    return bool(read.class_age_us[k] < 0 or age_us <= read.class_age_us[k])


@kernel(types.void(ROWS_TYPE, READ_PLAN_TYPE, VIEW_TYPE, types.int64, types.int64, types.int64), inner=True)
def _read_labels(rows: Rows, read: ReadPlan, view: View, item: _Int, row: _Int, now_us: _Int) -> None:
    start = row * read.plan[0]["stride"]
    as_of_us = read.plan[0]["as_of_us"]
    if read.plan[0]["as_of_at"] >= 0:
        as_of_us = np.int64(rows.r32[start // 4 + read.plan[0]["as_of_at"]]) * _MICROS
    all_fresh = True
    for k in range(read.class_age_us.shape[0]):
        all_fresh = all_fresh and _within_age(read, k, now_us - as_of_us)
    for w in range(read.plan[0]["words"]):
        present = np.uint64(rows.r64[start // 8 + w])
        mask = ~np.uint64(0)
        if not all_fresh:
            mask = np.uint64(0)
            for k in range(read.class_age_us.shape[0]):
                if _within_age(read, k, now_us - as_of_us):
                    mask |= read.class_mask[k, w]
        view.present[item, w] = present
        view.fresh[item, w] = present & mask


@kernel(types.void(READ_PLAN_TYPE, LIVE_TYPE, VIEW_TYPE, types.int64, types.int64, types.int64), inner=True)
def _change_label(read: ReadPlan, live: Live, view: View, item: _Int, change: _Int, now_us: _Int) -> None:
    label = np.int64(live.bound[live.changes[change]["name"]])
    word = label >> 6
    bit = np.uint64(1) << np.uint64(label & 63)
    if live.changes[change]["kind"] == REMOVE_LABEL:
        view.present[item, word] &= ~bit
        view.fresh[item, word] &= ~bit
        return
    view.present[item, word] |= bit
    age = read.label_age_us[label]
    if age < 0 or now_us - live.changes[change]["at_us"] <= age:
        view.fresh[item, word] |= bit
    else:
        view.fresh[item, word] &= ~bit


@kernel(types.void(LIVE_TYPE, VIEW_TYPE, types.int64, types.int64), inner=True)
def _change_value(live: Live, view: View, item: _Int, change: _Int) -> None:
    slot = np.int64(live.bound[live.changes[change]["name"]])
    kind = live.changes[change]["kind"]
    value = live.changes[change]["value"]
    if kind == SET_MICROS:
        _set_micros(view, item, slot, value)
        return
    view.nanos[item, slot] = 0
    view.values[item, slot] = 0
    view.known[item, slot] = 0
    if kind == SET_NAME:
        value = np.int64(live.bound[value])
    if kind != CLEAR_VALUE and not (kind == SET_NAME and value < 0):
        view.values[item, slot] = value
        view.known[item, slot] = 1


@kernel(types.void(LIVE_TYPE, VIEW_TYPE, types.int64, types.int64), inner=True)
def _change_consent(live: Live, view: View, item: _Int, change: _Int) -> None:
    bit = np.uint64(1) << np.uint64(live.bound[live.changes[change]["name"]])
    kind = live.changes[change]["kind"]
    if kind == GRANT:
        view.granted[item] |= bit
        view.refused[item] &= ~bit
    else:
        view.granted[item] &= ~bit
        if kind == REFUSE:
            view.refused[item] |= bit


@kernel(
    types.void(READ_PLAN_TYPE, LIVE_TYPE, VIEW_TYPE, writable(np.int16), types.int64, types.int64, types.int64),
    inner=True,
)
def _apply_changes(
    read: ReadPlan, live: Live, view: View, language: npt.NDArray[np.int16], item: _Int, person: _Int, now_us: _Int
) -> None:
    """Put the person's live changes over the row; of an unknown subscriber only consent is taken."""
    change = np.int64(live.persons[person]["head"])
    while change >= 0:
        kind = live.changes[change]["kind"]
        bound = live.bound[live.changes[change]["name"]]
        if kind == SET_ZONE:
            view.zone[item] = live.bound[live.changes[change]["value"]]
        elif kind == SET_LANGUAGE:
            language[item] = live.bound[live.changes[change]["value"]]
        elif bound < 0:
            pass
        elif GRANT <= kind <= WITHDRAW:
            _change_consent(live, view, item, change)
        elif view.found[item] == FOUND:
            if SET_LABEL <= kind <= REMOVE_LABEL:
                _change_label(read, live, view, item, change, now_us)
            else:
                _change_value(live, view, item, change)
        change = np.int64(live.changes[change]["next"])


@kernel(types.void(VIEW_TYPE, types.int64, types.int64), inner=True)
def _clear_attributes(view: View, item: _Int, attributes: _Int) -> None:
    for slot in range(attributes):
        view.values[item, slot] = 0
        view.nanos[item, slot] = 0
        view.known[item, slot] = 0


@kernel(types.void(VIEW_TYPE, writable(np.int16), types.int64), inner=True)
def _clear(view: View, language: npt.NDArray[np.int16], item: _Int) -> None:
    for w in range(view.present.shape[1]):
        view.present[item, w] = np.uint64(0)
        view.fresh[item, w] = np.uint64(0)
    view.zone[item] = -1
    view.granted[item] = np.uint64(0)
    view.refused[item] = np.uint64(0)
    view.found[item] = UNKNOWN
    language[item] = -1


@kernel(types.void(ROWS_TYPE, READ_PLAN_TYPE, VIEW_TYPE, types.int64), inner=True)
def load_attributes(rows: Rows, read: ReadPlan, view: View, item: _Int) -> None:
    """Read the item's attributes, unless they are there: most subscribers are ruled out by their labels, and never need them."""
    if view.row[item] >= 0:
        _clear_attributes(view, item, read.plan[0]["attributes"])
        for slot in range(read.plan[0]["attributes"]):
            read_slot(rows, read, view, item, slot, view.row[item])
        view.row[item] = -1


@kernel(
    types.void(ROWS_TYPE, READ_PLAN_TYPE, VIEW_TYPE, writable(np.int16), types.int64, types.int64, types.int64),
    inner=True,
)
def _read_row(
    rows: Rows, read: ReadPlan, view: View, language: npt.NDArray[np.int16], item: _Int, row: _Int, now_us: _Int
) -> None:
    """Read all of the row but its attributes."""
    attributes = read.plan[0]["attributes"]
    start = row * read.plan[0]["stride"]
    view.found[item] = FOUND
    _read_labels(rows, read, view, item, row, now_us)
    view.granted[item] = _consent_bits(rows, read, start + read.plan[0]["granted_at"])
    view.refused[item] = _consent_bits(rows, read, start + read.plan[0]["refused_at"])
    view.zone[item] = np.int32(_row_code(rows, read, row, attributes))
    language[item] = np.int16(_row_code(rows, read, row, attributes + 1))


@kernel(types.void(ROWS_TYPE, READ_PLAN_TYPE, ASKED_TYPE, VIEW_TYPE, types.int64, types.int64), inner=True)
def _find_rows(rows: Rows, read: ReadPlan, asked: Asked, view: View, start: _Int, stop: _Int) -> None:
    """Set view.row for items [start, stop), asking for every cache line of all of them before any is waited for."""
    shift = read.plan[0]["shift"]
    stride = read.plan[0]["stride"]
    for item in range(start, stop):
        prefetch(rows.directory, np.int64(asked.subscriber[item] >> shift))
    for item in range(start, stop):
        prefetch(rows.hashes, np.int64(rows.directory[np.int64(asked.subscriber[item] >> shift)]))
    for item in range(start, stop):
        row = find_row(rows, shift, asked.subscriber[item])
        view.row[item] = row
        if row >= 0:
            for line in range(0, stride, CACHE_LINE_BYTES):
                prefetch(rows.r8, row * stride + line)
            prefetch(rows.r8, row * stride + stride - 1)


@kernel(
    types.void(ROWS_TYPE, READ_PLAN_TYPE, LIVE_TYPE, ASKED_TYPE, VIEW_TYPE, types.int64, types.int64, types.boolean),
    apart=True,
)
def gather(
    rows: Rows, read: ReadPlan, live: Live, asked: Asked, view: View, start: _Int, stop: _Int, whole: bool
) -> None:
    """Fill rows [start, stop) of the view (of its slots, the attributes) and of `asked.language` for the hashes and instants of `asked`.

    An erased subscriber has every pair refused and nothing else; an unknown one has nothing but its live consent, zone and language.
    Unless `whole`, attributes are left for `load_attributes` where nothing live changes them.
    """
    attributes = read.plan[0]["attributes"]
    for item in range(start, stop):
        if (item - start) % ITEMS_AHEAD == 0:
            _find_rows(rows, read, asked, view, item, min(item + ITEMS_AHEAD, stop))
        person = find_person(live, asked.subscriber[item])
        row, erased = view.row[item], person >= 0 and live.persons[person]["erased"] != 0
        if row < 0 or erased:
            view.row[item] = -1
            _clear(view, asked.language, item)
            _clear_attributes(view, item, attributes)
        if erased:
            view.found[item] = ERASED
            view.refused[item] = read.plan[0]["pair_mask"]
            continue
        if row >= 0:
            _read_row(rows, read, view, asked.language, item, row, asked.now_us[item])
            if whole or person >= 0:
                load_attributes(rows, read, view, item)
        if person >= 0:
            _apply_changes(read, live, view, asked.language, item, person, asked.now_us[item])
