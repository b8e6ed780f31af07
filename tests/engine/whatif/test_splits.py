"""How subscribers are divided: what the words mean, and where values fall; the worlds' scans count what comes of it."""

from pathlib import Path

import pytest

from engine.base.binding import Binding
from engine.base.schema import AttributeSpec, BaseSchema, LabelSpec
from engine.catalogue.terms import ValueType
from engine.whatif.question import QuestionError
from engine.whatif.splits import VALUES_MAX, Split, bind_splits, splits_of
from tests.engine.base.world import Person, bound, build

SCHEMA = BaseSchema(
    labels=(LabelSpec("both", None), LabelSpec("vip", None)),
    attributes=(
        AttributeSpec("age", ValueType.INT, min=0, max=120),
        AttributeSpec("both", ValueType.BOOL),
        AttributeSpec("charges", ValueType.DECIMAL, scale=2, min=0, max=100_000),
        AttributeSpec("joined", ValueType.TIMESTAMP),
        AttributeSpec("plan", ValueType.STRING),
        AttributeSpec("spent", ValueType.DURATION),
        AttributeSpec("usage", ValueType.DOUBLE),
    ),
    pairs=(),
    zones=("America/Chicago",),
    languages=("en",),
)
"""One attribute of each type, and a name that a label and an attribute share."""


@pytest.fixture
def binding(tmp_path: Path) -> Binding:
    people = [Person(key=f"s{n}", values={"age": n, "plan": f"plan_{n % 40:02}", "usage": n / 10}) for n in range(100)]
    return bound(build(tmp_path, SCHEMA, people), SCHEMA)


def split(binding: Binding, text: str) -> Split:
    (found,) = splits_of([text], binding, 0)
    return found


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("vip", ("has", "has not", "unknown")),
        ("label:both", ("has", "has not", "unknown")),
        ("attribute:both", ("false", "true", "other", "unknown")),
        ("zone", ("America/Chicago", "unknown")),
        ("age=18,65", ("< 18", "18 to < 65", ">= 65", "unknown")),
        ("age", ("< 24", "24 to < 49", "49 to < 74", ">= 74", "unknown")),
        ("charges=9.90", ("< 9.90", ">= 9.90", "unknown")),
        ("usage=-1.5,2.5", ("< -1.5", "-1.5 to < 2.5", ">= 2.5", "unknown")),
        ("joined=2026-01-01T00:00:00Z", ("< 2026-01-01T00:00:00Z", ">= 2026-01-01T00:00:00Z", "unknown")),
        ("spent=90s,1d,1d2h", ("< 90s", "90s to < 86400s", "86400s to < 93600s", ">= 93600s", "unknown")),
        ("spent", ("all", "unknown")),
        ("plan=plan_07,gone", ("plan_07", "gone", "other", "unknown")),
    ],
)
def test_names_of_segments(binding: Binding, text: str, names: tuple[str, ...]) -> None:
    assert split(binding, text).names == names


def test_many_values_are_the_most_frequent_and_the_others(binding: Binding) -> None:
    found = split(binding, "plan")
    assert len(found.names) == VALUES_MAX - 1 + 2
    assert set(range(20)) <= {int(name[-2:]) for name in found.names[:-2]}, (
        "twenty plans have three people, the others two"
    )
    assert found.hidden == ()
    assert [found.names[number] for number in found.numbers[:3]] == ["plan_00", "plan_01", "plan_02"]


def test_a_segment_that_nobody_can_be_in_is_hidden(binding: Binding) -> None:
    assert split(binding, "attribute:both").hidden == (2,)
    every = ",".join(binding.dictionaries[4])
    assert split(binding, f"plan={every}").hidden == (40,)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("age=1,1", "rising order"),
        ("age=x", "expected a int"),
        ("charges=0.001", "expected a decimal"),
        ("usage=NaN", "expected a double"),
        ("joined=2026-01-01T00:00:00.5Z", "whole seconds"),
        ("joined=yesterday", "expected a timestamp"),
        ("spent=1w", "expected a duration"),
        ("vip=1", "is a label"),
        ("attribute:vip", "there are age, both"),
        ("family:vip", "label:NAME"),
        ("nothing", "there are age"),
    ],
)
def test_mistakes_are_named(binding: Binding, text: str, told: str) -> None:
    with pytest.raises(QuestionError, match=told):
        split(binding, text)


def test_segments_of_all_splits_are_numbered_through(binding: Binding) -> None:
    splits, count = bind_splits(splits_of(["vip", "age=18", "plan=plan_07"], binding, 0))
    assert splits.splits["first"].tolist() == [0, 3, 6]
    assert splits.splits["segments"].tolist() == [3, 3, 3]
    assert count == 9
    assert bind_splits([])[1] == 1
