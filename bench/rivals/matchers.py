"""Rule engines beside ours, each in the fastest way that it has of saying which rules hold for a row; zen and datalogic in their documented way too.

The documented way is one event at a time as their pages show it: zen with a decision table, datalogic with each rule compiled by itself. Each gets
the columns that the rules ask about and no others, with missing values as a number below every range, and amounts as whole cents where the engine
is faster with integers. Tried and slower: BlazeRules with categorical labels, or packed flags for batches; zen with JSON text for rows; datalogic
with a list of rules, or a rule at a time over rows parsed beforehand.
"""

import importlib.util
import json
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from bench.rows import Columns
from bench.rules import RangeTerm, Rule

Bools = npt.NDArray[np.bool_]
_FLAGS_A_WORD: Final = 62


class Matcher(Protocol):
    """A rival with its rules loaded and its rows ready."""

    def matches(self, count: int) -> Bools:
        """Return (count, rules): which rules hold for the first rows."""

    def match(self, count: int) -> object:
        """Do the same and leave the answer in the engine's own form."""


class BlazeBatch:
    """BlazeRules over one Arrow batch: labels and numbers as int32 columns, a bit mask for each rule; one thread."""

    package = "blazerules"

    def __init__(self, rules: list[Rule], columns: Columns) -> None:
        import pyarrow as pa  # type: ignore[import-untyped]  # it ships none

        self._count = len(rules)
        conditions = [[*_equals(rule), *(_between(term) for term in rule.ranges)] for rule in rules]
        arrays = {term.label: columns[term.label].astype(np.int32) for rule in rules for term in rule.labels}
        arrays |= _cents(rules, columns)
        self._batch = pa.record_batch({name: pa.array(values) for name, values in arrays.items()})
        self._engine = _blaze_engine(conditions, dict.fromkeys(arrays, "int32"))

    def match(self, count: int) -> Any:
        """Evaluate the first rows as one batch."""
        return self._engine.evaluate_batch(self._batch.slice(0, count), validate=False)

    def matches(self, count: int) -> Bools:
        """Return which rules hold."""
        result = self.match(count)
        return np.stack([result[f"rule_{k}"] for k in range(self._count)], axis=1)


