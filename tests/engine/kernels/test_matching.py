"""Matching by every strategy against the plain-Python oracle: every kind of term, at the sizes where words end and strategies change."""

import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pytest

from engine.bits import rows_of_bits
from engine.bound import new_work
from engine.bound_pairs import lay_out_pairs
from engine.bundles import reference
from engine.cel.bind import bind
from engine.cel.conditions import Condition, ConditionSet, compile_condition
from engine.cel.schema import Schema, Slot, SlotType
from engine.dtypes.condition import FALSE, TRUE, ConditionTables
from engine.dtypes.matching import ACROSS, BY_LABEL, SLICED
from engine.dtypes.rules import CANDIDATE, Run
from engine.dtypes.view import View, new_view
from engine.jit import COMPILED, frozen
from engine.kernels.condition import evaluate_condition
from engine.kernels.screening import eligible_run
from engine.matching import Costs, lay_out
from engine.matching_across import BlockCosts
from tests.engine.kernels.pair import blank_run
from tests.engine.kernels.test_condition import STATES, random_labels, set_labels
from tests.oracle import cel as oracle

LABELS: Final = tuple(f"label_{number:02}" for number in range(90))
TEXTS: Final = ["", "north", "south"]
SCHEMA: Final = Schema(
    (
        Slot("a", SlotType.INT),
        Slot("b", SlotType.INT),
        Slot("d", SlotType.DOUBLE),
        Slot("s", SlotType.STRING),
        Slot("p.x", SlotType.INT),
    ),
    LABELS,
    zone=False,
)
ITEMS: Final = 6
STRATEGIES: Final = {"by label": BY_LABEL, "sliced": SLICED, "across": ACROSS}
SIZES: Final = (1, 2, 63, 64, 65, 255, 256, 257, *((4_096,) if COMPILED else ()))
"""Items of a run: where blocks end."""


def random_term(rng: random.Random) -> str:
    number, label = rng.randrange(-3, 40), rng.choice(LABELS)
    return rng.choice(
        [
            f'"{label}" in subscriber.labels',
            f'"{label}" in subscriber.labels',
            f'!("{label}" in subscriber.labels)',
            f"a >= {number}",
            f"b < {number}",
            f"b != {number}",
            f"!(a >= {number} && a <= {number + 9})",
            f"d <= {number / 2!r}",
            f"d > {number / 2!r}",
            "has(p.x)",
            "!has(p.x)",
            f"!(p.x == {number})",
            rng.choice(("true", "false", "1 / 0 == 1")),
            f's == "{rng.choice(TEXTS)}"',
            f'!(s == "{rng.choice(TEXTS)}")',
            f"a + b > {number}",
            f"a / (b - 7) > {number}",
        ]
    )


def random_condition(rng: random.Random) -> str:
    return " && ".join(random_term(rng) for _ in range(rng.choice((1, 1, 2, 3))))


def compiled(sources: Sequence[str]) -> ConditionTables:
    known: dict[str, Condition] = {}
    for source in sources:
        known.setdefault(source, compile_condition(source, SCHEMA))
    conditions = ConditionSet(SCHEMA, tuple(known[source] for source in sources))
    return bind(conditions, np.arange(len(LABELS)), {3: TEXTS}, []).tables


