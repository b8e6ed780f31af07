"""What a record held is held again, whenever the ledger swept meanwhile and whatever numbers lie between."""

import pytest

from engine.base.overlay import BASE, LABEL, Overlay
from engine.dtypes.base import SET_LABEL
from engine.dtypes.contact import COUNTS
from engine.journal.records import Changed, Decided, Hold, Named, Policy, Row, Swapped
from engine.journal.recovery import Recovered, Recovery
from engine.ledger.answers import RingAnswers
from engine.ledger.memory import MemoryLedger

HOUR_US = 3_600_000_000


def recovery_of(contacts_max: int) -> tuple[Recovery, MemoryLedger]:
    ledger = MemoryLedger(contacts_max, RingAnswers(1 << 16), outcomes_max=16)
    recovery = Recovery(ledger, Overlay(16))
    recovery.take_small(Named([("offer", "a"), ("campaign", "b"), ("category", "c"), ("channel", "d")]))
    recovery.take_small(Policy(1, [HOUR_US] * 6, 0, [0]))
    return recovery, ledger


def decided(now_us: int, holds: list[tuple[int, int, int]]) -> Decided:
    """A record of (subscriber, decision, seats)."""
    rows = [
        Row(
            bytes([number]) * 8 + subscriber.to_bytes(8, "big"),
            1,
            subscriber,
            b"asked",
            b"answered",
            Hold(number, now_us + HOUR_US, [(1, 1, 1, 1, COUNTS)] * seats),
        )
        for subscriber, number, seats in holds
    ]
    return Decided(now_us, now_us, 0, 1, rows)


def test_numbers_that_nobody_saw_may_lie_between() -> None:
    recovery, ledger = recovery_of(64)
    recovery.take_decided(decided(HOUR_US, [(1, 101, 1), (2, 103, 2), (3, 104, 1)]))
    found = [ledger.find(subscriber, number, 1) for subscriber, number in ((1, 101), (2, 103), (3, 104))]
    assert all(contact is not None for contact in found)
    assert ledger.find(2, 102, 1) is None
    assert ledger.statistics()["answers"] == 3
    assert ledger.statistics()["decision_next"] == 105


def test_what_matters_no_more_makes_room_before_contacts_are_said_not_to_fit() -> None:
    for first in range(1, 60):
        recovery, ledger = recovery_of(16)
        recovery.take_decided(decided(HOUR_US, [(first, 1, 8), (first + 64, 2, 8)]))
        recovery.take_decided(decided(10 * HOUR_US, [(first + 1, 3, 8), (first + 65, 4, 8)]))
        assert ledger.find(first + 65, 4, 8) is not None
        assert ledger.statistics()["contacts"] == 16


@pytest.mark.parametrize("in_snapshot", [False, True])
def test_changes_were_told_under_the_base_that_answered_then(in_snapshot: bool) -> None:
    ledger, overlay = MemoryLedger(16, RingAnswers(1 << 16), outcomes_max=16), Overlay(16)
    swapped = [Swapped(HOUR_US, number + 1, "digest", base) for number, base in enumerate(("first", "second"))]
    recovery = Recovery(ledger, overlay, Recovered(serving=swapped[0]) if in_snapshot else None)
    if not in_snapshot:
        recovery.take_small(swapped[0])
    recovery.take_small(Changed(1, HOUR_US, [(SET_LABEL, LABEL, "a", 0, "", "")]))
    recovery.take_small(swapped[1])
    recovery.take_small(Changed(1, HOUR_US, [(SET_LABEL, LABEL, "b", 0, "", "")]))
    _, changes, names = overlay.state()
    told = {names[change["name"]][1]: names[change["base"]] for change in changes}
    assert told == {"a": (BASE, "first"), "b": (BASE, "second")}
