"""Caps, each sentence of engine/README.md by an example."""

import pytest

from tests.oracle.catalogue import Plain, read_catalogue
from tests.oracle.small import (
    ANN,
    BOB,
    CHICAGO,
    DAY,
    DESK,
    HOUR,
    MINUTE,
    NOON,
    SMS,
    ask,
    at,
    campaign,
    cap,
    catalogue,
    offer,
    oracle,
    product,
    reasons,
    tell,
)
from tests.oracle.subscribers import Subscriber

THREE = [campaign("k", ["a", "b", "c"])]


def test_rolling_window_is_half_open_at_its_end() -> None:
    world = oracle(policy={"caps": [cap()]})
    tell(world, ask(world), "seen", NOON)
    answer = ask(world, NOON + 7 * DAY - 1)
    assert (answer.reason, answer.next_allowed_us) == ("CAP_REACHED", NOON + 7 * DAY)
    assert answer.verdicts[0].cap == "cap"
    assert ask(world, NOON + 7 * DAY).reason == "OFFERED"


@pytest.mark.parametrize("event", ["decided", "handed_off", "seen", "accepted"])
def test_a_live_hold_counts_for_every_event_that_it_may_still_come_to(event: str) -> None:
    world = oracle(policy={"caps": [cap(counts=event)]})
    ask(world)
    assert ask(world, NOON + 15 * MINUTE - 1).reason == "CAP_REACHED"
    expected = "CAP_REACHED" if event == "decided" else "OFFERED"
    assert ask(world, NOON + 15 * MINUTE, dry_run=True).reason == expected


@pytest.mark.parametrize(
    ("event", "until"),
    [("decided", NOON + DAY), ("handed_off", NOON + 130 * MINUTE + DAY), ("accepted", NOON + 130 * MINUTE)],
)
def test_a_push_hold_counts_at_its_expiry_unless_for_accepted(event: str, until: int) -> None:
    """Two hours of queue and ten minutes: the hold expires at 14:10."""
    world = oracle(policy={"caps": [cap(counts=event, window={"rolling": "1d"})]})
    assert ask(world, channel="sms").expires_us == NOON + 130 * MINUTE
    assert ask(world, channel="sms").next_allowed_us == until
    assert ask(world, until - 1, channel="sms", dry_run=True).reason == "CAP_REACHED"
    assert ask(world, until, channel="sms", dry_run=True).reason == "OFFERED"


def test_a_failed_hold_counts_for_nothing_but_the_decision() -> None:
    world = oracle(policy={"caps": [cap()]})
    tell(world, ask(world), "failed", NOON)
    assert ask(world).reason == "OFFERED"
    world = oracle(policy={"caps": [cap(counts="decided")]})
    tell(world, ask(world), "failed", NOON)
    assert ask(world).reason == "CAP_REACHED"


@pytest.mark.parametrize(
    ("window", "until"),
    [
        ({"calendar": "day"}, "2026-03-03 00:00"),
        ({"calendar": "week"}, "2026-03-09 00:00"),
        ({"calendar": "week", "week_start": "sunday"}, "2026-03-08 00:00"),
        ({"calendar": "week", "week_start": "tuesday"}, "2026-03-03 00:00"),
        ({"calendar": "month"}, "2026-04-01 00:00"),
    ],
)
def test_calendar_windows_end_at_local_midnight(window: Plain, until: str) -> None:
    world = oracle(policy={"caps": [cap(window=window)]})
    tell(world, ask(world), "seen", NOON)
    answer = ask(world, at(until) - 1)
    assert (answer.reason, answer.next_allowed_us) == ("CAP_REACHED", at(until))
    assert ask(world, at(until)).reason == "OFFERED"


def test_a_calendar_day_may_have_23_hours() -> None:
    """Chicago lost an hour on 2026-03-08."""
    world = oracle(policy={"caps": [cap(window={"calendar": "day"})]})
    start = at("2026-03-08 00:00")
    tell(world, ask(world, start), "seen", start)
    assert ask(world, start).next_allowed_us == start + 23 * HOUR


def test_a_day_whose_midnight_is_skipped_starts_after_the_skip() -> None:
    """Santiago's clock goes from 2026-09-05 23:59:59 to 2026-09-06 01:00."""
    santiago = "America/Santiago"
    world = oracle(Subscriber(ANN, santiago), policy={"caps": [cap(window={"calendar": "day"})]})
    evening = at("2026-09-05 23:00", santiago)
    tell(world, ask(world, evening), "seen", evening)
    assert ask(world, evening).next_allowed_us == evening + HOUR == at("2026-09-06 01:00", santiago)


