"""Templates become the tables that kernels say them by, off the hot path; a base's dictionaries become bytes."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from engine.breathing import ROWS_AT_ONCE, array_of, breathe
from engine.catalogue.model import Catalogue
from engine.catalogue.slots import trigger_fields
from engine.catalogue.terms import ValueType
from engine.jit import frozen
from engine.templates import Part, PartKind, Template
from server.codec import sayings
from server.codec.sayings import PART, Sayings, Strings

_TYPES: Final = {
    ValueType.BOOL: sayings.BOOL,
    ValueType.INT: sayings.INT,
    ValueType.DECIMAL: sayings.DECIMAL,
    ValueType.DOUBLE: sayings.DOUBLE,
    ValueType.STRING: sayings.STRING,
    ValueType.TIMESTAMP: sayings.TIMESTAMP,
    ValueType.DURATION: sayings.DURATION,
}
assert [int(kind) for kind in PartKind] == [sayings.TEXT, sayings.VALUE, sayings.IF_TRUE, sayings.IF_NOT_TRUE]


class SayingTables:
    """Words of one catalogue, put into tables one after the other; equal templates once."""

    def __init__(self, catalogue: Catalogue, start: Callable[[bytes], int]) -> None:
        """`start` takes a piece into the blob and returns where it stands."""
        self._start = start
        self._parts: list[tuple[int, int, int, int, int, int, int]] = []
        self._templates: list[tuple[int, int, int]] = []
        self._words: list[tuple[int, int, int, int]] = []
        self._numbers: dict[Template, int] = {}
        names = ["time", *(field.id for field in trigger_fields(catalogue))]
        self._fields = [(start(name.encode()), len(name.encode())) for name in names]
        self._places: dict[str, tuple[int, int, int]] = {"": (0, 0, 0)}
        for slot, attribute in enumerate(catalogue.attributes):
            self._places[f"subscriber.{attribute.id}"] = (slot, _TYPES[attribute.type], attribute.scale)
        for column, field in enumerate(trigger_fields(catalogue), 1):
            self._places[f"trigger.{field.id}"] = (-1 - column, _TYPES[field.type], 0)

    def add(self, content: Template, script: Template | None, language: bytes) -> None:
        """Add words; `language` is their field 11 of the Offer, encoded."""
        templates = self._template(content), self._template(script) if script else -1
        self._words.append((*templates, self._start(language), len(language)))

    def sayings(self, blob: npt.NDArray[np.uint8]) -> Sayings:
        """Return the tables, the words in the order in which they were added; `blob` has what `start` took."""
        return Sayings(
            blob=blob,
            parts=frozen(array_of(self._parts, PART)),
            templates=frozen(array_of(self._templates, np.int64, 3)),
            words=frozen(array_of(self._words, np.int64, 4)),
            fields=frozen(array_of(self._fields, np.int64, 2)),
        )

    def _template(self, template: Template) -> int:
        number = self._numbers.setdefault(template, len(self._templates))
        if number == len(self._templates):
            first = len(self._parts)
            self._parts += map(self._part, template.parts)
            self._templates.append((first, len(self._parts), template.length_max))
        return number

    def _part(self, part: Part) -> tuple[int, int, int, int, int, int, int]:
        text = part.text.encode()
        place, type_, scale = self._places[part.name]
        return self._start(text), len(text), place, part.skip, int(part.kind), type_, scale


def string_slots(tables: Sayings) -> list[int]:
    """Return the slots of the string attributes that templates name."""
    parts = tables.parts
    named = (parts["kind"] == sayings.VALUE) & (parts["type"] == sayings.STRING) & (parts["place"] >= 0)
    return sorted(set(parts["place"][named].tolist()))


def strings_of(dictionaries: Iterable[tuple[int, Sequence[str]]], slots: int) -> Strings:
    """Return the dictionaries of these (slot, strings by code) as bytes."""
    at = np.zeros((slots, 2), np.int64)
    lengths: list[int] = []
    parts: list[bytes] = []
    for slot, texts in dictionaries:
        at[slot] = len(lengths), len(texts)
        for start in range(0, len(texts), ROWS_AT_ONCE):
            encoded = [text.encode() for text in texts[start : start + ROWS_AT_ONCE]]
            lengths += map(len, encoded)
            parts.append(b"".join(encoded))
            breathe()
    return Strings(
        dictionaries=frozen(at),
        start=frozen(np.cumsum(array_of([0, *lengths], np.int64))),
        data=frozen(np.frombuffer(b"".join(parts), np.uint8)),
    )
