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
from engine.jit import kernel, read_only, writable

MATCHED, CONTACT, WHOLE = 0, 1, 2
"""How much of each row is read at once: labels and zone, which conditions ask about; consent and language too; attributes too."""
_MICROS = 1_000_000
_WORD_BITS = 64
CACHE_LINE_BYTES = 64
ITEMS_AHEAD = 16
"""Items whose rows are asked for at once: enough to hide a cache miss behind the others, few enough to stay in the first cache."""
_Int: TypeAlias = int | np.integer[Any]


@kernel(types.int64(ROWS_TYPE, types.uint64, types.uint64))
def find_row(rows: Rows, shift: np.uint64, subscriber: np.uint64) -> _Int:
    """Return the row of the subscriber's hash, or -1. A damaged directory gives a wrong answer, never a read out of bounds."""
    bucket, count = np.int64(subscriber >> shift), np.int64(rows.hashes.shape[0])
    row = np.int64(rows.directory[np.uint64(bucket)])
    stop = min(np.int64(rows.directory[np.uint64(bucket + 1)]), count)
    while row < stop and rows.hashes[np.uint64(row)] < subscriber:
        row += 1
    if row < stop and rows.hashes[np.uint64(row)] == subscriber:
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


@kernel(types.uint64(ROWS_TYPE, types.int64, types.int64, types.int64), inner=True)
def _stored_bytes(rows: Rows, start: _Int, at: _Int, count: _Int) -> np.uint64:
    """Return up to eight bytes from byte `at` of the row that starts at byte `start`, a multiple of 8, by words: no branch depends on the row."""
    if count == 0:
        return np.uint64(0)
    word, skipped = np.uint64((start >> 3) + (at >> 3)), (at & 7) * 8
    found = np.uint64(rows.r64[word]) >> np.uint64(skipped)
    if skipped + 8 * count > _WORD_BITS:
        found |= np.uint64(rows.r64[word + np.uint64(1)]) << np.uint64(_WORD_BITS - skipped)
    return np.uint64(found & ~np.uint64(0) >> np.uint64(_WORD_BITS - 8 * count))


@kernel(types.uint64(READ_PLAN_TYPE, types.uint64, types.boolean), inner=True)
def _consent_bits(read: ReadPlan, stored: np.uint64, same: bool) -> np.uint64:
    """Return a row's consent bits in the rulebook's order, which may be the `same`."""
    if same:
        return stored
    bits = np.uint64(0)
    for k in range(read.pair_bits.shape[0]):
        if read.pair_bits[k] >= 0 and (stored >> np.uint64(k)) & np.uint64(1) != np.uint64(0):
            bits |= np.uint64(1) << np.uint64(read.pair_bits[k])
    return bits


@kernel(types.int64(read_only(np.int32), types.uint64, types.int64, types.int64), inner=True)
def _bound_code(codes: npt.NDArray[np.int32], stored: np.uint64, limit: _Int, bias: _Int) -> _Int:
    """Return the bound code of a stored zone or language, or -1; 0 is unknown."""
    if stored == np.uint64(0) or stored > np.uint64(limit):
        return -1
    return np.int64(codes[np.int64(stored) - 1 + bias])


@kernel(types.boolean(READ_PLAN_TYPE, types.int64, types.int64), inner=True)
def _within_age(read: ReadPlan, k: _Int, age_us: _Int) -> bool:
    """Return whether labels of class k hold at that age."""
    return bool(read.class_age_us[k] < 0 or age_us <= read.class_age_us[k])


@kernel(types.int64(READ_PLAN_TYPE), inner=True)
def _fresh_us(read: ReadPlan) -> _Int:
    """Return the age up to which labels of every class hold."""
    fresh_us = np.iinfo(np.int64).max
    for k in range(read.class_age_us.shape[0]):
        if read.class_age_us[k] >= 0:
            fresh_us = min(fresh_us, read.class_age_us[k])
    return fresh_us


@kernel(types.void(READ_PLAN_TYPE, VIEW_TYPE, types.int64, types.int64), inner=True)
def _age_labels(read: ReadPlan, view: View, item: _Int, age_us: _Int) -> None:
    """Take from the item's fresh labels those of the classes that do not hold at that age."""
    for w in range(view.fresh.shape[1]):
        mask = np.uint64(0)
        for k in range(read.class_age_us.shape[0]):
            if _within_age(read, k, age_us):
                mask |= read.class_mask[k, w]
        view.fresh[item, w] &= mask


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
        view.aged[item] = 1


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
    view.aged[item] = 0
    language[item] = -1


@kernel(types.void(ROWS_TYPE, READ_PLAN_TYPE, VIEW_TYPE, types.int64), inner=True)
def load_attributes(rows: Rows, read: ReadPlan, view: View, item: _Int) -> None:
    """Read the item's attributes, unless they are there: most subscribers are ruled out by their labels, and never need them."""
    if view.row[item] >= 0:
        _clear_attributes(view, item, read.plan[0]["attributes"])
        for slot in range(read.plan[0]["attributes"]):
            read_slot(rows, read, view, item, slot, view.row[item])
        view.row[item] = -1


