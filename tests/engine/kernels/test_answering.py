"""Request stops, deferral, deadlines, control and stages: `answer_run` through whole answers, against the oracle."""

from pathlib import Path

import pytest

from tests.engine.kernels.pair import ANN, Pair, person
from tests.oracle.reasons import REASONS, STAGES
from tests.oracle.small import HOUR, MINUTE, NOON, SMS, at, campaign, offer
from tests.worlds.commands import Forget, TrustClock

NOON_TO_TWO = {"quiet_hours": [{"id": "lunch", "classes": ["message"], "from": "12:00", "to": "14:00"}]}


def deferring(tmp_path: Path, **changes: object) -> Pair:
    channels = [
        {"id": "desk", "kind": "pull", "class": "screen", "max_offers": 6, "hold": "15m", "inbound_exempt": True},
        SMS | {"defer_quiet_hours": True},
    ]
    return Pair(tmp_path, channels=channels, policy=NOON_TO_TWO, **changes)


@pytest.mark.parametrize(("after_us", "reason"), [(0, "QUIET_HOURS"), (1, "OFFERED")])
def test_deferred_when_quiet_hours_end_before_the_queue_does(tmp_path: Path, after_us: int, reason: str) -> None:
    """The queue takes two hours, as long as the quiet hours last."""
    given = deferring(tmp_path).ask(NOON + after_us, channel="sms")
    assert given.reason == reason
    if reason == "OFFERED":
        assert (given.not_before_us, given.deadline_us) == (at("2026-03-02 14:00"), at("2026-03-02 14:00") + 1)
        assert given.expires_us == given.deadline_us + 10 * MINUTE
    else:
        assert given.next_allowed_us == at("2026-03-02 14:00")


def test_not_deferred_where_the_channel_does_not(tmp_path: Path) -> None:
    pair = Pair(tmp_path, policy=NOON_TO_TWO)
    assert pair.ask(NOON + HOUR, channel="sms").reason == "QUIET_HOURS"
    assert pair.ask(NOON + HOUR, channel="desk").reason == "OFFERED"


def test_a_deadline_ends_where_quiet_hours_start(tmp_path: Path) -> None:
    given = deferring(tmp_path).ask(NOON - 30 * MINUTE, channel="sms")
    assert (given.not_before_us, given.deadline_us) == (NOON - 30 * MINUTE, NOON)


def test_both_clocks_must_be_past_quiet_hours(tmp_path: Path) -> None:
    pair = Pair(tmp_path, policy=NOON_TO_TWO)
    assert pair.ask(at("2026-03-02 14:00"), channel="sms").reason == "OFFERED"
    assert pair.ask(at("2026-03-02 14:00") - 1, channel="sms").reason == "QUIET_HOURS"


def test_request_stops_come_before_candidates(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    assert pair.ask(NOON, "stranger").reason == "UNKNOWN_SUBSCRIBER"
    pair.play(TrustClock(False))
    assert pair.ask(NOON, channel="sms").reason == "CLOCK_UNCONFIRMED"
    assert pair.ask(NOON, channel="desk").reason == "OFFERED"
    pair.play(Forget(ANN, NOON))
    erased = pair.ask(NOON, channel="sms")
    assert (erased.reason, erased.stages) == ("SUBSCRIBER_ERASED", [0] * STAGES)


def test_no_candidate_for_this_channel(tmp_path: Path) -> None:
    pair = Pair(tmp_path, campaigns=[campaign("k", ["a"], channels=["sms"])])
    assert pair.ask(NOON, channel="desk").reason == "NO_CANDIDATE"


def test_would_be_offers_are_those_that_control_stopped(tmp_path: Path) -> None:
    campaigns = [
        campaign("in_control", ["a", "b"], control_share=1.0, lever=2.0),
        campaign("open", ["c"]),
    ]
    pair = Pair(tmp_path, campaigns=campaigns)
    given = pair.ask(NOON, offers_max=2)
    assert given.chosen == [("open", "c")]
    assert {offer_id for _, offer_id in given.would_be} == {"a", "b"}
    wide = pair.ask(NOON, offers_max=6)
    assert len(wide.would_be) == 2


def test_counts_by_stage_add_up(tmp_path: Path) -> None:
    campaigns = [
        campaign("k", ["a", "b"], condition="true"),
        campaign("m", ["c"], state="draft"),
        campaign("n", ["c"], condition="false"),
    ]
    pair = Pair(tmp_path, person(ANN), offers=[offer("a"), offer("b"), offer("c")], campaigns=campaigns)
    given = pair.ask(NOON)
    assert sum(given.stages) == 4
    assert given.stages[REASONS["CAMPAIGN_NOT_LIVE"] // 10] == given.stages[REASONS["NOT_ELIGIBLE"] // 10] == 1
    assert given.stages[-1] == 1
