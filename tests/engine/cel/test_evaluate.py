"""One expression against one row: edges of every type, what is refused, and the JSON of both sides."""

import json
from typing import Any

import pytest

from engine.cel.evaluate import evaluate_one, evaluate_rows


def value_of(expr: str, names: dict[str, str] | None = None, row: dict[str, Any] | None = None) -> Any:
    answer = evaluate_one(expr, names or {}, row or {})
    assert list(answer) == ["value"], (expr, answer)
    return answer["value"]


EDGES: list[tuple[str, Any]] = [
    ("-9223372036854775808 + 0", "-9223372036854775808"),
    ("9007199254740991", 9007199254740991),
    ("9007199254740992", "9007199254740992"),
    ("-7 / 2", -3),
    ("-7 % 2", -1),
    ("7 % -2", 1),
    ("5 / -2", -2),
    ("9223372036854775807 % -1", 0),
    ("-0.0 == 0.0", True),
    ("-0.0 in [0.0]", True),
    ("1.0 / -0.0", "-Infinity"),
    ("0.0 / 0.0", "NaN"),
    ('double("NaN") == double("NaN")', False),
    ('double("NaN") != double("NaN")', True),
    ('!(double("NaN") < 1.0)', True),
    ('double("NaN") in [double("NaN")]', False),
    ("0.1 + 0.2", 0.30000000000000004),
    ("double(9007199254740993)", 9007199254740992.0),
    ("int(-1.9)", -1),
    ("int(9223372036854774784.0)", "9223372036854774784"),
    ("true || 1 / 0 == 1", True),
    ("1 / 0 == 1 || true", True),
    ("false && 1 / 0 == 1", False),
    ("1 / 0 == 1 && false", False),
    ("true ? 1 : 1 / 0", 1),
    ("1 in []", False),
    ("false < true", True),
    ('size("e\\u0301\\U0001F600")', 3),
    ('"\\uffff" < "\\U00010000"', True),
    ('"a" + "b" == "ab"', True),
    ('"b".startsWith("")', True),
    ('"".contains("a")', False),
    ('int(" -12 ")', -12),
    ('double("0.1")', 0.1),
    ('bool("TRUE")', True),
    ('timestamp("2024-02-29T23:59:60Z")', "2024-03-01T00:00:00Z"),
    ('timestamp("2024-01-01t00:00:00.5+02:00")', "2023-12-31T22:00:00.5Z"),
    ('timestamp("2024-01-01T00:00:00.1234567899Z")', "2024-01-01T00:00:00.123456789Z"),
    ("timestamp(-62135596800)", "0001-01-01T00:00:00Z"),
    ('int(timestamp("1969-12-31T23:59:59.9Z"))', -1),
    ('timestamp("2024-02-28T00:00:00Z") + duration("24h")', "2024-02-29T00:00:00Z"),
    ('duration("1.000000001s")', "1.000000001s"),
    ('duration("1h1m1s1ms1us1ns")', "3661.001001001s"),
    ('duration("-1.5h")', "-5400s"),
    ('duration("0")', "0s"),
    ('duration("1.5ns")', "0.000000001s"),
    ('duration("-1.5s").getMilliseconds()', -500),
    ('duration("-3730.5s").getMinutes()', -62),
    ('timestamp("2024-03-10T00:00:00Z").getDayOfWeek("UTC")', 0),
    ('timestamp("2024-03-10T07:59:59Z").getHours("America/New_York")', 3),
    ('timestamp("2024-03-10T06:59:59Z").getHours("America/New_York")', 1),
    ('timestamp("2024-11-03T05:30:00Z").getHours("America/New_York")', 1),
    ('timestamp("2024-11-03T06:30:00Z").getHours("America/New_York")', 1),
    ('timestamp("2024-12-31T23:00:00Z").getDayOfYear("UTC")', 365),
    ('timestamp("2024-12-31T23:00:00Z").getDayOfYear("+02:00")', 0),
    ('timestamp("1969-12-31T23:59:59.5Z").getMilliseconds("UTC")', 500),
    ('timestamp("0001-01-01T00:00:00Z").getFullYear("-05:00")', 0),
    ('timestamp("9999-12-31T23:00:00Z").getFullYear("+05:00")', 10000),
    ('timestamp("9000-07-01T12:00:00Z").getHours("Europe/Berlin")', 14),
]


