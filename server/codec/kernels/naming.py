"""Bytes become numbers: the catalogue's names, and the strings of trigger fields that have a code. Both are open-addressed and compared in full."""

import numpy as np
import numpy.typing as npt
from numba import types

from engine.jit import kernel, read_only, writable
from engine.kernels.siphash import Int
from server.codec.kernels.identity import entry_digest
from server.codec.kernels.message import KIND, NAME_AT, NAME_BYTES, NANOS, STRING, VALUE
from server.codec.kernels.words import first_slot, same_bytes
from server.codec.request_tables import CODED_TYPE, NAMES_TYPE, Coded, Names


@kernel(types.void(writable(np.int32), read_only(np.int32), read_only(np.int64), read_only(np.uint8)))
def index_names(
    slots: npt.NDArray[np.int32],
    kind: npt.NDArray[np.int32],
    start: npt.NDArray[np.int64],
    data: npt.NDArray[np.uint8],
) -> None:
    """Fill the slots of Names, all -1 before; no name of a kind is there twice."""
    mask = len(slots) - 1
    for name in range(len(kind)):
        place = first_slot(data, start[name], start[name + 1] - start[name], np.int64(kind[name]), mask)
        while slots[place] >= 0:
            place = (place + 1) & mask
        slots[place] = name


@kernel(types.int64(NAMES_TYPE, types.int64, read_only(np.uint8), types.int64, types.int64), inner=True, apart=True)
def name_number(names: Names, kind: int, text: npt.NDArray[np.uint8], at: Int, size: Int) -> Int:
    """Return the number of the name of `kind` in bytes [at, at + size); -1 when there is none."""
    mask = len(names.slots) - 1
    place = first_slot(text, at, size, kind, mask)
    while names.slots[place] >= 0:
        name = names.slots[place]
        start = names.start[name]
        if (
            names.kind[name] == kind
            and names.start[name + 1] - start == size
            and same_bytes(names.data, start, text, at, size)
        ):
            return np.int64(names.number[name])
        place = (place + 1) & mask
    return -1


@kernel(types.int64(CODED_TYPE, types.uint64, types.int64, read_only(np.uint8), types.int64, types.int64), inner=True)
def coded_text(coded: Coded, digest: np.uint64, column: Int, text: npt.NDArray[np.uint8], at: Int, size: Int) -> Int:
    """Return the code of the string in bytes [at, at + size) of a field's column; -1 when it has none here."""
    mask = len(coded.slots) - 1
    place = np.int64(digest >> np.uint64(33)) & mask
    while coded.slots[place] >= 0:
        entry = coded.slots[place]
        alike = coded.column[entry] == column and coded.size[entry] == size
        if alike and same_bytes(coded.data, coded.at[entry], text, at, size):
            return np.int64(coded.code[entry])
        place = (place + 1) & mask
    return -1


@kernel(
    types.boolean(
        CODED_TYPE, read_only(np.uint8), types.int64, types.int64, types.int64, read_only(np.uint64), writable(np.int64)
    )
)  # fmt: skip
def add_coded(
    coded: Coded,
    data: npt.NDArray[np.uint8],
    name_bytes: int,
    column: int,
    code: int,
    keys: npt.NDArray[np.uint64],
    parts: npt.NDArray[np.int64],
) -> bool:
    """Note the code of a string of a field's column: `data` is the field's name, then the string. Return False when it is there or has no room."""
    entry, start, size = coded.used[0], coded.used[1], len(data) - name_bytes
    parts[NAME_AT], parts[NAME_BYTES], parts[KIND], parts[VALUE], parts[NANOS] = 0, name_bytes, STRING, name_bytes, size
    digest = entry_digest(data, parts, keys)
    if entry == len(coded.code) or start + size > len(coded.data):
        return False
    if coded_text(coded, digest, column, data, name_bytes, size) >= 0:
        return False
    mask = len(coded.slots) - 1
    place = np.int64(digest >> np.uint64(33)) & mask
    while coded.slots[place] >= 0:
        place = (place + 1) & mask
    coded.slots[place], coded.column[entry], coded.code[entry] = entry, column, code
    coded.at[entry], coded.size[entry] = start, size
    for k in range(size):
        coded.data[start + k] = data[name_bytes + k]
    coded.used[0], coded.used[1] = entry + 1, start + size
    return True
