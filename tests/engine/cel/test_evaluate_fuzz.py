"""Random expressions over random rows: the engine against Google's runtime and against the plain-Python oracle."""

import json
import math
import random
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from cel_expr_python import cel  # type: ignore[import-untyped]

from engine.cel.evaluate import evaluate_one
from engine.cel.literals import parse_duration, parse_timestamp
from tests.engine.cel.expressions import NAMES, Expressions, random_row
from tests.oracle.cel import ERROR, UNKNOWN, Duration, Timestamp, evaluate, missing_names

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
KINDS: Final = ("bool", "bool", "int", "double", "string", "timestamp", "duration")
ENV: Final = cel.NewEnv(variables={name: getattr(cel.Type, kind.upper()) for name, kind in NAMES.items()})


def as_json(value: Any) -> Any:
    match value:
        case Timestamp():
            moment = EPOCH.replace(tzinfo=None) + timedelta(seconds=value.ns // 10**9)
            return f"{moment.isoformat()}.{value.ns % 10**9:09d}Z"
        case Duration():
            return f"{'-' if value.ns < 0 else ''}{abs(value.ns) // 10**9}.{abs(value.ns) % 10**9:09d}s"
        case float():
            return value if math.isfinite(value) else str(value).replace("inf", "Infinity").replace("nan", "NaN")
        case int() if not isinstance(value, bool):
            return str(value)
    return value


def as_google(value: Any) -> Any:
    if isinstance(value, Timestamp):
        return EPOCH + timedelta(microseconds=value.ns // 1000)
    return timedelta(microseconds=value.ns // 1000) if isinstance(value, Duration) else value


def from_json(kind: str, value: Any) -> Any:
    match kind:
        case "int":
            return int(value)
        case "double":
            return float(value)
        case "timestamp":
            seconds, nanos = parse_timestamp(value)
            return Timestamp(seconds * 10**9 + nanos)
        case "duration":
            return Duration(parse_duration(value))
    return value


def same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return repr(a) == repr(b)
    return type(a) is type(b) and bool(a == b)


def said_by_google(text: str, kind: str, row: dict[str, Any], answer: dict[str, Any]) -> Any:
    """Its value, or ERROR; an instant or a span is compared within Google's runtime, which alone shows its nanoseconds."""
    data = {name: as_google(value) for name, value in row.items() if value is not None}
    result = ENV.compile(text).eval(data=data)
    if result.type().name() == "ERROR":
        return ERROR
    if kind in ("timestamp", "duration") and "value" in answer:
        equal = ENV.compile(f'{text} == {kind}("{answer["value"]}")').eval(data=data).value()
        return from_json(kind, answer["value"]) if equal else result.value()
    return result.value()


def check(text: str, kind: str, row: dict[str, Any]) -> str:
    """Compare the three; return what the engine's answer was."""
    answer = json.loads(json.dumps(evaluate_one(text, NAMES, {name: as_json(value) for name, value in row.items()})))
    expected = evaluate(text, row)
    found = (
        from_json(kind, answer["value"])
        if "value" in answer
        else {"unknown": UNKNOWN, "error": ERROR}[next(iter(answer))]
    )
    assert same(found, expected), (text, row, answer, expected)
    if expected is UNKNOWN:
        assert set(answer["unknown"]) == missing_names(text, row), (text, row, answer)
    google = said_by_google(text, kind, row, answer)
    assert same(google, ERROR if expected is UNKNOWN else expected), (text, row, answer, google)
    return str(next(iter(answer)))


def run(seed: int, cases: int) -> dict[str, int]:
    rng = random.Random(seed)
    expressions = Expressions(rng)
    counts: dict[str, int] = {}
    for _ in range(cases):
        kind = rng.choice(KINDS)
        text = expressions.make(kind, rng.randrange(1, 5))
        for _ in range(3):
            found = check(text, kind, random_row(rng))
            counts[found] = counts.get(found, 0) + 1
    return counts


def test_random_expressions_agree_with_google_and_the_oracle() -> None:
    counts = run(seed=1, cases=1_200)
    assert set(counts) == {"value", "unknown", "error"}
    assert min(counts.values()) > 200, counts


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 12))
def test_random_expressions_agree_at_length(seed: int) -> None:
    run(seed, cases=6_000)