@kernel(types.void(ROWS_TYPE, READ_PLAN_TYPE, ASKED_TYPE, VIEW_TYPE, types.int64, types.int64, types.int64), inner=True)
def _read_rows(rows: Rows, read: ReadPlan, asked: Asked, view: View, start: _Int, stop: _Int, parts: _Int) -> None:
    """Read of the rows of items [start, stop) labels and zone or, unless `parts` is MATCHED, all but the attributes.

    What the plan says is read once, before the loop: nothing tells the compiler that a store to the view does not change it.
    """
    plan, fresh_us, codes = read.plan[0], _fresh_us(read), read.codes
    stride, words, as_of_at, snapshot_us = plan["stride"], plan["words"], plan["as_of_at"], plan["as_of_us"]
    granted_at, refused_at, pair_bytes = plan["granted_at"], plan["refused_at"], plan["pair_bytes"]
    same, mask = plan["pairs_same"] != 0, plan["pair_mask"]
    zone, spoken = read.fields[plan["attributes"]], read.fields[plan["attributes"] + 1]
    zone_bytes, zone_limit, zone_bias = np.int64(zone["width"]), zone["limit"], zone["bias"]
    spoken_bytes, spoken_limit, spoken_bias = np.int64(spoken["width"]), spoken["limit"], spoken["bias"]
    zone_at, spoken_at = zone["at"] * zone_bytes, spoken["at"] * spoken_bytes
    for item in range(start, stop):
        row = view.row[item]
        if row < 0:
            continue
        at = row * stride
        as_of_us = snapshot_us if as_of_at < 0 else np.int64(rows.r32[(at >> 2) + as_of_at]) * _MICROS
        aged = asked.now_us[item] - as_of_us > fresh_us
        for w in range(words):
            present = np.uint64(rows.r64[np.uint64((at >> 3) + w)])
            view.present[np.uint64(item), np.uint64(w)] = present
            view.fresh[np.uint64(item), np.uint64(w)] = present
        if aged:
            _age_labels(read, view, item, asked.now_us[item] - as_of_us)
        view.aged[item], view.found[item] = aged, FOUND
        zone_code = _bound_code(codes, _stored_bytes(rows, at, zone_at, zone_bytes), zone_limit, zone_bias)
        view.zone[item] = np.int32(zone_code)
        if parts == MATCHED:
            continue
        granted = _consent_bits(read, _stored_bytes(rows, at, granted_at, pair_bytes), same)
        refused = _consent_bits(read, _stored_bytes(rows, at, refused_at, pair_bytes), same)
        view.granted[item], view.refused[item] = granted & mask, refused & mask
        spoken_code = _bound_code(codes, _stored_bytes(rows, at, spoken_at, spoken_bytes), spoken_limit, spoken_bias)
        asked.language[item] = np.int16(spoken_code)


@kernel(types.void(ROWS_TYPE, READ_PLAN_TYPE, ASKED_TYPE, VIEW_TYPE, types.int64, types.int64), inner=True)
def _find_rows(rows: Rows, read: ReadPlan, asked: Asked, view: View, start: _Int, stop: _Int) -> None:
    """Set view.row for items [start, stop), asking for every cache line of all of them before any is waited for.

    A bucket of hashes is half a line long on average and lies on two lines as often as not, so its last hash is asked for too; none beyond it is looked at.
    """
    shift = read.plan[0]["shift"]
    stride = read.plan[0]["stride"]
    for item in range(start, stop):
        prefetch(rows.directory, np.int64(asked.subscriber[item] >> shift))
    for item in range(start, stop):
        bucket = np.int64(asked.subscriber[item] >> shift)
        prefetch(rows.hashes, np.int64(rows.directory[bucket]))
        prefetch(rows.hashes, np.int64(rows.directory[bucket + 1]) - 1)
    for item in range(start, stop):
        row = find_row(rows, shift, asked.subscriber[item])
        view.row[item] = row
        if row >= 0:
            for line in range(0, stride, CACHE_LINE_BYTES):
                prefetch(rows.r8, row * stride + line)
            prefetch(rows.r8, row * stride + stride - 1)


@kernel(types.void(ROWS_TYPE, READ_PLAN_TYPE, LIVE_TYPE, ASKED_TYPE, VIEW_TYPE, types.int64, types.int64), inner=True)
def _change_row(rows: Rows, read: ReadPlan, live: Live, asked: Asked, view: View, item: _Int, person: _Int) -> None:
    """Put right the row of the view of who has none in the base, or has changes: person of the overlay, or -1."""
    row, erased = view.row[item], person >= 0 and live.persons[person]["erased"] != 0
    if row < 0 or erased:
        view.row[item] = -1
        _clear(view, asked.language, item)
        _clear_attributes(view, item, read.plan[0]["attributes"])
    if erased:
        view.found[item] = ERASED
        view.refused[item] = read.plan[0]["pair_mask"]
    elif person >= 0:
        load_attributes(rows, read, view, item)
        _apply_changes(read, live, view, asked.language, item, person, asked.now_us[item])


@kernel(
    types.void(ROWS_TYPE, READ_PLAN_TYPE, LIVE_TYPE, ASKED_TYPE, VIEW_TYPE, types.int64, types.int64, types.int64),
    apart=True,
)
def gather(
    rows: Rows, read: ReadPlan, live: Live, asked: Asked, view: View, start: _Int, stop: _Int, parts: _Int
) -> None:
    """Fill rows [start, stop) of the view (of its slots, the attributes) and of `asked.language` for the hashes and instants of `asked`.

    An erased subscriber has every pair refused and nothing else; an unknown one has nothing but its live consent, zone and language.
    `parts`: MATCHED, CONTACT or WHOLE. Unless WHOLE, attributes are left for `load_attributes` where nothing live changes them; after MATCHED consent
    and language mean nothing.
    """
    for first in range(start, stop, ITEMS_AHEAD):
        end = min(first + ITEMS_AHEAD, stop)
        _find_rows(rows, read, asked, view, first, end)
        _read_rows(rows, read, asked, view, first, end, parts)
        for item in range(first, end):
            person = find_person(live, asked.subscriber[item])
            if person >= 0 or view.row[item] < 0:
                _change_row(rows, read, live, asked, view, item, person)
            elif parts == WHOLE:
                load_attributes(rows, read, view, item)
