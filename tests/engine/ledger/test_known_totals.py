"""Totals that are told to a working ledger: what work does to them is undone, and they follow the days."""

import numpy as np
import pytest

from engine.dtypes.contact import ACCEPTED, COUNTS, DECIDED, HANDED_OFF, TOTAL_DAYS
from engine.dtypes.ledger import LIFETIME
from engine.ledger.working import KnownTotal, WorkingLedger
from tests.engine.ledger.checked import DAY_STARTS_US, FIRST_DAY, HOUR_US, Item, new_grants
from tests.engine.ledger.model import DAY_US, Check, Seat
from tests.engine.ledger.test_working import RETENTION

SEAT = Seat((1, 1, 1), 1, push=False, counts=True)
SLOT = 0
"""Of offer-0, the first name."""
assert COUNTS


@pytest.fixture
def ledger() -> WorkingLedger:
    made = WorkingLedger(decision_first=1, now_us=DAY_US)
    for kind in ("offer", "campaign", "category", "channel"):
        made.names.code(kind, f"{kind}-0")
    made.set_policy(RETENTION, FIRST_DAY, np.array(DAY_STARTS_US))
    made.begin(4, DAY_US)
    made.show_totals()
    return made


def hold(ledger: WorkingLedger, subscriber: int, event: str, since_day: int | None, limit: int) -> bool:
    item = Item(subscriber, [SEAT], HOUR_US, [Check(0, 1, event, since_day, limit)])
    return bool(ledger.reserve(new_grants(ledger, [item])).result().items)


def cell(ledger: WorkingLedger, event: int) -> tuple[int, int, int]:
    totals = ledger.read(np.array([1], np.uint64)).result().totals
    return int(totals.live[event, SLOT]), int(totals.lifetime[event, SLOT]), int(totals.daily[event, SLOT].sum())


def test_a_total_is_what_it_was_told_to_be_and_a_batch_counts_on_it(ledger: WorkingLedger) -> None:
    ledger.know_totals({(DECIDED, SLOT): KnownTotal(2, 5, {FIRST_DAY: 3, FIRST_DAY - 1: 2})})
    assert cell(ledger, DECIDED) == (2, 5, 5)
    assert [hold(ledger, n, "decided", None, 9) for n in (1, 2, 3)] == [True, True, False], "7, 8, 9 of them"
    assert not hold(ledger, 4, "decided", FIRST_DAY, 7), "2 open, 3 of today and the two here"


def test_what_a_batch_did_is_undone_before_the_next(ledger: WorkingLedger) -> None:
    ledger.know_totals({(ACCEPTED, SLOT): KnownTotal(1, 0, {})})
    assert hold(ledger, 1, "accepted", None, 3)
    assert cell(ledger, ACCEPTED) == (2, 0, 0)
    assert cell(ledger, DECIDED) == (0, 1, 1)
    ledger.show_totals()
    assert cell(ledger, ACCEPTED) == (1, 0, 0)
    assert cell(ledger, DECIDED) == (0, 0, 0)
    ledger.begin(4, DAY_US + 2 * HOUR_US)
    ledger.show_totals()
    assert cell(ledger, HANDED_OFF) == (0, 0, 0)


def test_only_the_days_alone_may_change(ledger: WorkingLedger) -> None:
    ledger.know_totals({(DECIDED, SLOT): KnownTotal(0, 3, {FIRST_DAY: 3})})
    assert not hold(ledger, 1, "decided", FIRST_DAY, 3)
    ledger.know_totals({(DECIDED, SLOT): KnownTotal(0, 3, {FIRST_DAY - 1: 3})})
    assert hold(ledger, 1, "decided", FIRST_DAY, 3)


def test_a_day_that_begins_leaves_the_one_before_it_behind(ledger: WorkingLedger) -> None:
    days = {FIRST_DAY: 3, FIRST_DAY - TOTAL_DAYS + 1: 1, FIRST_DAY - TOTAL_DAYS: 7}
    ledger.know_totals({(DECIDED, SLOT): KnownTotal(0, 11, days)})
    assert cell(ledger, DECIDED) == (0, 11, 4), "older days are kept no more"
    ledger.begin(4, DAY_STARTS_US[1])
    ledger.show_totals()
    assert cell(ledger, DECIDED) == (0, 11, 3)
    assert hold(ledger, 1, "decided", FIRST_DAY + 1, 1)
    assert not hold(ledger, 2, "decided", FIRST_DAY + 1, 1)
    assert not hold(ledger, 3, "decided", FIRST_DAY, 4)


def test_names_that_come_later_take_nothing_away(ledger: WorkingLedger) -> None:
    ledger.know_totals({(DECIDED, SLOT): KnownTotal(0, 4, {FIRST_DAY: 4})})
    for number in range(60):
        ledger.names.code("offer", f"later-{number}")
    ledger.show_totals()
    assert cell(ledger, DECIDED) == (0, 4, 4)
    assert not hold(ledger, 1, "decided", None, 4)
    ledger.know_totals({(DECIDED, ledger.names.total_slot("offer", 61)): KnownTotal(0, 9, {})})
    totals = ledger.read(np.array([1], np.uint64)).result().totals
    assert totals.lifetime[DECIDED].sum() == 13
    assert LIFETIME not in totals.day
