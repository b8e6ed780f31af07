"""Findings about quiet hours against the oracle's wall clock, minute by minute, over weeks with holidays anywhere."""

from pathlib import Path
from random import Random
from typing import Any

import pytest

from engine.lint.quiet_rules import (
    DAY_NEVER_QUIET,
    PUSH_NEVER_QUIET,
    QUIET_GAP,
    QUIET_OF_NOTHING,
    QUIET_SETTLED,
    quiet_findings,
)
from tests.engine.lint.small import rulebook
from tests.oracle import small
from tests.oracle.catalogue import ALL_DAYS, read_catalogue
from tests.oracle.quiet import QuietHours

HOURS = ("00:00", "06:00", "08:30", "09:00", "12:00", "20:59", "21:00", "23:30")
HOLIDAYS = ("2026-03-04", "2026-03-09", "2026-03-10", "2026-03-15", "2026-03-20", "2026-03-28")
FIRST_US = small.at("2026-03-02 00:00", "UTC")
DAYS = 35


def random_windows(rng: Random) -> list[dict[str, Any]]:
    return [
        {
            "id": f"quiet_{number}",
            "classes": rng.choice((["message"], ["message"], ["screen"], ["message", "screen"])),
            "days": list(ALL_DAYS) if rng.random() < 0.6 else sorted(rng.sample(ALL_DAYS, rng.randint(1, 7))),
            "from": rng.choice(HOURS),
            "to": rng.choice(HOURS),
        }
        for number in range(rng.randint(1, 4))
    ]


def changes_of(windows: list[dict[str, Any]], holidays: list[str]) -> dict[str, Any]:
    policy: dict[str, Any] = {"quiet_hours": windows}
    if holidays:
        policy["holidays"] = {"dates": holidays}
    desk = small.DESK | {"inbound_exempt": False}
    country = {"name": "X", "zones": ["UTC"], "home_zone": "UTC"}
    return {"policy": policy, "channels": [desk, small.SMS], "country": country}


def quiet_minutes(windows: list[dict[str, Any]], holidays: list[str]) -> dict[str, set[int]]:
    """By class: the quiet ones among the minutes at which something can change, and those before them."""
    hours = QuietHours(read_catalogue(small.catalogue(**changes_of(windows, holidays))))
    edges = {int(hour[:2]) * 60 + int(hour[3:]) + step for hour in HOURS for step in (-1, 0)}
    minutes = [day * 1_440 + edge for day in range(1, DAYS) for edge in edges]
    return {
        name: {m for m in minutes if hours.quiet_in_zone(name, FIRST_US + m * small.MINUTE, "UTC")}
        for name in ("message", "screen")
    }


@pytest.mark.parametrize("seed", range(25))
def test_windows_that_add_nothing_may_all_go_and_no_other(seed: int, tmp_path: Path) -> None:
    rng = Random(seed)
    windows, holidays = random_windows(rng), list(HOLIDAYS) if rng.random() < 0.7 else []
    findings = list(quiet_findings(rulebook(tmp_path, **changes_of(windows, holidays)).catalogue))
    settled = {finding.subject.id for finding in findings if finding.rule == QUIET_SETTLED}
    left = [window for window in windows if window["id"] not in settled]
    assert quiet_minutes(left, holidays) == quiet_minutes(windows, holidays)
    for window in left:
        fewer = [other for other in left if other is not window]
        assert quiet_minutes(fewer, holidays) != quiet_minutes(windows, holidays), window


def test_gaps_are_named_once_and_only_short_ones(tmp_path: Path) -> None:
    windows = [
        {"id": "nights", "classes": ["message"], "from": "21:00", "to": "08:30"},
        {"id": "mornings", "classes": ["message"], "days": ["sun", "holiday"], "from": "09:00", "to": "12:00"},
    ]
    catalogue = rulebook(tmp_path, **changes_of(windows, list(HOLIDAYS))).catalogue
    (gap,) = quiet_findings(catalogue)
    assert (gap.rule, gap.subject.id) == (QUIET_GAP, "nights")
    assert gap.found == "class message may be reached between 08:30 and 09:00 on sun"
    assert not list(quiet_findings(catalogue, gap_minutes=30))


def test_days_on_which_nothing_begins_are_named(tmp_path: Path) -> None:
    nights = {"id": "nights", "classes": ["message"], "from": "21:00", "to": "09:00"}
    week = [day for day in ALL_DAYS if day != "holiday"]
    for days, holidays, missing in (
        (week, True, "holiday"),
        (week[1:], True, "mon, holiday"),
        (week[1:], False, "mon"),
    ):
        changes = changes_of([nights | {"days": days}], list(HOLIDAYS) if holidays else [])
        (finding,) = quiet_findings(rulebook(tmp_path, **changes).catalogue)
        assert finding.rule == DAY_NEVER_QUIET
        assert finding.found.endswith(f"none that begin on {missing}")
    changes = changes_of([nights | {"days": week}], [])
    assert not list(quiet_findings(rulebook(tmp_path, **changes).catalogue)), "no day is a holiday"


def test_push_without_quiet_hours_and_quiet_hours_without_channel(tmp_path: Path) -> None:
    windows = [{"id": "screens", "classes": ["screen"], "from": "21:00", "to": "09:00"}]
    changes = changes_of(windows, []) | {"channels": [small.DESK, small.SMS]}
    loud, idle = quiet_findings(rulebook(tmp_path, **changes).catalogue)
    assert (loud.rule, loud.subject.id) == (PUSH_NEVER_QUIET, "sms")
    assert (idle.rule, idle.subject.id) == (QUIET_OF_NOTHING, "screens")