@pytest.mark.parametrize(("expr", "expected"), EDGES)
def test_value_at_an_edge(expr: str, expected: Any) -> None:
    found = value_of(expr)
    assert (found, type(found)) == (expected, type(expected))


ERRORS = [
    ("1 / 0", "division by zero"),
    ("1 % 0", "remainder of a division by zero"),
    ("9223372036854775807 + 1", "integer overflow"),
    ("-9223372036854775808 - 1", "integer overflow"),
    ("4611686018427387904 * 2", "integer overflow"),
    ("-(-9223372036854775808)", "integer overflow"),
    ("-9223372036854775808 / -1", "integer overflow"),
    ("-9223372036854775808 % -1", "integer overflow"),
    ("int(9223372036854775807.0)", "double out of the range of int"),
    ("int(-9223372036854775808.0)", "double out of the range of int"),
    ('int(double("NaN"))', "double out of the range of int"),
    ('timestamp("9999-12-31T23:59:59.999999999Z") + duration("1ns")', "timestamp out of range"),
    ('timestamp("0001-01-01T00:00:00Z") - duration("1ns")', "timestamp out of range"),
    ('timestamp("0001-01-01T00:00:00+00:01")', "timestamp out of range"),
    ("timestamp(253402300800)", "timestamp out of range"),
    ('timestamp("9999-12-31T00:00:00Z") - timestamp("0001-01-01T00:00:00Z")', "duration out of range"),
    ('duration("2562047h47m16.854775807s") + duration("1ns")', "duration out of range"),
    ('duration("9223372036854775808ns")', "duration out of range"),
    ('duration("99999999999999999999999999s")', "duration out of range"),
    ('timestamp("2024-02-30T00:00:00Z")', "not an RFC 3339 timestamp"),
    ('timestamp("2024-1-1T0:0:0Z")', "not an RFC 3339 timestamp"),
    ('duration("1d")', "not a duration"),
    ('int("9223372036854775808")', "not a number"),
    ('double("1_0")', "not a number"),
    ('timestamp(0).getHours("Mars/Olympus")', "not a time zone"),
    ("x in [1, 1 / 0]", "division by zero"),
    ("(1 / 0 == 1) ? 1 : 2", "division by zero"),
]


@pytest.mark.parametrize(("expr", "why"), ERRORS)
def test_error_at_an_edge(expr: str, why: str) -> None:
    answer = evaluate_one(expr, {"x": "int"}, {"x": 1})
    assert list(answer) == ["error"]
    assert answer["error"].startswith(why)


MISSING = {"a.x": "int", "a.y": "int", "a.s": "string", "a.flag": "bool", "t": "timestamp", "subscriber.zone": "string"}
UNKNOWNS = [
    ("a.x > 1", ["a.x"]),
    ("a.x > 1 && a.y > 1", ["a.x", "a.y"]),
    ("a.x + a.y", ["a.x", "a.y"]),
    ("a.x > 1 || 1 / 0 == 1", ["a.x"]),
    ("1 / 0 + a.x", ["a.x"]),
    ("a.x in [1, 1 / 0]", ["a.x"]),
    ("a.flag ? a.x : a.y", ["a.flag"]),
    ("true ? a.x : a.y", ["a.x"]),
    ('a.s.startsWith("x")', ["a.s"]),
    ("a.s", ["a.s"]),
    ('t.getHours("UTC")', ["t"]),
    ("timestamp(0).getHours(subscriber.zone)", ["subscriber.zone"]),
    ("t.getHours(subscriber.zone) == a.x", ["a.x", "subscriber.zone", "t"]),
    ('subscriber.zone == "UTC"', ["subscriber.zone"]),
    ("!a.flag", ["a.flag"]),
]


@pytest.mark.parametrize(("expr", "names"), UNKNOWNS)
def test_unknown_names_what_is_missing(expr: str, names: list[str]) -> None:
    assert evaluate_one(expr, MISSING, {"a.x": None}) == {"unknown": names}


