"""The function `change` within Redis: what is said of a subscriber live, at once or asserted after a failover."""

from itertools import permutations

import pytest

from engine.dtypes.base import GRANT, REFUSE, SET_LABEL, WITHDRAW
from tests.server.shared.functions import EPOCH, LIVE_KEY, Functions, change_to, contact

NAME = "consent"
HOUR_MS = 3_600_000
Said = tuple[int, int]


def say(functions: Functions, *said: Said, asserting: bool = False) -> None:
    for kind, at_us in said:
        stamp = b"%d" % at_us
        assert functions.change(stamp, (NAME, kind, at_us, "v"), asserting=asserting) == 1


def stored(functions: Functions) -> Said | None:
    text = functions.held(LIVE_KEY).get(NAME.encode())
    if text is None:
        return None
    kind, at_us, value = text.split(b" ", 2)
    assert value == b"v"
    return int(kind), int(at_us)


def test_changes_are_noted_by_name_and_others_are_told(functions: Functions) -> None:
    functions.commit(change_to(b"first", contact(1), ends_ms=functions.now_us() // 1_000 + HOUR_MS))
    assert functions.change(b"one", ("a", SET_LABEL, 100, "x y "), ("b", SET_LABEL, 100, "")) == 1
    assert functions.held(LIVE_KEY) == {b"a": b"%d 100 x y " % SET_LABEL, b"b": b"%d 100 " % SET_LABEL}
    assert functions.held() == {b"v": b"first", b"c": contact(1), b"x": b"", b"u": b"one"}
    assert functions.ends_ms() == -1, "what was said live is known for good"
    assert functions.change(b"two", ("b", SET_LABEL, 90, "z")) == 1
    assert functions.held(LIVE_KEY) == {b"a": b"%d 100 x y " % SET_LABEL, b"b": b"%d 90 z" % SET_LABEL}
    assert functions.held()[b"u"] == b"two"


def test_a_change_is_of_this_epoch_and_waits_for_nobody(functions: Functions) -> None:
    functions.be_in(b"1001", EPOCH)
    assert functions.change(b"one", ("a", SET_LABEL, 100, "x")) == -1
    assert functions.held() == functions.held(LIVE_KEY) == {}
    functions.be_in(EPOCH, b"")
    assert functions.change(b"one", ("a", SET_LABEL, 100, "x")) == 1
    assert functions.held() == {b"u": b"one"}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([(WITHDRAW, 1)], (WITHDRAW, 1)),
        ([(GRANT, 1), (WITHDRAW, 2)], (WITHDRAW, 2)),
        ([(REFUSE, 1), (WITHDRAW, 2)], (REFUSE, 1)),
        ([(WITHDRAW, 1), (WITHDRAW, 2)], (WITHDRAW, 1)),
        ([(REFUSE, 1), (GRANT, 2)], (GRANT, 2)),
        ([(REFUSE, 2), (GRANT, 2)], (GRANT, 2)),
        ([(REFUSE, 2), (GRANT, 1)], (REFUSE, 2)),
        ([(REFUSE, -1), (GRANT, -2)], (REFUSE, -1)),
        ([(REFUSE, 9), (GRANT, 10)], (GRANT, 10)),
        ([(REFUSE, 10), (GRANT, 9)], (REFUSE, 10)),
        ([(WITHDRAW, 2), (GRANT, 1)], (GRANT, 1)),
        ([(GRANT, 2), (GRANT, 1)], (GRANT, 1)),
        ([(GRANT, 2), (REFUSE, 1)], (REFUSE, 1)),
        ([(WITHDRAW, 2), (REFUSE, 1)], (REFUSE, 1)),
    ],
)
def test_what_is_said_of_consent(functions: Functions, said: list[Said], expected: Said) -> None:
    say(functions, *said)
    assert stored(functions) == expected


@pytest.mark.parametrize(
    "said",
    [
        [(SET_LABEL, 100), (SET_LABEL + 1, 200)],
        [(SET_LABEL, -200), (SET_LABEL + 1, -100)],
        [(SET_LABEL, 99), (SET_LABEL, 100), (SET_LABEL, 101)],
        [(GRANT, 1), (WITHDRAW, 2)],
        [(GRANT, 1), (REFUSE, 2)],
        [(REFUSE, 1), (WITHDRAW, 2)],
        [(REFUSE, 1), (GRANT, 2)],
        [(WITHDRAW, 1), (REFUSE, 2)],
        [(WITHDRAW, 1), (GRANT, 2)],
        [(GRANT, 1), (REFUSE, 2), (WITHDRAW, 3)],
        [(WITHDRAW, 1), (REFUSE, 2), (WITHDRAW, 3)],
    ],
)
def test_what_replicas_assert_comes_to_what_was_said_in_whatever_order(functions: Functions, said: list[Said]) -> None:
    say(functions, *said)
    expected = stored(functions)
    for order in permutations(said):
        functions.begin(EPOCH, b"")
        say(functions, *order, asserting=True)
        assert stored(functions) == expected, order
        say(functions, *order, asserting=True)
        assert stored(functions) == expected, f"{order} twice"


def test_a_refusal_is_asserted_over_a_withdrawal_that_may_have_ended_a_grant_since(functions: Functions) -> None:
    said = [(REFUSE, 1), (GRANT, 2), (WITHDRAW, 3)]
    say(functions, *said)
    assert stored(functions) == (WITHDRAW, 3)
    say(functions, *said, asserting=True)
    assert stored(functions) == (WITHDRAW, 3), "of one who knows all"
    say(functions, said[0], asserting=True)
    assert stored(functions) == (REFUSE, 1), "whether there was a grant is not known, so it counts as none"


def test_of_the_same_instant_what_is_there_stays(functions: Functions) -> None:
    functions.change(b"one", ("a", SET_LABEL, 100, "first"))
    functions.change(b"two", ("a", SET_LABEL, 100, "second"), asserting=True)
    assert functions.held(LIVE_KEY) == {b"a": b"%d 100 first" % SET_LABEL}
    functions.change(b"two", ("a", SET_LABEL, 100, "second"))
    assert functions.held(LIVE_KEY) == {b"a": b"%d 100 second" % SET_LABEL}