def test_unknown_zone_takes_the_earliest_start_of_the_country() -> None:
    """At 00:30 in New York it is 23:30 the day before in Chicago: yesterday still counts."""
    zones = {"name": "US", "zones": ["America/New_York", CHICAGO], "home_zone": CHICAGO}
    world = oracle(Subscriber(ANN, None), country=zones, policy={"caps": [cap(window={"calendar": "day"})]})
    tell(world, ask(world), "seen", NOON)
    assert ask(world, at("2026-03-02 23:59:59")).next_allowed_us == at("2026-03-03 00:00")
    assert ask(world, at("2026-03-03 00:00")).reason == "OFFERED"


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("offer", {"a": "CAP_REACHED", "b": "OFFERED", "c": "OFFERED"}),
        ("campaign", {"a": "CAP_REACHED", "b": "CAP_REACHED", "c": "OFFERED"}),
        ("category", {"a": "CAP_REACHED", "b": "OFFERED", "c": "CAP_REACHED"}),
        ("all", {"a": "CAP_REACHED", "b": "CAP_REACHED", "c": "CAP_REACHED"}),
    ],
)
def test_scopes_without_a_target_bind_each_by_itself(scope: str, expected: dict[str, str]) -> None:
    world = oracle(
        products=[product("a"), product("b", category="tv"), product("c")],
        offers=[offer("a", value=9), offer("b"), offer("c")],
        campaigns=[campaign("k", ["a", "b"]), campaign("m", ["c"])],
        policy={"caps": [cap(scope=scope)]},
    )
    assert ask(world).chosen == [("k", "a")]
    assert reasons(ask(world, offers_max=6)) == expected


def test_a_target_binds_that_one_alone() -> None:
    world = oracle(campaigns=THREE, policy={"caps": [cap(target="a", limit=0)]})
    assert reasons(ask(world, offers_max=3)) == {"a": "CAP_REACHED", "b": "OFFERED", "c": "OFFERED"}


@pytest.mark.parametrize("scope", ["channel", "all"])
def test_a_decision_counts_once_for_channel_and_all(scope: str) -> None:
    world = oracle(campaigns=THREE, policy={"caps": [cap(scope=scope, limit=2)]})
    assert len(ask(world, offers_max=3).chosen) == 3
    assert len(ask(world, offers_max=3).chosen) == 3
    assert ask(world, offers_max=3).reason == "CAP_REACHED"


def test_a_decision_counts_as_the_most_recent_of_its_offers() -> None:
    """One offer was seen at noon, the other an hour later: the decision counts until a day after the later one."""
    world = oracle(
        channels=[DESK | {"hold": "2h"}], campaigns=THREE, policy={"caps": [cap(scope="all", window={"rolling": "1d"})]}
    )
    first = ask(world, offers_max=2)
    tell(world, first, "refused", NOON, rank=1)
    tell(world, first, "refused", NOON + HOUR, rank=2)
    assert ask(world, NOON + DAY).next_allowed_us == NOON + HOUR + DAY
    assert ask(world, NOON + HOUR + DAY).reason == "OFFERED"


def test_channel_caps_count_that_channel_only() -> None:
    world = oracle(policy={"caps": [cap(scope="channel", target="sms")]})
    ask(world, channel="sms")
    assert (ask(world, channel="sms").reason, ask(world, channel="desk").reason) == ("CAP_REACHED", "OFFERED")


def test_own_offers_of_an_answer_fill_a_cap() -> None:
    world = oracle(campaigns=THREE, policy={"caps": [cap(scope="campaign", limit=2)]})
    answer = ask(world, offers_max=6)
    assert sorted(str(r) for r in reasons(answer).values()) == ["CAP_REACHED", "OFFERED", "OFFERED"]
    assert [v.until_us for v in answer.verdicts if v.reason == "CAP_REACHED"] == [None]


def test_totals_count_everybody_and_give_no_until() -> None:
    world = oracle(policy={"caps": [cap(per="total", counts="accepted", window="lifetime")]})
    first = ask(world)
    assert ask(world, who=BOB).reason == "CAP_REACHED"
    tell(world, first, "accepted", NOON)
    answer = ask(world, NOON + 300 * DAY, who=BOB)
    assert (answer.reason, answer.next_allowed_us) == ("CAP_REACHED", None)


def test_a_released_hold_gives_its_stock_back() -> None:
    world = oracle(policy={"caps": [cap(per="total", counts="accepted", window="lifetime")]})
    ask(world)
    assert ask(world, NOON + 15 * MINUTE, who=BOB).reason == "OFFERED"


