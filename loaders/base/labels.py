"""Labels from a file's columns: CEL expressions, of which the plain name of a column is the most frequent and means that it is a yes."""

import re
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]

from engine.base.schema import AttributeSpec, BaseSchema
from engine.catalogue.terms import ValueType
from engine.cel.bind import bind
from engine.cel.conditions import Condition, assemble, compile_condition
from engine.cel.errors import CelError
from engine.cel.schema import Schema, Slot, SlotType
from engine.dtypes.view import new_view
from engine.kernels.base_labels import condition_holds
from engine.limits import MICROSECONDS_PER_SECOND
from loaders.base.convert import Typed
from loaders.base.mapping import Expression, Mapping
from loaders.base.source import BATCH_ROWS
from loaders.catalogue.problems import Problems, shown

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_ROWS_AT_ONCE: Final = 4_096
"""Rows of a view: it stays in the cache while every expression reads it."""
_SLOT_TYPES: Final = {kind: SlotType[kind.name] for kind in ValueType}


class LabelPlan:
    """Which columns the label expressions read and as what; the expressions, compiled. Raises CatalogueErrors with every mistake."""

    def __init__(self, mapping: Mapping, schema: BaseSchema, types: dict[str, Any]) -> None:
        self._bits = {label.id: bit for bit, label in enumerate(schema.labels)}
        expressions = sorted(mapping.labels.items())
        self._plain = {label: expression.source for label, expression in expressions if expression.source in types}
        self.direct = {label: name for label, name in self._plain.items() if pa.types.is_boolean(types[name])}
        """Labels that are bool columns of the file: their bits are taken as they lie."""
        specs = [column_type(name, kind, mapping, schema) for name, kind in types.items() if _NAME.fullmatch(name)]
        sources = [(label, expression) for label, expression in expressions if label not in self._plain]
        used = {slot for condition in _compile(sources, _schema(specs)).values() for slot in condition.slots}
        self._specs = [spec for slot, spec in enumerate(specs) if slot in used]
        cel = _schema(self._specs)
        self._compiled = _compile(sources, cel)
        self.columns: dict[tuple[str, ValueType], AttributeSpec] = {(s.id, s.type): s for s in self._specs}
        """By column and type: what the expressions need converted."""
        for label, name in self._plain.items():
            if label not in self.direct:
                self.columns.setdefault((name, ValueType.BOOL), AttributeSpec(name, ValueType.BOOL))
        self._bound = bind(
            assemble(list(self._compiled.values()), cel), np.zeros(0, np.int32), {}, [], dynamic_rows=2 * BATCH_ROWS
        )

    def fill(
        self, bits: npt.NDArray[np.uint64], table: pa.RecordBatch, typed: dict[tuple[str, ValueType], Typed]
    ) -> None:
        """Set the lines of all labels, (64 W, ...) with a bit a row; where an expression is unknown or an error its label does not hold."""
        lines = bits.view(np.uint8)
        for label, name in self.direct.items():
            packed = _bits(table.column(name))
            lines[self._bits[label], : len(packed)] = packed
        for bit, holds in self._holds(typed, table.num_rows).items():
            packed = np.packbits(holds, bitorder="little")
            lines[bit, : len(packed)] = packed

    def _holds(self, typed: dict[tuple[str, ValueType], Typed], rows: int) -> dict[int, npt.NDArray[np.bool_]]:
        """Return, by label bit, where each label that is no bool column holds, (rows,)."""
        indirect = {label: name for label, name in self._plain.items() if label not in self.direct}
        held = {self._bits[label]: typed[name, ValueType.BOOL].values != 0 for label, name in indirect.items()}
        held |= {self._bits[label]: np.zeros(rows, np.bool_) for label in self._compiled}
        self._bound.interner.reset_if_needed(BATCH_ROWS)
        columns = [self._as_slot(slot, typed[spec.id, spec.type]) for slot, spec in enumerate(self._specs)]
        for start in range(0, rows if self._compiled else 0, _ROWS_AT_ONCE):
            part = slice(start, min(start + _ROWS_AT_ONCE, rows))
            view = new_view(part.stop - start, 0, len(columns))
            for slot, (values, nanos, known) in enumerate(columns):
                view.values[:, slot], view.nanos[:, slot], view.known[:, slot] = values[part], nanos[part], known[part]
            for number, label in enumerate(self._compiled):
                condition_holds(self._bound.tables, view, number, held[self._bits[label]][part])
        return held

    def _as_slot(self, slot: int, column: Typed) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.bool_]]:
        """Return the column as views hold it: values, nanos, known."""
        kind, values = self._specs[slot].type, column.values
        nanos = np.broadcast_to(np.int32(0), values.shape)
        if kind == ValueType.STRING:
            codes = [self._bound.interner.intern(slot, text) for text in column.texts]
            values = np.array([*codes, 0], np.int64)[values]
        elif kind == ValueType.DOUBLE:
            values = values.view(np.int64)
        elif kind in (ValueType.TIMESTAMP, ValueType.DURATION):
            nanos, values = values % MICROSECONDS_PER_SECOND * 1000, values // MICROSECONDS_PER_SECOND
        return values, nanos, column.known


def _bits(column: Any) -> npt.NDArray[np.uint8]:
    """Return a bool column as bits, the first row lowest; a missing value is false. Bits past the last row mean nothing."""
    if column.offset % 8:
        filled = column.fill_null(False) if column.null_count else column
        return np.packbits(filled.to_numpy(zero_copy_only=False), bitorder="little")
    valid, values = column.buffers()
    part = slice(column.offset // 8, (column.offset + len(column) + 7) // 8)
    bits = np.frombuffer(values, np.uint8)[part]
    return bits & np.frombuffer(valid, np.uint8)[part] if column.null_count else bits


def _schema(specs: list[AttributeSpec]) -> Schema:
    slots = (Slot(s.id, _SLOT_TYPES[s.type], s.scale, s.type == ValueType.STRING) for s in specs)
    return Schema(tuple(slots), zone=False)


def column_type(name: str, kind: Any, mapping: Mapping, schema: BaseSchema) -> AttributeSpec:
    """Return as what expressions see a column: as the mapping says, else as the attribute that it is mapped to, else as the file has it."""
    if name in mapping.columns:
        return mapping.columns[name]
    for attribute in schema.attributes:
        if mapping.attributes.get(attribute.id) == name:
            return AttributeSpec(name, attribute.type, attribute.scale)
    t = pa.types
    for matches, found in (
        (t.is_boolean, ValueType.BOOL),
        (t.is_integer, ValueType.INT),
        (t.is_floating, ValueType.DOUBLE),
        (t.is_timestamp, ValueType.TIMESTAMP),
        (t.is_date, ValueType.TIMESTAMP),
        (t.is_duration, ValueType.DURATION),
    ):
        if matches(kind):
            return AttributeSpec(name, found)
    return (
        AttributeSpec(name, ValueType.DECIMAL, kind.scale)
        if t.is_decimal(kind)
        else AttributeSpec(name, ValueType.STRING)
    )


def _compile(expressions: list[tuple[str, Expression]], schema: Schema) -> dict[str, Condition]:
    problems, compiled = Problems(), {}
    for label, expression in expressions:
        try:
            compiled[label] = compile_condition(expression.source, schema)
        except CelError as error:
            what = f"labels.{label}: expected CEL over the file's columns"
            problems.add(expression.place, what, shown(expression.source), f"mend it: {error.message}")
    problems.raise_any()
    return compiled
