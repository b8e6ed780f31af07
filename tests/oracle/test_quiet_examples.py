"""Quiet hours and conditions, each sentence of engine/README.md by an example."""

from decimal import Decimal

import pytest

from tests.oracle.catalogue import Plain
from tests.oracle.condition import Facts, truth
from tests.oracle.small import ANN, CHICAGO, DESK, HOUR, MINUTE, NOON, SMS, ask, at, oracle
from tests.oracle.subscribers import Subscriber

NIGHT: Plain = {"id": "night", "classes": ["message", "screen"], "from": "21:00", "to": "09:00"}
OPEN_DESK = DESK | {"inbound_exempt": False}


@pytest.mark.parametrize(
    ("when", "quiet"),
    [
        ("2026-03-02 20:59:59", False),
        ("2026-03-02 21:00", True),
        ("2026-03-03 08:59:59", True),
        ("2026-03-03 09:00", False),
    ],
)
def test_a_window_wraps_past_midnight_and_is_half_open(when: str, quiet: bool) -> None:
    answer = ask(oracle(channels=[OPEN_DESK], policy={"quiet_hours": [NIGHT]}), at(when))
    assert answer.reason == ("QUIET_HOURS" if quiet else "OFFERED")
    assert answer.next_allowed_us == (at("2026-03-03 09:00") if quiet else None)


@pytest.mark.parametrize(
    ("days", "when", "quiet"),
    [
        (["mon"], "2026-03-02 22:00", True),
        (["mon"], "2026-03-03 08:00", True),
        (["mon"], "2026-03-02 08:00", False),
        (["tue"], "2026-03-03 08:00", False),
        (["tue"], "2026-03-04 08:00", True),
    ],
)
def test_a_window_belongs_to_the_day_on_which_it_starts(days: list[str], when: str, quiet: bool) -> None:
    """2026-03-02 is a Monday."""
    world = oracle(channels=[OPEN_DESK], policy={"quiet_hours": [NIGHT | {"days": days}]})
    assert ask(world, at(when)).reason == ("QUIET_HOURS" if quiet else "OFFERED")


@pytest.mark.parametrize(("days", "quiet"), [(["mon"], False), (["holiday"], True), (["mon", "holiday"], True)])
def test_a_holiday_is_matched_only_by_windows_that_list_it(days: list[str], quiet: bool) -> None:
    policy = {"quiet_hours": [NIGHT | {"days": days}], "holidays": {"dates": ["2026-03-02"]}}
    world = oracle(channels=[OPEN_DESK], policy=policy)
    assert ask(world, at("2026-03-02 22:00")).reason == ("QUIET_HOURS" if quiet else "OFFERED")


def test_from_equal_to_to_is_a_whole_day() -> None:
    whole = {"id": "sunday", "classes": ["screen"], "days": ["sun"], "from": "00:00", "to": "00:00"}
    world = oracle(channels=[OPEN_DESK], policy={"quiet_hours": [whole]})
    assert ask(world, at("2026-03-08 12:00")).next_allowed_us == at("2026-03-09 00:00")


def test_both_passes_of_a_repeated_hour_are_quiet() -> None:
    """Chicago repeats 01:00-02:00 on 2026-11-01."""
    early = {"id": "early", "classes": ["screen"], "from": "01:00", "to": "02:00"}
    world = oracle(channels=[OPEN_DESK], policy={"quiet_hours": [early]})
    start = at("2026-11-01 01:00")
    assert [ask(world, start + n * 30 * MINUTE).reason for n in range(5)] == ["QUIET_HOURS"] * 4 + ["OFFERED"]


def test_a_skipped_hour_is_never_quiet() -> None:
    """Chicago skips 02:00-03:00 on 2026-03-08."""
    early = {"id": "early", "classes": ["screen"], "from": "02:00", "to": "03:00"}
    world = oracle(channels=[OPEN_DESK], policy={"quiet_hours": [early]})
    start = at("2026-03-08 01:00")
    assert [ask(world, start + n * 30 * MINUTE).reason for n in range(5)] == ["OFFERED"] * 5


def test_unknown_zone_is_quiet_when_any_zone_of_the_country_is() -> None:
    zones = {"name": "US", "zones": ["America/New_York", CHICAGO], "home_zone": CHICAGO}
    world = oracle(Subscriber(ANN, None), country=zones, channels=[OPEN_DESK], policy={"quiet_hours": [NIGHT]})
    assert ask(world, at("2026-03-02 20:00"), dry_run=True).next_allowed_us == at("2026-03-03 09:00")
    assert ask(world, at("2026-03-02 19:59:59"), dry_run=True).reason == "OFFERED"


