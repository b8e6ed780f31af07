"""The function `assert_contacts` within Redis: what a replica wrote and a failover may have lost is joined with what is there."""

from itertools import permutations

import pytest

from engine.dtypes.contact import COUNTS, LIVE
from engine.dtypes.ledger import CLOSED
from tests.server.shared.functions import EPOCH, Functions, change_to, contact, entry, field

HOUR_MS = 3_600_000
EVENTS = ("handed_off_us", "seen_us", "accepted_us", "refused_us", "not_now_us")
DONE = COUNTS | CLOSED


def contacts_of(functions: Functions) -> list[bytes]:
    """Return the contacts in order, each alone."""
    found = functions.held()[b"c"]
    assert len(found) % 80 == 0
    return [found[at : at + 80] for at in range(0, len(found), 80)]


def test_what_was_lost_is_there_again_and_once(functions: Functions) -> None:
    functions.be_in(EPOCH, b"")  # nobody grants before it is asserted
    change = change_to(b"first", contact(1) + contact(2), remembered=[(1, 500, b"answer"), (2, 600, b"more")])
    for _ in range(2):
        assert functions.asserted(change) == 1
        assert functions.held() == {
            b"v": b"first", b"c": contact(1) + contact(2), b"x": entry(1, 500) + entry(2, 600),
            field(1): b"answer", field(2): b"more",
        }  # fmt: skip


def test_an_assertion_is_of_this_epoch(functions: Functions) -> None:
    functions.be_in(b"1001", EPOCH)
    assert functions.asserted(change_to(b"first", contact(1))) == -1
    assert functions.held() == {}


def test_what_is_there_stays_beside_what_is_asserted(functions: Functions) -> None:
    functions.commit(change_to(b"first", contact(1) + contact(3), remembered=[(1, 500, b"answer")]))
    change = change_to(b"second", contact(2) + contact(3), remembered=[(1, 600, b"another"), (2, 600, b"more")])
    assert functions.asserted(change) == 1
    assert contacts_of(functions) == [contact(1), contact(3), contact(2)]
    held = functions.held()
    assert (held[field(1)], held[field(2)], held[b"x"]) == (b"answer", b"more", entry(1, 500) + entry(2, 600))
    assert functions.commit(change_to(b"third", contact(1), b"first")) == 0, "who read what was there before reads anew"
    assert functions.commit(change_to(b"third", contact(1), b"second")) == 1


def test_a_contact_is_the_same_by_decision_and_rank(functions: Functions) -> None:
    shown = [contact(1, 1), contact(1, 2), contact(1 << 40 | 1, 1)]
    functions.commit(change_to(b"first", b"".join(shown[:2])))
    functions.asserted(change_to(b"second", contact(1, 3) + shown[2] + contact(1, 2, seen_us=12)))
    assert contacts_of(functions) == [shown[0], contact(1, 2, seen_us=12), contact(1, 3), shown[2]]


@pytest.mark.parametrize("event", EVENTS)
def test_what_happened_to_a_contact_is_known_whichever_knew_it(functions: Functions, event: str) -> None:
    others = {other: 10 + number for number, other in enumerate(EVENTS) if other != event}
    for there, mine, expected in (
        ({}, {event: 12}, {event: 12}),
        ({event: 12}, {}, {event: 12}),
        ({event: 12}, {event: 13}, {event: 12}),
        (others, {event: 12}, others | {event: 12}),
        ({event: 0}, {event: 13}, {event: 0}),
    ):
        functions.begin()
        functions.commit(change_to(b"first", contact(1, **there)))
        functions.asserted(change_to(b"second", contact(1, **mine)))
        assert contacts_of(functions) == [contact(1, **expected)]


def test_a_hold_that_ended_anywhere_has_ended(functions: Functions) -> None:
    live = LIVE | COUNTS
    for there, mine, expected in ((live, live, live), (live, DONE, DONE), (DONE, live, DONE), (DONE, COUNTS, DONE)):
        functions.begin()
        functions.commit(change_to(b"first", contact(1, flags=there) + contact(2)))
        functions.asserted(change_to(b"second", contact(1, flags=mine)))
        assert contacts_of(functions) == [contact(1, flags=expected), contact(2)]


def test_what_replicas_assert_comes_to_the_last_state_in_whatever_order(functions: Functions) -> None:
    states = [
        contact(1),
        contact(1, seen_us=11) + contact(2),
        contact(1, flags=DONE, seen_us=11, accepted_us=12) + contact(2) + contact(3, 1) + contact(3, 2),
        contact(1, flags=DONE, seen_us=11, accepted_us=12) + contact(2, seen_us=21) + contact(3, 1) + contact(3, 2),
    ]
    changes = [change_to(b"%d" % at, state, remembered=[(at, 500 + at, b"%d" % at)]) for at, state in enumerate(states)]
    for order in permutations(changes):
        functions.begin(EPOCH, b"")
        for change in order:
            assert functions.asserted(change) == 1
        assert b"".join(sorted(contacts_of(functions))) == states[-1]
        held = functions.held()
        assert [held[field(at)] for at in range(4)] == [b"0", b"1", b"2", b"3"]
        assert held[b"x"] == b"".join(entry(at, 500 + at) for at in range(4)), "oldest first, whoever was first"


def test_what_was_asserted_late_is_over_when_it_is_over(functions: Functions) -> None:
    functions.asserted(change_to(b"second", contact(2), remembered=[(3, 700, b"3"), (2, 600, b"2")]))
    functions.asserted(change_to(b"first", contact(1), remembered=[(1, 500, b"1"), (4, 600, b"4")]))
    functions.commit(change_to(b"third", contact(3), b"first", now_us=600, remembered=[(1, 900, b"anew")]))
    held = functions.held()
    assert held[b"x"] == entry(3, 700) + entry(1, 900)
    assert {name: value for name, value in held.items() if name[:1] == b"r"} == {field(3): b"3", field(1): b"anew"}


def test_a_key_ends_no_sooner_for_what_is_asserted(functions: Functions) -> None:
    now_ms = functions.now_us() // 1_000
    for hours, expected in ((2, 2), (1, 2), (3, 3), (0, 0), (4, 0)):
        ends_ms = now_ms + hours * HOUR_MS if hours else 0
        functions.asserted(change_to(b"first", contact(1), ends_ms=ends_ms))
        assert functions.ends_ms() == (now_ms + expected * HOUR_MS if expected else -1)


def test_what_is_asserted_is_looked_at_no_later_than_before(functions: Functions) -> None:
    for told, expected in (
        (b"0", None),
        (b"", None),
        (b"500", 500),
        (b"600", 500),
        (b"0", 500),
        (b"", 500),
        (b"400", 400),
    ):
        functions.asserted(change_to(b"first", contact(1), due_us=told))
        assert functions.due_us() == expected
