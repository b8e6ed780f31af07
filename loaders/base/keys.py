"""The key column becomes hashes; nothing else of a key is kept, and no message holds one."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]

from engine.base.keys import SubscriberKeys
from engine.jit import frozen
from engine.kernels.base_text import normalise_keys
from engine.limits import SUBSCRIBER_KEY_BYTES_MAX
from loaders.base.convert import ConversionError, bytes_of, is_text

KEY_EXPECTED: Final = {
    "opaque": f"a subscriber key of 1 to {SUBSCRIBER_KEY_BYTES_MAX} bytes in UTF-8",
    "msisdn": "a telephone number, with its country code or of the region of the mapping",
}


@dataclass(frozen=True, slots=True)
class Hashes:
    """Keys of a batch, (n,) each: the hash, a second independent hash, and whether the key could be read."""

    hashes: npt.NDArray[np.uint64]
    twins: npt.NDArray[np.uint64]
    readable: npt.NDArray[np.bool_]


def hash_keys(column: Any, keys: SubscriberKeys) -> Hashes:
    """Return the hashes of a batch's keys; raises ConversionError when the column's type cannot hold keys."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_integer(column.type):
        column = column.cast(pa.string())
    if not is_text(column.type):
        raise ConversionError(f"{column.type} cannot hold keys; store them as text")
    data, offsets = bytes_of(column)
    plain, plain_offsets = np.empty(max(len(data), 1), np.uint8), np.zeros(len(column) + 1, np.int64)
    status = np.zeros(len(column), np.uint8)
    digits_only = keys.kind == "msisdn"
    used = normalise_keys(
        frozen(data), frozen(offsets), digits_only, SUBSCRIBER_KEY_BYTES_MAX, plain, plain_offsets, status
    )
    hashes = keys.hash_bytes(plain[:used], plain_offsets)
    twins = keys.twin_bytes(plain[:used], plain_offsets)
    readable = status == 0
    for row in np.flatnonzero(status).tolist():
        try:
            key = keys.normalise(data[offsets[row] : offsets[row + 1]].tobytes().decode())
        except ValueError:
            continue
        ends = np.array([0, len(key)], np.int64)
        raw = np.frombuffer(key, np.uint8)
        hashes[row], twins[row], readable[row] = keys.hash_bytes(raw, ends)[0], keys.twin_bytes(raw, ends)[0], True
    return Hashes(hashes, twins, readable)