class BlazeSingle:
    """BlazeRules one row at a time: 62 labels in each int64 column of flags, which are its fastest labels for single rows."""

    package = "blazerules"

    def __init__(self, rules: list[Rule], columns: Columns) -> None:
        import pyarrow as pa  # it ships none

        self._count = len(rules)
        place = {name: at for at, name in enumerate(sorted({term.label for rule in rules for term in rule.labels}))}
        flags = np.zeros((-(-len(place) // _FLAGS_A_WORD), len(next(iter(columns.values())))), np.int64)
        for label, at in place.items():
            flags[at // _FLAGS_A_WORD] |= columns[label].astype(np.int64) << (at % _FLAGS_A_WORD)
        conditions = [[*_flags(rule, place), *(_between(term) for term in rule.ranges)] for rule in rules]
        arrays = {f"flags_{word}": row for word, row in enumerate(flags)}
        kinds = dict.fromkeys(arrays, "int64")
        numbers = _cents(rules, columns)
        batch = pa.record_batch({name: pa.array(values) for name, values in (arrays | numbers).items()})
        self._rows = [batch.slice(at, 1) for at in range(batch.num_rows)]
        self._engine = _blaze_engine(conditions, kinds | dict.fromkeys(numbers, "int32"))

    def match(self, count: int) -> list[Any]:
        """Evaluate the first rows, each by itself."""
        return [self._engine.evaluate_batch(row, validate=False) for row in self._rows[:count]]

    def matches(self, count: int) -> Bools:
        """Return which rules hold."""
        return np.array([self._held(row) for row in self._rows[:count]], np.bool_)

    def _held(self, row: Any) -> list[bool]:
        result = self._engine.evaluate_batch(row, validate=False)
        return [bool(result[f"rule_{k}"][0]) for k in range(self._count)]


class ZenFastest:
    """GoRules zen: all rules as one compiled expression that gives a list of bools; rows as dicts, its fastest form."""

    package = "zen"

    def __init__(self, rules: list[Rule], columns: Columns) -> None:
        import zen

        self._expression = zen.compile_expression(f"[{','.join(_zen(rule) for rule in rules)}]")
        self._rows = _dicts(columns)

    def match(self, count: int) -> list[Any]:
        """Evaluate the first rows."""
        return [self._expression.evaluate(row) for row in self._rows[:count]]

    def matches(self, count: int) -> Bools:
        """Return which rules hold."""
        return np.array(self.match(count), np.bool_)


class Zen:
    """GoRules zen as it is documented: a decision whose table has a column for each label and number, and collects the rows that hit; rows as dicts."""

    package = "zen"

    def __init__(self, rules: list[Rule], columns: Columns) -> None:
        import zen

        self._count = len(rules)
        self._decision = zen.ZenEngine().create_decision(json.dumps(_zen_decision(rules)))
        self._rows = _dicts(columns)

    def match(self, count: int) -> list[Any]:
        """Evaluate the first rows."""
        return [self._decision.evaluate(row) for row in self._rows[:count]]

    def matches(self, count: int) -> Bools:
        """Return which rules hold."""
        held = np.zeros((count, self._count), np.bool_)
        for event, answer in enumerate(self.match(count)):
            held[event, [int(hit["rule"]) for hit in answer["result"]]] = True
        return held


class DatalogicFastest:
    """datalogic (JsonLogic in Rust): all rules as one compiled list, in a session, over rows parsed beforehand; answers as JSON text."""

    package = "datalogic_py"

    def __init__(self, rules: list[Rule], columns: Columns) -> None:
        import datalogic_py

        engine = datalogic_py.Engine()
        self._rules = engine.compile([_json_logic(rule) for rule in rules])
        self._session = engine.session()
        self._rows = [datalogic_py.DataHandle(row) for row in _dicts(columns)]

    def match(self, count: int) -> list[str]:
        """Evaluate the first rows."""
        return [self._session.evaluate_data_str(self._rules, row) for row in self._rows[:count]]

    def matches(self, count: int) -> Bools:
        """Return which rules hold."""
        return np.array([json.loads(answer) for answer in self.match(count)], np.bool_)


class Datalogic:
    """datalogic as it is documented: each rule compiled once and evaluated by itself; rows as dicts."""

    package = "datalogic_py"

    def __init__(self, rules: list[Rule], columns: Columns) -> None:
        import datalogic_py

        engine = datalogic_py.Engine()
        self._rules = [engine.compile(_json_logic(rule)) for rule in rules]
        self._rows = _dicts(columns)

    def match(self, count: int) -> list[list[Any]]:
        """Evaluate the first rows."""
        return [[rule.evaluate(row) for rule in self._rules] for row in self._rows[:count]]

    def matches(self, count: int) -> Bools:
        """Return which rules hold."""
        return np.array(self.match(count), np.bool_)


RIVALS: Final[dict[str, Callable[[list[Rule], Columns], Matcher]]] = {
    "blazerules_batch": BlazeBatch,
    "blazerules_single": BlazeSingle,
    "zen": Zen,
    "zen_fastest": ZenFastest,
    "datalogic": Datalogic,
    "datalogic_fastest": DatalogicFastest,
}


def missing(name: str) -> str:
    """Return why a rival cannot be measured, the empty text when it can."""
    package = str(getattr(RIVALS[name], "package", name))
    return "" if importlib.util.find_spec(package) else f"{package} is not installed; pip install .[bench]"


def _blaze_engine(conditions: Sequence[list[dict[str, Any]]], kinds: dict[str, str]) -> Any:
    import blazerules  # type: ignore[import-not-found]  # an extension without stubs

    config = blazerules.EngineConfig()
    config.output_detail = blazerules.OutputDetail.BITMASKS
    config.eval_thread_count = 1
    engine = blazerules.RuleEngine(config)
    rules = [
        {"id": f"rule_{k}", "action": "flag", "severity": "LOW", "weight": 1, "conditions": {"and": each}}
        for k, each in enumerate(conditions)
    ]
    document = {
        "schema_version": "2.1",
        "fields": {name: {"type": kind, "nullable": False} for name, kind in kinds.items()},
        "ruleset": {"name": "bench", "version": "1", "rules": rules},
    }
    engine.load_rules_from_string(json.dumps(document), blazerules.RuleFileFormat.JSON)
    return engine


def _equals(rule: Rule) -> list[dict[str, Any]]:
    return [{"field": term.label, "op": "eq", "value": int(term.wanted)} for term in rule.labels]


def _flags(rule: Rule, place: dict[str, int]) -> list[dict[str, Any]]:
    masks: dict[tuple[int, bool], int] = {}
    for term in rule.labels:
        word, bit = divmod(place[term.label], _FLAGS_A_WORD)
        masks[word, term.wanted] = masks.get((word, term.wanted), 0) | 1 << bit
    return [
        {"field": f"flags_{word}", "op": "flags_all" if wanted else "flags_none", "mask": mask}
        for (word, wanted), mask in masks.items()
    ]


def _between(term: RangeTerm) -> dict[str, Any]:
    return {"field": term.attribute, "op": "between_including", "value": [term.low, term.high]}


def _cents(rules: list[Rule], columns: Columns) -> Columns:
    """Return the number columns in units of 10**-scale as int32, which every engine compares exactly."""
    lowest = np.iinfo(np.int32).min
    scales = {term.attribute: term.scale for rule in rules for term in rule.ranges}
    return {
        name: np.maximum(np.round(columns[name] * 10**scale), lowest).astype(np.int32) for name, scale in scales.items()
    }


def _dicts(columns: Columns) -> list[dict[str, Any]]:
    names, values = list(columns), [column.tolist() for column in columns.values()]
    return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]


def _bounds(term: RangeTerm) -> tuple[float, float]:
    return term.low / 10**term.scale, term.high / 10**term.scale


def _zen(rule: Rule) -> str:
    terms = [term.label if term.wanted else f"not {term.label}" for term in rule.labels]
    for term in rule.ranges:
        low, high = _bounds(term)
        terms.append(f"{term.attribute} >= {low:f} and {term.attribute} <= {high:f}")
    return f"({' and '.join(terms)})"


def _zen_decision(rules: list[Rule]) -> dict[str, Any]:
    """Return a decision of one table; a cell that is not there holds for every value."""
    names = sorted({term.label for rule in rules for term in rule.labels})
    names += sorted({term.attribute for rule in rules for term in rule.ranges})
    rows = []
    for k, rule in enumerate(rules):
        row = {"_id": f"rule_{k}", "rule": str(k)} | {term.label: str(term.wanted).lower() for term in rule.labels}
        rows.append(row | {term.attribute: "[{:f}..{:f}]".format(*_bounds(term)) for term in rule.ranges})
    table = {
        "hitPolicy": "collect",
        "inputs": [{"id": name, "name": name, "field": name} for name in names],
        "outputs": [{"id": "rule", "name": "rule", "field": "rule"}],
        "rules": rows,
    }
    nodes: list[dict[str, Any]] = [{"id": "in", "type": "inputNode"}, {"id": "out", "type": "outputNode"}]
    nodes.append({"id": "table", "type": "decisionTableNode", "content": table})
    return {
        "nodes": [node | {"name": node["id"]} for node in nodes],
        "edges": [
            {"id": f"{source}-{target}", "type": "edge", "sourceId": source, "targetId": target}
            for source, target in (("in", "table"), ("table", "out"))
        ],
    }


def _json_logic(rule: Rule) -> dict[str, Any]:
    terms: list[Any] = [{"var": t.label} if t.wanted else {"!": [{"var": t.label}]} for t in rule.labels]
    for term in rule.ranges:
        low, high = _bounds(term)
        terms.append({"<=": [low, {"var": term.attribute}, high]})
    return {"and": terms}
