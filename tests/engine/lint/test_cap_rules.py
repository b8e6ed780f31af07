"""When a cap decides nothing, by hand: one pair for each relation of scopes, windows, events and limits."""

from pathlib import Path
from typing import Any

import pytest

from engine.lint.cap_rules import CAP_OF_NOTHING, CAP_SETTLED, CAP_STOPS_ALL, cap_findings
from tests.engine.lint.small import rulebook
from tests.oracle import small

CAMPAIGNS = [small.campaign("k", ["a", "b"]), small.campaign("m", ["c"])]
PRODUCTS = [small.product("a"), small.product("b"), small.product("c", category="voice")]


def findings(folder: Path, *caps: dict[str, Any], campaigns: Any = CAMPAIGNS) -> list[tuple[str, str]]:
    book = rulebook(folder, policy={"caps": list(caps)}, campaigns=campaigns, products=PRODUCTS)
    return [(finding.rule, finding.subject.id) for finding in cap_findings(book)]


def cap(name: str, scope: str, **changes: Any) -> dict[str, Any]:
    return small.cap(name, scope=scope, **changes)


DAY, WEEK, SUNDAYS = {"calendar": "day"}, {"calendar": "week"}, {"calendar": "week", "week_start": "sunday"}
MONTH, HOURS, LONG = {"calendar": "month"}, {"rolling": "2h"}, {"rolling": "9d"}
TOTAL: dict[str, Any] = {"per": "total", "window": DAY}


@pytest.mark.parametrize(
    ("tight", "loose", "settled"),
    [
        (cap("a", "all"), cap("b", "offer"), "b"),
        (cap("a", "all"), cap("b", "channel"), "b"),
        (cap("a", "all"), cap("b", "campaign"), ""),
        (cap("a", "all"), cap("b", "category"), ""),
        (cap("a", "channel"), cap("b", "all"), "a"),
        (cap("a", "channel"), cap("b", "offer"), ""),
        (cap("a", "category"), cap("b", "offer"), "b"),
        (cap("a", "category", target="data"), cap("b", "offer"), ""),
        (cap("a", "category", target="data"), cap("b", "offer", target="b"), "b"),
        (cap("a", "category"), cap("b", "campaign"), "b"),
        (cap("a", "campaign"), cap("b", "offer"), "b"),
        (cap("a", "campaign", target="k"), cap("b", "offer", target="c"), ""),
        (cap("a", "offer"), cap("b", "category"), "a"),
        (cap("a", "offer"), cap("b", "offer", target="c"), "b"),
        (cap("a", "offer", target="c"), cap("b", "offer"), "a"),
        (cap("a", "all"), cap("b", "offer", counts="seen"), ""),
        (cap("a", "all", limit=2), cap("b", "offer", limit=1), ""),
        (cap("a", "all", limit=2), cap("b", "offer", limit=2), "b"),
        (cap("a", "all", window=WEEK), cap("b", "offer", window=DAY), "b"),
        (cap("a", "all", window=DAY), cap("b", "offer", window=WEEK), ""),
        (cap("a", "all", window=WEEK), cap("b", "offer", window=SUNDAYS), ""),
        (cap("a", "all", window=MONTH), cap("b", "offer", window=WEEK), ""),
        (cap("a", "all", window=LONG), cap("b", "offer", window=WEEK), "b"),
        (cap("a", "all", window=LONG), cap("b", "offer", window=MONTH), ""),
        (cap("a", "all", window=HOURS), cap("b", "offer", window=LONG), ""),
        (cap("a", "all", window=WEEK), cap("b", "offer", window=HOURS), ""),
        (cap("a", "category", **TOTAL), cap("b", "offer", **TOTAL), "b"),
        (cap("a", "category", **TOTAL), cap("b", "offer", window=DAY), ""),
        (cap("a", "category", per="total", window="lifetime"), cap("b", "offer", **TOTAL), "b"),
    ],
)
def test_a_cap_settles_another(tight: dict[str, Any], loose: dict[str, Any], settled: str, tmp_path: Path) -> None:
    assert findings(tmp_path, tight, loose) == ([(CAP_SETTLED, settled)] if settled else [])


def test_an_offer_of_two_campaigns_is_counted_by_neither_alone(tmp_path: Path) -> None:
    both = [small.campaign("k", ["a", "b"]), small.campaign("m", ["a"])]
    assert findings(tmp_path, cap("a", "campaign"), cap("b", "offer"), campaigns=both) == []
    assert findings(tmp_path, cap("a", "campaign"), cap("b", "offer", target="b"), campaigns=both) == [
        (CAP_SETTLED, "b")
    ]


def test_a_campaign_of_two_categories_is_counted_by_neither_alone(tmp_path: Path) -> None:
    mixed = [small.campaign("k", ["a", "c"])]
    assert findings(tmp_path, cap("a", "category"), cap("b", "campaign"), campaigns=mixed) == []


def test_of_equal_caps_one_stays(tmp_path: Path) -> None:
    assert findings(tmp_path, cap("a", "all"), cap("b", "all"), cap("c", "all")) == [
        (CAP_SETTLED, "c"),
        (CAP_SETTLED, "b"),
    ]


def test_caps_that_stop_nothing_or_everything(tmp_path: Path) -> None:
    exempt = [*CAMPAIGNS[:1], small.campaign("m", ["c"], exempt={"obeys_caps": False, "counts": True})]
    assert findings(tmp_path, cap("a", "category", target="voice"), campaigns=exempt) == [(CAP_OF_NOTHING, "a")]
    assert findings(tmp_path, cap("a", "offer", target="c"), campaigns=CAMPAIGNS[:1]) == [(CAP_OF_NOTHING, "a")]
    assert findings(tmp_path, cap("a", "campaign", target="k", limit=0)) == [(CAP_STOPS_ALL, "a")]
