"""What the reading of requests works on: the catalogue's names and types, strings that have codes, requests as columns, the columns that it fills."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.jit import bundle, read_only, writable


class Names(NamedTuple):
    """The catalogue's ids by their bytes: name i is `data[start[i] : start[i + 1]]`, of `kind[i]`, and stands for `number[i]`."""

    slots: npt.NDArray[np.int32]
    """(power of two,): a name's index where its hash sends it or after it; -1 where there is none. At most half are taken."""
    kind: npt.NDArray[np.int32]
    number: npt.NDArray[np.int32]
    start: npt.NDArray[np.int64]
    """(names + 1,)"""
    data: npt.NDArray[np.uint8]


NAMES_TYPE: Any = bundle(
    Names, read_only(np.int32), read_only(np.int32), read_only(np.int32), read_only(np.int64), read_only(np.uint8)
)
TRIGGER, PLACEMENT, CHANNEL, LANGUAGE, FIELD = 1, 2, 3, 4, 5
"""Names.kind."""


class Coded(NamedTuple):
    """Strings of trigger fields that have a code: entry i is `data[at[i] : at[i] + size[i]]` in a field's column; forgotten all at once."""

    slots: npt.NDArray[np.int32]
    """(power of two,): as in Names, by the keyed digest of field and string."""
    column: npt.NDArray[np.int32]
    code: npt.NDArray[np.int32]
    at: npt.NDArray[np.int64]
    size: npt.NDArray[np.int64]
    data: npt.NDArray[np.uint8]
    used: npt.NDArray[np.int64]
    """(2,): entries, bytes."""


CODED_TYPE: Any = bundle(
    Coded,
    writable(np.int32),
    writable(np.int32),
    writable(np.int32),
    writable(np.int64),
    writable(np.int64),
    writable(np.uint8),
    writable(np.int64),
)


class Tables(NamedTuple):
    """What requests are read by; T triggers, C columns of engine.batch.Batch's fields."""

    names: Names
    field_kind: npt.NDArray[np.uint8]
    """(T, C): the kind of touchpoint.v1.Value that the trigger's field is declared as; 0 when it has no such field."""
    field_coded: npt.NDArray[np.uint8]
    """(C,): 1 for strings that some condition asks for; the others' code is 0."""
    offers_max: npt.NDArray[np.int32]
    """(channels,): for requests that do not say."""
    keys: npt.NDArray[np.uint64]
    """(KEYS_SIZE,): server.codec.kernels.identity."""
    digits_only: npt.NDArray[np.uint8]
    """(1,): 1 when subscribers' keys are telephone numbers."""


TABLES_TYPE: Any = bundle(
    Tables,
    NAMES_TYPE,
    read_only(np.uint8, 2),
    read_only(np.uint8),
    read_only(np.int32),
    read_only(np.uint64),
    read_only(np.uint8),
)


class Columns(NamedTuple):
    """What reading writes, row for row: columns of engine.batch.Batch, columns of Asked, and how it went; capacity n."""

    item_at: npt.NDArray[np.int64]
    """Given, as is the next."""
    item_bytes: npt.NDArray[np.int32]
    request: npt.NDArray[np.uint64]
    """(n, 2)"""
    body: npt.NDArray[np.uint64]
    subscriber: npt.NDArray[np.uint64]
    trigger: npt.NDArray[np.int32]
    channel: npt.NDArray[np.int32]
    offers_max: npt.NDArray[np.int32]
    flags: npt.NDArray[np.uint8]
    now_us: npt.NDArray[np.int64]
    field_values: npt.NDArray[np.int64]
    """(n, C)"""
    field_nanos: npt.NDArray[np.int32]
    field_known: npt.NDArray[np.uint8]
    id_at: npt.NDArray[np.int64]
    id_bytes: npt.NDArray[np.int32]
    language: npt.NDArray[np.int32]
    wants: npt.NDArray[np.uint8]
    """(n,): Asked.flags."""
    odd: npt.NDArray[np.uint8]
    """(n,): 1 when the row is left to the reader of rare forms; nothing else of it then counts."""


COLUMNS_TYPE: Any = bundle(
    Columns,
    writable(np.int64),
    writable(np.int32),
    writable(np.uint64, 2),
    writable(np.uint64),
    writable(np.uint64),
    writable(np.int32),
    writable(np.int32),
    writable(np.int32),
    writable(np.uint8),
    writable(np.int64),
    writable(np.int64, 2),
    writable(np.int32, 2),
    writable(np.uint8, 2),
    writable(np.int64),
    writable(np.int32),
    writable(np.int32),
    writable(np.uint8),
    writable(np.uint8),
)


class Sheet(NamedTuple):
    """Requests as columns: n rows, T columns of texts, F of trigger fields. A text is an entry, and entry e is bytes [at[e], at[e] + size[e]) of `text`."""

    text: npt.NDArray[np.uint8]
    entry_at: npt.NDArray[np.int64]
    entry_bytes: npt.NDArray[np.int32]
    part: npt.NDArray[np.int32]
    """(T,): which part of a DecideRequest the column holds (server.codec.kernels.message)."""
    first: npt.NDArray[np.int32]
    """(T,): the column's first entry."""
    code: npt.NDArray[np.int32]
    """(T, n): the row's entry, counted from the column's first; -1 where it has none."""
    number: npt.NDArray[np.int64]
    """(SHEET_NUMBERS, n)"""
    known: npt.NDArray[np.uint8]
    """(SHEET_NUMBERS, n): whether the row has the number."""
    field_kind: npt.NDArray[np.int32]
    """(F,): Value's kind."""
    field_column: npt.NDArray[np.int32]
    """(F,): the column of engine.batch.Batch; -1 for a field that no trigger has."""
    field_begun: npt.NDArray[np.uint64]
    """(F, 4): the state of the field's digest after its name."""
    field_value: npt.NDArray[np.int64]
    """(F, n): as entries of a map have it; of strings the entry."""
    field_nanos: npt.NDArray[np.int32]
    field_known: npt.NDArray[np.uint8]


SEATS, DRY, TIME_SECONDS, TIME_NANOS, ASSUMED = range(5)
"""Rows of Sheet.number: max_offers, dry_run, the trigger's time; of assumed_now only whether it is known."""
SHEET_NUMBERS = 5

SHEET_TYPE: Any = bundle(
    Sheet,
    read_only(np.uint8),
    read_only(np.int64),
    read_only(np.int32),
    read_only(np.int32),
    read_only(np.int32),
    read_only(np.int32, 2),
    read_only(np.int64, 2),
    read_only(np.uint8, 2),
    read_only(np.int32),
    read_only(np.int32),
    read_only(np.uint64, 2),
    read_only(np.int64, 2),
    read_only(np.int32, 2),
    read_only(np.uint8, 2),
)
