"""Cool-downs and re-offer at their edges and in every scope: `cool_down` and `cooling_until_us` through whole answers, against the oracle."""

from pathlib import Path

import pytest

from tests.engine.kernels.pair import Pair
from tests.oracle.small import DAY, HOUR, NOON, campaign, offer, product

PRODUCTS = [product("a"), product("b"), product("c"), product("d", category="tv")]
OFFERS = [offer("a", value=9.0), offer("b", value=8.0), offer("c", value=7.0), offer("d", value=6.0)]
CAMPAIGNS = [campaign("k", ["a", "b"]), campaign("m", ["c", "d"])]
AFFECTED = {"offer": "a", "campaign": "ab", "category": "abc", "all": "abcd"}
"""By scope: what an outcome of offer `a` in campaign `k`, category `data`, stops."""


@pytest.mark.parametrize("scope", AFFECTED)
@pytest.mark.parametrize(
    ("kind", "reason"),
    [("refused", "COOL_DOWN_REFUSED"), ("not_now", "COOL_DOWN_NOT_NOW"), ("accepted", "ALREADY_ACCEPTED")],
)
def test_cool_down_of_each_kind_and_scope_ends_at_its_length(
    tmp_path: Path, scope: str, kind: str, reason: str
) -> None:
    rules = {
        "refused": {"cool_down": {"after_refusal": "1d", "refusal_scope": scope}},
        "not_now": {"cool_down": {"after_not_now": "1d", "not_now_scope": scope}},
        "accepted": {"reoffer": {"after_acceptance": "1d", "scope": scope}},
    }[kind]
    pair = Pair(tmp_path, products=PRODUCTS, offers=OFFERS, campaigns=CAMPAIGNS, policy=rules)
    given = pair.ask(NOON)
    assert given.chosen == [("k", "a")]
    pair.tell(given, kind, NOON + HOUR)
    stopped = {name: reason if name in AFFECTED[scope] else "OFFERED" for name in "abcd"}
    for at in (NOON + HOUR, NOON + HOUR + DAY - 1):
        chosen = pair.ask(at, offers_max=6, dry_run=True).chosen
        assert [name for _, name in chosen] == [name for name in "abcd" if stopped[name] == "OFFERED"]
        assert pair.reasons(at, offers_max=6) == stopped
    assert set(pair.reasons(NOON + HOUR + DAY, offers_max=6).values()) == {"OFFERED"}


def test_of_several_the_smallest_code_with_its_latest_end(tmp_path: Path) -> None:
    rules = {
        "cool_down": {
            "after_refusal": "2h",
            "refusal_scope": "all",
            "after_not_now": "1d",
            "not_now_scope": "all",
        }
    }
    pair = Pair(tmp_path, policy=rules)
    first, second = pair.ask(NOON), pair.ask(NOON)
    third = pair.ask(NOON)
    for given, kind, at in ((first, "not_now", NOON), (second, "refused", NOON), (third, "refused", NOON + 1)):
        pair.tell(given, kind, at)
    stopped = pair.ask(NOON + HOUR)
    assert (stopped.reason, stopped.next_allowed_us) == ("COOL_DOWN_REFUSED", NOON + 1 + 2 * HOUR)
    later = pair.ask(NOON + 1 + 2 * HOUR)
    assert (later.reason, later.next_allowed_us) == ("COOL_DOWN_NOT_NOW", NOON + DAY)


def test_accepted_for_good_has_no_end(tmp_path: Path) -> None:
    pair = Pair(tmp_path, policy={"reoffer": {"after_acceptance": "never", "scope": "offer"}})
    pair.tell(pair.ask(NOON), "accepted", NOON)
    stopped = pair.ask(NOON + 300 * DAY)
    assert (stopped.reason, stopped.next_allowed_us) == ("ALREADY_ACCEPTED", None)