def test_only_the_channel_class_is_quiet_and_inbound_may_be_exempt() -> None:
    evening = at("2026-03-02 22:00")
    world = oracle(channels=[OPEN_DESK, SMS], policy={"quiet_hours": [NIGHT | {"classes": ["message"]}]})
    assert [ask(world, evening, channel=c).reason for c in ("desk", "sms")] == ["OFFERED", "QUIET_HOURS"]
    world = oracle(channels=[DESK], policy={"quiet_hours": [NIGHT]})
    assert ask(world, evening).reason == "OFFERED"


def test_raw_time_and_ledger_time_are_both_checked() -> None:
    world = oracle(channels=[OPEN_DESK], policy={"quiet_hours": [NIGHT]})
    ask(world, at("2026-03-03 10:00"))
    answer = ask(world, at("2026-03-03 08:00"))
    assert (answer.reason, answer.next_allowed_us) == ("QUIET_HOURS", at("2026-03-03 09:00"))


def test_push_may_wait_for_the_end_of_quiet_hours() -> None:
    """Asked at 07:30, to be sent from 09:00 on; the queue holds until 09:30, and the hold ten minutes longer."""
    waits = SMS | {"defer_quiet_hours": True}
    world = oracle(channels=[waits], policy={"quiet_hours": [NIGHT]})
    asked = at("2026-03-03 07:30")
    answer = ask(world, asked, channel="sms")
    assert (answer.not_before_us, answer.deadline_us) == (at("2026-03-03 09:00"), asked + 2 * HOUR)
    assert answer.expires_us == asked + 2 * HOUR + 10 * MINUTE


def test_push_does_not_wait_beyond_its_queue_deadline() -> None:
    """At 07:00 sharp the quiet hours end exactly at the deadline: too late."""
    waits = SMS | {"defer_quiet_hours": True}
    world = oracle(channels=[waits], policy={"quiet_hours": [NIGHT]})
    assert ask(world, at("2026-03-03 07:00"), channel="sms").reason == "QUIET_HOURS"
    assert ask(world, at("2026-03-03 07:00") + 1, channel="sms").reason == "OFFERED"


def test_push_ends_at_the_next_quiet_start() -> None:
    world = oracle(policy={"quiet_hours": [NIGHT]})
    answer = ask(world, at("2026-03-02 20:00"), channel="sms")
    assert (answer.deadline_us, answer.expires_us) == (at("2026-03-02 21:00"), at("2026-03-02 21:10"))


FACTS = Facts(
    labels={"yes": "true", "no": "false", "old": "unknown"},
    attributes={"n": 0, "s": "x", "price": Decimal("79.55")},
    zone=CHICAGO,
    now_us=NOON,
    trigger_us=None,
    fields={"used": 900.0},
)
TRUE, FALSE, OLD, BAD = (
    '"yes" in subscriber.labels',
    '"no" in subscriber.labels',
    '"old" in subscriber.labels',
    "1 / subscriber.n < 1",
)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (f"{TRUE} && {TRUE}", "true"),
        (f"{BAD} && {OLD} && {FALSE}", "false"),
        (f"{BAD} && {OLD} && {TRUE}", "unknown"),
        (f"{BAD} && {TRUE}", "error"),
        (f"{FALSE} || {FALSE}", "false"),
        (f"{BAD} || {OLD} || {TRUE}", "true"),
        (f"{BAD} || {OLD}", "unknown"),
        (f"{BAD} || {FALSE}", "error"),
        (f"!({OLD})", "unknown"),
        (f"{TRUE} ? {FALSE} : {BAD}", "false"),
        (f"{OLD} ? {TRUE} : {TRUE}", "unknown"),
        ("subscriber.missing < 1 / subscriber.n", "unknown"),
        ("has(subscriber.missing)", "false"),
        ("has(subscriber.n)", "true"),
        ('subscriber.s in ["x", "y"]', "true"),
        ("subscriber.price == 79.55", "true"),
        ("trigger.used >= 900.0", "true"),
        ("trigger.time < now", "unknown"),
        ("now.getHours(subscriber.zone) == 12", "true"),
        ("now == timestamp('2026-03-02T18:00:00Z')", "true"),
    ],
)
def test_conditions_absorb_as_cel_does(condition: str, expected: str) -> None:
    assert truth(condition, FACTS) == expected
