"""What the codec knows of a batch's requests beside what the engine decides by: where each lies in the bytes, and how it wants to be answered."""

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.jit import bundle, read_only

EXPLAIN: Final = 1
"""Asked.flags: the answer also says what became of every candidate. Such an item is decided alone."""


class Asked(NamedTuple):
    """The requests of a batch, row for row with engine.batch.Batch, whose `count` says how many rows are filled; n rows or more.

    A request's span holds the bytes of one touchpoint.v1.DecideRequest, valid, each singular field at most once; its id's span lies within it.
    """

    text: npt.NDArray[np.uint8]
    """(bytes,): the messages of the batch, or what held them, end to end."""
    item_at: npt.NDArray[np.int64]
    """(n,): first byte of the DecideRequest in `text`."""
    item_bytes: npt.NDArray[np.int32]
    id_at: npt.NDArray[np.int64]
    """(n,): first byte of request_id in `text`: UTF-8."""
    id_bytes: npt.NDArray[np.int32]
    """(n,): 1 to REQUEST_ID_BYTES_MAX."""
    language: npt.NDArray[np.int32]
    """(n,): index among the catalogue's languages of the one that was asked for, -1 when none was."""
    flags: npt.NDArray[np.uint8]
    """(n,): EXPLAIN or 0."""


ASKED_TYPE: Any = bundle(
    Asked,
    read_only(np.uint8),
    read_only(np.int64),
    read_only(np.int32),
    read_only(np.int64),
    read_only(np.int32),
    read_only(np.int32),
    read_only(np.uint8),
)
