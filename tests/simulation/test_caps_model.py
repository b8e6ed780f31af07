"""The model checker finds what was planted, and nothing where all is well."""

import ast
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.simulation import caps_model
from tests.simulation.caps_model import Contact, Span, broken_caps

CHICAGO = "America/Chicago"
MINUTE_US, HOUR_US = 60 * 10**6, 3600 * 10**6


def at(text: str, zone: str = CHICAGO) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 10**6


NOON_US = at("2026-03-02 12:00")


def contact(at_us: int, latest_us: int | None = None, **changes: Any) -> Contact:
    plain: dict[str, Any] = {
        "subscriber": "ann",
        "zone": CHICAGO,
        "decision": f"d{at_us}",
        "offer": "a",
        "campaign": "k",
        "category": "data",
        "channel": "sms",
        "granted_us": at_us,
        "limits": {"cap": 1},
    }
    made = Contact(**plain | changes)
    made.events = made.events or dict.fromkeys(("decided", "seen"), Span(at_us, latest_us or at_us))
    return made


def cap(**changes: Any) -> dict[str, Any]:
    return {
        "id": "cap",
        "scope": "offer",
        "per": "subscriber",
        "counts": "seen",
        "window": {"rolling": "2h"},
    } | changes


def found(contacts: list[Contact], **changes: Any) -> list[str]:
    return [broken.cap for broken in broken_caps([cap(**changes)], contacts, CHICAGO)]


def test_a_rolling_window_is_half_open() -> None:
    length_us = 2 * HOUR_US
    assert found([contact(NOON_US), contact(NOON_US + length_us - 1)]) == ["cap"]
    assert found([contact(NOON_US), contact(NOON_US + length_us)]) == []


@pytest.mark.parametrize(
    ("window", "same", "other"),
    [
        ({"calendar": "day"}, ("2026-03-02 00:00", "2026-03-02 23:59"), ("2026-03-02 23:59", "2026-03-03 00:00")),
        (
            {"calendar": "week", "week_start": "monday"},
            ("2026-03-02 00:00", "2026-03-08 23:59"),
            ("2026-03-08 23:59", "2026-03-09 00:00"),
        ),
        (
            {"calendar": "week", "week_start": "sunday"},
            ("2026-03-01 00:00", "2026-03-07 23:59"),
            ("2026-03-07 23:59", "2026-03-08 00:00"),
        ),
        ({"calendar": "month"}, ("2026-03-01 00:00", "2026-03-31 23:59"), ("2026-02-28 23:59", "2026-03-01 00:00")),
    ],
)
def test_a_calendar_window_is_of_the_subscribers_zone(window: Any, same: Any, other: Any) -> None:
    assert found([contact(at(text)) for text in same], window=window) == ["cap"]
    assert found([contact(at(text)) for text in other], window=window) == []
    moved = [contact(at(text), zone="America/New_York") for text in same]
    assert found(moved, window=window) == []


def test_a_total_counts_everybody_in_the_home_zone() -> None:
    contacts = [contact(NOON_US), contact(NOON_US + 1, subscriber="bob", zone="Asia/Tokyo")]
    assert found(contacts, per="total", window={"calendar": "day"}) == ["cap"]
    assert found(contacts, per="total", window="lifetime") == ["cap"]
    assert found(contacts) == []


def test_a_channel_counts_decisions_and_an_offer_counts_itself() -> None:
    contacts = [contact(NOON_US, decision="d", offer=name) for name in "ab"]
    assert found(contacts, scope="channel") == []
    assert found(contacts, scope="all") == []
    assert found(contacts, scope="campaign") == ["cap"]
    assert found(contacts, scope="category", target="data") == ["cap"]
    assert found(contacts, scope="category", target="voice") == []
    assert found([*contacts, contact(NOON_US + 1)], scope="channel", target="sms") == ["cap"]


def test_what_did_not_happen_does_not_count() -> None:
    assert found([contact(NOON_US), contact(NOON_US + 1)], counts="accepted") == []


def test_a_limit_binds_from_the_grant_on() -> None:
    wide, narrow = {"cap": 2}, {"cap": 1}
    assert found([contact(NOON_US, limits=wide), contact(NOON_US + 1, limits=narrow)]) == ["cap"]
    assert found([contact(NOON_US, limits=narrow), contact(NOON_US + 1, limits=wide)]) == []


def test_an_event_between_two_instants_is_no_proof() -> None:
    late_us = NOON_US + 2 * HOUR_US
    assert found([contact(NOON_US), contact(NOON_US + MINUTE_US, late_us)]) == []
    assert found([contact(NOON_US), contact(NOON_US + MINUTE_US, late_us - 1)]) == ["cap"]


def test_a_finding_names_the_contacts() -> None:
    broken = broken_caps([cap()], [contact(NOON_US), contact(NOON_US + 1)], CHICAGO)[0]
    assert "limit 1: 2 counted: ann a of d" in str(broken)


def test_the_checker_shares_no_code_with_what_it_checks() -> None:
    tree = ast.parse(Path(caps_model.__file__).read_text())
    names = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {str(name).split(".")[0] for name in names} <= {
        "collections",
        "dataclasses",
        "datetime",
        "typing",
        "zoneinfo",
    }
