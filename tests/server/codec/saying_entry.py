"""An entry from Python to the inner kernel that says one offer's words."""

from numba import types

from engine.dtypes.ledger import Integer
from engine.jit import kernel
from server.codec.dtypes import ASKED_TYPE, Asked
from server.codec.kernels.saying import say_words
from server.codec.sayings import FIELDS_TYPE, SPEAKER_TYPE, Fields, Speaker


@kernel(types.int64(SPEAKER_TYPE, ASKED_TYPE, FIELDS_TYPE))
def say_first(speaker: Speaker, asked: Asked, fields: Fields) -> Integer:
    """Say words 0 to hearer 0, who asked in row 0, from byte 0 on."""
    return say_words(speaker, asked, fields, 0, 0, 0, 0)
