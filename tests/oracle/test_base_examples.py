"""Live changes and bases, each sentence of engine/README.md on them by an example."""

import pytest

from tests.oracle.catalogue import read_catalogue
from tests.oracle.decide import Answer
from tests.oracle.oracle import Oracle
from tests.oracle.small import ANN, CHICAGO, DAY, HOUR, MINUTE, NOON, ask, campaign, cap, catalogue, oracle
from tests.oracle.subscribers import Subscriber

PAIR = ("marketing", "desk")


def marketing(granted: bool, refused: bool = False) -> Oracle:
    ann = Subscriber(ANN, CHICAGO, granted={PAIR} if granted else set(), refused={PAIR} if refused else set())
    return oracle(ann, campaigns=[campaign("k", ["a"], purpose="marketing")])


def swap(world: Oracle, row: Subscriber, row_us: int) -> None:
    world.new_base([(row, row_us)], row_us)


def asked(world: Oracle) -> str:
    found: Answer = ask(world, NOON + DAY, dry_run=True)
    return found.reason


@pytest.mark.parametrize(
    ("said", "row_us", "reason"),
    [
        (["granted"], NOON - 1, "OFFERED"),
        (["granted"], NOON, "CONSENT_MISSING"),
        (["refused"], NOON + HOUR, "CONSENT_REFUSED"),
        (["refused", "withdrawn"], NOON + HOUR, "CONSENT_REFUSED"),
        (["refused", "granted"], NOON - 1, "OFFERED"),
        (["refused", "granted"], NOON, "CONSENT_MISSING"),
    ],
)
def test_a_base_covers_a_grant_and_never_a_refusal(said: list[str], row_us: int, reason: str) -> None:
    """Said at noon; the new row has no consent."""
    world = marketing(granted=False)
    for word in said:
        world.say(ANN, "consent", PAIR, word, NOON)
    swap(world, Subscriber(ANN, CHICAGO), row_us)
    assert asked(world) == reason


def test_a_withdrawal_takes_every_base_s_grant_back_until_a_live_grant() -> None:
    world = marketing(granted=True)
    world.say(ANN, "consent", PAIR, "withdrawn", NOON)
    assert asked(world) == "CONSENT_MISSING"
    swap(world, Subscriber(ANN, CHICAGO, granted={PAIR}), NOON + HOUR)
    assert asked(world) == "CONSENT_MISSING"
    world.say(ANN, "consent", PAIR, "granted", NOON)
    assert asked(world) == "OFFERED"


def test_a_withdrawal_of_a_live_grant_lets_the_base_s_refusal_hold_again() -> None:
    world = marketing(granted=True, refused=True)
    world.say(ANN, "consent", PAIR, "granted", NOON)
    assert asked(world) == "OFFERED"
    world.say(ANN, "consent", PAIR, "withdrawn", NOON)
    assert asked(world) == "CONSENT_REFUSED"


def test_labels_and_attributes_of_one_who_is_gone_wait_for_a_base_that_has_them() -> None:
    world = oracle(
        labels=[{"id": "x", "kind": "static"}],
        campaigns=[campaign("k", ["a"], condition='"x" in subscriber.labels')],
    )
    world.say(ANN, "label", "x", True, NOON)
    world.new_base([], NOON - 1)
    assert asked(world) == "UNKNOWN_SUBSCRIBER"
    swap(world, Subscriber(ANN, CHICAGO), NOON - 1)
    assert asked(world) == "OFFERED"
    world.new_base([], NOON)
    swap(world, Subscriber(ANN, CHICAGO), NOON - 1)
    assert asked(world) == "NOT_ELIGIBLE"


def test_erasure_outlasts_a_base() -> None:
    world = oracle()
    world.forget(ANN)
    swap(world, Subscriber(ANN, CHICAGO), NOON)
    assert asked(world) == "SUBSCRIBER_ERASED"


def test_an_edit_that_keeps_longer_brings_nothing_back() -> None:
    """An untouched pull hold matters for a day after its expiry, unless a cap counts decisions for longer."""
    for edited_us, reason in ((NOON + DAY, "CAP_REACHED"), (NOON + DAY + 15 * MINUTE, "OFFERED")):
        world = oracle()
        ask(world)
        world.ledger.advance(edited_us)
        world.edit(read_catalogue(catalogue(policy={"caps": [cap(counts="decided", window={"rolling": "7d"})]})))
        assert ask(world, edited_us).reason == reason
