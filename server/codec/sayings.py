"""What kernels say varying words by: templates as tables of parts, dictionaries as bytes, the subscribers and requests that they are said of.

    words v -> content template, script template, language -> parts first .. end -> texts in Pieces.blob, values

Templates and words are a rulebook's, equal ones once; dictionaries and the way to read subscribers are a base's; the rest is scratch, made once.
"""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.dtypes import base
from engine.dtypes.texts import TEXTS_TYPE, Texts
from engine.dtypes.view import VIEW_TYPE, View
from engine.dtypes.zone import ZONE_TABLES_TYPE, ZoneTables
from engine.jit import bundle, read_only, writable

TEXT, VALUE, IF_TRUE, IF_NOT_TRUE = range(4)
"""PART.kind, as engine.templates.PartKind has them: up to VALUE something is said, then come conditions."""
BOOL, INT, DECIMAL, DOUBLE, STRING, TIMESTAMP, DURATION = range(7)
"""PART.type."""

PART: Final = np.dtype(
    [
        ("at", np.int64),  # TEXT: itself; VALUE: the stand-in; a span of Pieces.blob
        ("bytes", np.int32),
        ("place", np.int32),  # VALUE, IF_...: slot of a subscriber's attribute; -1 - column of a trigger's field
        ("skip", np.int32),  # IF_...: how many of the next parts are passed over when the condition does not hold
        ("kind", np.uint8),
        ("type", np.uint8),
        ("scale", np.uint8),  # DECIMAL: digits after the point
    ],
    align=True,
)


class Sayings(NamedTuple):
    """A rulebook's templates and words that vary; P parts, T templates, V words, C columns of engine.batch.Batch's fields."""

    blob: npt.NDArray[np.uint8]
    """Pieces.blob."""
    parts: npt.NDArray[np.void]
    """(P,) PART"""
    templates: npt.NDArray[np.int64]
    """(T, 3): first part, end, characters at most."""
    words: npt.NDArray[np.int64]
    """(V, 4): templates of content and script, -1 without script; first byte and size of field 11 of the Offer, the language."""
    fields: npt.NDArray[np.int64]
    """(C, 2): first byte and size of the field's name."""


SAYINGS_TYPE: Any = bundle(
    Sayings,
    read_only(np.uint8),
    read_only(PART),
    read_only(np.int64, 2),
    read_only(np.int64, 2),
    read_only(np.int64, 2),
)


class Strings(NamedTuple):
    """The dictionaries of the base that templates name, each string in UTF-8: string n is data[start[n] : start[n + 1]]."""

    dictionaries: npt.NDArray[np.int64]
    """(attributes, 2): the number of the string with code 0, and how many codes are here."""
    start: npt.NDArray[np.int64]
    data: npt.NDArray[np.uint8]


STRINGS_TYPE: Any = bundle(Strings, read_only(np.int64, 2), read_only(np.int64), read_only(np.uint8))


class Fields(NamedTuple):
    """The fields of engine.batch.Batch; strings are taken from the requests themselves."""

    field_values: npt.NDArray[np.int64]
    field_nanos: npt.NDArray[np.int32]
    field_known: npt.NDArray[np.uint8]


FIELDS_TYPE: Any = bundle(Fields, writable(np.int64, 2), writable(np.int32, 2), writable(np.uint8, 2))


class Hearers(NamedTuple):
    """The subscribers that words are said to, n at a time, and how they are read (engine.kernels.gather)."""

    rows: base.Rows
    plan: base.ReadPlan
    live: base.Live
    asked: base.Asked
    gathered: View
    zones: ZoneTables
    """By View.zone; the last is that of subscribers without one."""
    place: npt.NDArray[np.int64]
    """(n,): whose row it is, as a place in the index of rows."""
    subscriber: npt.NDArray[np.uint64]
    """(n,): those of `asked`, to be written, as is the next."""
    now_us: npt.NDArray[np.int64]


HEARERS_TYPE: Any = bundle(
    Hearers,
    base.ROWS_TYPE,
    base.READ_PLAN_TYPE,
    base.LIVE_TYPE,
    base.ASKED_TYPE,
    VIEW_TYPE,
    ZONE_TABLES_TYPE,
    writable(np.int64),
    writable(np.uint64),
    writable(np.int64),
)


class Said(NamedTuple):
    """Where words go: fields 9 to 11 of an Offer for each that varies, in the order of rows, then of seats."""

    texts: Texts
    left: npt.NDArray[np.int64]
    """(n, 3): number of the text, row and words of each that is left to Python."""
    state: npt.NDArray[np.int64]
    """(SAID_WORDS,)"""
    parts: npt.NDArray[np.int64]
    """(PARTS_SIZE,): scratch of a message that is taken apart."""


SAID_TYPE: Any = bundle(Said, TEXTS_TYPE, writable(np.int64, 2), writable(np.int64), writable(np.int64))
SAID_TEXTS, SAID_USED, SAID_LEFT, SAID_NEXT, SAID_HEARERS = range(5)
"""Where Said.state keeps: how many texts there are; bytes used; texts left to Python; the place in the index to go on from; how many hearers are read."""
SAID_WORDS: Final = 5


class Speaker(NamedTuple):
    """All that is the same for every batch."""

    sayings: Sayings
    strings: Strings
    hearers: Hearers
    said: Said


SPEAKER_TYPE: Any = bundle(Speaker, SAYINGS_TYPE, STRINGS_TYPE, HEARERS_TYPE, SAID_TYPE)
