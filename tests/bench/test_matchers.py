"""A rule engine that answers otherwise fails the bench; rows and rules mean the same to all."""

import numpy as np
import pytest

from bench.match import _check, _Contest
from bench.matching import Ours, hashes_of
from bench.measured import RunError
from bench.rivals.matchers import RIVALS, Matcher
from bench.rows import MISSING, columns_of, matches_of, used
from bench.rules import broad_rules, rules
from bench.worlds import built
from engine.jit import COMPILED

ROWS, EVENTS, SEED = 1_000, 40, 2


class Contrary:
    """Says of one rule the opposite for one row."""

    def __init__(self, inner: Matcher) -> None:
        self._inner = inner

    def match(self, count: int) -> object:
        return self._inner.match(count)

    def matches(self, count: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]":
        found = self._inner.matches(count).copy()
        found[7, 3] = not found[7, 3]
        return found


@pytest.fixture(scope="module")
def contest() -> _Contest:
    world = built(ROWS, SEED)
    numbers = np.random.default_rng(1).integers(0, ROWS, EVENTS)
    made = rules(12, SEED)
    asked = used(made, columns_of(numbers, ROWS, SEED))
    rivals = {name: make(made, asked) for name, make in RIVALS.items()}
    return _Contest(Ours(world, made, SEED), hashes_of(world, numbers, SEED), rivals)


def test_all_engines_agree_with_the_terms(contest: _Contest) -> None:
    numbers = np.random.default_rng(1).integers(0, ROWS, EVENTS)
    made = rules(12, SEED)
    asked = used(made, columns_of(numbers, ROWS, SEED))
    assert set(_check(contest, made, asked)) == {"ours", *RIVALS}
    expected = np.stack([matches_of(rule, asked) for rule in made], axis=1)
    assert 0 < expected.sum() < expected.size


@pytest.mark.parametrize("name", sorted(RIVALS))
def test_engine_that_differs_fails_the_bench(contest: _Contest, name: str) -> None:
    numbers = np.random.default_rng(1).integers(0, ROWS, EVENTS)
    made = rules(12, SEED)
    asked = used(made, columns_of(numbers, ROWS, SEED))
    changed = contest._replace(rivals=contest.rivals | {name: Contrary(contest.rivals[name])})
    with pytest.raises(RunError, match=f"{name} finds other rules: event 7, .*1 differences"):
        _check(changed, made, asked)


def test_rows_are_those_of_the_numbers() -> None:
    numbers = np.array([70_000, 3, 70_000, 65_535, 65_536])
    columns = columns_of(numbers, 80_000, SEED)
    again = columns_of(numbers[[1]], 80_000, SEED)
    for name, column in columns.items():
        assert column[0] == column[2]
        assert column[1] == again[name][0]
    assert any((column == MISSING).any() for column in columns_of(np.arange(200), 200, SEED).values())


def test_rules_have_five_terms_and_come_from_their_seed() -> None:
    assert rules(50, 3) == rules(60, 3)[:50]
    assert rules(50, 3) != rules(50, 4)
    for rule in (*rules(50, 3), *broad_rules(20, 3)):
        assert len({term.label for term in rule.labels}) == 3
        assert len({term.attribute for term in rule.ranges}) == 2
        assert rule.cel().count("&&") == 6


def test_broad_rules_hold_for_most() -> None:
    columns = columns_of(np.arange(2_000), 2_000, SEED)
    for rule in broad_rules(10, SEED):
        assert matches_of(rule, columns).mean() > 0.7


if not COMPILED:
    pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
