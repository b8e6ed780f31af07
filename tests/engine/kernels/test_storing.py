"""Rows of decisions: cleared, and written from a run's answers, as plain Python does it."""

import numpy as np
import pytest

from engine.batch import DecisionRows, Decisions
from engine.dtypes.decisions import DecisionColumns
from engine.dtypes.rules import Answers
from engine.jit import frozen
from engine.kernels.storing import clear_decisions, store_answers
from engine.limits import NEVER_US, OFFERS_PER_ANSWER_MAX
from engine.reasons import STAGE_COUNT
from engine.texts import TextArena

N = 9
EMPTY = {"chosen": -1, "would_be": -1, "language": -1, "next_allowed_us": NEVER_US}
"""What is not 0 where nothing was decided."""


def noise(rng: np.random.Generator, columns: DecisionColumns) -> None:
    for column in columns:
        column[...] = rng.integers(1, 100, column.shape)


def answers_of(rng: np.random.Generator) -> Answers:
    k = OFFERS_PER_ANSWER_MAX
    shapes = {"chosen": (N, k), "score": (N, k), "would_be": (N, k), "stages": (N, STAGE_COUNT)}
    dtypes = {"reason": np.uint8, "score": np.float64}
    narrow = ("chosen_count", "chosen", "would_be_count", "would_be", "stages")
    return Answers(
        **{
            name: rng.integers(0, 100, shapes.get(name, (N,))).astype(
                dtypes.get(name, np.int32 if name in narrow else np.int64)
            )
            for name in Answers._fields
        }
    )


def test_cleared_rows_are_those_of_nothing_decided_and_the_others_stay() -> None:
    rows = DecisionRows(TextArena(), N)
    noise(np.random.default_rng(1), rows.columns)
    before = {name: column.copy() for name, column in rows.columns._asdict().items()}
    clear_decisions(rows.columns, 4)
    for name, column in rows.columns._asdict().items():
        assert np.all(column[:4] == EMPTY.get(name, 0)), name
        assert np.array_equal(column[4:], before[name][4:]), name


@pytest.mark.parametrize("settled", [0, 1, 5, N])
def test_answers_go_to_the_rows_of_their_items(settled: int) -> None:
    rng = np.random.default_rng(settled)
    rows = DecisionRows(TextArena(), 2 * N)
    noise(rng, rows.columns)
    before = {name: column.copy() for name, column in rows.columns._asdict().items()}
    answers, index = answers_of(rng), rng.permutation(2 * N)[:N]
    languages, decision = rng.integers(-1, 3, N).astype(np.int16), rng.integers(0, 2, N).astype(np.uint64)
    held = store_answers(answers, languages, frozen(decision), rows.columns, frozen(index), settled)
    assert held == np.count_nonzero(decision[:settled])
    written = {**answers._asdict(), "language": languages, "decision": decision}
    for name, column in rows.columns._asdict().items():
        expected = before[name]
        if name in written:
            expected[index[:settled]] = written[name][:settled]
        assert np.array_equal(column, expected), name


def test_rows_hold_until_the_next_batch_and_are_views_of_one_room() -> None:
    rows = DecisionRows(TextArena(), N)
    first = rows.begin(3)
    first.reason[:] = 7
    assert rows.begin(2).reason.tolist() == [0, 0]
    assert first.reason.tolist() == [0, 0, 7]
    assert rows.begin(3) is first
    named = {name for name in Decisions.__slots__ if name != "texts"}
    assert named == set(DecisionColumns._fields)