@pytest.mark.parametrize(
    "expr", ["true || a.x > 1", "a.x > 1 || true", "!(a.x > 1 && false)", "!has(a.x)", "has(a.x) ? a.x > 1 : true"]
)
def test_missing_is_absorbed(expr: str) -> None:
    assert value_of(expr, MISSING) is True


def test_unknown_names_beyond_the_bits_of_a_word() -> None:
    names = {f"v{i:03d}": "int" for i in range(100)}
    row = {name: 1 for name in names if name not in ("v001", "v080")}
    assert evaluate_one(f"[{', '.join(names)}].size() > 0", names, row).keys() == {"refused"}
    groups = [" + ".join(sorted(names)[i : i + 20]) for i in range(0, 100, 20)]
    assert evaluate_one(" + ".join(f"({group})" for group in groups), names, row) == {"unknown": ["v001", "v080"]}


REFUSED = [
    ("x > 1.5", "1:3: found no matching overload"),
    ("x +", "1:4: Syntax error"),
    ("y", "1:1: undeclared reference to 'y'"),
    ("[1, 2]", "1:1: a list"),
    ("{1: 2}", "1:1: a map"),
    ("[1, 2].all(i, i > 0)", "1:11: a macro"),
    ("1u == 2u", "1:1: a comparison of uint"),
    ("null", "1:1: a literal of type null"),
    ("b'a' == b'a'", "1:1: a comparison of bytes"),
    ("1u in [2u]", "1:1: `in` with a value of type uint"),
    ("-1u == 1u", "1:1: found no matching overload"),
    ("dyn(x) == 1", "1:4: "),
    ("type(x) == int", "1:5: "),
    ("string(x)", "1:7: string() of (int)"),
    ("s.matches('a')", "1:10: matches() of (string, string)"),
    ("s + q", "1:3: + of more than one string value"),
    ("int(s)", "1:4: int() of a string that is not a literal"),
    ("duration(x)", "1:9: "),
    ("t.getHours()", "1:11: getHours() without a zone; write"),
    ("t.getHours(s)", "1:12: expected subscriber.zone or a zone in quotes"),
    ("x in [1.0]", "1:3: found no matching overload"),
    ("x in [1, 1.0]", "1:10: expected a int in the list"),
    ("x in {1: 2}", "1:6: expected a list written out"),
    ("'a' in subscriber.labels", "1:18: undeclared reference to 'subscriber.labels'"),
    ("\n  x ==\n 'a'", "2:5: found no matching overload"),
    ("x\x00", "1:2: character '\\x00' is no Unicode text"),
    ("x == 'a\ud800'", "1:8: character '\\ud800' is no Unicode text"),
    ("(" * 200 + "x" + ")" * 200, "1:1: "),
    ("+".join(["x"] * 5000), "1:1: "),
]


@pytest.mark.parametrize(("expr", "why"), REFUSED)
def test_refused_with_its_place(expr: str, why: str) -> None:
    answer = evaluate_one(expr, {"x": "int", "s": "string", "q": "string", "t": "timestamp"}, {})
    assert list(answer) == ["refused"]
    assert answer["refused"].startswith(why), answer


