"""Rows on their way into a snapshot, fixed-width records in any order: what is read is packed at once, what is not known yet stays wide.

    record, a multiple of 8 bytes: hash (8) | twin hash (8) | number of the row in its file (8) | body

The body is a snapshot's row (engine/dtypes/base.py) as if every string attribute had 2**20 strings and there were 2**15 zones and
languages: codes are in order of first sight. When all rows are read, the codes' order and widths are known and `pack` makes rows of records.
"""

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from engine.base.layout import STRINGS_MAX, Counts, Field, Layout, layout_of
from engine.base.schema import BaseSchema
from engine.catalogue.terms import ValueType
from engine.jit import frozen
from engine.kernels.base_bits import spread_labels

HEADER_BYTES: Final = 24
NAMES_MAX: Final = (1 << 15) - 1
"""Zones or languages that a record can hold."""
PACK_ROWS: Final = 1 << 13
"""They stay in the processor's cache while each field is moved."""
_UNALIASED_WORDS: Final = 9
"""Added to each line of label bits, so that lines a power of two apart do not fight for the same cache lines."""


@dataclass(slots=True)
class Texts:
    """What the codes of records mean."""

    strings: list[list[str]]
    """By attribute: code to string; empty for other types."""
    zones: list[str] = field(default_factory=list)
    """Code 1 is the first; 0 is unknown."""
    languages: list[str] = field(default_factory=list)


def record_layout(schema: BaseSchema, has_as_of: bool) -> Layout:
    """Return the layout of a record's body."""
    strings = tuple(STRINGS_MAX if a.type == ValueType.STRING else 0 for a in schema.attributes)
    return layout_of(schema, Counts(strings, NAMES_MAX, NAMES_MAX, has_as_of))


def record_bytes(schema: BaseSchema, has_as_of: bool) -> int:
    """Return the size of a record."""
    return HEADER_BYTES + record_layout(schema, has_as_of).stride


def column(rows: npt.NDArray[np.uint8], at: Field, start: int = 0, kind: str = "u") -> npt.NDArray[Any]:
    """Return a field of all rows as a strided view, (n,)."""
    first = start + at.offset
    return rows[:, first : first + at.width].view(f"<{kind}{at.width}")[:, 0]


