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
from engine.dtypes.view import View, new_view
from engine.kernels.base_labels import condition_holds
from engine.limits import MICROSECONDS_PER_SECOND
from loaders.base.convert import Typed
from loaders.base.mapping import Expression, Mapping
from loaders.base.source import BATCH_ROWS
from loaders.catalogue.problems import Problems, shown

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_SLOT_TYPES: Final = {kind: SlotType[kind.name] for kind in ValueType}


class LabelPlan:
    """Which columns the label expressions read and as what; the expressions, compiled. Raises CatalogueErrors with every mistake."""

    def __init__(self, mapping: Mapping, schema: BaseSchema, types: dict[str, Any]) -> None:
        self._bits = {label.id: bit for bit, label in enumerate(schema.labels)}
        expressions = sorted(mapping.labels.items())
        self._plain = {label: expression.source for label, expression in expressions if expression.source in types}
        specs = [column_type(name, kind, mapping, schema) for name, kind in types.items() if _NAME.fullmatch(name)]
        cel = Schema(tuple(Slot(s.id, _SLOT_TYPES[s.type], s.scale, s.type == ValueType.STRING) for s in specs), zone=False)
        self._compiled = _compile([(label, e) for label, e in expressions if label not in self._plain], cel)
        slots = sorted({slot for condition in self._compiled.values() for slot in condition.slots})
        self._specs = {slot: specs[slot] for slot in slots}
        self._slots = len(specs)
        self.columns: dict[tuple[str, ValueType], AttributeSpec] = {(s.id, s.type): s for s in self._specs.values()}
        """By column and type: what the expressions need converted."""
        for name in self._plain.values():
            self.columns.setdefault((name, ValueType.BOOL), AttributeSpec(name, ValueType.BOOL))
        self._bound = bind(
            assemble(list(self._compiled.values()), cel), np.zeros(0, np.int32), {}, [], dynamic_rows=2 * BATCH_ROWS
        )

    def holds(self, typed: dict[tuple[str, ValueType], Typed], rows: int) -> dict[int, npt.NDArray[np.bool_]]:
        """Return, by label bit, where each label holds, (rows,); where its expression is unknown or an error it does not."""
        held = {self._bits[label]: typed[name, ValueType.BOOL].values != 0 for label, name in self._plain.items()}
        if self._compiled:
            view = self._view(typed, rows)
            for number, label in enumerate(self._compiled):
                held[self._bits[label]] = np.zeros(rows, np.bool_)
                condition_holds(self._bound.tables, view, number, held[self._bits[label]])
        return held

    def _view(self, typed: dict[tuple[str, ValueType], Typed], rows: int) -> View:
        view = new_view(rows, 0, self._slots)
        self._bound.interner.reset_if_needed(rows)
        for slot, spec in self._specs.items():
            column = typed[spec.id, spec.type]
            values = column.values
            if spec.type == ValueType.STRING:
                codes = [self._bound.interner.intern(slot, text) for text in column.texts]
                values = np.array([*codes, 0], np.int64)[values]
            elif spec.type == ValueType.DOUBLE:
                values = values.view(np.int64)
            elif spec.type in (ValueType.TIMESTAMP, ValueType.DURATION):
                view.nanos[:, slot] = values % MICROSECONDS_PER_SECOND * 1000
                values = values // MICROSECONDS_PER_SECOND
            view.values[:, slot] = values
            view.known[:, slot] = column.known
        return view


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
    return AttributeSpec(name, ValueType.DECIMAL, kind.scale) if t.is_decimal(kind) else AttributeSpec(name, ValueType.STRING)


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
