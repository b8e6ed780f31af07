"""Conditions as authors write them: what is refused and where, what they lower to, and that a stored set is the same set."""

import msgspec
import numpy as np
import pytest

from engine.cel.bind import bind
from engine.cel.conditions import Condition, ConditionSet, assemble, compile_condition
from engine.cel.errors import CelError
from engine.cel.schema import Schema, Slot, SlotType
from engine.dtypes import condition as c
from engine.dtypes.view import new_view
from engine.kernels.condition import evaluate_condition

SCHEMA = Schema(
    slots=(
        Slot("subscriber.tenure_months", SlotType.INT),
        Slot("subscriber.charges", SlotType.DECIMAL, 2),
        Slot("subscriber.ratio", SlotType.DOUBLE),
        Slot("subscriber.plan", SlotType.STRING),
        Slot("subscriber.vip", SlotType.BOOL),
        Slot("now", SlotType.TIMESTAMP),
        Slot("trigger.app", SlotType.STRING, dynamic=True),
        Slot("trigger.other", SlotType.STRING, dynamic=True),
    ),
    labels=("heavy_data", "new", "roamer"),
)


def kinds(source: str) -> list[int]:
    return [term.kind for term in compile_condition(source, SCHEMA).terms]


LOWERED = [
    ('"heavy_data" in subscriber.labels', [c.LABELS_ALL]),
    ('"new" in subscriber.labels && "heavy_data" in subscriber.labels', [c.LABELS_ALL]),
    ('!("new" in subscriber.labels) && "heavy_data" in subscriber.labels', [c.LABELS_ALL, c.LABELS_NONE]),
    ("subscriber.tenure_months >= 12", [c.RANGE]),
    ("12 < subscriber.tenure_months", [c.RANGE]),
    ("subscriber.tenure_months > 2 * 60 - 1", [c.RANGE]),
    ("!(subscriber.tenure_months == 12)", [c.RANGE]),
    ("subscriber.charges < 79.55", [c.RANGE]),
    ("subscriber.charges < double(80)", [c.RANGE]),
    ("subscriber.ratio != 0.5", [c.RANGE_DOUBLE]),
    ("subscriber.vip", [c.RANGE]),
    ("!subscriber.vip", [c.RANGE]),
    ("subscriber.vip == false", [c.RANGE]),
    ('subscriber.plan == "basic"', [c.RANGE_TEXT]),
    ('"basic" != trigger.app', [c.RANGE_TEXT]),
    ('subscriber.plan in ["basic", "family"]', [c.RANGE_TEXT]),
    ('subscriber.plan.startsWith("b")', [c.RANGE_TEXT]),
    ('!trigger.app.contains("b")', [c.RANGE_TEXT]),
    ('subscriber.plan < "c"', [c.RANGE_TEXT]),
    ("has(trigger.app)", [c.KNOWN]),
    ("!has(subscriber.zone)", [c.KNOWN]),
    ("true", [c.FIXED]),
    ("subscriber.tenure_months + 1 > 2 && subscriber.vip", [c.RANGE, c.PROGRAM]),
    ("subscriber.tenure_months in [1, 2]", [c.PROGRAM]),
    ("subscriber.tenure_months > 1 / 0", [c.PROGRAM]),
    ("now.getHours(subscriber.zone) < 12", [c.PROGRAM]),
    ("trigger.app == trigger.other", [c.PROGRAM]),
]


@pytest.mark.parametrize(("source", "expected"), LOWERED)
def test_lowering_gives_the_cheapest_term(source: str, expected: list[int]) -> None:
    assert kinds(source) == expected


REFUSED = [
    ('"heavy_dat" in subscriber.labels', 1, 1, "label 'heavy_dat' is not declared (nearest: heavy_data); declare it"),
    ("subscriber.plan in subscriber.labels", 1, 1, "expected a label's id in quotes"),
    ("size(subscriber.labels) > 1", 1, 5, "size() of (list) is outside the subset"),
    ("has(subscriber.labels)", 1, 4, 'subscriber.labels: only "label" in subscriber.labels can be asked'),
    (
        "subscriber.tenure > 1",
        1,
        11,
        "undefined field 'tenure' not found in struct 'subscriber' (nearest: subscriber.tenure_months)",
    ),
    ("subscriber.vip &&\n  subscriber.plan > 1", 2, 19, "found no matching overload"),
    ("subscriber.tenure_months", 1, 1, "expected a condition, true or false, but it was int"),
    ("subscriber == subscriber", 1, 1, "a comparison of message is outside the subset"),
    ('subscriber.plan.matches("a")', 1, 24, "matches() of (string, string) is outside the subset"),
    ("now.getHours() > 1", 1, 13, 'getHours() without a zone; write getHours(subscriber.zone), or getHours("UTC")'),
    ('now.getHours("Mars/Olympus") > 1', 1, 14, "time zone 'Mars/Olympus': expected an IANA name"),
    ('now > timestamp("2024-13-01T00:00:00Z")', 1, 17, "always an error: not an RFC 3339 timestamp"),
    ("trigger.app < trigger.other", 1, 13, "the order of two strings of which one is a trigger field is not known"),
    ("trigger.app < subscriber.plan", 1, 13, "the order of two strings of which one is a trigger field is not known"),
    ('subscriber.plan + trigger.app == "ab"', 1, 17, "+ of more than one string value is outside the subset"),
    ('size(subscriber.vip ? "a" : "bb") == 1', 1, 5, "size() of more than one string value is outside the subset"),
    ("trigger.missing", 1, 8, "undefined field 'missing' not found in struct 'trigger'"),
    ("[1, 2].exists(i, i == 1)", 1, 14, "a macro (all, exists, map, ...) is outside the subset"),
]


