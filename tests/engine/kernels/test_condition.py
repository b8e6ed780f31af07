"""The condition kernel against the plain-Python oracle: labels of several words, absorption between terms, and which term decided."""

import random
from typing import Any

import numpy as np
import pytest

from engine.cel.bind import bind, for_thread
from engine.cel.conditions import assemble, compile_condition
from engine.cel.schema import Schema, Slot, SlotType
from engine.dtypes.condition import ERROR, FALSE, TRUE, UNKNOWN, ConditionTables
from engine.dtypes.view import View, new_view
from engine.kernels.condition import evaluate_condition, evaluate_term
from tests.oracle import cel as oracle

STATES = {True: TRUE, False: FALSE, oracle.UNKNOWN: UNKNOWN, oracle.ERROR: ERROR}


def set_labels(view: View, item: int, bits: dict[str, int], labels: dict[str, bool | None]) -> None:
    """Set the label words of an item: True present and fresh, None present and not fresh."""
    for label, state in labels.items():
        word, bit = divmod(bits[label], 64)
        view.present[item, word] |= np.uint64(1 << bit)
        if state:
            view.fresh[item, word] |= np.uint64(1 << bit)
    noise = np.uint64(0x5555_5555_5555_5555)
    for word in range(view.fresh.shape[1]):
        view.fresh[item, word] |= ~view.present[item, word] & noise


def random_labels(rng: random.Random, labels: tuple[str, ...]) -> dict[str, bool | None]:
    chance = rng.choice((0.02, 0.5, 0.98))
    return {label: rng.random() > 0.1 or None for label in labels if rng.random() < chance}


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 130])
def test_labels_of_several_words_agree_with_the_oracle(count: int) -> None:
    rng = random.Random(count)
    labels = tuple(sorted(f"label_{number}" for number in range(count)))
    schema = Schema((), labels)
    order = rng.sample(range(count), count)
    tests = [f'"{label}" in subscriber.labels' for label in labels]
    sources = [
        " && ".join(tests),
        " && ".join(f"!({test})" for test in tests),
        *(rng.choice(tests) for _ in range(5)),
        *(f"{rng.choice(tests)} && !({rng.choice(tests)}) && {rng.choice(tests)}" for _ in range(10)),
        *(f"({rng.choice(tests)} || !({rng.choice(tests)})) && {rng.choice(tests)}" for _ in range(10)),
    ]
    conditions = assemble([compile_condition(source, schema) for source in sources], schema)
    tables = bind(conditions, np.array(order), {}, []).tables
    bits = dict(zip(labels, order, strict=True))
    words = (count + 63) // 64
    for _ in range(40):
        view, held = new_view(2, words, 0), random_labels(rng, labels)
        set_labels(view, 1, bits, held)
        for number, source in enumerate(sources):
            expected = STATES[oracle.evaluate(source, {}, held)]
            assert evaluate_condition(tables, view, 1, number) & 255 == expected, (source, held)


def test_labels_that_the_base_lacks_are_absent_for_everybody() -> None:
    schema = Schema((), ("a", "b"))
    sources = [
        '"b" in subscriber.labels',
        '!("b" in subscriber.labels)',
        '"a" in subscriber.labels && "b" in subscriber.labels',
        '("b" in subscriber.labels) == false',
    ]
    tables = bind(assemble([compile_condition(s, schema) for s in sources], schema), np.array([0, -1]), {}, []).tables
    view = new_view(1, 1, 0)
    view.present[0, 0] = view.fresh[0, 0] = np.uint64(2**64 - 1)
    assert [evaluate_condition(tables, view, 0, n) & 255 for n in range(4)] == [FALSE, TRUE, FALSE, TRUE]


SCHEMA = Schema((Slot("x", SlotType.INT), Slot("y", SlotType.INT)), zone=False)
TERMS = {"false": "x == 2", "unknown": "y == 1", "error": "x / 0 == 1", "true": "x == 1"}


def tables_of(*sources: str, schema: Schema = SCHEMA) -> ConditionTables:
    return bind(assemble([compile_condition(s, schema) for s in sources], schema), np.zeros(0, np.int64), {}, []).tables


