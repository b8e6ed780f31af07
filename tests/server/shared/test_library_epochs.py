"""The functions `epoch`, `beat`, `leave` and `names` within Redis: whose turn it is, who is there, and which code is whose."""

from typing import Any

import pytest

from server.shared.node import given_key, over_key
from tests.server.shared.functions import NAMES_KEY, Functions

S_US = 1_000_000
KEPT_US = 30 * S_US
LEASE_US = 60 * S_US
SETTLING_US = 10 * S_US
FAR_US = 1 << 52
"""Later than any clock says."""


@pytest.fixture
def fresh(functions: Functions) -> Functions:
    functions.connection.command("FLUSHALL")
    return functions


def raised(functions: Functions, run: str, known: int = 0, *replicas: str, slept: bool = False) -> Any:
    keys = [functions.node.epoch_key, functions.node.replicas_key]
    return functions.call("epoch", keys, run, str(known), str(SETTLING_US), "1" if slept else "0", *replicas)


def beaten(functions: Functions, number: int, life: str, asserted: bytes = b"0") -> Any:
    keys = [functions.node.epoch_key, functions.node.replicas_key]
    return functions.call("beat", keys, str(number), life, str(KEPT_US), str(LEASE_US), asserted)


def epoch_of(functions: Functions) -> dict[bytes, bytes]:
    return functions.held(functions.node.epoch_key)


def replicas_of(functions: Functions) -> dict[bytes, bytes]:
    return functions.held(functions.node.replicas_key)


def put(functions: Functions, number: int, life: str, ago_us: int, asserted: bytes = b"0") -> None:
    """Have a replica been there so long ago."""
    text = b"%s %d %s" % (life.encode(), functions.now_us() - ago_us, asserted)
    functions.connection.command("HSET", functions.node.replicas_key, str(number), text)


def be_since(functions: Functions, epoch: bytes, ago_us: int, settling_us: int = 0) -> None:
    """Have an epoch begun so long ago, in which not all may grant yet."""
    since = b"%d" % (functions.now_us() - ago_us)
    told = "epoch", epoch, "run", b"run", "since", since, "grants", b"", "settling", b"%d" % settling_us
    functions.connection.command("HSET", functions.node.epoch_key, *told)


def test_the_first_epoch_is_everybodys_once_it_has_settled(fresh: Functions) -> None:
    before = fresh.now_us()
    epoch, grants, since, now = raised(fresh, "run-1")
    assert before <= int(epoch) == int(since) == int(now) <= fresh.now_us()
    assert grants == b""
    settling = b"%d" % SETTLING_US
    there = {b"epoch": epoch, b"run": b"run-1", b"since": since, b"settling": settling, b"grants": b""}
    assert epoch_of(fresh) == there
    again = raised(fresh, "run-1", int(epoch))
    assert again[:3] == [epoch, grants, since]
    assert raised(fresh, "run-1")[:3] == [epoch, grants, since]
    assert int(now) <= int(again[3]) <= fresh.now_us()
    assert beaten(fresh, 1, "mine", epoch)[:2] == [epoch, b""]
    be_since(fresh, epoch, SETTLING_US - S_US, SETTLING_US)
    assert beaten(fresh, 1, "mine", epoch)[:2] == [epoch, b""]
    be_since(fresh, epoch, SETTLING_US, SETTLING_US)
    assert beaten(fresh, 1, "mine", epoch)[:2] == [epoch, epoch]


def test_who_shows_itself_while_an_epoch_settles_is_waited_for(fresh: Functions) -> None:
    epoch, _, _, _ = raised(fresh, "run-1")
    assert beaten(fresh, 1, "new", epoch)[:2] == [epoch, b""]
    assert beaten(fresh, 2, "knows", b"77")[:2] == [epoch, b""]
    raised(fresh, "run-1", 77, "3", f"other {fresh.now_us() - S_US} 77")
    be_since(fresh, epoch, SETTLING_US, SETTLING_US)
    assert beaten(fresh, 1, "new", epoch)[:2] == [epoch, b""], "two have not asserted"
    assert beaten(fresh, 2, "knows", epoch)[:2] == [epoch, b""], "one has not"
    assert beaten(fresh, 3, "other", epoch)[:2] == [epoch, epoch]


def test_an_epoch_that_one_raises_who_slept_settles_as_well(fresh: Functions) -> None:
    epoch, _, _, _ = raised(fresh, "run-1", 77, slept=True)
    assert epoch_of(fresh)[b"settling"] == b"%d" % SETTLING_US
    assert raised(fresh, "run-1", 77)[0] == epoch, "who comes second raises nothing"
    assert beaten(fresh, 1, "slept", epoch)[:2] == [epoch, b""]
    assert beaten(fresh, 2, "came", b"77")[:2] == [epoch, b""]
    be_since(fresh, epoch, SETTLING_US, SETTLING_US)
    assert beaten(fresh, 1, "slept", epoch)[:2] == [epoch, b""], "the one that came is waited for"
    assert beaten(fresh, 2, "came", epoch)[:2] == [epoch, epoch]


