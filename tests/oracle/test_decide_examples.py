"""The stages of a decision, each sentence of engine/README.md by an example."""

import pytest

from tests.oracle.catalogue import Plain
from tests.oracle.numbers import in_control, mix64, stable_id, tie_number
from tests.oracle.reasons import STAGES, stage
from tests.oracle.small import (
    ANN,
    BOB,
    CHICAGO,
    DAY,
    DESK,
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    ask,
    at,
    campaign,
    cap,
    offer,
    oracle,
    product,
    reasons,
    tell,
)
from tests.oracle.subscribers import Subscriber


def test_unknown_subscriber_stops_before_there_are_candidates() -> None:
    answer = ask(oracle(), who=7)
    assert (answer.reason, answer.stages, answer.verdicts) == ("UNKNOWN_SUBSCRIBER", [0] * STAGES, [])


def test_unknown_subscriber_gets_anonymous_offers_where_the_catalogue_allows_them() -> None:
    world = oracle(
        anonymous_offers=True, offers=[offer("a", anonymous=True), offer("b")], campaigns=[campaign("k", ["a", "b"])]
    )
    answer = ask(world, who=7)
    assert reasons(answer) == {"a": "OFFERED", "b": "UNKNOWN_SUBSCRIBER"}
    assert answer.stages[0] == 1


def test_unknown_subscriber_has_no_labels_and_unknown_attributes() -> None:
    conditions = {"a": '"x" in subscriber.labels', "b": "subscriber.tenure < 1"}
    world = oracle(
        anonymous_offers=True,
        labels=[{"id": "x", "kind": "static"}],
        offers=[offer("a", anonymous=True), offer("b", anonymous=True)],
        campaigns=[campaign(f"k{name}", [name], condition=text) for name, text in conditions.items()],
    )
    assert reasons(ask(world, who=7)) == {"a": "NOT_ELIGIBLE", "b": "CONDITION_UNKNOWN"}


def test_erased_subscriber_gets_nothing_and_loses_contacts() -> None:
    world = oracle()
    ask(world)
    world.forget(ANN)
    assert ask(world).reason == "SUBSCRIBER_ERASED"
    assert world.ledger.contacts(ANN) == []


def test_push_stops_while_the_clock_is_not_trusted() -> None:
    world = oracle()
    world.clock_trusted = False
    assert ask(world, channel="sms").reason == "CLOCK_UNCONFIRMED"
    assert ask(world, channel="desk").reason == "OFFERED"


@pytest.mark.parametrize(
    "changes",
    [
        {"campaigns": []},
        {"campaigns": [campaign("k", ["a"], triggers=["other"])]},
        {"campaigns": [campaign("k", ["a"], channels=["sms"])]},
        {"offers": [offer("a", content={"sms": {"en": "Hello"}})]},
    ],
)
def test_no_candidate_without_trigger_channel_and_content(changes: Plain) -> None:
    assert ask(oracle(**changes)).reason == "NO_CANDIDATE"


@pytest.mark.parametrize(
    ("changes", "reason", "until"),
    [
        ({"state": "paused", "from": "2026-03-03"}, "CAMPAIGN_NOT_LIVE", None),
        ({"from": "2026-03-03"}, "CAMPAIGN_NOT_STARTED", "2026-03-03 00:00"),
        ({"from": "2026-03-02T18:00:00Z"}, "OFFERED", None),
        ({"from": "2026-03-02T18:00:01Z"}, "CAMPAIGN_NOT_STARTED", "2026-03-02 12:00:01"),
        ({"until": "2026-03-02T18:00:00Z"}, "CAMPAIGN_ENDED", None),
        ({"until": "2026-03-02T18:00:01Z"}, "OFFERED", None),
    ],
)
def test_campaign_validity_is_half_open(changes: Plain, reason: str, until: str | None) -> None:
    answer = ask(oracle(campaigns=[campaign("k", ["a"], **changes)]))
    assert (answer.reason, answer.next_allowed_us) == (reason, None if until is None else at(until))


