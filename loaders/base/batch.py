"""One batch of a file becomes records; what cannot be taken rejects its row, and only that."""

import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]

from engine.base.records import NAMES_MAX, Records
from engine.base.schema import AttributeSpec, BaseSchema
from engine.catalogue.terms import ValueType
from engine.limits import MICROSECONDS_PER_SECOND
from engine.zones import offsets
from loaders.base.convert import ConversionError, Typed, convert, expectation, is_text, parse_instant
from loaders.base.keys import KEY_EXPECTED, Hashes
from loaders.base.labels import LabelPlan
from loaders.base.mapping import ColumnOr, Mapping
from loaders.base.rejects import Rejects
from loaders.base.rows import Codes, Names
from loaders.base.source import Batch, SourceError

_TEXT: Final = AttributeSpec("", ValueType.STRING)
_INSTANT: Final = AttributeSpec("", ValueType.TIMESTAMP)
_SECONDS_MAX: Final = (1 << 32) - 1
_LANGUAGE_CHARS_MAX: Final = 35


def used_columns(mapping: Mapping, plan: LabelPlan) -> list[str]:
    """Return the columns that the mapping reads, sorted."""
    parts = (mapping.as_of, mapping.zone, mapping.language)
    return sorted(
        {
            mapping.key_column,
            *mapping.attributes.values(),
            *(name for name, _ in plan.columns),
            *plan.direct.values(),
            *(rule.column for rule in mapping.consent.values()),
            *(part.column for part in parts if part is not None and part.column),
        }
    )


def text_columns(mapping: Mapping, schema: BaseSchema, plan: LabelPlan, types: dict[str, Any]) -> list[str]:
    """Return the columns of texts that are read for a few distinct ones, sorted: a file that has them as dictionaries gives those."""
    named = {part.column for part in (mapping.zone, mapping.language) if part is not None and part.column}
    named |= {rule.column for rule in mapping.consent.values()}
    named |= {mapping.attributes[a.id] for a in schema.attributes if a.type == ValueType.STRING}
    named |= {name for (name, _), spec in plan.columns.items() if spec.type == ValueType.STRING}
    return sorted(name for name in named - {mapping.key_column} if is_text(types[name]))


class _Rows:
    """Which rows of a batch are still good, and what is said of the others."""

    def __init__(self, batch: Batch, rejects: Rejects) -> None:
        self.batch = batch
        self.good: npt.NDArray[np.bool_] = np.ones(len(batch.rows), np.bool_)
        self._rejects = rejects

    def reject(self, bad: npt.NDArray[np.bool_], column: str, expected: str) -> None:
        bad = bad & self.good
        if bad.any():
            self._rejects.add_many(self.batch.rows[bad], column, expected)
            self.good &= ~bad