def test_another_life_of_the_server_is_another_epoch_in_which_nobody_grants_yet(fresh: Functions) -> None:
    first = raised(fresh, "run-1")
    epoch, grants, since, now = raised(fresh, "run-2", int(first[0]))
    assert int(first[0]) < int(epoch) == int(since) == int(now)
    assert grants == b""
    there = {b"epoch": epoch, b"run": b"run-2", b"since": since, b"settling": b"0", b"grants": b""}
    assert epoch_of(fresh) == there, "who was there is known"
    assert raised(fresh, "run-2", int(first[0]))[:3] == [epoch, b"", since], "who comes second raises nothing"


def test_an_epoch_is_later_than_any_before_whatever_the_clock_says(fresh: Functions) -> None:
    assert raised(fresh, "run-1", FAR_US)[0] == b"%d" % (FAR_US + 1)
    assert raised(fresh, "run-2", FAR_US)[0] == b"%d" % (FAR_US + 2), "than the one that was there"
    assert raised(fresh, "run-3", FAR_US + 9)[0] == b"%d" % (FAR_US + 10), "than the one that others know"


def test_a_server_that_lost_everything_grants_nothing_to_those_who_know_better(fresh: Functions) -> None:
    epoch, grants, _, _ = raised(fresh, "run-1", 77)
    assert int(epoch) > 77
    assert grants == b""


def test_a_primary_of_an_earlier_epoch_is_none(fresh: Functions) -> None:
    first = raised(fresh, "run-1")
    there = epoch_of(fresh)
    assert raised(fresh, "run-1", int(first[0]) + 1, "7", "life 1 0") == []
    assert epoch_of(fresh) == there
    assert replicas_of(fresh) == {}


def test_who_was_there_is_known_again_and_news_stay(fresh: Functions) -> None:
    put(fresh, 1, "mine", 0, b"5")
    put(fresh, 3, "known", 9 * LEASE_US, b"4")
    there = replicas_of(fresh)
    _, _, since, _ = raised(fresh, "run-2", 5, "1", "old 10 0", "2", "other 20 0", "3", "known 30 3")
    assert replicas_of(fresh) == there | {b"2": b"other %b 0" % since, b"3": b"known %b 4" % since}
    there = replicas_of(fresh)
    *_, now = raised(fresh, "run-2", 5, "2", "other 20 0", "4", "more 20 0")
    assert replicas_of(fresh) == there | {b"4": b"more %b 0" % now}, "who raises nothing has nobody be there anew"


def test_a_beat_says_who_is_there(fresh: Functions) -> None:
    before = fresh.now_us()
    epoch, grants, now, _ = beaten(fresh, 1, "life-1")
    assert (epoch, grants) == (b"", b""), "there is no epoch yet"
    assert before <= int(now) <= fresh.now_us()
    first = raised(fresh, "run-1", 5)[0]
    epoch, grants, now, replicas = beaten(fresh, 1, "life-1", first)
    assert (epoch, grants) == (first, first)
    assert replicas == [b"1", b"life-1 %s %s" % (now, first)]
    _, _, later, replicas = beaten(fresh, 2, "life-2", b"0")
    assert dict(zip(replicas[::2], replicas[1::2], strict=True)) == replicas_of(fresh)
    assert replicas_of(fresh) == {b"1": b"life-1 %s %s" % (now, first), b"2": b"life-2 %s 0" % later}