class People:
    """Random subscribers, as the oracle and as the view has them."""

    def __init__(self, rng: random.Random, count: int = ITEMS) -> None:
        self.view: View = new_view(count, 2, len(SCHEMA.slots))
        self.labels = [random_labels(rng, LABELS) for _ in range(count)]
        self.values = [self._values(rng, item) for item in range(count)]
        for item, labels in enumerate(self.labels):
            set_labels(self.view, item, {label: bit for bit, label in enumerate(LABELS)}, labels)

    def _values(self, rng: random.Random, item: int) -> dict[str, Any]:
        values: dict[str, Any] = {
            "a": rng.randrange(-4, 41),
            "b": rng.randrange(-4, 41),
            "d": rng.choice((-0.0, 0.0, 2.5, 19.0, 1e300, float("inf"), float("-inf"), float("nan"))),
            "s": rng.choice(TEXTS),
            "p.x": rng.randrange(-4, 41),
        }
        for slot, (name, value) in enumerate(list(values.items())):
            if rng.random() < (0.5 if name == "p.x" else 0.1):
                del values[name]
                continue
            self.view.known[item, slot] = 1
            stored = TEXTS.index(value) if name == "s" else value
            self.view.values[item, slot] = np.float64(stored).view(np.int64) if name == "d" else stored
        return values

    def expected(self, sources: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Return (items, sources): what the oracle says holds."""
        return np.array(
            [
                [STATES[oracle.evaluate(source, values, labels)] == TRUE for source in sources]
                for values, labels in zip(self.values, self.labels, strict=True)
            ]
        )


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return blank_run(tmp_path_factory.mktemp("matching"))


def matched(
    blank: Run, tables: ConditionTables, view: View, conditions: Sequence[int], strategy: int | None
) -> tuple[npt.NDArray[np.bool_], int]:
    """Return (items, positions): which positions hold, position i having condition conditions[i]; and the strategy taken."""
    rows = np.zeros(len(conditions), CANDIDATE)
    rows["condition"] = conditions
    rules = blank.rules._replace(candidates=frozen(rows))
    layout = lay_out_pairs(rules, [np.arange(len(conditions))])
    matching = lay_out(tables, layout.conditions, np.full(128, 0.3), strategy)
    items = len(view.found)
    run = blank._replace(
        rules=rules, pairs=layout.pairs, matching=matching, conditions=tables, rows=view,
        work=new_work(rules, layout, matching), moment=blank.moment._replace(items=items),
    )  # fmt: skip
    run.items.trigger[:items] = run.items.channel[:items] = 0
    held = np.zeros((items, int(layout.pairs.pairs[0]["words"])), np.uint64)
    eligible_run(reference(run), held)
    bits = np.unpackbits(held.view(np.uint8), axis=1, bitorder="little").astype(np.bool_)
    assert not bits[:, len(conditions) :].any()
    across = items >= int(matching.across[0]["from_items"])
    return bits[:, : len(conditions)], ACROSS if across else int(matching.matchers[0]["strategy"])


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 31, 63, 64, 65, 127, 128, 129, 257, 4_095, 4_096])
def test_every_strategy_agrees_with_the_oracle(blank: Run, count: int, strategy: str) -> None:
    rng = random.Random(count)
    distinct = [random_condition(rng) for _ in range(min(count, 400))]
    sources = [distinct[number % len(distinct)] for number in range(count)]
    tables, people = compiled(sources), People(rng)
    found, taken = matched(blank, tables, people.view, range(count), STRATEGIES[strategy])
    assert taken == STRATEGIES[strategy]
    expected = people.expected(distinct)[:, [number % len(distinct) for number in range(count)]] if count else found
    wrong = np.argwhere(found != expected)
    assert not len(wrong), [(sources[k], people.values[i], people.labels[i]) for i, k in wrong[:3].tolist()]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_positions_that_share_a_condition_or_have_none(blank: Run, strategy: str) -> None:
    rng = random.Random(strategy)
    sources = [random_condition(rng) for _ in range(70)]
    tables, people = compiled(sources), People(rng, 20)
    conditions = [rng.randrange(-1, 70) for _ in range(300)]
    expected = np.hstack([people.expected(sources), np.ones((20, 1), np.bool_)])
    found, _ = matched(blank, tables, people.view, conditions, STRATEGIES[strategy])
    assert np.array_equal(found, expected[:, conditions])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_more_cuts_than_a_column_holds_at_every_cut(blank: Run, strategy: str) -> None:
    """5,000 thresholds of one slot: most intervals are thinned out, and the values next to each cut are evaluated."""
    count = 2_500
    sources = [f"a >= {number} && a < {number + 700}" if number % 2 else f"a != {number}" for number in range(count)]
    tables, view = compiled(sources), new_view(200, 2, len(SCHEMA.slots))
    values = np.linspace(-2, count + 701, 200).astype(np.int64)
    view.values[:, 0], view.known[:, 0] = values, 1
    numbers = np.arange(count)
    between = (values[:, None] >= numbers) & (values[:, None] < numbers + 700)
    found, _ = matched(blank, tables, view, range(count), STRATEGIES[strategy])
    assert np.array_equal(found, np.where(numbers % 2, between, values[:, None] != numbers))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_false_wins_over_unknown_and_unknown_over_an_error(blank: Run, strategy: str) -> None:
    """What each row of bits says must be what the term-by-term kernel says, so that reasons are right too."""
    rng = random.Random(7)
    sources = [random_condition(rng) for _ in range(200)]
    tables, people = compiled(sources), People(rng, 12)
    rows = np.zeros(200, CANDIDATE)
    rows["condition"] = np.arange(200)
    for item in range(12):
        one = rows_of(people.view, slice(item, item + 1))
        layout = lay_out_pairs(blank.rules._replace(candidates=frozen(rows)), [np.arange(200)])
        matching = lay_out(tables, layout.conditions, np.full(128, 0.3), STRATEGIES[strategy])
        work = new_work(blank.rules, layout, matching)
        run = blank._replace(
            pairs=layout.pairs, matching=matching, conditions=tables, rows=one, work=work,
            moment=blank.moment._replace(items=1),
        )  # fmt: skip
        eligible_run(reference(run), np.zeros((1, 4), np.uint64))
        status = np.array([evaluate_condition(tables, one, 0, number) & 255 for number in range(200)])
        if STRATEGIES[strategy] == ACROSS:
            assert np.array_equal(work.block.holds[:200] & np.uint64(1) != 0, status == TRUE)
            assert np.array_equal(work.block.unsettled[:200] & np.uint64(1) != 0, status > TRUE)
            assert bool(work.block.unsettled[200] & np.uint64(1)) == (status > TRUE).any()
            continue
        said = np.unpackbits(work.matched[:3].view(np.uint8), axis=1, bitorder="little")[:, :200].astype(np.bool_)
        by_row = np.where(said[0], FALSE, np.where(said[1], 2, np.where(said[2], 3, TRUE)))
        if STRATEGIES[strategy] == SLICED:
            assert np.array_equal(by_row, status)
        else:  # what no list led to is false by its label, whatever else it may be
            assert np.array_equal(by_row[by_row != FALSE], status[by_row != FALSE])
            assert not (status[by_row == FALSE] == TRUE).any()


def test_many_cuts_and_missing_values_say_what_term_by_term_says(blank: Run) -> None:
    """60 thresholds of each of three slots are ranked rather than compared; what is unknown must not be false."""
    sources = [f"{name} >= {k} && {name} < {k + 30}" for name in ("a", "b") for k in range(60)]
    sources += [f"!(a >= {k} && a <= {k + 4}) && b >= {k}" for k in range(60)] + [f"d >= {k}.5" for k in range(60)]
    tables, people = compiled(sources), People(random.Random(3), 64)
    people.view.values[:8, 0], people.view.known[:8, 0] = (58, 59, 60, 88, 89, 90, 1 << 62, -(1 << 62)), 1
    rows = np.zeros(len(sources), CANDIDATE)
    rows["condition"] = np.arange(len(sources))
    layout = lay_out_pairs(blank.rules._replace(candidates=frozen(rows)), [np.arange(len(sources))])
    matching = lay_out(tables, layout.conditions, np.full(128, 0.3), ACROSS)
    assert (matching.scales["rank_at"] >= 0).all()
    work = new_work(blank.rules, layout, matching)
    run = blank._replace(
        pairs=layout.pairs, matching=matching, conditions=tables, rows=people.view, work=work,
        moment=blank.moment._replace(items=64),
    )  # fmt: skip
    run.items.trigger[:64] = run.items.channel[:64] = 0
    eligible_run(reference(run), np.zeros((64, 4), np.uint64))
    for k in range(len(sources)):
        status = np.array([evaluate_condition(tables, people.view, item, k) & 255 for item in range(64)])
        assert np.array_equal(status == TRUE, bits_of(work.block.holds[k])), sources[k]
        assert np.array_equal(status > TRUE, bits_of(work.block.unsettled[k])), sources[k]


def bits_of(word: np.uint64) -> npt.NDArray[np.bool_]:
    return np.unpackbits(np.array([word]).view(np.uint8), bitorder="little").astype(np.bool_)


def rows_of(view: View, index: Any) -> View:
    """Return some rows of a view, copied."""
    return View(*(np.ascontiguousarray(column[index]) for column in list[Any](view)))


@pytest.mark.parametrize("items", SIZES)
def test_every_size_of_run_agrees_with_the_oracle(blank: Run, items: int) -> None:
    """People repeat after 97, so that each stands at another bit of each block."""
    rng = random.Random(items)
    sources = [random_condition(rng) for _ in range(130)]
    tables, people = compiled(sources), People(rng, min(items, 97))
    again = np.arange(items) % 97
    view = rows_of(people.view, again)
    expected = people.expected(sources)[again]
    for strategy in (None, *STRATEGIES.values()):
        found, _ = matched(blank, tables, view, range(130), strategy)
        assert np.array_equal(found, expected), strategy


@pytest.mark.parametrize("strategy", [None, ACROSS])
def test_triggers_mixed_in_one_run(blank: Run, strategy: int | None) -> None:
    """Three lists of different lengths, their items in any order: one of many items, one of some, one of two; -1 holds for everybody."""
    rng = random.Random(23)
    sources = [random_condition(rng) for _ in range(200)]
    tables, people = compiled(sources), People(rng, 300)
    lists = [list(range(200)), rng.sample(range(200), 65), [3, -1]]
    rows = np.zeros(200 + 65 + 2, CANDIDATE)
    rows["condition"] = [number for numbers in lists for number in numbers]
    settings = blank.rules.settings.copy()
    settings["channels"] = 1
    channels = np.zeros(1, blank.rules.channels.dtype)
    rules = blank.rules._replace(candidates=frozen(rows), settings=frozen(settings), channels=frozen(channels))
    ends = np.cumsum([0, *map(len, lists)])
    layout = lay_out_pairs(rules, [np.arange(*span) for span in pairwise(ends.tolist())])
    matching = lay_out(tables, layout.conditions, np.full(128, 0.3), strategy)
    run = blank._replace(
        rules=rules, pairs=layout.pairs, matching=matching, conditions=tables, rows=people.view,
        work=new_work(rules, layout, matching), moment=blank.moment._replace(items=300),
    )  # fmt: skip
    run.items.channel[:300] = 0
    run.items.trigger[:300] = [rng.choices((0, 1), (4, 1))[0] for _ in range(300)]
    run.items.trigger[[0, 150]] = 2
    held = np.zeros((300, 4), np.uint64)
    expected = np.hstack([people.expected(sources), np.ones((300, 1), np.bool_)])
    for _ in range(2):  # what the first run leaves behind must not be in the way of the second
        held[:] = 0
        eligible_run(reference(run), held)
        bits = np.unpackbits(held.view(np.uint8), axis=1, bitorder="little").astype(np.bool_)
        for item in range(300):
            numbers = lists[run.items.trigger[item]]
            assert np.array_equal(bits[item, : len(numbers)], expected[item, numbers]), item


def test_the_cost_model_switches_and_both_sides_agree(blank: Run) -> None:
    """Grow a list of rules whose labels are common until it is sliced: just before and just after, both strategies hold the same."""
    rng = random.Random(11)
    sources = [
        " && ".join(f'"{label}" in subscriber.labels' for label in rng.sample(LABELS, 3))
        + f" && a >= {rng.randrange(30)}"
        for _ in range(400)
    ]
    tables, people = compiled(sources), People(rng, 30)
    one = rows_of(people.view, slice(0, 1))
    taken = [matched(blank, tables, one, range(count), None)[1] for count in range(0, 401, 10)]
    assert taken[1] == BY_LABEL
    assert taken[-1] == SLICED
    switch = 10 * taken.index(SLICED)
    assert taken == [BY_LABEL] * (switch // 10) + [SLICED] * (41 - switch // 10)
    expected = people.expected(sources)
    for count in range(switch - 10, switch + 1):
        for strategy in (None, BY_LABEL, SLICED):
            found, _ = matched(blank, tables, people.view, range(count), strategy)
            assert np.array_equal(found, expected[:, :count]), (count, strategy)


@pytest.mark.parametrize("count", [5, 40, 400, 4_096])
def test_the_cost_model_switches_by_the_number_of_items(blank: Run, count: int) -> None:
    """A list is evaluated across items from some number of items on, and just before and just after the same conditions hold."""
    rng = random.Random(count)
    distinct = [f"{random_condition(rng)} && b >= {rng.randrange(30)}" for _ in range(min(count, 400))]
    tables, people = compiled(distinct), People(rng, 64)
    expected = people.expected(distinct)
    numbers = [number % len(distinct) for number in range(count)]
    from_items = int(lay_out(tables, [list(range(len(distinct)))], np.full(128, 0.3)).across[0]["from_items"])
    assert 1 < from_items < 64
    for items in (from_items - 1, from_items, from_items + 1):
        view = rows_of(people.view, slice(items))
        found, taken = matched(blank, tables, view, numbers, None)
        assert (taken == ACROSS) == (items >= from_items)
        assert np.array_equal(found, expected[:items][:, numbers])


def test_costs_are_positive() -> None:
    assert min(*Costs(), *BlockCosts()) > 0


def test_rows_of_bits_of_every_width() -> None:
    for count in (0, 1, 63, 64, 65, 129):
        members = np.random.default_rng(count).random((3, count)) < 0.5
        bits = np.unpackbits(rows_of_bits(members).view(np.uint8), axis=1, bitorder="little")
        assert np.array_equal(bits[:, :count].astype(np.bool_), members)
        assert not bits[:, count:].any()
