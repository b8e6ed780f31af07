"""When an offer never wins, by hand: the plain case, and everything that gives it a chance after all."""

from pathlib import Path
from typing import Any

import pytest

from engine.lint.dominance import NEVER_WINS, Dominance, dominance_findings
from engine.lint.regions import Regions
from tests.engine.lint.small import rulebook
from tests.oracle import small

ONE_SEAT = small.DESK | {"max_offers": 1}
TWO_SEATS = small.DESK | {"max_offers": 2}
BETTER, WORSE = small.offer("a", value=2.0), small.offer("b")
TENURE = "subscriber.tenure >= 12"


def campaigns(better: dict[str, Any], worse: dict[str, Any]) -> list[dict[str, Any]]:
    """Campaign k makes a, which is worth more, and campaign m makes b."""
    desk = {"channels": ["desk"]}
    return [small.campaign("k", ["a"], **(desk | better)), small.campaign("m", ["b"], **(desk | worse))]


def beaten(folder: Path, better: dict[str, Any], worse: dict[str, Any], **changes: Any) -> list[tuple[str, str]]:
    """(campaign, offer) of what never wins."""
    parts = {"channels": [ONE_SEAT, small.SMS], "offers": [BETTER, WORSE], "campaigns": campaigns(better, worse)}
    found = list(dominance_findings(Regions(rulebook(folder, **(parts | changes)))))
    assert all(finding.rule == NEVER_WINS for finding in found)
    return [(finding.subject.id, finding.subject.part) for finding in found]


B_NEVER = [("m", "b")]
GROUPED = [small.product("a", exclusive_group="g"), small.product("b", exclusive_group="g")]
CATEGORY_CAP = {"caps": [small.cap(scope="category")]}
OFFER_CAP = {"caps": [small.cap(scope="offer")]}
EXEMPT = {"exempt": {"obeys_caps": False}}


@pytest.mark.parametrize(
    ("better", "worse", "changes"),
    [
        ({}, {}, {}),
        ({}, {"condition": TENURE}, {}),
        ({"condition": TENURE}, {"condition": f'{TENURE} && "gold" in subscriber.labels'}, {}),
        ({"condition": "now.getHours('UTC') > 3"}, {"condition": f"{TENURE} && now.getHours('UTC') > 3"}, {}),
        ({"until": "2026-05-01"}, {"until": "2026-04-01"}, {}),
        ({}, {}, {"channels": [TWO_SEATS, small.SMS], "products": GROUPED}),
        ({}, {}, {"policy": CATEGORY_CAP}),
        (EXEMPT, {}, {"policy": OFFER_CAP}),
        ({}, {"control_share": 0.5}, {}),
        ({}, {}, {"policy": {"cool_down": {"after_refusal": "30d", "refusal_scope": "all"}}}),
        ({}, {}, {"policy": {"reoffer": {"after_acceptance": "never", "scope": "category"}}}),
        ({}, {}, {"anonymous_offers": True}),
        (
            {},
            {},
            {
                "offers": [small.offer("a", priority=2), small.offer("b", value=9.0)],
                "ranking": {"priority_first": True},
            },
        ),
    ],
)
def test_what_always_comes_after_another_never_wins(
    better: dict[str, Any], worse: dict[str, Any], changes: dict[str, Any], tmp_path: Path
) -> None:
    assert beaten(tmp_path, better, worse, **changes) == B_NEVER


@pytest.mark.parametrize(
    ("better", "worse", "changes"),
    [
        ({}, {}, {"channels": [TWO_SEATS, small.SMS]}),
        ({}, {}, {"offers": [small.offer("a"), small.offer("b")]}),
        ({"condition": TENURE}, {}, {}),
        ({"condition": "now.getHours('UTC') > 3"}, {"condition": "now.getHours('UTC') > 4"}, {}),
        ({"condition": "subscriber.tenure >= 0"}, {}, {}),
        ({"until": "2026-04-01"}, {"until": "2026-05-01"}, {}),
        ({"from": "2026-05-01"}, {"from": "2026-04-01"}, {}),
        ({"state": "paused"}, {}, {}),
        ({"purpose": "marketing"}, {}, {}),
        ({"channels": ["sms"]}, {"channels": ["desk", "sms"]}, {}),
        (
            {"triggers": ["open"]},
            {"triggers": ["open", "more"]},
            {"triggers": [{"id": "open", "moment": "service"}, {"id": "more", "moment": "service"}]},
        ),
        ({"control_share": 0.1}, {}, {}),
        ({}, {}, {"policy": OFFER_CAP}),
        ({}, EXEMPT, {"policy": CATEGORY_CAP}),
        ({}, EXEMPT, {"policy": {"caps": [small.cap(scope="all")]}}),
        ({}, {}, {"policy": {"cool_down": {"after_refusal": "30d"}}}),
        ({}, {}, {"policy": {"cool_down": {"after_not_now": "1d", "not_now_scope": "campaign"}}}),
        ({}, {}, {"policy": {"reoffer": {"after_acceptance": "never"}}}),
        ({}, {}, {"offers": [BETTER, small.offer("b", anonymous=True)], "anonymous_offers": True}),
        ({}, {}, {"offers": [BETTER, WORSE], "ranking": {"factors": ["propensity"]}}),
    ],
)
def test_what_has_a_chance_is_left_alone(
    better: dict[str, Any], worse: dict[str, Any], changes: dict[str, Any], tmp_path: Path
) -> None:
    assert beaten(tmp_path, better, worse, **changes) == []


def test_as_many_groups_as_seats_leave_none(tmp_path: Path) -> None:
    offers = [BETTER, small.offer("c", value=3.0), WORSE]
    three = [*campaigns({}, {}), small.campaign("l", ["c"], channels=["desk"])]
    changes: dict[str, Any] = {"channels": [TWO_SEATS, small.SMS], "offers": offers, "campaigns": three}
    assert beaten(tmp_path / "two", {}, {}, **changes) == B_NEVER
    one_group = [small.product("a", exclusive_group="g"), small.product("b"), small.product("c", exclusive_group="g")]
    assert beaten(tmp_path / "one", {}, {}, **changes, products=one_group) == [("k", "a")]


def test_takers_are_told_by_trigger_and_channel(tmp_path: Path) -> None:
    dominance = Dominance(
        Regions(rulebook(tmp_path, channels=[ONE_SEAT, small.SMS], offers=[BETTER, WORSE], campaigns=campaigns({}, {})))
    )
    assert dominance.takers(1) == {("open", "desk"): [0]}
    assert dominance.takers(0) is None
