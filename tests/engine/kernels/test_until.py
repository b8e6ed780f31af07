"""When a stopped candidate may next pass: `untils` and `next_allowed_us` at the instants that they name, against the oracle."""

from pathlib import Path

import pytest

from tests.engine.kernels.pair import Pair
from tests.oracle.small import CHICAGO, DAY, DESK, HOUR, MINUTE, NOON, SMS, at, campaign, cap, offer

WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def settles(pair: Pair, now_us: int, channel: str = "desk") -> int:
    """The instant that the answer names, at which the same request passes, and not a microsecond before."""
    named = pair.ask(now_us, channel=channel).next_allowed_us
    assert named is not None
    assert pair.ask(named - 1, channel=channel, dry_run=True).reason != "OFFERED"
    assert pair.ask(named, channel=channel, dry_run=True).reason == "OFFERED"
    return named


def test_campaign_and_offer_that_start(tmp_path: Path) -> None:
    pair = Pair(tmp_path, campaigns=[campaign("k", ["a"], **{"from": "2026-03-02T20:00:00Z"})])
    assert settles(pair, NOON) == NOON + 2 * HOUR
    later = Pair(tmp_path / "offer", offers=[offer("a", valid={"from": "2026-03-03T18:00:00Z"})])
    assert settles(later, NOON) == NOON + DAY


def test_ended_has_no_instant(tmp_path: Path) -> None:
    pair = Pair(tmp_path, offers=[offer("a", valid={"until": "2026-03-01"})])
    assert pair.ask(NOON).next_allowed_us is None


@pytest.mark.parametrize("zones", [[CHICAGO], [CHICAGO, "America/New_York"]])
def test_quiet_hours_end(tmp_path: Path, zones: list[str]) -> None:
    night = {"id": "night", "classes": ["screen"], "from": "21:00", "to": "09:00"}
    pair = Pair(
        tmp_path,
        country={"name": "US", "zones": zones, "home_zone": CHICAGO},
        channels=[DESK | {"inbound_exempt": False}, SMS],
        policy={"quiet_hours": [night]},
    )
    assert settles(pair, at("2026-03-02 23:00")) == at("2026-03-03 09:00")


def test_quiet_hours_of_40_days_have_no_end(tmp_path: Path) -> None:
    """However far the tables reach, which hangs on when they were made."""
    closed = {"id": "closed", "classes": ["screen"], "from": "00:00", "to": "00:00", "days": list(WEEK)}
    policy = {"quiet_hours": [closed], "holidays": {"dates": ["2026-04-20"]}}
    pair = Pair(tmp_path, channels=[DESK | {"inbound_exempt": False}, SMS], policy=policy)
    opens = at("2026-04-20 00:00")
    assert pair.ask(opens - 40 * DAY).next_allowed_us is None
    assert pair.ask(opens - 40 * DAY + 1).next_allowed_us == opens


@pytest.mark.parametrize("limit", [1, 2, 3])
@pytest.mark.parametrize("event", ["decided", "seen"])
def test_rolling_caps_have_room_when_enough_leaves(tmp_path: Path, limit: int, event: str) -> None:
    pair = Pair(tmp_path, policy={"caps": [cap("few", counts=event, limit=limit, window={"rolling": "1d"})]})
    for number in range(limit):
        given = pair.ask(NOON + number * MINUTE)
        pair.tell(given, "seen", NOON + number * MINUTE)
    assert settles(pair, NOON + HOUR) == NOON + DAY


def test_an_open_pull_hold_ends_at_its_expiry(tmp_path: Path) -> None:
    pair = Pair(tmp_path, policy={"caps": [cap("one", counts="seen", window={"rolling": "1d"})]})
    pair.ask(NOON)
    assert settles(pair, NOON + MINUTE) == NOON + 15 * MINUTE


def test_an_open_push_hold_counts_from_its_expiry(tmp_path: Path) -> None:
    pair = Pair(tmp_path, policy={"caps": [cap("one", counts="seen", window={"rolling": "1d"})]})
    given = pair.ask(NOON, channel="sms")
    assert given.expires_us == NOON + 2 * HOUR + 10 * MINUTE
    assert settles(pair, NOON + MINUTE, "sms") == given.expires_us + DAY
    accepted = Pair(tmp_path / "accepted", policy={"caps": [cap("one", counts="accepted", window={"rolling": "1d"})]})
    held = accepted.ask(NOON, channel="sms")
    assert settles(accepted, NOON + MINUTE, "sms") == held.expires_us


def test_a_dry_run_reads_a_push_hold_past_its_expiry_as_seen(tmp_path: Path) -> None:
    """The ledger has not yet expired it, because dry runs move no time."""
    pair = Pair(tmp_path, policy={"caps": [cap("one", counts="seen", window={"rolling": "1d"})]})
    given = pair.ask(NOON, channel="sms")
    for at_us, reason in ((given.expires_us - 1, "CAP_REACHED"), (given.expires_us, "CAP_REACHED")):
        assert pair.ask(at_us, channel="sms", dry_run=True).reason == reason
    assert pair.ask(given.expires_us + DAY - 1, channel="sms", dry_run=True).reason == "CAP_REACHED"
    assert pair.ask(given.expires_us + DAY, channel="sms", dry_run=True).reason == "OFFERED"


@pytest.mark.parametrize(
    ("window", "until"),
    [
        ({"calendar": "day"}, "2026-03-03 00:00"),
        ({"calendar": "week", "week_start": "wednesday"}, "2026-03-04 00:00"),
        ({"calendar": "month"}, "2026-04-01 00:00"),
    ],
)
def test_calendar_caps_have_room_in_the_next_window(tmp_path: Path, window: dict[str, str], until: str) -> None:
    pair = Pair(tmp_path, policy={"caps": [cap("one", counts="decided", window=window)]})
    pair.ask(NOON)
    assert settles(pair, NOON + HOUR) == at(until)


def test_an_event_at_the_first_instant_of_a_window_counts_in_it(tmp_path: Path) -> None:
    pair = Pair(tmp_path, policy={"caps": [cap("one", counts="decided", window={"calendar": "day"})]})
    midnight = at("2026-03-03 00:00")
    pair.ask(midnight)
    assert settles(pair, midnight + HOUR) == at("2026-03-04 00:00")


def test_of_several_caps_the_latest_and_none_without_one(tmp_path: Path) -> None:
    caps = [
        cap("day", counts="decided", window={"calendar": "day"}),
        cap("rolling", counts="decided", window={"rolling": "2d"}),
    ]
    pair = Pair(tmp_path, policy={"caps": caps})
    pair.ask(NOON)
    assert settles(pair, NOON + HOUR) == NOON + 2 * DAY
    endless = Pair(tmp_path / "endless", policy={"caps": [*caps, cap("life", per="total", window="lifetime")]})
    endless.tell(endless.ask(NOON), "seen", NOON)
    assert endless.ask(NOON + HOUR).next_allowed_us is None