class Records:
    """`array`, (n, record bytes) uint8, and how its parts are set; all zeros at first: no label, nothing known."""

    def __init__(
        self, schema: BaseSchema, rows: int, has_as_of: bool, room: npt.NDArray[np.uint8] | None = None
    ) -> None:
        """Records in the first rows of `room`, (n or more, record bytes), when it is given, else in memory of their own."""
        self.schema = schema
        self.layout = record_layout(schema, has_as_of)
        size = record_bytes(schema, has_as_of)
        self.array: npt.NDArray[np.uint8] = np.empty((rows, size), np.uint8) if room is None else room[:rows]
        self.array.fill(0)
        self._words: npt.NDArray[np.uint64] = self.array.view(np.uint64)

    def set_keys(
        self, hashes: npt.NDArray[np.uint64], twins: npt.NDArray[np.uint64], numbers: npt.NDArray[np.int64]
    ) -> None:
        """Set the header, (n,) each."""
        for index, values in enumerate((hashes, twins, numbers.view(np.uint64))):
            self._words[:, index] = values

    def label_bits(self) -> npt.NDArray[np.uint64]:
        """Return room for `set_labels`: a line of bits for each label, bit k of the line for row k; (64 W, n / 64 or more), zeros."""
        return np.zeros((64 * self.layout.words, (len(self.array) + 63) // 64 + _UNALIASED_WORDS), np.uint64)

    def set_labels(self, bits: npt.NDArray[np.uint64]) -> None:
        """Set all labels."""
        if self.layout.words and len(self.array):
            spread_labels(frozen(bits), HEADER_BYTES // 8, np.zeros(64, np.uint64), self._words)

    def set_attribute(self, index: int, values: npt.NDArray[Any], known: npt.NDArray[np.bool_]) -> None:
        """Set a column: encoded integers within the declared range, floats for a double, codes for a string; zero where not known."""
        spec, at = self.schema.attributes[index], self.layout.attributes[index]
        kind = "f" if spec.type == ValueType.DOUBLE else "i" if at.width == 8 else "u"
        column(self.array, at, HEADER_BYTES, kind)[:] = (values - at.bias) * known if at.bias else values
        presence = self.array[:, HEADER_BYTES + self.layout.presence + (index >> 3)]
        presence |= known.view(np.uint8) << np.uint8(index & 7)

    def set_consent(self, granted: npt.NDArray[np.uint64], refused: npt.NDArray[np.uint64]) -> None:
        """Set the consent bits, (n,) each, in the order of the schema's pairs."""
        for offset, words in ((self.layout.granted, granted), (self.layout.refused, refused)):
            for byte in range(self.layout.pair_bytes):
                self.array[:, HEADER_BYTES + offset + byte] = words >> np.uint64(8 * byte)

    def set_zone(self, codes: npt.NDArray[np.uint16]) -> None:
        """Set the zones' codes, (n,); 0 unknown."""
        column(self.array, self.layout.zone, HEADER_BYTES)[:] = codes

    def set_language(self, codes: npt.NDArray[np.uint16]) -> None:
        """Set the languages' codes, (n,); 0 unknown."""
        column(self.array, self.layout.language, HEADER_BYTES)[:] = codes

    def set_as_of(self, seconds: npt.NDArray[np.uint32]) -> None:
        """Set the instants that the rows describe, (n,), in seconds since 1970."""
        column(self.array, Field(self.layout.as_of, 4), HEADER_BYTES)[:] = seconds


def hashes_of(records: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Return the records' hashes, (n,)."""
    return records.view(np.uint64)[:, 0].copy()


def twins_of(records: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Return the records' second hashes, (n,)."""
    return records.view(np.uint64)[:, 1].copy()


def numbers_of(records: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Return the numbers of the rows in their file, (n,)."""
    return records.view(np.int64)[:, 2].copy()


def order_of(hashes: npt.NDArray[np.uint64], bits: int) -> npt.NDArray[np.int64]:
    """Return the stable order of hashes that share their `bits` leading bits: by the next 16 bits, counted, and then by what is left to do."""
    leading = (hashes >> np.uint64(max(48 - bits, 0))).astype(np.uint16)
    order = np.argsort(leading, kind="stable")
    return order[np.argsort(hashes[order], kind="stable")]


def taken(
    records: npt.NDArray[np.uint8], order: npt.NDArray[np.int64], room: npt.NDArray[np.uint8] | None = None
) -> npt.NDArray[np.uint8]:
    """Return the records in this order, (m, record bytes), in the first rows of `room` when they fit: fresh memory costs more than the copy."""
    if room is None or len(room) < len(order):
        room = np.empty((len(order), records.shape[1]), np.uint8)
    out = room[: len(order)]
    np.take(records.view(np.uint64), order, axis=0, out=out.view(np.uint64), mode="clip")
    return out


class Packing:
    """Makes rows of records once all texts are known: sorted dictionaries, the snapshot's own layout."""

    def __init__(self, schema: BaseSchema, texts: Texts, has_as_of: bool) -> None:
        self.strings = [sorted(found) for found in texts.strings]
        self.zones, self.languages = sorted(texts.zones), sorted(texts.languages)
        self.counts = Counts(tuple(map(len, texts.strings)), len(self.zones), len(self.languages), has_as_of)
        self.layout = layout_of(schema, self.counts)
        self._from = record_layout(schema, has_as_of)
        self._recoded = [_recoding(found, 0) if found else None for found in texts.strings]
        self._zones, self._languages = _recoding(texts.zones, 1), _recoding(texts.languages, 1)
        self._room: npt.NDArray[np.uint8] = np.zeros((PACK_ROWS, self.layout.stride), np.uint8)

    def pack(self, records: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return the rows of at most PACK_ROWS records, (n, stride) uint8, in the same order; good until the next call."""
        old, new = self._from, self.layout
        packed = self._room[: len(records)]
        packed.view(np.uint64)[:, : new.words] = records.view(np.uint64)[:, HEADER_BYTES // 8 :][:, : new.words]
        for source, target, recoding in zip(old.attributes, new.attributes, self._recoded, strict=True):
            values = column(records, source, HEADER_BYTES)
            if recoding is not None:
                known = records[:, HEADER_BYTES + old.presence + (source.bit >> 3)] >> (source.bit & 7) & 1
                values = recoding[values] * known
            column(packed, target)[:] = values
        for source, target, recoding in (
            (old.zone, new.zone, self._zones),
            (old.language, new.language, self._languages),
        ):
            if target.width:
                column(packed, target)[:] = recoding[column(records, source, HEADER_BYTES)]
        if new.as_of >= 0:
            column(packed, Field(new.as_of, 4))[:] = column(records, Field(old.as_of, 4), HEADER_BYTES)
        flags = new.refused + new.pair_bytes - new.presence
        packed[:, new.presence : new.presence + flags] = records[:, HEADER_BYTES + old.presence :][:, :flags]
        return packed


def _recoding(texts: list[str], first: int) -> npt.NDArray[np.uint32]:
    """Return the sorted code of each code; codes count from `first`, what is below it stays."""
    recoding = np.zeros(len(texts) + first, np.uint32)
    order = np.array(sorted(range(len(texts)), key=texts.__getitem__), np.int64)
    recoding[first + order] = np.arange(first, first + len(texts), dtype=np.uint32)
    return recoding