@pytest.mark.parametrize(
    ("valid", "reason"),
    [
        ({"from": "2026-03-02"}, "OFFERED"),
        ({"from": "2026-03-03"}, "OFFER_NOT_VALID"),
        ({"until": "2026-03-02T18:00:00Z"}, "OFFER_NOT_VALID"),
    ],
)
def test_offer_validity_is_half_open(valid: Plain, reason: str) -> None:
    assert ask(oracle(offers=[offer("a", valid=valid)])).reason == reason


@pytest.mark.parametrize(
    ("purpose", "granted", "refused", "reason"),
    [
        ("marketing", False, False, "CONSENT_MISSING"),
        ("marketing", True, False, "OFFERED"),
        ("marketing", True, True, "CONSENT_REFUSED"),
        ("service", False, False, "OFFERED"),
        ("service", False, True, "CONSENT_REFUSED"),
    ],
)
def test_consent_is_a_gate_by_purpose_and_channel(purpose: str, granted: bool, refused: bool, reason: str) -> None:
    pair = {(purpose, "desk")}
    ann = Subscriber(ANN, CHICAGO, granted=pair if granted else set(), refused=pair if refused else set())
    assert ask(oracle(ann, campaigns=[campaign("k", ["a"], purpose=purpose)])).reason == reason


def test_a_live_grant_undoes_a_refusal_and_the_other_way_round() -> None:
    ann = Subscriber(ANN, CHICAGO, refused={("service", "desk")})
    world = oracle(ann)
    ann.grant(("service", "desk"))
    assert ask(world).reason == "OFFERED"
    ann.refuse(("service", "desk"))
    assert ask(world).reason == "CONSENT_REFUSED"


def test_dynamic_label_is_true_up_to_its_age_then_unknown() -> None:
    ann = Subscriber(ANN, CHICAGO, labels={"x": NOON})
    world = oracle(
        ann,
        labels=[{"id": "x", "kind": "dynamic", "max_age": "1d"}],
        campaigns=[campaign("k", ["a"], condition='"x" in subscriber.labels')],
    )
    assert ask(world, NOON + DAY, dry_run=True).reason == "OFFERED"
    assert ask(world, NOON + DAY + 1, dry_run=True).reason == "CONDITION_UNKNOWN"
    world.say(ANN, "label", "x", False, NOON)
    assert ask(world, NOON + DAY + 1, dry_run=True).reason == "NOT_ELIGIBLE"


def test_control_membership_by_the_formula() -> None:
    drawn = mix64(ANN ^ stable_id("control:2026:k"))
    share = drawn / 2**64
    assert not in_control(ANN, "2026", "k", share * 0.999)
    assert in_control(ANN, "2026", "k", share * 1.001)
    assert in_control(ANN, "2026", "k", 1.0)
    assert not in_control(ANN, "2026", "k", 0.0)


def test_stable_id_is_blake2b_64_little_endian() -> None:
    """`printf offer | b2sum -l 64` prints 107ef417a93bffc9."""
    assert stable_id("offer") == int.from_bytes(bytes.fromhex("107ef417a93bffc9"), "little")


def test_splitmix_finalizer_known_values() -> None:
    assert mix64(0) == 0
    # The first output of SplitMix64 from seed 0 is the finalizer of its golden-ratio increment.
    assert mix64(0x9E3779B97F4A7C15) == 0xE220A8397B1DCDAF


def test_universal_group_comes_before_the_campaign_group() -> None:
    world = oracle(control={"salt": "s", "universal_share": 1.0}, campaigns=[campaign("k", ["a"], control_share=1.0)])
    answer = ask(world)
    assert (answer.reason, answer.would_be, world.ledger.contacts(ANN)) == ("CONTROL_UNIVERSAL", [("k", "a")], [])


def test_a_campaign_group_loses_that_campaign_alone() -> None:
    world = oracle(campaigns=[campaign("k", ["a"], control_share=1.0), campaign("m", ["b"])])
    answer = ask(world, offers_max=2)
    assert reasons(answer) == {"a": "CONTROL_CAMPAIGN", "b": "OFFERED"}
    assert answer.would_be == [("k", "a")]


def test_would_be_holds_only_what_would_have_won_a_seat() -> None:
    weak = offer("a", value=0.1)
    world = oracle(offers=[weak, offer("b")], campaigns=[campaign("k", ["a"], control_share=1.0), campaign("m", ["b"])])
    assert ask(world, offers_max=1).would_be == []


