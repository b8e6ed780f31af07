"""Texts as spans of one buffer: what answers are between the engine, whoever renders them, and the ledger's memory."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.jit import bundle, writable


class Texts(NamedTuple):
    """n texts; one of no bytes stands for none."""

    data: npt.NDArray[np.uint8]
    """(bytes,): whatever lies between the texts means nothing."""
    start: npt.NDArray[np.int64]
    """(n,): first byte of each in `data`."""
    length_bytes: npt.NDArray[np.int64]
    """(n,)"""


TEXTS_TYPE: Any = bundle(Texts, writable(np.uint8), writable(np.int64), writable(np.int64))