class BatchReader:
    """Reads batches by one mapping; remembers the latest as-of."""

    def __init__(self, mapping: Mapping, schema: BaseSchema, plan: LabelPlan, as_of_us: int | None) -> None:
        self.mapping = mapping
        self.schema = schema
        self.plan = plan
        self.has_as_of = mapping.as_of is not None and mapping.as_of.column is not None
        self._as_of_us = as_of_us if as_of_us is not None else _constant_as_of(mapping)
        self.latest_us = 0
        """The latest instant that a row so far describes, when rows say it themselves."""
        if self._as_of_us is None and not self.has_as_of:
            raise SourceError(
                f"{mapping.file}: says nothing of as_of, and none was given: say which instant the file describes"
            )

    def snapshot_as_of_us(self) -> int:
        """Return the instant that the base describes: the given one, or the latest of the rows."""
        return self.latest_us if self._as_of_us is None else self._as_of_us

    def read(self, batch: Batch, found: Hashes, codes: Codes, rejects: Rejects, room: npt.NDArray[np.uint8]) -> int:
        """Write the batch's good rows as records into the first rows of `room`, (as many as the batch or more, record bytes), and return how many these are."""
        rows = _Rows(batch, rejects)
        rows.reject(~found.readable, self.mapping.key_column, KEY_EXPECTED[self.mapping.key_kind])
        typed = [self._column(rows, self.mapping.attributes[a.id], a) for a in self.schema.attributes]
        # What an attribute's range refuses rejects its row, so an expression over the same column need not read it again.
        read = {
            (self.mapping.attributes[a.id], a.type, a.scale): t
            for a, t in zip(self.schema.attributes, typed, strict=True)
        }
        labels = {
            key: read.get((key[0], spec.type, spec.scale)) or self._column(rows, key[0], spec)
            for key, spec in self.plan.columns.items()
        }
        records = Records(self.schema, len(batch.rows), self.has_as_of, room)
        self._consent(rows, records)
        zone = self._names(rows, self.mapping.zone, _is_zone, "an IANA time zone such as America/Chicago")
        language = self._names(rows, self.mapping.language, _is_language, "a language tag such as en")
        self._as_of(rows, records)
        records.set_keys(found.hashes, found.twins, batch.rows)
        for index, column in enumerate(typed):
            column = _only(column, rows.good)
            values = codes.strings[index].numbers(column.texts)[column.values] if column.texts else column.values
            records.set_attribute(index, values, column.known)
        bits = records.label_bits()
        self.plan.fill(bits, batch.table, labels)
        records.set_labels(bits)
        records.set_zone(_codes(zone, rows, codes.zones))
        records.set_language(_codes(language, rows, codes.languages))
        count = int(rows.good.sum())
        if count < len(rows.good):
            room[:count] = records.array[rows.good]
        return count

    def _column(self, rows: _Rows, column: str, spec: AttributeSpec) -> Typed:
        try:
            typed = convert(rows.batch.table.column(column), spec, self.mapping.words)
        except ConversionError as error:
            raise SourceError(f"column {column} for {spec.id or spec.type}: {error}") from None
        rows.reject(typed.bad, column, expectation(spec, self.mapping.words))
        return typed

    def _consent(self, rows: _Rows, records: Records) -> None:
        count = len(rows.good)
        words = np.zeros(count, np.uint64), np.zeros(count, np.uint64)
        read: dict[str, Typed] = {}
        for pair, rule in self.mapping.consent.items():
            if rule.column not in read:
                read[rule.column] = _texts(rows.batch.table.column(rule.column), self.mapping)
            typed = read[rule.column]
            bit = np.uint64(1 << self.schema.pairs.index(pair))
            said = [
                np.array([bit * (text in held) for text in typed.texts] + [0], np.uint64)
                for held in (rule.granted, rule.refused)
            ]
            unclear = said[0] | said[1] == 0
            unclear[-1] = False
            codes = np.where(typed.known, typed.values, len(typed.texts))
            expected = f"one of {', '.join(sorted(rule.granted | rule.refused))}"
            rows.reject(typed.bad | unclear[codes] if unclear.any() else typed.bad, rule.column, expected)
            for word, bits in zip(words, said, strict=True):
                word |= bits[codes]
        records.set_consent(*words)

    def _names(self, rows: _Rows, part: ColumnOr | None, is_valid: Any, expected: str) -> Typed | None:
        if part is None:
            return None
        count = len(rows.good)
        if part.column is None:
            every, none = np.ones(count, np.bool_), np.zeros(count, np.bool_)
            return Typed(np.zeros(count, np.int64), every, none, [part.constant or ""])
        typed = _texts(rows.batch.table.column(part.column), self.mapping)
        valid = np.array([is_valid(text) for text in typed.texts] + [False], np.bool_)
        rows.reject(
            typed.bad | (typed.known & ~valid[typed.values]) if not valid[:-1].all() else typed.bad,
            part.column,
            expected,
        )
        return typed

    def _as_of(self, rows: _Rows, records: Records) -> None:
        if not self.has_as_of:
            return
        assert self.mapping.as_of is not None
        column = self.mapping.as_of.column or ""
        typed = self._column(rows, column, _INSTANT)
        seconds = typed.values // MICROSECONDS_PER_SECOND
        expected = "the instant that the row describes, from 1970 to 2106"
        if self._as_of_us is not None:
            expected += " and not after that of the base"
            rows.reject(typed.values > self._as_of_us, column, expected)
        rows.reject(~typed.known | (seconds < 0) | (seconds > _SECONDS_MAX), column, expected)
        records.set_as_of(np.where(rows.good, seconds, 0).astype(np.uint32))
        self.latest_us = max(self.latest_us, int(np.max(typed.values, where=rows.good, initial=0)))


def _constant_as_of(mapping: Mapping) -> int | None:
    if mapping.as_of is None or mapping.as_of.constant is None:
        return None
    try:
        return parse_instant(mapping.as_of.constant)
    except ValueError:
        place = mapping.as_of.place
        raise SourceError(
            f"{place.file}:{place.line}:{place.column}: expected an instant such as {datetime.date(2026, 7, 1)}T00:00:00Z, "
            f"was {mapping.as_of.constant!r:.60}, write one"
        ) from None


def _texts(column: Any, mapping: Mapping) -> Typed:
    """Return a column as texts, whatever its type."""
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.string())
    return convert(column, _TEXT, mapping.words)


def _only(typed: Typed, good: npt.NDArray[np.bool_]) -> Typed:
    """Return the column with the texts of good rows alone, so that no other gets into a dictionary."""
    if not typed.texts:
        return typed
    known = typed.known & good
    used = np.zeros(len(typed.texts) + 1, np.bool_)
    codes = np.where(known, typed.values, len(typed.texts))
    used[codes] = True
    used[-1] = False
    numbers = np.cumsum(used) - 1
    numbers[-1] = 0
    values = numbers[codes]
    return Typed(values, known, typed.bad, [typed.texts[k] for k in np.flatnonzero(used).tolist()])


def _codes(typed: Typed | None, rows: _Rows, names: Names) -> npt.NDArray[np.uint16]:
    """Return the column as codes of `names` + 1, 0 for none."""
    if typed is None:
        return np.zeros(len(rows.good), np.uint16)
    typed = _only(typed, rows.good)
    numbers = names.numbers(typed.texts)
    if len(names.texts) > NAMES_MAX:
        raise SourceError(
            f"expected at most a few hundred zones or languages, was {len(names.texts)}; check the mapping's columns"
        )
    return np.where(typed.known, numbers[typed.values] + 1, 0).astype(np.uint16)


def _is_zone(text: str) -> bool:
    try:
        return len(offsets(text)) > 0
    except ValueError:
        return False


def _is_language(text: str) -> bool:
    return 0 < len(text) <= _LANGUAGE_CHARS_MAX and text.isascii() and text.replace("-", "").isalnum()
