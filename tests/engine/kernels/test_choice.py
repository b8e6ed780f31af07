"""The choice: rank, ties, groups, caps within an answer, seats and room; `choose` and `seat` through whole answers, against the oracle."""

from pathlib import Path

import pytest

from tests.engine.kernels.pair import ANN, BOB, CAT, Pair, person
from tests.oracle.clock import local_day
from tests.oracle.numbers import tie_number
from tests.oracle.small import CHICAGO, DAY, HOUR, NOON, campaign, cap, offer, product
from tests.worlds.world import hash_of

MANY = [f"o{number:02}" for number in range(12)]


def many(**changes: object) -> dict[str, object]:
    """Twelve offers of one campaign, equal but for `changes`."""
    desk = {"id": "desk", "kind": "pull", "class": "screen", "max_offers": 12, "hold": "15m", "inbound_exempt": True}
    return {
        "channels": [desk],
        "products": [product(name) for name in MANY],
        "offers": [offer(name, content={"desk": {"en": "Hello"}}) for name in MANY],
        "campaigns": [campaign("k", MANY, channels=["desk"])],
    } | changes


@pytest.mark.parametrize("who", [ANN, BOB, CAT])
@pytest.mark.parametrize("days", [0, 1, 5])
def test_ties_are_drawn_by_subscriber_and_local_day(tmp_path: Path, who: str, days: int) -> None:
    tokyo = person(CAT, zone="Asia/Tokyo")
    pair = Pair(tmp_path, person(ANN), person(BOB, zone=None), tokyo, **many())
    at = NOON + days * DAY
    day = local_day(at, "Asia/Tokyo" if who == CAT else CHICAGO)
    numbers = {name: tie_number(hash_of(who), "1", day, name, "k") for name in MANY}
    expected = sorted(MANY, key=lambda name: -numbers[name])
    assert [name for _, name in pair.ask(at, who, offers_max=12).chosen] == expected


@pytest.mark.parametrize("count", range(1, 13))
def test_never_more_than_asked_for(tmp_path: Path, count: int) -> None:
    assert len(Pair(tmp_path, **many()).ask(NOON, offers_max=count).chosen) == count


@pytest.mark.parametrize("first", [True, False])
def test_priority_comes_first_where_the_ranking_says_so(tmp_path: Path, first: bool) -> None:
    offers = [offer("a", priority=1, value=2.0), offer("b", priority=2), offer("c", priority=2, value=1.5)]
    pair = Pair(
        tmp_path,
        ranking={"priority_first": first, "factors": ["value"]},
        offers=offers,
        campaigns=[campaign("k", ["a", "b", "c"])],
    )
    expected = ["c", "b", "a"] if first else ["a", "c", "b"]
    assert [name for _, name in pair.ask(NOON, offers_max=6).chosen] == expected


def test_equal_scores_of_other_tiers_are_not_ties(tmp_path: Path) -> None:
    offers = [offer(name, priority=1 + (number % 2)) for number, name in enumerate("abc")]
    pair = Pair(tmp_path, ranking={"priority_first": True, "factors": ["value"]}, offers=offers)
    pair.edit(NOON, campaigns=[campaign("k", ["a", "b", "c"])])
    for days in range(6):
        assert pair.ask(NOON + days * DAY, offers_max=6).chosen[0] == ("k", "b")


def test_one_offer_of_a_group_and_of_a_product(tmp_path: Path) -> None:
    products = [product("a", exclusive_group="main"), product("b", exclusive_group="main"), product("c")]
    offers = [offer("a", value=9.0), offer("b", value=8.0), offer("c"), offer("d", product="product_c", value=0.5)]
    pair = Pair(tmp_path, products=products, offers=offers, campaigns=[campaign("k", ["a", "b", "c", "d"])])
    expected = {"a": "OFFERED", "b": "EXCLUSIVE_GROUP", "c": "OFFERED", "d": "EXCLUSIVE_GROUP"}
    assert pair.reasons(NOON, offers_max=6) == expected


def test_an_answer_s_own_offers_count_toward_its_caps(tmp_path: Path) -> None:
    limit = cap("two", scope="campaign", counts="seen", limit=2)
    pair = Pair(tmp_path, **many(policy={"caps": [limit]}))
    given = pair.ask(NOON, offers_max=12)
    assert len(given.chosen) == 2
    assert given.stages[7] == 10


def test_overall_caps_count_an_answer_once(tmp_path: Path) -> None:
    limit = cap("one", scope="all", counts="decided", limit=2)
    pair = Pair(tmp_path, **many(policy={"caps": [limit]}))
    assert [len(pair.ask(NOON, offers_max=3).chosen) for _ in range(3)] == [3, 3, 0]


def test_exempt_traffic_obeys_no_cap_and_may_count_toward_none(tmp_path: Path) -> None:
    limit = cap("one", scope="all", counts="decided", limit=1)
    campaigns = [
        campaign("k", ["a"], exempt={"obeys_caps": False, "counts": False}),
        campaign("m", ["b"], lever=0.5),
    ]
    pair = Pair(tmp_path, campaigns=campaigns, policy={"caps": [limit]})
    assert [pair.ask(NOON).chosen for _ in range(3)] == [[("k", "a")]] * 3
    assert len(pair.ask(NOON, offers_max=6).chosen) == 2
    assert pair.reasons(NOON, offers_max=6) == {"a": "OFFERED", "b": "CAP_REACHED"}


def test_a_full_ledger_seats_no_more(tmp_path: Path) -> None:
    pair = Pair(tmp_path, **many())
    answers = [pair.ask(NOON + number, offers_max=11) for number in range(24)]
    assert [len(answer.chosen) for answer in answers] == [11] * 23 + [3]
    assert pair.ask(NOON + 30, offers_max=3).reason == "LEDGER_FULL"
    assert pair.ask(NOON + 60 * DAY + HOUR, offers_max=11).reason == "OFFERED"
