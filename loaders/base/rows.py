"""The rows of a base while it is built: narrow columns in memory, a chunk for each batch; about 50 bytes a row more than the row itself."""

from typing import Any

import numpy as np
import numpy.typing as npt

from engine.base.layout import stored_dtype
from engine.base.schema import AttributeSpec, BaseSchema
from engine.base.write import Columns
from engine.catalogue.terms import ValueType
from loaders.base.convert import Typed


class Names:
    """Distinct texts in order of first sight, and their numbers."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._numbers: dict[str, int] = {}

    def numbers(self, texts: list[str]) -> npt.NDArray[np.uint32]:
        """Return the number of each text, new ones included; one more at the end stands for none."""
        found = np.zeros(len(texts) + 1, np.uint32)
        for index, text in enumerate(texts):
            number = self._numbers.setdefault(text, len(self.texts))
            if number == len(self.texts):
                self.texts.append(text)
            found[index] = number
        return found


class Chunk:
    """The columns of one batch; `keep` at the end drops its rejected rows."""

    def __init__(self, schema: BaseSchema, rows: int) -> None:
        self.labels = np.zeros((rows, (len(schema.labels) + 63) // 64), np.uint64)
        self.values: list[npt.NDArray[Any]] = [np.zeros(rows, stored_dtype(a)) for a in schema.attributes]
        self.presence = np.zeros((rows, (len(schema.attributes) + 7) // 8), np.uint8)
        self.granted = np.zeros(rows, np.uint64)
        self.refused = np.zeros(rows, np.uint64)
        self.zone = np.zeros(rows, np.uint16)
        self.language = np.zeros(rows, np.uint16)
        self.as_of_s = np.zeros(rows, np.uint32)

    def set_label(self, bit: int, holds: npt.NDArray[np.bool_]) -> None:
        """Set the label where it holds, (n,)."""
        self.labels[:, bit >> 6] |= holds.astype(np.uint64) << np.uint64(bit & 63)

    def set_attribute(self, index: int, spec: AttributeSpec, typed: Typed, names: Names) -> None:
        """Set a column of an attribute; values are within its range."""
        dtype = stored_dtype(spec)
        if spec.type == ValueType.STRING:
            self.values[index] = names.numbers(typed.texts)[typed.values] if typed.texts else self.values[index]
        elif spec.type == ValueType.DOUBLE:
            self.values[index] = typed.values.astype(dtype)
        else:
            bias = 0 if spec.type not in (ValueType.INT, ValueType.DECIMAL) or dtype.itemsize == 8 else spec.min
            self.values[index] = (typed.values - bias if bias else typed.values).astype(dtype)
        self.presence[:, index >> 3] |= typed.known.astype(np.uint8) << np.uint8(index & 7)

    def keep(self, rows: npt.NDArray[np.bool_]) -> None:
        """Keep only these rows."""
        self.values = [values[rows] for values in self.values]
        for name in ("labels", "presence", "granted", "refused", "zone", "language", "as_of_s"):
            setattr(self, name, getattr(self, name)[rows])


class Accumulated:
    """All chunks so far, and the names that their codes mean."""

    def __init__(self, schema: BaseSchema) -> None:
        self.schema = schema
        self.texts = [Names() for _ in schema.attributes]
        self.zones = Names()
        self.languages = Names()
        self.hashes: list[npt.NDArray[np.uint64]] = []
        self.twins: list[npt.NDArray[np.uint64]] = []
        self.rows: list[npt.NDArray[np.int64]] = []
        self._chunks: list[Chunk] = []

    def add(
        self, chunk: Chunk, hashes: npt.NDArray[np.uint64], twins: npt.NDArray[np.uint64], rows: npt.NDArray[np.int64]
    ) -> None:
        """Take the kept rows of a batch."""
        self._chunks.append(chunk)
        self.hashes.append(hashes)
        self.twins.append(twins)
        self.rows.append(rows)

    def columns(self, keep: npt.NDArray[np.bool_], has_as_of: bool) -> Columns:
        """Return the rows of `keep`, (n,), as columns to write, and let go of the chunks."""
        chunks, self._chunks = [*self._chunks, Chunk(self.schema, 0)], []
        every = bool(keep.all())

        def joined(name: str) -> Any:
            whole = np.concatenate([getattr(chunk, name) for chunk in chunks])
            for chunk in chunks:
                setattr(chunk, name, None)
            return whole if every else whole[keep]

        values = []
        for index in range(len(self.schema.attributes)):
            whole = np.concatenate([chunk.values[index] for chunk in chunks])
            values.append(whole if every else whole[keep])
        hashes = np.concatenate([*self.hashes, np.empty(0, np.uint64)])
        return Columns(
            hashes=hashes[keep],
            labels=joined("labels"),
            values=values,
            texts=[names.texts for names in self.texts],
            presence=joined("presence"),
            granted=joined("granted"),
            refused=joined("refused"),
            zone=joined("zone"),
            language=joined("language"),
            zones=self.zones.texts,
            languages=self.languages.texts,
            as_of_s=joined("as_of_s") if has_as_of else None,
        )
