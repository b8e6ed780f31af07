"""What leaves: answers with the time that they took, bare, or with failures as the results of a DecideBatchResponse."""

import numpy as np
import numpy.typing as npt
from numba import types

from engine.dtypes.ledger import Integer
from engine.dtypes.texts import TEXTS_TYPE, Texts
from engine.jit import kernel, read_only, writable
from engine.kernels.texts import copy_bytes
from server.codec.kernels.writing import put_bytes, put_number, put_varint, varint_bytes

RESULTS, ANSWER, ERROR, SERVER_US = 1 << 3 | 2, 1 << 3 | 2, 2 << 3 | 2, 15 << 3
ITEM_BYTES_MAX = 6 + 6 + 11
"""What an item takes beside its answer or failure."""


@kernel(types.int64(TEXTS_TYPE, read_only(np.int64), writable(np.uint8), writable(np.int64)))
def put_answers(
    answers: Texts, server_us: npt.NDArray[np.int64], out: npt.NDArray[np.uint8], start: npt.NDArray[np.int64]
) -> Integer:
    """Write (n,) answers with their server_us, nothing for one of no bytes, and where each starts and the last ends, (n + 1,) or more; return that end."""
    at: Integer = 0
    for i in range(len(server_us)):
        start[i] = at
        count = answers.length_bytes[i]
        if count > 0:
            copy_bytes(out, at, answers.data, answers.start[i], count)
            at = put_number(out, at + count, SERVER_US, np.uint64(server_us[i]))
    start[len(server_us)] = at
    return at


@kernel(types.int64(TEXTS_TYPE, TEXTS_TYPE, read_only(np.int64), writable(np.uint8)))
def put_results(
    answers: Texts, failures: Texts, server_us: npt.NDArray[np.int64], out: npt.NDArray[np.uint8]
) -> Integer:
    """Write (n,) items as results of a batch: an answer with its server_us, or, for one of no bytes, its failure's ItemError. Return where they end."""
    at: Integer = 0
    for i in range(len(server_us)):
        count = answers.length_bytes[i]
        out[at] = RESULTS
        if count > 0:
            us = np.uint64(server_us[i])
            whole = count + (1 + varint_bytes(us) if us > np.uint64(0) else 0)
            at = put_varint(out, at + 1, np.uint64(1 + varint_bytes(np.uint64(whole)) + whole))
            out[at] = ANSWER
            at = put_varint(out, at + 1, np.uint64(whole))
            copy_bytes(out, at, answers.data, answers.start[i], count)
            at = put_number(out, at + count, SERVER_US, us)
        else:
            count = failures.length_bytes[i]
            at = put_varint(out, at + 1, np.uint64(1 + varint_bytes(np.uint64(count)) + count))
            at = put_bytes(out, at, ERROR, failures.data, failures.start[i], count)
    return at
