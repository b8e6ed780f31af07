"""`validity` and `consent` against plain Python; conditions and `control` through whole answers, against the oracle."""

from pathlib import Path
from typing import Any

import pytest

from engine.kernels.screening import consent, validity
from engine.reasons import Reason
from tests.engine.kernels.pair import ANN, BOB, CAT, Pair, person
from tests.oracle.numbers import in_control
from tests.oracle.small import HOUR, NOON, campaign, offer
from tests.worlds.commands import Decide
from tests.worlds.world import hash_of

NOON_TEXT, ONE_TEXT = "2026-03-02T18:00:00Z", "2026-03-02T19:00:00Z"


@pytest.mark.parametrize(
    ("campaign_changes", "offer_changes", "before", "inside", "after"),
    [
        ({"from": NOON_TEXT, "until": ONE_TEXT}, {}, "CAMPAIGN_NOT_STARTED", "OFFERED", "CAMPAIGN_ENDED"),
        ({}, {"valid": {"from": NOON_TEXT, "until": ONE_TEXT}}, "OFFER_NOT_VALID", "OFFERED", "OFFER_NOT_VALID"),
        ({"state": "paused", "from": NOON_TEXT, "until": ONE_TEXT}, {}, *["CAMPAIGN_NOT_LIVE"] * 3),
    ],
)
def test_validity_at_each_edge(
    tmp_path: Path, campaign_changes: Any, offer_changes: Any, before: str, inside: str, after: str
) -> None:
    pair = Pair(tmp_path, offers=[offer("a", **offer_changes)], campaigns=[campaign("k", ["a"], **campaign_changes)])
    rules = pair.driver.engine.bound.rules
    for at, expected in (
        (NOON - 1, before),
        (NOON, inside),
        (NOON + HOUR - 1, inside),
        (NOON + HOUR, after),
    ):
        assert pair.reasons(at) == {"a": expected}
        assert int(validity(rules, 0, at)) == (0 if expected == "OFFERED" else int(Reason[expected]))


PURPOSES = [{"id": "ads", "basis": "opt_in"}, {"id": "care", "basis": "opt_out"}]


@pytest.mark.parametrize("granted", [[], ["ads/desk"], ["ads/sms"], ["care/desk"], ["care/sms"]])
@pytest.mark.parametrize("refused", [[], ["ads/desk"], ["ads/sms"], ["care/desk"], ["care/sms"]])
def test_consent_of_every_pair(tmp_path: Path, granted: list[str], refused: list[str]) -> None:
    ann = person(ANN, granted=[tuple(p.split("/")) for p in granted], refused=[tuple(p.split("/")) for p in refused])
    campaigns = [campaign("k", ["a"], purpose="ads"), campaign("m", ["b"], purpose="care")]
    pair = Pair(tmp_path, ann, person(BOB), campaigns=campaigns, policy={"purposes": PURPOSES})
    for channel in ("desk", "sms"):
        expected = {}
        for name, purpose, opt_in in (("a", "ads", True), ("b", "care", False)):
            asked = f"{purpose}/{channel}"
            missing = opt_in and asked not in granted
            expected[name] = "CONSENT_REFUSED" if asked in refused else "CONSENT_MISSING" if missing else "OFFERED"
        found = pair.reasons(NOON, channel=channel, offers_max=2)
        assert found == expected
        bound = pair.driver.engine.bound
        for number, name in enumerate("ab"):
            said = int(consent(bound.rules, bound.view, 0, number, bound.channel_index[channel]))
            assert said == (0 if expected[name] == "OFFERED" else int(Reason[expected[name]]))


@pytest.mark.parametrize(("universal", "share"), [(0.0, 0.0), (0.3, 0.2), (0.0, 0.5), (1.0, 0.0), (0.0, 1.0)])
def test_control_groups_are_who_hashes_below_the_threshold(tmp_path: Path, universal: float, share: float) -> None:
    keys = [f"person {number}" for number in range(200)]
    pair = Pair(
        tmp_path,
        *map(person, keys),
        control={"salt": "s", "universal_share": universal},
        campaigns=[campaign("k", ["a"], control_share=share)],
    )
    answers = pair.play(Decide(tuple(pair.request(key, NOON) for key in keys)))
    expected = []
    for key in keys:
        reason = "CONTROL_CAMPAIGN" if in_control(hash_of(key), "s", "k", share) else "OFFERED"
        expected.append("CONTROL_UNIVERSAL" if in_control(hash_of(key), "s", "*", universal) else reason)
    assert [answer.reason for answer in answers] == expected
    for reason, part in (("CONTROL_UNIVERSAL", universal), ("CONTROL_CAMPAIGN", (1 - universal) * share)):
        assert abs(expected.count(reason) / 200 - part) < 0.12


def test_a_condition_is_evaluated_for_each_item_of_a_batch(tmp_path: Path) -> None:
    people = [person(key, attributes={"tenure": tenure}) for key, tenure in ((ANN, 5), (BOB, 20), (CAT, 12))]
    pair = Pair(
        tmp_path,
        *people,
        attributes=[{"id": "tenure", "type": "int", "min": 0, "max": 100}],
        campaigns=[campaign(name, [name], condition="subscriber.tenure < 12") for name in ("a", "b")],
    )
    requests = tuple(pair.request(key, NOON) for key in (ANN, BOB, CAT))
    assert [answer.reason for answer in pair.play(Decide(requests))] == ["OFFERED", "NOT_ELIGIBLE", "NOT_ELIGIBLE"]