def test_total_calendar_windows_are_of_the_home_zone() -> None:
    tokyo = Subscriber(BOB, "Asia/Tokyo")
    world = oracle(tokyo, policy={"caps": [cap(per="total", counts="decided", window={"calendar": "day"})]})
    ask(world, who=BOB)
    assert ask(world, at("2026-03-03 00:00") - 1, who=BOB).reason == "CAP_REACHED"
    assert ask(world, at("2026-03-03 00:00"), who=BOB).reason == "OFFERED"


def test_erasure_gives_open_holds_back_and_keeps_what_happened() -> None:
    policy = {"caps": [cap(per="total", counts="accepted", window="lifetime")]}
    world = oracle(policy=policy)
    ask(world)
    world.forget(ANN)
    second = ask(world, who=BOB)
    assert second.reason == "OFFERED"
    tell(world, second, "accepted", NOON)
    world.forget(BOB)
    world.subscribers[7] = Subscriber(7, CHICAGO)
    assert ask(world, who=7).reason == "CAP_REACHED"


def test_a_lowered_limit_binds_at_once_and_history_stays() -> None:
    world = oracle(policy={"caps": [cap(limit=3)]})
    for minute in range(2):
        tell(world, ask(world, NOON + minute * MINUTE), "seen", NOON + minute * MINUTE)
    world.edit(read_catalogue(catalogue(policy={"caps": [cap("other", limit=1)]})))
    answer = ask(world, NOON + HOUR)
    # Both must stop counting before there is room for one.
    assert (answer.reason, answer.next_allowed_us) == ("CAP_REACHED", NOON + MINUTE + 7 * DAY)


def test_the_two_switches_of_exempt_traffic() -> None:
    free = campaign("k", ["a"], exempt={"obeys_caps": False, "counts": True})
    world = oracle(campaigns=[free, campaign("m", ["b"])], policy={"caps": [cap(scope="all")]})
    assert reasons(ask(world, offers_max=2)) == {"a": "OFFERED", "b": "OFFERED"}
    assert reasons(ask(world, offers_max=2)) == {"a": "OFFERED", "b": "CAP_REACHED"}
    silent = campaign("k", ["a"], exempt={"obeys_caps": True, "counts": False})
    world = oracle(campaigns=[silent], policy={"caps": [cap(scope="all")]})
    assert [ask(world).reason for _ in range(3)] == ["OFFERED"] * 3


def test_several_reached_caps_give_the_latest_end_and_the_first_name() -> None:
    caps = [cap("y", window={"rolling": "1d"}), cap("x", scope="all", window={"rolling": "2d"})]
    world = oracle(policy={"caps": caps})
    tell(world, ask(world), "seen", NOON)
    verdict = ask(world).verdicts[0]
    assert (verdict.cap, verdict.until_us) == ("x", NOON + 2 * DAY)
    world.edit(read_catalogue(catalogue(policy={"caps": [*caps, cap("z", limit=0)]})))
    assert ask(world).verdicts[0].until_us is None


def test_until_waits_for_as_many_as_must_stop() -> None:
    world = oracle(policy={"caps": [cap(limit=2)]})
    for hour in range(2):
        tell(world, ask(world, NOON + hour * HOUR), "seen", NOON + hour * HOUR)
    assert ask(world, NOON + 3 * HOUR).next_allowed_us == NOON + 7 * DAY


def test_push_channels_take_their_own_hold() -> None:
    world = oracle(channels=[SMS | {"queue_deadline": "30m"}])
    answer = ask(world, channel="sms")
    assert (answer.not_before_us, answer.deadline_us, answer.expires_us) == (
        NOON,
        NOON + 30 * MINUTE,
        NOON + 40 * MINUTE,
    )


def test_a_reached_cap_has_no_until_while_the_answer_itself_fills_another() -> None:
    caps = [cap("x", target="a"), cap("y", scope="campaign", limit=2, window={"rolling": "1d"})]
    world = oracle(campaigns=THREE, offers=[offer("a", value=9), offer("b"), offer("c")], policy={"caps": caps})
    assert ask(world).chosen == [("k", "a")]
    untils = {v.offer.id: (v.cap, v.until_us) for v in ask(world, offers_max=3, dry_run=True).verdicts if v.cap}
    assert untils["a"] == ("x", None)
    world = oracle(campaigns=THREE, offers=[offer("a", value=9), offer("b"), offer("c")], policy={"caps": caps[:1]})
    ask(world)
    untils = {v.offer.id: (v.cap, v.until_us) for v in ask(world, offers_max=3, dry_run=True).verdicts if v.cap}
    assert untils["a"] == ("x", NOON + 15 * MINUTE)