def test_cool_down_after_refusal_is_half_open() -> None:
    world = oracle(policy={"cool_down": {"after_refusal": "1d", "refusal_scope": "offer"}})
    tell(world, ask(world), "refused", NOON)
    answer = ask(world, NOON + DAY - 1)
    assert (answer.reason, answer.next_allowed_us) == ("COOL_DOWN_REFUSED", NOON + DAY)
    assert ask(world, NOON + DAY).reason == "OFFERED"


@pytest.mark.parametrize(
    ("scope", "stopped"), [("offer", "a"), ("campaign", "ab"), ("category", "ac"), ("all", "abcd")]
)
def test_cool_down_covers_its_scope(scope: str, stopped: str) -> None:
    world = oracle(
        products=[product("a"), product("b", category="tv"), product("c"), product("d", category="tv")],
        offers=[offer("a", priority=9), offer("b"), offer("c"), offer("d")],
        campaigns=[campaign("k", ["a", "b"]), campaign("m", ["c", "d"])],
        policy={"cool_down": {"after_refusal": "1d", "refusal_scope": scope}},
    )
    first = ask(world)
    assert first.chosen == [("k", "a")]
    tell(world, first, "refused", NOON)
    found = reasons(ask(world, NOON + HOUR, offers_max=6))
    assert "".join(name for name, reason in found.items() if reason == "COOL_DOWN_REFUSED") == stopped


def test_the_smallest_cool_down_reason_is_reported_with_its_latest_end() -> None:
    world = oracle(
        policy={"cool_down": {"after_refusal": "1h", "after_not_now": "1d"}, "reoffer": {"after_acceptance": "never"}}
    )
    first, second = ask(world), ask(world)
    tell(world, first, "refused", NOON)
    tell(world, second, "refused", NOON + MINUTE)
    tell(world, first, "not_now", NOON + MINUTE)
    tell(world, first, "accepted", NOON + MINUTE)
    answer = ask(world, NOON + 2 * MINUTE)
    assert (answer.reason, answer.next_allowed_us) == ("COOL_DOWN_REFUSED", NOON + MINUTE + HOUR)
    answer = ask(world, NOON + MINUTE + HOUR)
    assert (answer.reason, answer.next_allowed_us) == ("COOL_DOWN_NOT_NOW", NOON + MINUTE + DAY)
    answer = ask(world, NOON + MINUTE + DAY)
    assert (answer.reason, answer.next_allowed_us) == ("ALREADY_ACCEPTED", None)


def test_no_two_of_one_exclusive_group_and_never_one_product_twice() -> None:
    world = oracle(
        products=[product("a", exclusive_group="g"), product("b", exclusive_group="g"), product("c")],
        offers=[
            offer("a", value=9),
            offer("b", value=8),
            offer("c", value=7),
            offer("c2", product="product_c", value=6),
        ],
        campaigns=[campaign("k", ["a", "b", "c", "c2"])],
    )
    answer = ask(world, offers_max=6)
    assert answer.chosen == [("k", "a"), ("k", "c")]
    assert reasons(answer) == {"a": "OFFERED", "b": "EXCLUSIVE_GROUP", "c": "OFFERED", "c2": "EXCLUSIVE_GROUP"}


def test_once_the_seats_are_filled_the_rest_is_ranked_out() -> None:
    world = oracle(
        products=[product("a", exclusive_group="g"), product("b", exclusive_group="g"), product("c")],
        offers=[offer("a", value=9), offer("b", value=8), offer("c", value=7)],
        campaigns=[campaign("k", ["a", "b", "c"])],
    )
    assert reasons(ask(world, offers_max=1)) == {"a": "OFFERED", "b": "RANKED_OUT", "c": "RANKED_OUT"}


def test_seats_are_the_smaller_of_request_and_channel() -> None:
    world = oracle(channels=[DESK | {"max_offers": 2}], campaigns=[campaign("k", ["a", "b", "c"])])
    assert [len(ask(world, who=who, offers_max=n).chosen) for who, n in ((ANN, 1), (BOB, 6))] == [1, 2]


