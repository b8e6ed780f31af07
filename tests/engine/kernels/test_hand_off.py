"""CheckHandOff at its edges: `hand_off_quiet_us` and `hand_off_caps_us` through the engine, against the oracle."""

from pathlib import Path
from typing import Any

import pytest

from tests.engine.kernels.pair import ANN, Pair
from tests.oracle.oracle import HandOff
from tests.oracle.small import DAY, HOUR, MINUTE, NOON, at, campaign, cap
from tests.worlds.commands import Forget, SetConsent

SENT = NOON - 30 * MINUTE
QUIET = {"quiet_hours": [{"id": "noon", "classes": ["message"], "from": "12:30", "to": "13:15"}]}


@pytest.mark.parametrize(
    ("at_us", "verdict"),
    [(SENT, "yes"), (SENT + 2 * HOUR - 1, "yes"), (SENT + 2 * HOUR, "never"), (SENT + 3 * HOUR, "never")],
)
def test_until_the_deadline_and_not_at_it(tmp_path: Path, at_us: int, verdict: str) -> None:
    pair = Pair(tmp_path)
    given = pair.ask(SENT, channel="sms")
    assert given.deadline_us == SENT + 2 * HOUR
    assert pair.check(given, at_us).verdict == verdict


@pytest.mark.parametrize(
    ("channel", "kind", "verdict"),
    [("sms", "handed_off", "never"), ("sms", "seen", "never"), ("sms", "clicked", "never"), ("desk", "seen", "yes")],
)
def test_a_push_that_went_out_goes_out_no_more(tmp_path: Path, channel: str, kind: str, verdict: str) -> None:
    pair = Pair(tmp_path)
    given = pair.ask(SENT, channel=channel)
    pair.check(given, SENT)
    assert pair.check(given, SENT).verdict == "yes", "whoever did not hear the answer asks again"
    pair.tell(given, kind, SENT + MINUTE)
    assert pair.check(given, SENT + MINUTE).verdict == verdict


def test_quiet_hours_that_an_edit_brings(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    given = pair.ask(SENT, channel="sms")
    pair.edit(SENT, policy=QUIET)
    end = at("2026-03-02 13:15")
    assert pair.check(given, NOON + 30 * MINUTE - 1).verdict == "yes"
    for at_us in (NOON + 30 * MINUTE, end - 1):
        assert pair.check(given, at_us) == HandOff("not_before", "QUIET_HOURS", end)
    assert pair.check(given, end).verdict == "yes"


def test_quiet_hours_that_end_past_the_deadline(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    given = pair.ask(SENT, channel="sms")
    pair.edit(SENT, policy={"quiet_hours": [QUIET["quiet_hours"][0] | {"to": "13:30"}]})
    assert pair.check(given, NOON + 30 * MINUTE) == HandOff("never", "QUIET_HOURS", None)


@pytest.mark.parametrize(
    ("limit", "verdict"),
    [(2, HandOff("yes", "OFFERED", None)), (1, HandOff("not_before", "CAP_REACHED", NOON + HOUR))],
)
def test_an_edited_cap_counts_this_hold_too(tmp_path: Path, limit: int, verdict: HandOff) -> None:
    pair = Pair(tmp_path, policy={"caps": [cap("few", limit=2, window={"rolling": "1h"}, counts="decided")]})
    pair.ask(NOON, channel="sms")
    given = pair.ask(NOON + 10 * MINUTE, channel="sms")
    pair.edit(
        NOON + 11 * MINUTE, policy={"caps": [cap("few", limit=limit, window={"rolling": "1h"}, counts="decided")]}
    )
    assert pair.check(given, NOON + 12 * MINUTE) == verdict


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"campaigns": [campaign("k", ["a"], state="paused")]}, "CAMPAIGN_NOT_LIVE"),
        ({"campaigns": [campaign("k", ["a"], until="2026-03-02")]}, "CAMPAIGN_ENDED"),
        ({"campaigns": [campaign("k", ["b"])]}, "OFFER_NOT_VALID"),
    ],
)
def test_what_the_rulebook_no_longer_offers(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    pair = Pair(tmp_path)
    given = pair.ask(SENT, channel="sms")
    pair.edit(SENT + 1, **changes)
    assert pair.check(given, NOON) == HandOff("never", reason, None)


def test_consent_taken_back(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    given = pair.ask(SENT, channel="sms")
    pair.play(SetConsent(ANN, "service", "sms", "refused", SENT + 1))
    assert pair.check(given, NOON) == HandOff("never", "CONSENT_REFUSED", None)


def test_holds_that_ended(tmp_path: Path) -> None:
    pair = Pair(tmp_path)
    given, other = pair.ask(SENT, channel="sms"), pair.ask(SENT, channel="sms")
    pair.tell(given, "failed", SENT + 1)
    pair.play(Forget(ANN, SENT + 2))
    for held in (given, other):
        assert pair.check(held, SENT + DAY // 24).verdict == "never"
