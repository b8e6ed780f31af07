"""The base as kernels see it: a sorted index of hashes, packed rows, the plan by which a rulebook reads them, and the live overlay.

    hash -> directory[hash >> shift] .. [+ 1] -> hashes (sorted, about four a bucket: half a cache line) -> row r
    row r, `stride` bytes (a multiple of 8), r8[r * stride : (r + 1) * stride]:
        label words (W x 8) | attribute fields, widest first, each aligned to its width | zone | language
        | as-of (4) | presence bits | consent granted bits | consent refused bits

A field is an unsigned integer of 1, 2, 4 or 8 bytes; its value is `bias` + that integer, so that a range costs its span, not its
magnitude. r8, r16, r32, r64 and f32 are the same memory under five types. Rejected: columns, which cost a cache miss for each
attribute of a random subscriber, where a row of 96 bytes costs two.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.jit import bundle, read_only, writable

PLAIN, FLOAT32, FLOAT64, MICROS = 0, 1, 2, 3
"""Kinds of fields: integers (bool, int, decimal, dictionary code); float32; float64; microseconds (timestamp, duration)."""

FIELD = np.dtype(
    [
        ("bias", np.int64),
        ("limit", np.int64),  # PLAIN: the stored integer is below it, or the value is unknown; 0: no bound
        ("at", np.int32),  # offset in the row, in units of width
        ("bit", np.int32),  # presence bit; -1: present when the stored integer is not 0 (zone, language: 0 is unknown)
        ("width", np.uint8),  # 0: not in the row
        ("kind", np.uint8),
    ],
    align=True,
)

PLAN = np.dtype(
    [
        ("rows", np.int64),
        ("stride", np.int64),  # bytes
        ("shift", np.uint64),  # 64 - directory bits
        ("words", np.int64),
        ("attributes", np.int64),  # fields[attributes] is the zone, fields[attributes + 1] the language
        ("presence_at", np.int64),  # byte offsets in the row
        ("granted_at", np.int64),
        ("refused_at", np.int64),
        ("pair_bytes", np.int64),
        ("as_of_at", np.int64),  # in units of 4 bytes; -1: every row is as of the snapshot
        ("as_of_us", np.int64),
        ("pairs_same", np.uint8),  # the row's consent bits are the rulebook's, or begin with them
        ("pair_mask", np.uint64),
    ],
    align=True,
)


class Rows(NamedTuple):
    """The memory-mapped snapshot; n rows."""

    hashes: npt.NDArray[np.uint64]
    """(n,), sorted, unique"""
    directory: npt.NDArray[np.uint32]
    """(2**bits + 1,): first row whose hash has at least this prefix."""
    r8: npt.NDArray[np.uint8]
    """(n * stride,)"""
    r16: npt.NDArray[np.uint16]
    r32: npt.NDArray[np.uint32]
    r64: npt.NDArray[np.int64]
    f32: npt.NDArray[np.float32]


ROWS_TYPE: Any = bundle(
    Rows, *(read_only(t) for t in (np.uint64, np.uint32, np.uint8, np.uint16, np.uint32, np.int64, np.float32))
)


class ReadPlan(NamedTuple):
    """How one rulebook reads the rows of one base."""

    plan: npt.NDArray[np.void]
    """(1,) PLAN"""
    fields: npt.NDArray[np.void]
    """(attributes + 2,) FIELD, in the rulebook's order of slots, then zone and language."""
    pair_bits: npt.NDArray[np.int32]
    """(base pairs,): the rulebook's bit of each consent pair of the base; -1 when it has none."""
    codes: npt.NDArray[np.int32]
    """(zones + languages,): the bound code of each zone of the base, then of each language."""
    label_age_us: npt.NDArray[np.int64]
    """(W * 64,): maximum age of each label; -1 for static ones."""
    class_age_us: npt.NDArray[np.int64]
    """(classes,): the distinct maximum ages; -1 first, for static labels."""
    class_mask: npt.NDArray[np.uint64]
    """(classes, W): the labels of each class."""


READ_PLAN_TYPE: Any = bundle(
    ReadPlan,
    read_only(PLAN),
    read_only(FIELD),
    read_only(np.int32),
    read_only(np.int32),
    read_only(np.int64),
    read_only(np.int64),
    read_only(np.uint64, 2),
)

PERSON = np.dtype([("hash", np.uint64), ("head", np.int32), ("erased", np.uint8)], align=True)

CHANGE = np.dtype(
    [
        ("at_us", np.int64),
        ("value", np.int64),  # as View.values; microseconds for SET_MICROS; a name for SET_NAME, SET_ZONE, SET_LANGUAGE
        ("next", np.int32),  # the person's next change; -1 ends
        ("person", np.int32),
        ("name", np.int32),  # what is changed: a number of the overlay's name table
        ("kind", np.uint8),
        ("base", np.uint16),  # under which base it was told: a number of the overlay's name table
    ],
    align=True,
)
assert PERSON.itemsize == 16
assert CHANGE.itemsize == 32

(
    SET_LABEL,
    REMOVE_LABEL,
    SET_VALUE,
    SET_MICROS,
    SET_NAME,
    CLEAR_VALUE,
    SET_ZONE,
    SET_LANGUAGE,
    GRANT,
    REFUSE,
    WITHDRAW,
) = range(11)


class Live(NamedTuple):
    """The overlay: an open-addressing table (linear probing, never more than half full) of subscribers with a list of changes each."""

    table: npt.NDArray[np.int32]
    """(2**k,): person + 1; 0 is empty."""
    persons: npt.NDArray[np.void]
    """PERSON"""
    changes: npt.NDArray[np.void]
    """CHANGE"""
    bound: npt.NDArray[np.int32]
    """By name: its label bit, attribute slot, consent bit, zone, language or string code in this binding; -1 when it has none."""


LIVE_TYPE: Any = bundle(Live, read_only(np.int32), read_only(PERSON), read_only(CHANGE), read_only(np.int32))


class Asked(NamedTuple):
    """Whom a batch asks about; n items."""

    subscriber: npt.NDArray[np.uint64]
    now_us: npt.NDArray[np.int64]
    language: npt.NDArray[np.int16]
    """(n,), written: code of the subscriber's language; -1 unknown."""


ASKED_TYPE: Any = bundle(Asked, read_only(np.uint64), read_only(np.int64), writable(np.int16))
