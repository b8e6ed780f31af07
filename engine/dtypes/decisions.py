"""The answers to a batch as kernels write them: the columns of engine.batch.Decisions."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.jit import bundle, writable


class DecisionColumns(NamedTuple):
    """Row for row with the batch; engine.batch.Decisions says what each means."""

    reason: npt.NDArray[np.uint8]
    decision: npt.NDArray[np.uint64]
    chosen_count: npt.NDArray[np.int32]
    chosen: npt.NDArray[np.int32]
    """(n, k), as the two others of two axes: k = OFFERS_PER_ANSWER_MAX, but STAGE_COUNT for the stages"""
    score: npt.NDArray[np.float64]
    expires_us: npt.NDArray[np.int64]
    not_before_us: npt.NDArray[np.int64]
    deadline_us: npt.NDArray[np.int64]
    next_allowed_us: npt.NDArray[np.int64]
    stages: npt.NDArray[np.int32]
    would_be_count: npt.NDArray[np.int32]
    would_be: npt.NDArray[np.int32]
    language: npt.NDArray[np.int16]
    text_start: npt.NDArray[np.int64]
    text_bytes: npt.NDArray[np.int64]
    replayed: npt.NDArray[np.uint8]
    conflict: npt.NDArray[np.uint8]
    now_us: npt.NDArray[np.int64]


DECISIONS_TYPE: Any = bundle(
    DecisionColumns,
    writable(np.uint8),
    writable(np.uint64),
    writable(np.int32),
    writable(np.int32, 2),
    writable(np.float64, 2),
    *(writable(np.int64),) * 4,
    writable(np.int32, 2),
    writable(np.int32),
    writable(np.int32, 2),
    writable(np.int16),
    writable(np.int64),
    writable(np.int64),
    writable(np.uint8),
    writable(np.uint8),
    writable(np.int64),
)
