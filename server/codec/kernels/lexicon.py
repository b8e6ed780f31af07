"""Texts become numbers as they come, each column's from 0 on: the dictionaries of an answer's columns."""

import numpy as np
import numpy.typing as npt
from numba import types

from engine.jit import kernel, read_only, writable
from engine.kernels.siphash import Int
from engine.kernels.texts import copy_bytes
from server.codec.answer_tables import LEXICON_TYPE, WORD_COLUMNS, Lexicon
from server.codec.kernels.words import first_slot, same_bytes

NO_ROOM = -1


@kernel(types.int64(LEXICON_TYPE, types.int64, read_only(np.uint8), types.int64, types.int64), inner=True)
def number_of(lexicon: Lexicon, column: Int, data: npt.NDArray[np.uint8], at: Int, size: Int) -> Int:
    """Return the number of the text in bytes [at, at + size) of `data` in its column, a new one when it is new; NO_ROOM when there is none for it."""
    mask = len(lexicon.slots) - 1
    place = first_slot(data, at, size, column, mask)
    while lexicon.slots[place] >= 0:
        entry = lexicon.slots[place]
        alike = lexicon.column[entry] == column and lexicon.size[entry] == size
        if alike and same_bytes(lexicon.data, lexicon.at[entry], data, at, size):
            return np.int64(lexicon.number[entry])
        place = (place + 1) & mask
    entry, start = lexicon.used[0], lexicon.used[1]
    if entry == len(lexicon.number) or start + size > len(lexicon.data):
        return np.int64(NO_ROOM)
    copy_bytes(lexicon.data, start, data, at, size)
    number = lexicon.used[2 + column]
    lexicon.slots[place], lexicon.column[entry], lexicon.number[entry] = entry, column, number
    lexicon.at[entry], lexicon.size[entry] = start, size
    lexicon.used[0], lexicon.used[1], lexicon.used[2 + column] = entry + 1, start + size, number + 1
    lexicon.used[2 + WORD_COLUMNS + column] += size
    return np.int64(number)


@kernel(types.void(LEXICON_TYPE))
def index_again(lexicon: Lexicon) -> None:
    """Fill the slots, all -1 before, from the entries."""
    mask = len(lexicon.slots) - 1
    for entry in range(lexicon.used[0]):
        at, size = lexicon.at[entry], lexicon.size[entry]
        place = first_slot(lexicon.data, at, size, np.int64(lexicon.column[entry]), mask)
        while lexicon.slots[place] >= 0:
            place = (place + 1) & mask
        lexicon.slots[place] = entry


@kernel(types.void(LEXICON_TYPE, types.int64, writable(np.int32), writable(np.uint8)))
def copy_column(lexicon: Lexicon, column: int, ends: npt.NDArray[np.int32], data: npt.NDArray[np.uint8]) -> None:
    """Write a column's texts to `data` in the order of their numbers, and where each ends, from ends[1] on; there must be room."""
    text, at = 0, np.int64(0)
    ends[0] = 0
    for entry in range(lexicon.used[0]):
        if lexicon.column[entry] == column:
            copy_bytes(data, at, lexicon.data, lexicon.at[entry], lexicon.size[entry])
            at += lexicon.size[entry]
            text += 1
            ends[text] = at