def test_a_number_is_anothers_for_as_long_as_it_is_kept(fresh: Functions) -> None:
    put(fresh, 1, "old", KEPT_US // 2)
    there = replicas_of(fresh)
    assert beaten(fresh, 1, "new") == []
    assert replicas_of(fresh) == there
    assert beaten(fresh, 1, "old") != [], "its own is nobody else's"
    assert beaten(fresh, 2, "new") != []
    put(fresh, 1, "old", KEPT_US + 1)
    assert beaten(fresh, 1, "new") != []
    assert replicas_of(fresh)[b"1"].startswith(b"new ")


def test_all_grant_once_each_that_was_there_has_asserted(fresh: Functions) -> None:
    put(fresh, 2, "other", LEASE_US // 2 + S_US, b"4")
    be_since(fresh, b"5", S_US)
    assert beaten(fresh, 1, "mine", b"4")[:2] == [b"5", b""]
    assert beaten(fresh, 1, "mine", b"5")[:2] == [b"5", b""], "another one was there"
    assert epoch_of(fresh)[b"grants"] == b""
    assert beaten(fresh, 2, "other", b"5")[:2] == [b"5", b"5"]
    assert epoch_of(fresh)[b"grants"] == b"5"
    assert beaten(fresh, 3, "new", b"0")[:2] == [b"5", b"5"], "who comes later takes nothing back"
    assert epoch_of(fresh)[b"grants"] == b"5"


def test_who_was_gone_for_a_lease_is_not_waited_for(fresh: Functions) -> None:
    put(fresh, 2, "other", LEASE_US + 3 * S_US)
    be_since(fresh, b"5", S_US)
    assert beaten(fresh, 1, "mine", b"5")[:2] == [b"5", b"5"]


def test_nobody_is_waited_for_longer_than_a_lease(fresh: Functions) -> None:
    put(fresh, 2, "other", LEASE_US)
    be_since(fresh, b"5", LEASE_US // 2)
    assert beaten(fresh, 1, "mine", b"5")[:2] == [b"5", b""]
    be_since(fresh, b"5", LEASE_US + 1)
    assert beaten(fresh, 1, "mine", b"5")[:2] == [b"5", b"5"]


def test_a_clock_that_is_set_back_begins_the_lease_and_the_settling_anew(fresh: Functions) -> None:
    for settling_us, reply in ((SETTLING_US, b""), (0, b"5")):
        be_since(fresh, b"5", -LEASE_US, settling_us)
        assert beaten(fresh, 1, "mine", b"5")[:2] == [b"5", reply]
        assert int(epoch_of(fresh)[b"since"]) <= fresh.now_us()


def test_a_number_is_kept_no_longer_for_a_clock_that_was_set_back(fresh: Functions) -> None:
    put(fresh, 1, "old", -LEASE_US, b"7")
    assert beaten(fresh, 1, "new") == []
    life, at, asserted = replicas_of(fresh)[b"1"].split()
    assert (life, asserted) == (b"old", b"7")
    assert int(at) <= fresh.now_us()


def test_who_was_silent_for_too_long_is_over_unless_it_spoke(fresh: Functions) -> None:
    over = over_key(fresh.node.tag)
    put(fresh, 1, "gone", S_US)
    put(fresh, 2, "other", S_US)
    said = replicas_of(fresh)[b"1"]
    keys = [fresh.node.replicas_key]
    assert fresh.call("dismiss", keys, "1", b"gone 5 0") == 0
    assert fresh.call("dismiss", keys, "3", said) == 0
    assert (len(replicas_of(fresh)), fresh.connection.command("SMEMBERS", over)) == (2, [])
    assert fresh.call("dismiss", keys, "1", said) == 1
    assert (list(replicas_of(fresh)), fresh.connection.command("SMEMBERS", over)) == ([b"2"], [b"gone"])
    assert beaten(fresh, 1, "gone") == []
    assert list(replicas_of(fresh)) == [b"2"]
    fresh.call("bury", [given_key(fresh.node.tag, "gone"), over], "gone", "1")
    assert fresh.connection.command("SMEMBERS", over) == []
    assert beaten(fresh, 1, "gone") == [], "its part is everybody's by now"
    assert beaten(fresh, 1, "new") != []


def test_who_goes_frees_its_own_number(fresh: Functions) -> None:
    beaten(fresh, 1, "life-1")
    there = replicas_of(fresh)
    for number, life in (("1", "life-2"), ("1", "life"), ("2", "life-1")):
        assert fresh.call("leave", [fresh.node.replicas_key], number, life) == 1
        assert replicas_of(fresh) == there
    assert fresh.call("leave", [fresh.node.replicas_key], "1", "life-1") == 1
    assert replicas_of(fresh) == {}
    assert beaten(fresh, 1, "life-2") != []


def given(functions: Functions, most: int, *names: str) -> dict[bytes, bytes]:
    reply = functions.call("names", [NAMES_KEY], str(most), *names)
    return dict(zip(reply[::2], reply[1::2], strict=True))


def test_names_have_codes_from_one_on_for_good(fresh: Functions) -> None:
    assert given(fresh, 4) == {}
    assert given(fresh, 4, "b", "a") == {b"b": b"1", b"a": b"2"}
    assert given(fresh, 4, "c", "a") == {b"b": b"1", b"a": b"2", b"c": b"3"}
    assert given(fresh, 4) == {b"b": b"1", b"a": b"2", b"c": b"3"}


def test_too_many_names_are_given_nothing(fresh: Functions) -> None:
    given(fresh, 4, "a", "b", "c")
    assert given(fresh, 4, "d", "e") == {}
    assert given(fresh, 4) == {b"a": b"1", b"b": b"2", b"c": b"3"}
    assert given(fresh, 4, "a", "d") == {b"a": b"1", b"b": b"2", b"c": b"3", b"d": b"4"}
    assert len(given(fresh, 4, "a", "b")) == 4, "those that have a code are not too many"


def test_a_name_that_is_asked_for_twice_has_one_code(fresh: Functions) -> None:
    assert given(fresh, 3, "a", "b", "a", "b", "c") == {b"a": b"1", b"b": b"2", b"c": b"3"}
