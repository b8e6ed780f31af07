"""Strings of trigger fields: codes as they come, the same answers as for known strings, and room that is won back between batches."""

import random

import numpy as np
import pytest

from engine.cel.bind import Bound, bind
from engine.cel.conditions import assemble, compile_condition
from engine.cel.schema import Schema, Slot, SlotType
from engine.dtypes.view import View, new_view
from engine.kernels.condition import evaluate_condition
from tests.oracle.cel import UNKNOWN, evaluate

SCHEMA = Schema(
    (
        Slot("subscriber.plan", SlotType.STRING),
        Slot("trigger.app", SlotType.STRING, dynamic=True),
        Slot("trigger.cell", SlotType.STRING, dynamic=True),
    )
)
SOURCES = [
    'trigger.app == "maps"',
    'trigger.app != "maps" && trigger.app.startsWith("m")',
    'trigger.app in ["maps", "", "chat"]',
    "trigger.app == trigger.cell",
    "trigger.app == subscriber.plan || trigger.cell in [trigger.app, subscriber.plan]",
    'trigger.app + "!" == trigger.cell + ""',
    'size(trigger.app) > 3 && trigger.cell >= "b"',
    '(has(trigger.app) ? trigger.app : "none") == subscriber.plan',
]
PLANS = ["basic", "maps", "none"]
TEXTS = ["", "maps", "map", "chat", "basic", "maps!", "é", "\U0001f600", "none"]


def bound_with(rows: int) -> Bound:
    conditions = assemble([compile_condition(source, SCHEMA) for source in SOURCES], SCHEMA)
    return bind(conditions, np.zeros(0, np.int64), {0: PLANS}, [], dynamic_rows=rows)


def fill(bound: Bound, view: View, item: int, texts: tuple[int, str | None, str | None]) -> dict[str, str | None]:
    plan, *fields = texts
    view.known[item] = 1
    view.values[item, 0] = plan
    for slot, text in enumerate(fields, 1):
        view.known[item, slot] = text is not None
        view.values[item, slot] = 0 if text is None else bound.interner.intern(slot, text)
    return {"subscriber.plan": PLANS[plan], "trigger.app": fields[0], "trigger.cell": fields[1]}


def test_interned_strings_answer_as_the_oracle_does_over_many_batches() -> None:
    rng = random.Random(7)
    bound, view = bound_with(rows=12), new_view(4, 1, 3)
    for batch in range(60):
        bound.interner.reset_if_needed(4)
        fresh = [f"{rng.choice(TEXTS)}{batch}" for _ in range(2)]
        rows = [
            fill(
                bound,
                view,
                item,
                (rng.randrange(3), rng.choice([None, *TEXTS, *fresh]), rng.choice([None, *TEXTS, *fresh])),
            )
            for item in range(4)
        ]
        for number, source in enumerate(SOURCES):
            for item, row in enumerate(rows):
                expected = evaluate(source, row)
                found = evaluate_condition(bound.tables, view, item, number) & 255
                assert found == (2 if expected is UNKNOWN else int(expected)), (source, row)


def test_texts_of_past_batches_are_forgotten() -> None:
    bound = bound_with(rows=8)
    known = len(bound.texts)
    for batch in range(200):
        bound.interner.reset_if_needed(4)
        for item in range(4):
            assert bound.interner.intern(1, f"{batch}:{item}") < 8
    assert len(bound.texts) <= known + 2 * 8


def test_a_text_keeps_its_code_within_a_batch() -> None:
    bound = bound_with(rows=8)
    bound.interner.reset_if_needed(4)
    codes = [bound.interner.intern(1, text) for text in ("a", "b", "a", "c", "b")]
    assert codes == [0, 1, 0, 2, 1]


def test_more_texts_than_rows_is_a_programming_error() -> None:
    bound = bound_with(rows=2)
    bound.interner.intern(1, "a")
    bound.interner.intern(1, "b")
    with pytest.raises(AssertionError, match="reset_if_needed"):
        bound.interner.intern(1, "c")


def test_a_slot_that_no_condition_asks_for_costs_nothing() -> None:
    conditions = assemble([compile_condition('trigger.app == "x"', SCHEMA)], SCHEMA)
    bound = bind(conditions, np.zeros(0, np.int64), {}, [], dynamic_rows=2)
    assert [bound.interner.intern(2, str(i)) for i in range(10)] == [0] * 10