LINES = [
    ("", "expected one JSON object"),
    ("{", "expected one JSON object"),
    ("[1]", "expected a JSON object"),
    ('{"vars": {}}', "expr: expected a string"),
    ('{"expr": 1}', "expr: expected a string"),
    ('{"expr": "1", "vars": []}', "vars: expected an object"),
    ('{"expr": "1", "row": [1]}', "row: expected an object"),
    ('{"expr": "1", "expr": "2"}', "expected one JSON object on a line: an object names a key twice"),
    ('{"expr": "x", "vars": {"x": "float"}}', "vars: 'x': expected a type of bool, int"),
    ('{"expr": "x", "vars": {"x": 1}}', "vars: 'x': expected a type"),
    ('{"expr": "x", "vars": {"x": "int"}, "row": {"x": 1.5}}', "row: 'x': expected a int: float in JSON"),
    ('{"expr": "x", "vars": {"x": "int"}, "row": {"x": true}}', "row: 'x': expected a int: bool in JSON"),
    ('{"expr": "x", "vars": {"x": "int"}, "row": {"x": "9223372036854775808"}}', "row: 'x': expected a int"),
    ('{"expr": "x", "vars": {"x": "int"}, "row": {"x": 9223372036854775808}}', "row: 'x': expected a int"),
    ('{"expr": "x", "vars": {"x": "bool"}, "row": {"x": "true"}}', "row: 'x': expected a bool"),
    (
        '{"expr": "x", "vars": {"x": "double"}, "row": {"x": NaN}}',
        "expected one JSON object on a line: NaN is not JSON",
    ),
    ('{"expr": "x", "vars": {"x": "string"}, "row": {"x": 5}}', "row: 'x': expected a string"),
    ('{"expr": "x", "vars": {"x": "string"}, "row": {"x": "\\ud800"}}', "row: 'x': expected a string"),
    ('{"expr": "x", "vars": {"x": "timestamp"}, "row": {"x": "today"}}', "row: 'x': expected a timestamp"),
    ('{"expr": "x", "vars": {"x": "duration"}, "row": {"x": "1d"}}', "row: 'x': expected a duration"),
    ('{"expr": "a.b", "vars": {"a": "int", "a.b": "int"}}', "1:1: name 'a.b': 'a' is a value already"),
    ('{"expr": "1", "vars": {"a b": "int"}}', "1:1: name 'a b': expected letters"),
    ("[" * 100_000, "expected one JSON object"),
    ('{"expr": "x", "vars": {"x": "double"}, "row": {"x": 1' + "0" * 400 + "}}", "row: 'x': expected a double"),
    ('{"expr": "x", "vars": {"x": "double"}, "row": {"x": 1' + "0" * 5000 + "}}", "expected one JSON object"),
]


@pytest.mark.parametrize(("line", "why"), LINES)
def test_line_that_is_no_row_is_refused(line: str, why: str) -> None:
    (answer,) = evaluate_rows([line])
    assert json.loads(answer)["refused"].startswith(why), answer


def test_rows_give_one_line_each_in_order() -> None:
    lines = [
        '{"expr": "x", "vars": {"x": "int"}, "row": {"x": "9223372036854775807"}}\n',
        '{"expr": "x * 2.0", "vars": {"x": "double"}, "row": {"x": "-Infinity"}}\n',
        '{"expr": "s + \\"!\\"", "vars": {"s": "string"}, "row": {"s": "é\\n"}}\n',
        '{"expr": "a.t", "vars": {"a.t": "timestamp"}, "row": {"a.t": "2024-01-01T00:00:00.000000001+01:00"}}\n',
        '{"expr": "d", "vars": {"d": "duration"}, "row": {"d": "-0.000000001s"}}\n',
        '{"expr": "x", "vars": {"x": "double"}, "row": {"x": -0.0}}\n',
        '{"expr": "x", "vars": {"x": "double"}, "row": {"x": 5}}\n',
        '{"expr": "b", "vars": {"b": "bool"}, "row": {"b": false, "unasked": [1]}}\n',
    ]
    assert list(evaluate_rows(lines)) == [
        '{"value": "9223372036854775807"}',
        '{"value": "-Infinity"}',
        '{"value": "é!\\n"}'.replace("!\\n", "\\n!"),
        '{"value": "2023-12-31T23:00:00.000000001Z"}',
        '{"value": "-0.000000001s"}',
        '{"value": -0.0}',
        '{"value": 5.0}',
        '{"value": false}',
    ]


def test_names_that_differ_only_in_case_or_underscore_are_apart() -> None:
    names = {"a.x_y": "int", "a.xY": "int", "a_b.c": "int", "a.b.c": "int"}
    assert (
        value_of(
            "has(a.b.c) && a.x_y * 1000 + a.xY * 100 + a_b.c * 10 + a.b.c == 1234",
            names,
            dict(zip(names, (1, 2, 3, 4), strict=True)),
        )
        is True
    )