@pytest.mark.parametrize(
    ("terms", "result", "decided"),
    [
        ("true", TRUE, 0),
        ("true true", TRUE, 0),
        ("false", FALSE, 0),
        ("true false", FALSE, 1),
        ("unknown false", FALSE, 1),
        ("unknown true", UNKNOWN, 0),
        ("true unknown", UNKNOWN, 1),
        ("true error", ERROR, 1),
        ("unknown error", UNKNOWN, 0),
        ("false unknown error", FALSE, 0),
        ("true unknown unknown", UNKNOWN, 1),
        ("true error error", ERROR, 1),
    ],
)
def test_conjunction_of_terms_and_which_decided(terms: str, result: int, decided: int) -> None:
    tables = tables_of("x == 1", " && ".join(TERMS[term] for term in terms.split()))
    view = new_view(1, 1, 2)
    view.values[0], view.known[0] = [1, 0], [1, 0]
    assert evaluate_condition(tables, view, 0, 1) == decided << 8 | result


def test_error_of_a_program_before_an_unknown_one_gives_way() -> None:
    tables = tables_of("x / 0 == 1 && y + 1 == 2", "y + 1 == 2 && x / 0 == 1")
    view = new_view(1, 1, 2)
    view.values[0], view.known[0] = [1, 0], [1, 0]
    assert [evaluate_condition(tables, view, 0, n) for n in (0, 1)] == [1 << 8 | UNKNOWN, UNKNOWN]


def test_terms_one_by_one() -> None:
    tables = tables_of(
        "has(r.x) && r.x > 5 && !has(r.y)", schema=Schema((Slot("r.x", SlotType.INT), Slot("r.y", SlotType.INT)))
    )
    view = new_view(3, 1, 2)
    view.values[:, 0] = [6, 5, 6]
    view.known[:] = [[1, 0], [1, 1], [0, 0]]
    found = [[evaluate_term(tables, view, item, term) for term in range(3)] for item in range(3)]
    assert found == [[TRUE, TRUE, TRUE], [TRUE, FALSE, FALSE], [FALSE, UNKNOWN, TRUE]]


def test_each_thread_has_its_own_stack() -> None:
    tables = tables_of("x + 1 == 2")
    other = for_thread(tables)
    assert other.stack is not tables.stack
    assert other.terms is tables.terms


def random_rows(rng: random.Random, items: int) -> list[dict[str, Any]]:
    return [
        {name: None if rng.random() < 0.2 else rng.choice((0, 1, 2, 150, 10**16)) for name in ("i", "d", "b")}
        for _ in range(items)
    ]


def test_decimals_are_seen_as_the_nearest_double() -> None:
    schema = Schema((Slot("i", SlotType.INT), Slot("d", SlotType.DECIMAL, 2), Slot("b", SlotType.BOOL)))
    sources = [
        "d == 1.5",
        "d * 2.0 > 3.0",
        "d + double(i) != 0.01 || b",
        "(b ? d : 0.02) < 1.51",
        "int(d * 100.0) == i",
        "d in [0.01, 1.5]",
    ]
    tables = bind(
        assemble([compile_condition(s, schema) for s in sources], schema), np.zeros(0, np.int64), {}, []
    ).tables
    rng = random.Random(3)
    rows = random_rows(rng, 200)
    view = new_view(len(rows), 1, 3)
    for item, row in enumerate(rows):
        for slot, name in enumerate(("i", "d", "b")):
            view.known[item, slot] = row[name] is not None
            view.values[item, slot] = (row[name] or 0) if name != "b" else (row[name] or 0) & 1
        seen = {
            "i": row["i"],
            "d": None if row["d"] is None else row["d"] / 100,
            "b": None if row["b"] is None else bool(row["b"] & 1),
        }
        for number, source in enumerate(sources):
            assert evaluate_condition(tables, view, item, number) & 255 == STATES[oracle.evaluate(source, seen)], (
                source,
                row,
            )
