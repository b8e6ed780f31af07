"""Conditions as regions against every state of a small world: what is called empty, implied or idle is so for each, and little is missed."""

from pathlib import Path
from random import Random

import pytest

from engine.lint.condition_rules import DEAD_CONDITION, IDLE_TERM, ONLY_KNOWN_TERM, condition_findings
from engine.lint.regions import Regions
from tests.engine.lint.small import matches, random_simple, rulebook_of, states


@pytest.mark.parametrize("seed", range(4))
def test_empty_regions_are_of_conditions_that_match_no_state(seed: int, tmp_path: Path) -> None:
    rng = Random(seed)
    texts = [random_simple(rng) for _ in range(60)]
    book = rulebook_of(tmp_path, texts)
    regions = Regions(book)
    empty, missed = 0, 0
    for text, number in zip(texts, book.campaign_conditions, strict=True):
        condition = book.conditions.conditions[number]
        dead = not any(matches(text, facts) for facts in states(text))
        if regions.is_empty(regions.of(condition)):
            assert dead, text
            empty += 1
        elif dead:
            missed += 1
            # Beyond what is judged: arithmetic, or texts and numbers between those of the small world.
            assert "* 2" in text or "plan" in text or "charges" in text or "usage" in text, text
    assert empty >= 5
    assert missed <= 5


@pytest.mark.parametrize("seed", range(4))
def test_implied_conditions_match_wherever_the_other_does(seed: int, tmp_path: Path) -> None:
    rng = Random(seed)
    texts = [" && ".join(random_simple(rng).split(" && ")[:2]) for _ in range(24)]
    book = rulebook_of(tmp_path, texts)
    regions, conditions = Regions(book), [book.conditions.conditions[n] for n in book.campaign_conditions]
    found = 0
    for a, one in zip(texts, conditions, strict=True):
        region = regions.of(one)
        if regions.is_empty(region):
            continue
        for b, other in zip(texts, conditions, strict=True):
            if a != b and regions.implies(region, other):
                assert all(matches(b, facts) for facts in states(f"{a} {b}") if matches(a, facts)), (a, b)
                found += 1
    assert found >= 5


@pytest.mark.parametrize("seed", range(4))
def test_idle_terms_may_all_go(seed: int, tmp_path: Path) -> None:
    rng = Random(seed + 100)
    texts = [random_simple(rng) for _ in range(40)]
    book = rulebook_of(tmp_path, texts)
    idle: dict[str, list[str]] = {}
    for finding in condition_findings(Regions(book)):
        if finding.rule == IDLE_TERM:
            idle.setdefault(finding.subject.id, []).append(finding.subject.part)
        if finding.rule == ONLY_KNOWN_TERM:
            text, part = texts[int(finding.subject.id[1:])], finding.subject.part
            assert all(matches(part, facts) for facts in states(part) if facts.attributes), (text, part)
    assert len(idle) >= 3
    for name, parts in idle.items():
        text = texts[int(name[1:])]
        terms = text.split(" && ")
        for part in parts:
            terms.remove(part)
        rest = " && ".join(terms) or "true"
        for facts in states(text):
            assert matches(text, facts) == matches(rest, facts), (text, rest)


@pytest.mark.parametrize(
    ("condition", "because"),
    [
        ('"gold" in subscriber.labels && !("gold" in subscriber.labels)', "label gold is asked for and ruled out"),
        ("subscriber.tenure > 12 && subscriber.tenure < 6", "`subscriber.tenure > 12` and `subscriber.tenure < 6`"),
        ("subscriber.tenure > 24", "subscriber.tenure is declared from 0 to 24"),
        ("subscriber.charges >= 100.01", "subscriber.charges is declared from 0 to 100"),
        ('subscriber.plan == "a" && subscriber.plan == "b"', "cannot both be true"),
        ('subscriber.plan in ["a", "b"] && subscriber.plan.startsWith("c")', "cannot both be true"),
        ('subscriber.plan.startsWith("a") && subscriber.plan.startsWith("b")', "cannot both be true"),
        ('subscriber.plan.endsWith("a") && !subscriber.plan.endsWith("a")', "cannot both be true"),
        ("!has(subscriber.vip) && subscriber.vip", "cannot both be true"),
        ("subscriber.usage < 1.0 && subscriber.usage > 1.0", "cannot both be true"),
        ("false", "`false` cannot be true"),
        ("subscriber.vip && !subscriber.vip && subscriber.tenure > 3", "cannot both be true"),
    ],
)
def test_dead_conditions_are_found_and_say_why(condition: str, because: str, tmp_path: Path) -> None:
    (finding,) = condition_findings(Regions(rulebook_of(tmp_path, [condition])))
    assert finding.rule == DEAD_CONDITION
    assert because in finding.because


@pytest.mark.parametrize(
    "condition",
    [
        "subscriber.tenure > 6 || subscriber.tenure < 3",
        'subscriber.plan.startsWith("a") && subscriber.plan.startsWith("ab")',
        'subscriber.plan != "a" && subscriber.plan != "b"',
        "subscriber.tenure * 2 > 100",
        "!(subscriber.usage < 1.0) && !(subscriber.usage >= 1.0)",
        "subscriber.charges > 9.994 && subscriber.charges < 10.001",
        'now.getHours("UTC") > 30',
    ],
)
def test_what_may_match_or_is_not_judged_is_left_alone(condition: str, tmp_path: Path) -> None:
    assert not [f for f in condition_findings(Regions(rulebook_of(tmp_path, [condition]))) if f.rule == DEAD_CONDITION]
