"""Stable codes of names."""

import pytest

from engine.ledger.names import KINDS, LedgerFullError, Names


def test_codes_count_up_from_one_by_kind() -> None:
    names = Names()
    assert [names.code("offer", name) for name in ("b", "a", "b", "c")] == [1, 2, 1, 3]
    assert names.code("campaign", "b") == 1
    assert [names.count(kind) for kind in KINDS] == [3, 1, 0, 0]
    assert [names.name("offer", code) for code in (1, 2, 3)] == ["b", "a", "c"]


def test_slots_are_given_to_what_has_totals() -> None:
    names = Names()
    for number in range(100):
        names.code("offer", f"o{number}")
        names.code("channel", f"h{number}")
        names.code("category", f"g{number}")
    slots = [names.total_slot(kind, code) for kind in ("offer", "category") for code in range(1, 101)]
    assert sorted(slots) == list(range(names.slot_count)) == list(range(200))
    assert names.slot_of[0, 100] == names.total_slot("offer", 100)


def test_codes_run_out() -> None:
    names = Names(codes_max=2)
    names.code("offer", "a")
    names.code("offer", "b")
    with pytest.raises(LedgerFullError, match="at most 2 different offer ids"):
        names.code("offer", "c")
    assert names.code("offer", "b") == 2
    assert names.code("campaign", "c") == 1
    assert (names.count("offer"), names.slot_count) == (2, 3)


@pytest.mark.parametrize("code", [0, -1, 2])
def test_a_code_never_given_has_no_name(code: int) -> None:
    names = Names()
    names.code("offer", "a")
    with pytest.raises(IndexError):
        names.name("offer", code)
