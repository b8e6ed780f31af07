"""Values compared as the base stores them, at the ends of every width, and labels past their age: against the rows that the base was made from."""

import random
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from engine.base.binding import Binding
from engine.base.layout import value_limits
from engine.bound import new_work
from engine.bound_pairs import lay_out_pairs
from engine.bundles import reference
from engine.catalogue.terms import ValueType
from engine.cel.bind import bind
from engine.cel.conditions import ConditionSet, compile_condition
from engine.cel.schema import Schema, Slot, SlotType
from engine.dtypes.matching import ACROSS
from engine.dtypes.rules import CANDIDATE, Run
from engine.dtypes.view import new_view
from engine.jit import frozen
from engine.kernels.gather import CONTACT, MATCHED
from engine.kernels.screening import eligible_run
from engine.matching import lay_out
from tests.engine.base.world import AS_OF_US, ATTRIBUTES, DAY_US, Person, bound, build, random_people, schema_with
from tests.engine.kernels.pair import blank_run

STORED: Final = tuple(
    msgspec.structs.replace(attribute, id=f"of_{number:02}")
    for number, attribute in enumerate(sorted(ATTRIBUTES, key=lambda a: a.type in (ValueType.INT, ValueType.DECIMAL)))
)
"""Whole numbers last, so that their presence bits lie in two bytes."""
WHOLE_NUMBERS: Final = tuple(a for a in STORED if a.type in (ValueType.INT, ValueType.DECIMAL))
KINDS: Final = {ValueType.INT: SlotType.INT, ValueType.DECIMAL: SlotType.DECIMAL}
LABELS: Final = 70
SCHEMA: Final = schema_with(LABELS, STORED)
INT64: Final = np.iinfo(np.int64)
NOW_US: Final = AS_OF_US + 2 * DAY_US
"""Every third label is past its age of a day."""


@pytest.fixture(scope="module")
def people() -> list[Person]:
    return random_people(random.Random(11), SCHEMA, 150)


@pytest.fixture(scope="module")
def binding(tmp_path_factory: pytest.TempPathFactory, people: list[Person]) -> Binding:
    return bound(build(tmp_path_factory.mktemp("scales"), SCHEMA, people), SCHEMA)


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return blank_run(tmp_path_factory.mktemp("run"))


def edges(low: int, high: int, count: int) -> list[int]:
    """Return cuts around the ends of a range, of what a narrower integer holds, and of int64; then others, `count` in all."""
    around = {low, high, low + 0xFF, low + 0xFFFF, low + 0xFFFF_FFFF, 0, INT64.min + 1, INT64.max - 1}
    cuts = {cut + by for cut in around for by in (-1, 0, 1)}
    found = sorted(cut for cut in cuts if INT64.min <= cut <= INT64.max)
    return found + [low + (high - low) * k // count for k in range(1, count - len(found))]


def matched(
    blank: Run, binding: Binding, people: list[Person], sources: list[str], parts: int, strategy: int
) -> npt.NDArray[np.bool_]:
    """Return (people, sources): which conditions hold, with attributes left to be read from the rows."""
    slots = tuple(Slot(a.id, KINDS.get(a.type, SlotType.BOOL), scale=a.scale) for a in STORED)
    schema = Schema(slots, tuple(label.id for label in SCHEMA.labels), zone=False)
    compiled = tuple(compile_condition(source, schema) for source in sources)
    tables = bind(ConditionSet(schema, compiled), binding.label_bits, {}, []).tables
    rows = np.zeros(len(sources), CANDIDATE)
    rows["condition"] = np.arange(len(sources))
    rules = blank.rules._replace(candidates=frozen(rows))
    layout = lay_out_pairs(rules, [np.arange(len(sources))])
    matching = lay_out(tables, layout.conditions, np.full(128, 0.3), strategy, binding.ageing())
    items = len(people)
    view = new_view(items, binding.label_words, len(slots))
    hashes = np.array([person.hash for person in people], np.uint64)
    binding.gather_asked(reference(binding.asked(hashes, np.full(items, NOW_US))), reference(view), items, parts)
    run = blank._replace(
        rules=rules, pairs=layout.pairs, matching=matching, conditions=tables, rows=view, base=binding.snapshot.rows,
        plan=binding.plan, work=new_work(rules, layout, matching), moment=blank.moment._replace(items=items),
    )  # fmt: skip
    run.items.trigger[:items] = run.items.channel[:items] = 0
    held = np.zeros((items, int(layout.pairs.pairs[0]["words"])), np.uint64)
    eligible_run(reference(run), held)
    return np.unpackbits(held.view(np.uint8), axis=1, bitorder="little").astype(np.bool_)[:, : len(sources)]


@pytest.mark.parametrize("parts", [MATCHED, CONTACT])
@pytest.mark.parametrize("count", [40, 90])
@pytest.mark.parametrize("attribute", WHOLE_NUMBERS, ids=lambda attribute: attribute.id)
def test_every_cut_of_every_width(
    blank: Run, binding: Binding, people: list[Person], attribute: Any, count: int, parts: int
) -> None:
    """40 cuts are compared, 90 ranked."""
    cuts = edges(*value_limits(attribute), count)
    if attribute.type == ValueType.DECIMAL:  # in whole units, as a double holds them exactly
        cuts = sorted({cut // 100 for cut in cuts if abs(cut) < 1 << 50})
    scale = 10**attribute.scale
    sources = [f"{attribute.id} >= {cut}" if not attribute.scale else f"{attribute.id} >= {cut}.0" for cut in cuts]
    found = matched(blank, binding, people, sources, parts, ACROSS)
    values = [person.values.get(attribute.id) for person in people]
    expected = [[value is not None and value >= cut * scale for cut in cuts] for value in values]
    assert np.array_equal(found, expected)


def test_all_attributes_in_one_list(blank: Run, binding: Binding, people: list[Person]) -> None:
    middles = [sum(value_limits(a)) // 2 for a in WHOLE_NUMBERS if not a.scale]
    names = [a.id for a in WHOLE_NUMBERS if not a.scale]
    sources = [f"{name} >= {middle}" for name, middle in zip(names, middles, strict=True)]
    found = matched(blank, binding, people, sources, CONTACT, ACROSS)
    values = [[person.values.get(name) for name in names] for person in people]
    expected = [
        [value is not None and value >= middle for value, middle in zip(row, middles, strict=True)] for row in values
    ]
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("asked", [1, 3, 40, LABELS])
def test_labels_that_are_past_their_age_hold_for_nobody(
    blank: Run, binding: Binding, people: list[Person], asked: int
) -> None:
    labels = SCHEMA.labels[:asked]
    sources = [f'"{label.id}" in subscriber.labels' for label in labels]
    sources += [f"!({source})" for source in sources]
    found = matched(blank, binding, people, sources, CONTACT, ACROSS)
    held = np.array([[label.id in person.labels for label in labels] for person in people])
    stale = np.array([label.max_age_us == DAY_US for label in labels])
    assert np.array_equal(found, np.hstack([held & ~stale, ~held]))
    assert 0 < found.mean() < 1