@pytest.mark.parametrize(("source", "line", "column", "message"), REFUSED)
def test_refused_with_a_caret(source: str, line: int, column: int, message: str) -> None:
    with pytest.raises(CelError) as caught:
        compile_condition(source, SCHEMA)
    error = caught.value
    assert (error.line, error.column) == (line, column), str(error)
    assert error.message.startswith(message)
    text, caret = error.caret().split("\n")
    assert text == source.split("\n")[line - 1]
    assert caret == " " * (column - 1) + "^"


def test_caret_keeps_tabs_and_wide_text_in_step() -> None:
    with pytest.raises(CelError) as caught:
        compile_condition('\tsubscriber.plan == "é" && nothing', SCHEMA)
    assert caught.value.caret().split("\n")[1] == "\t" + " " * 26 + "^"


def test_names_that_are_not_known_here_are_refused() -> None:
    known = frozenset({"now", "trigger.app"})
    assert compile_condition('trigger.app == "x" && has(trigger.app)', SCHEMA, known).slots == (6,)
    with pytest.raises(CelError, match=r"1:1: trigger.other is not available here; use one of: now, trigger.app"):
        compile_condition('trigger.other == "x"', SCHEMA, known)


def test_terms_keep_their_source() -> None:
    condition = compile_condition(
        '(subscriber.tenure_months + 1 > 2 || subscriber.vip) && ("new" in subscriber.labels && subscriber.plan == ")")\n && "roamer" in subscriber.labels',
        SCHEMA,
    )
    assert [term.source for term in condition.terms] == [
        '"new" in subscriber.labels && "roamer" in subscriber.labels',
        'subscriber.plan == ")"',
        "(subscriber.tenure_months + 1 > 2 || subscriber.vip)",
    ]
    assert [SCHEMA.labels[label] for label in condition.terms[0].labels] == ["new", "roamer"]


def test_a_stored_set_is_the_same_set() -> None:
    conditions = assemble([compile_condition(source, SCHEMA) for source, _ in LOWERED], SCHEMA)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(conditions), type=ConditionSet) == conditions


def results(condition: Condition, *, zone: int, dictionaries: dict[int, list[str]]) -> int:
    bound = bind(assemble([condition], SCHEMA), np.arange(3), dictionaries, ["UTC", "Asia/Kolkata"], dynamic_rows=4)
    view = new_view(1, 1, len(SCHEMA.slots))
    view.zone[0] = zone
    view.known[0] = 1
    return evaluate_condition(bound.tables, view, 0, 0) & 255


def test_zone_by_name() -> None:
    condition = compile_condition('subscriber.zone == "Asia/Kolkata"', SCHEMA)
    assert [results(condition, zone=zone, dictionaries={}) for zone in (-1, 0, 1)] == [c.UNKNOWN, c.FALSE, c.TRUE]


def test_zones_that_conditions_name_come_after_the_bases() -> None:
    condition = compile_condition('now.getHours("Asia/Tokyo") == 9 && now.getHours(subscriber.zone) == 5', SCHEMA)
    assert [results(condition, zone=zone, dictionaries={}) for zone in (-1, 0, 1)] == [c.UNKNOWN, c.FALSE, c.TRUE]


def test_bind_without_a_dictionary_says_which() -> None:
    condition = compile_condition('subscriber.plan == "a"', SCHEMA)
    with pytest.raises(ValueError, match=r"subscriber\.plan: conditions ask for its text"):
        results(condition, zone=0, dictionaries={})


def test_too_deep_a_condition_is_refused() -> None:
    elements = ", ".join(str(i) for i in range(600))
    with pytest.raises(CelError, match="more than 512 values at once"):
        compile_condition(f"subscriber.tenure_months in [{elements}]", SCHEMA)
