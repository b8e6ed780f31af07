"""Pages are taken without a byte being changed, by whoever has time."""

import mmap

import numpy as np
import numpy.typing as npt
import pytest

from bench.resident import status_bytes
from engine import pages
from engine.ledger.answers import RingAnswers
from engine.ledger.memory import MemoryLedger
from engine.pages import take_pages

MIB = 1 << 20


def fresh(size: int) -> npt.NDArray[np.uint8]:
    """Zeros in memory that nobody has touched, as what the process has let go of and kept may not be."""
    return np.frombuffer(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS), np.uint8)


def test_pages_are_resident_and_hold_what_they_held() -> None:
    array = fresh(64 * MIB)
    array[5] = array[-1] = 7
    before = status_bytes("RssAnon")
    if not take_pages([array]):
        pytest.skip("this system does not take pages ahead")
    assert status_bytes("RssAnon") - before > 60 * MIB
    assert array[[5, -1]].tolist() == [7, 7]
    assert np.count_nonzero(array) == 2


def test_taking_pages_ends_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_PART_BYTES", MIB)
    array = fresh(64 * MIB)
    asked = 0

    def stopped() -> bool:
        nonlocal asked
        asked += 1
        return asked > 3

    if not take_pages([array], stopped):
        pytest.skip("this system does not take pages ahead")
    assert asked == 4


def test_arrays_without_a_whole_page_are_left_alone() -> None:
    assert take_pages([np.zeros(0, np.uint8), np.zeros(10, np.uint8)])


def test_a_ledger_names_all_that_it_reserves() -> None:
    ledger = MemoryLedger(10_000, RingAnswers(1 << 20), outcomes_max=1_000)
    statistics = ledger.statistics()
    parts = ("contacts_reserved_bytes", "answers_reserved_bytes", "outcome_ids_reserved_bytes")
    assert sum(array.nbytes for array in ledger.reserved()) == pytest.approx(
        sum(statistics[p] for p in parts), rel=0.01
    )
