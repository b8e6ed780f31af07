"""Holds, outcomes, remembered answers and hand-off, each sentence of engine/README.md by an example."""

import pytest

from tests.oracle.catalogue import read_catalogue
from tests.oracle.decide import Request
from tests.oracle.ledger import Outcome
from tests.oracle.oracle import HandOff
from tests.oracle.small import (
    ANN,
    CHICAGO,
    DAY,
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    SMS,
    ask,
    at,
    campaign,
    cap,
    catalogue,
    offer,
    oracle,
    tell,
)
from tests.oracle.subscribers import Subscriber


@pytest.mark.parametrize(
    ("kind", "events", "live"),
    [
        ("handed_off", {"handed_off"}, True),
        ("seen", {"handed_off", "seen"}, True),
        ("clicked", {"handed_off", "seen"}, True),
        ("accepted", {"handed_off", "seen", "accepted"}, False),
        ("fulfilled", {"handed_off", "seen", "accepted"}, False),
        ("refused", {"handed_off", "seen", "refused"}, False),
        ("not_now", {"handed_off", "seen", "not_now"}, False),
        ("failed", set(), False),
    ],
)
def test_what_each_kind_sets_and_closes(kind: str, events: set[str], live: bool) -> None:
    world = oracle()
    assert tell(world, ask(world), kind, NOON + MINUTE) == "RECORDED"
    contact = world.ledger.contacts(ANN)[0]
    assert (contact.events, contact.live) == (dict.fromkeys(events, NOON + MINUTE), live)


def test_the_first_outcome_to_set_an_event_wins() -> None:
    world = oracle()
    answer = ask(world)
    tell(world, answer, "seen", NOON + 2 * MINUTE)
    tell(world, answer, "accepted", NOON + 3 * MINUTE, event_us=NOON + MINUTE)
    events = world.ledger.contacts(ANN)[0].events
    assert events == {"handed_off": NOON + 2 * MINUTE, "seen": NOON + 2 * MINUTE, "accepted": NOON + MINUTE}


@pytest.mark.parametrize(
    ("event", "result", "recorded"),
    [
        (NOON - 5 * MINUTE - 1, "INVALID", None),
        (NOON - 5 * MINUTE, "RECORDED", NOON),
        (NOON + HOUR + 5 * MINUTE, "RECORDED", NOON + HOUR),
        (NOON + HOUR + 5 * MINUTE + 1, "INVALID", None),
    ],
)
def test_event_time_is_checked_then_clamped(event: int, result: str, recorded: int | None) -> None:
    world = oracle(channels=[SMS])
    answer = ask(world, channel="sms")
    assert tell(world, answer, "seen", NOON + HOUR, event_us=event) == result
    assert world.ledger.contacts(ANN)[0].events.get("seen") == recorded


def test_an_expired_pull_hold_is_released_and_a_late_outcome_counts_at_its_own_time() -> None:
    world = oracle(policy={"caps": [cap()]})
    first = ask(world)
    expiry = NOON + 15 * MINUTE
    assert tell(world, first, "seen", expiry, event_us=NOON + MINUTE) == "RECORDED_LATE"
    contact = world.ledger.contacts(ANN)[0]
    assert (contact.late, contact.events["seen"]) == (True, NOON + MINUTE)
    assert ask(world, expiry).next_allowed_us == NOON + MINUTE + 7 * DAY


def test_an_outcome_one_instant_before_the_expiry_is_not_late() -> None:
    world = oracle()
    assert tell(world, ask(world), "seen", NOON + 15 * MINUTE - 1) == "RECORDED"


def test_an_expired_push_hold_was_handed_off_and_seen_at_its_expiry() -> None:
    world = oracle()
    answer = ask(world, channel="sms")
    assert tell(world, answer, "accepted", NOON + DAY) == "RECORDED_LATE"
    expiry = NOON + 130 * MINUTE
    assert world.ledger.contacts(ANN)[0].events == {"handed_off": expiry, "seen": expiry, "accepted": NOON + DAY}


def test_a_second_outcome_on_a_closed_hold_is_not_late() -> None:
    world = oracle()
    answer = ask(world)
    assert [tell(world, answer, kind, NOON + DAY * n) for n, kind in enumerate(("accepted", "fulfilled"))] == [
        "RECORDED"
    ] * 2


def test_outcomes_count_once_and_their_ids_are_remembered_for_a_day() -> None:
    world = oracle()
    answer = ask(world)
    results = [
        tell(world, answer, "seen", NOON, id_="o", event_us=NOON),
        tell(world, answer, "seen", NOON + MINUTE, id_="o", event_us=NOON),
        tell(world, answer, "refused", NOON + MINUTE, id_="o", event_us=NOON),
        tell(world, answer, "seen", NOON + DAY - 1, id_="o", event_us=NOON),
        tell(world, answer, "seen", NOON + DAY, id_="o", event_us=NOON),
    ]
    assert results == ["RECORDED", "DUPLICATE", "CONFLICT", "DUPLICATE", "RECORDED_LATE"]


def test_unknown_decisions_ranks_and_kinds() -> None:
    world = oracle()
    answer = ask(world)
    assert world.record(Outcome("a", 99, 1, "seen", NOON), NOON) == "UNKNOWN_DECISION"
    assert tell(world, answer, "seen", NOON, rank=2) == "UNKNOWN_DECISION"
    assert tell(world, answer, "danced", NOON) == "INVALID"


def test_what_was_not_recorded_is_not_remembered() -> None:
    world = oracle()
    answer = ask(world)
    assert tell(world, answer, "seen", NOON, id_="o", event_us=NOON + HOUR) == "INVALID"
    assert tell(world, answer, "seen", NOON, id_="o") == "RECORDED"


