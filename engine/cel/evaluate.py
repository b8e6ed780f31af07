"""`touchpoint eval`: one CEL expression against one row, by the same lowering, tables and kernels as serving.

A row is a JSON object on one line, `{"expr": "a.x > 1", "vars": {"a.x": "int"}, "row": {"a.x": 5}}`; its answer is one of
`{"value": ...}`, `{"unknown": [names]}` (names that are absent or null in the row, and that the result depends on), `{"refused": why}` (not
valid JSON, a type error, or outside the subset) and `{"error": why}` (what CEL makes an error, such as a division by zero). JSON forms of
values: engine.cel.values. `subscriber.zone`, when declared as a string, may be the zone of a timestamp's part.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NoReturn

import numpy as np

from engine.cel.bind import Bound, bind
from engine.cel.conditions import Condition, ConditionSet, Term, assemble
from engine.cel.errors import CelError
from engine.cel.lower import lower_expression
from engine.cel.schema import ZONE_NAME, Schema, Slot, SlotType
from engine.cel.values import result_value, slot_value
from engine.dtypes.condition import ERROR, NAMES_MAX, PROGRAM, TRUE, UNKNOWN, ZONE_SLOT
from engine.dtypes.operation import FAILURES, Failure
from engine.dtypes.view import View, new_view
from engine.kernels.condition import evaluate_condition, evaluate_term, run_program

TYPES: Final = {
    "bool": SlotType.BOOL,
    "int": SlotType.INT,
    "double": SlotType.DOUBLE,
    "string": SlotType.STRING,
    "timestamp": SlotType.TIMESTAMP,
    "duration": SlotType.DURATION,
}
Answer = dict[str, Any]


class RefusedRowError(ValueError):
    """A row that is not what `eval` takes; the message says what was expected."""


@dataclass(frozen=True, slots=True)
class _Row:
    bound: Bound
    view: View
    condition: Condition
    schema: Schema


def evaluate_rows(lines: Iterable[str]) -> Iterator[str]:
    """Yield one line of JSON, without its newline, for each line; never raises for what a line holds."""
    for line in lines:
        yield json.dumps(_answer_line(line), ensure_ascii=False, allow_nan=False)


def _answer_line(line: str) -> Answer:
    try:
        request = json.loads(line, parse_constant=_no_constant, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        return {"refused": f"expected one JSON object on a line: {error}"}
    if not isinstance(request, dict):
        return {"refused": f"expected a JSON object, but it was {type(request).__name__}"}
    for key, kind in (("expr", str), ("vars", dict), ("row", dict)):
        if not isinstance(request.setdefault(key, None if kind is str else {}), kind):
            return {
                "refused": f'{key}: expected {"a string" if kind is str else "an object"}, as in {{"expr", "vars", "row"}}'
            }
    return evaluate_one(request["expr"], request["vars"], request["row"])


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f'{text} is not JSON; write "{text}" as a string')


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("an object names a key twice")
    return made


def evaluate_one(expr: str, names: Mapping[str, str], row: Mapping[str, Any]) -> Answer:
    """Return the answer for one expression; `names` gives each name's type, `row` its JSON value (absent or None: missing)."""
    try:
        compiled = _compiled(expr, tuple(sorted((name, str(kind)) for name, kind in names.items())))
        bound = _bound_row(compiled, row)
    except CelError as error:
        return {"refused": str(error)}
    except RefusedRowError as error:
        return {"refused": str(error)}
    return _answer(bound)


@lru_cache(maxsize=4096)
def _compiled(expr: str, names: tuple[tuple[str, str], ...]) -> ConditionSet:
    slots = []
    zone = False
    for name, kind in names:
        if kind not in TYPES:
            raise RefusedRowError(f"vars: {name!r}: expected a type of {', '.join(TYPES)}, but it was {kind!r}")
        if (name, kind) == (ZONE_NAME, "string"):
            zone = True
        else:
            slots.append(Slot(name, TYPES[kind]))
    schema = Schema(tuple(slots), zone=zone)
    return assemble([lower_expression(expr, schema)], schema)


def _bound_row(compiled: ConditionSet, row: Mapping[str, Any]) -> _Row:
    schema, condition = compiled.schema, compiled.conditions[0]
    view = new_view(1, 1, max(len(schema.slots), 1))
    dictionaries: dict[int, list[str]] = {}
    for index, slot in enumerate(schema.slots):
        value = row.get(slot.name)
        dictionaries[index] = [value] if isinstance(value, str) and slot.type == SlotType.STRING else []
        if value is None:
            continue
        try:
            view.values[0, index], view.nanos[0, index] = slot_value(slot.type, value)
        except (ValueError, OverflowError) as error:
            raise RefusedRowError(f"row: {slot.name!r}: expected a {slot.type.name.lower()}: {error}") from None
        view.known[0, index] = 1
    zones = _zone(row.get(ZONE_NAME)) if schema.zone else []
    view.zone[0] = len(zones) - 1
    bound = bind(compiled, np.zeros(0, np.int64), dictionaries, zones, strict_zones=False)
    return _Row(bound, view, condition, schema)


def _zone(value: object) -> list[str]:
    if value is not None and not isinstance(value, str):
        raise RefusedRowError(f"row: {ZONE_NAME!r}: expected a string, but it was {type(value).__name__}")
    return [] if value is None else [value]


def _answer(row: _Row) -> Answer:
    tables = row.bound.tables
    if row.condition.type != "bool":
        status = run_program(tables, row.view, 0, int(tables.terms[0]["base"]), int(tables.terms[0]["count"]))
        decided = 0
    else:
        result = evaluate_condition(tables, row.view, 0, 0)
        status, decided = result & 255, result >> 8
    if status == UNKNOWN:
        return {"unknown": sorted(_missing_names(row))}
    if status == ERROR:
        evaluate_term(tables, row.view, 0, decided)
        return {"error": FAILURES[Failure(int(tables.stack[0]["value"]))]}
    if row.condition.type == "bool":
        return {"value": status == TRUE}
    cell = tables.stack[0]
    return {"value": result_value(row.condition.type, int(cell["value"]), int(cell["nanos"]), row.bound.texts)}


def _missing_names(row: _Row) -> set[str]:
    """Return the names that make a row's terms unknown."""
    found: set[str] = set()
    for number, term in enumerate(row.condition.terms):
        if _is_unknown(row, number, term):
            if term.kind == PROGRAM:
                bits = int(row.bound.tables.stack[0]["value"])
                found.update(
                    name
                    for bit, name in enumerate(row.condition.names)
                    if bits >> min(bit, NAMES_MAX - 1) & 1 and _is_missing(row, name)
                )
            else:
                found.add(ZONE_NAME if term.slot == ZONE_SLOT else row.schema.slots[term.slot].name)
    return found


def _is_unknown(row: _Row, number: int, term: Term) -> bool:
    tables = row.bound.tables
    if term.kind == PROGRAM:
        base, count = int(tables.terms[number]["base"]), int(tables.terms[number]["count"])
        return run_program(tables, row.view, 0, base, count) == UNKNOWN
    return evaluate_term(tables, row.view, 0, number) == UNKNOWN


def _is_missing(row: _Row, name: str) -> bool:
    if name == ZONE_NAME and row.schema.zone:
        return bool(row.view.zone[0] < 0)
    return not any(slot.name == name and row.view.known[0, index] for index, slot in enumerate(row.schema.slots))