def test_no_room_in_the_ledger() -> None:
    world = oracle(contacts_max=3, campaigns=[campaign("k", ["a", "b"])])
    assert ask(world, offers_max=2).reason == "OFFERED"
    answer = ask(world, offers_max=2)
    assert sorted(str(r) for r in reasons(answer).values()) == ["LEDGER_FULL", "OFFERED"]
    assert ask(world).reason == "LEDGER_FULL"
    assert ask(world, who=BOB).reason == "OFFERED"


def test_a_dry_run_holds_nothing_and_leaves_the_clock() -> None:
    world = oracle()
    answer = ask(world, NOON + DAY, dry_run=True)
    assert (answer.reason, answer.decision, world.ledger.now_us, world.ledger.contacts(ANN)) == ("OFFERED", 0, 0, [])


def test_only_what_holds_takes_a_sequence_number() -> None:
    world = oracle()
    numbers = [ask(world, dry_run=True).decision, ask(world).decision, ask(world, who=7).decision, ask(world).decision]
    assert numbers == [0, 1, 0, 2]


def test_the_reason_is_the_largest_and_stages_count_every_candidate() -> None:
    world = oracle(campaigns=[campaign("k", ["a"], state="draft"), campaign("m", ["b", "c"], purpose="marketing")])
    answer = ask(world)
    assert answer.reason == "CONSENT_MISSING"
    assert [answer.stages[stage(r)] for r in ("CAMPAIGN_NOT_LIVE", "CONSENT_MISSING")] == [1, 2]


def test_next_allowed_is_the_smallest_until() -> None:
    world = oracle(
        campaigns=[campaign("k", ["a"], **{"from": "2026-03-05"}), campaign("m", ["b"], **{"from": "2026-03-04"})]
    )
    assert ask(world).next_allowed_us == at("2026-03-04 00:00")


def test_score_is_the_product_of_the_named_factors() -> None:
    named = {"factors": ["propensity", "lever"]}
    world = oracle(
        ranking=named, offers=[offer("a", propensity=0.1, value=3)], campaigns=[campaign("k", ["a"], lever=0.7)]
    )
    assert ask(world).scores == [0.1 * 0.7]
    world = oracle(
        offers=[offer("a", propensity=0.1, value=3, priority=5)], campaigns=[campaign("k", ["a"], lever=0.7)]
    )
    assert ask(world).scores == [0.1 * 3.0 * 0.7 * 5.0]


def test_priority_first_beats_score() -> None:
    offers = [offer("a", value=100), offer("b", value=1, priority=2)]
    world = oracle(
        ranking={"priority_first": True, "factors": ["value"]}, offers=offers, campaigns=[campaign("k", ["a", "b"])]
    )
    assert ask(world, offers_max=2).chosen == [("k", "b"), ("k", "a")]


def test_ties_fall_by_the_larger_number_and_change_with_the_local_day() -> None:
    world = oracle(campaigns=[campaign("k", ["a", "b", "c"])])
    orders = set()
    for day in range(8):
        now_us = at(f"2026-03-{2 + day:02} 23:59:59")
        chosen = ask(world, now_us, offers_max=3, dry_run=True).chosen
        days = 20514 + day  # 2026-03-02 is 20,514 days after 1970-01-01, although it is the next day already in UTC.
        numbers = [tie_number(ANN, "1", days, name, "k") for _, name in chosen]
        assert numbers == sorted(numbers, reverse=True)
        orders.add(tuple(chosen))
    assert len(orders) > 1


def test_policy_uses_ledger_time_even_when_the_raw_clock_is_behind() -> None:
    world = oracle(campaigns=[campaign("k", ["a"], until="2026-03-02T18:00:00Z")])
    ask(world, NOON, who=BOB)
    assert ask(world, NOON - HOUR).reason == "CAMPAIGN_ENDED"


def test_a_batch_behaves_as_its_items_one_after_the_other() -> None:
    world = oracle(policy={"caps": [cap(limit=2)]})
    assert [ask(world, NOON + n * SECOND).reason for n in range(3)] == ["OFFERED", "OFFERED", "CAP_REACHED"]