def test_the_same_request_is_answered_the_same_for_a_day_and_counts_once() -> None:
    world = oracle(campaigns=[campaign("k", ["a"])])
    request = Request("r", ANN, "open", "desk", NOON)
    first = world.decide(request)
    world.edit(read_catalogue(catalogue(campaigns=[])))
    again = world.decide(Request("r", ANN, "open", "desk", NOON + DAY - 1))
    assert (again.replayed, again.decision, again.chosen) == (True, first.decision, first.chosen)
    assert len(world.ledger.contacts(ANN)) == 1
    assert world.decide(Request("r", ANN, "open", "desk", NOON + DAY)).reason == "NO_CANDIDATE"


def test_the_same_request_id_with_another_body_is_an_error() -> None:
    world = oracle()
    world.decide(Request("r", ANN, "open", "desk", NOON))
    assert world.decide(Request("r", ANN, "open", "desk", NOON, offers_max=2)).conflict
    assert not world.decide(Request("r", 7, "open", "desk", NOON, offers_max=2)).conflict
    assert len(world.ledger.contacts(ANN)) == 1


def test_an_answer_without_an_offer_is_made_anew() -> None:
    world = oracle(campaigns=[campaign("k", ["a"], **{"from": "2026-03-02T18:01:00Z"})])
    assert ask(world, NOON, id="r").reason == "CAMPAIGN_NOT_STARTED"
    assert ask(world, NOON + MINUTE, id="r").reason == "OFFERED"


def test_hand_off_is_yes_until_the_deadline() -> None:
    world = oracle()
    answer = ask(world, channel="sms")
    assert world.check_hand_off(answer.decision, 1, NOON + 2 * HOUR - 1) == HandOff("yes", "OFFERED")
    assert world.check_hand_off(answer.decision, 1, NOON + 2 * HOUR) == HandOff("never", "HOLD_ENDED")


def test_hand_off_of_what_is_not_held() -> None:
    world = oracle()
    answer = ask(world, channel="sms")
    assert world.check_hand_off(99, 1, NOON).reason == "HOLD_ENDED"
    tell(world, answer, "failed", NOON)
    assert world.check_hand_off(answer.decision, 1, NOON).reason == "HOLD_ENDED"


@pytest.mark.parametrize("kind", ["handed_off", "seen", "clicked"])
def test_a_push_that_went_out_is_not_handed_off_again(kind: str) -> None:
    world = oracle()
    answer = ask(world, channel="sms")
    tell(world, answer, kind, NOON)
    assert world.check_hand_off(answer.decision, 1, NOON) == HandOff("never", "HOLD_ENDED")


def test_hand_off_after_consent_is_gone() -> None:
    ann = Subscriber(ANN, CHICAGO, granted={("marketing", "sms")})
    world = oracle(ann, campaigns=[campaign("k", ["a"], purpose="marketing")])
    answer = ask(world, channel="sms")
    ann.granted.clear()
    assert world.check_hand_off(answer.decision, 1, NOON) == HandOff("never", "CONSENT_MISSING")
    ann.refuse(("marketing", "sms"))
    assert world.check_hand_off(answer.decision, 1, NOON) == HandOff("never", "CONSENT_REFUSED")
    world.forget(ANN)
    assert world.check_hand_off(answer.decision, 1, NOON) == HandOff("never", "HOLD_ENDED")


def test_hand_off_when_the_campaign_or_the_offer_is_over_or_gone() -> None:
    world = oracle()
    answer = ask(world, channel="sms")
    for changes, reason in (
        ({"campaigns": [campaign("k", ["a"], state="paused")]}, "CAMPAIGN_NOT_LIVE"),
        ({"offers": [offer("a", valid={"until": "2026-03-02"})]}, "OFFER_NOT_VALID"),
        ({"campaigns": []}, "OFFER_NOT_VALID"),
    ):
        world.edit(read_catalogue(catalogue(**changes)))
        assert world.check_hand_off(answer.decision, 1, NOON) == HandOff("never", reason)


def test_hand_off_in_quiet_hours_waits_for_their_end_or_never() -> None:
    night = {"id": "night", "classes": ["message"], "from": "13:00", "to": "13:30"}
    world = oracle(channels=[SMS | {"queue_deadline": "2h"}])
    answer = ask(world, channel="sms")
    world.edit(read_catalogue(catalogue(policy={"quiet_hours": [night]})))
    assert world.check_hand_off(answer.decision, 1, NOON + HOUR) == HandOff(
        "not_before", "QUIET_HOURS", at("2026-03-02 13:30")
    )
    world.edit(read_catalogue(catalogue(policy={"quiet_hours": [night | {"to": "14:00"}]})))
    assert world.check_hand_off(answer.decision, 1, NOON + HOUR) == HandOff("never", "QUIET_HOURS")


def test_hand_off_over_an_edited_cap() -> None:
    world = oracle(campaigns=[campaign("k", ["a"])])
    earlier = ask(world, NOON - 20 * MINUTE, channel="sms")
    tell(world, earlier, "handed_off", NOON - 20 * MINUTE)
    answer = ask(world, channel="sms")
    for length, expected in (
        ("30m", HandOff("not_before", "CAP_REACHED", NOON + 10 * MINUTE)),
        ("20m", HandOff("yes", "OFFERED")),
        ("3h", HandOff("never", "CAP_REACHED")),
    ):
        world.edit(read_catalogue(catalogue(policy={"caps": [cap(window={"rolling": length})]})))
        assert world.check_hand_off(answer.decision, 1, NOON) == expected
    world.edit(read_catalogue(catalogue(policy={"caps": [cap(window={"rolling": "3h"}, limit=2)]})))
    assert world.check_hand_off(answer.decision, 1, NOON + SECOND).verdict == "yes"
