"""The functions `commit` and `forget` within Redis: what they reply, and what is there afterwards."""

from tests.server.shared.functions import EPOCH, KEY, LIVE_KEY, Functions, change_to, contact, entry, field

HOUR_MS = 3_600_000
ONE, TWO = contact(1), contact(2)


def test_a_commit_replaces_the_state_that_it_was_based_on_and_no_other(functions: Functions) -> None:
    assert functions.commit(change_to(b"first", ONE)) == 1
    assert functions.held() == {b"v": b"first", b"c": ONE, b"x": b""}
    assert functions.commit(change_to(b"second", ONE + TWO, b"first")) == 1
    assert functions.held() == {b"v": b"second", b"c": ONE + TWO, b"x": b""}
    for read in (b"first", b"", b"another"):
        assert functions.commit(change_to(b"third", TWO, read, remembered=[(1, 5, b"answer")])) == 0
    assert functions.held() == {b"v": b"second", b"c": ONE + TWO, b"x": b""}


def test_a_commit_that_is_there_was_done(functions: Functions) -> None:
    functions.commit(change_to(b"first", ONE))
    again = change_to(b"second", ONE + TWO, b"first", remembered=[(1, 5, b"answer")])
    assert functions.commit(again) == 1
    there = functions.held()
    assert functions.commit(again) == 1
    assert functions.held() == there


def test_a_commit_is_of_an_epoch_in_which_all_may_grant(functions: Functions) -> None:
    for epoch, grants in ((EPOCH, b""), (EPOCH, b"999"), (b"1001", b"1001"), (b"1001", b"")):
        functions.be_in(epoch, grants)
        assert functions.commit(change_to(b"first", ONE)) == -1
    functions.connection.command("DEL", functions.node.epoch_key)
    assert functions.commit(change_to(b"first", ONE)) == -1
    assert functions.held() == {}


def test_what_is_remembered_first_stays(functions: Functions) -> None:
    functions.commit(change_to(b"first", ONE, remembered=[(1, 500, b"answer")]))
    functions.commit(change_to(b"second", TWO, b"first", remembered=[(1, 600, b"another"), (2, 600, b"more")]))
    assert functions.held() == {
        b"v": b"second", b"c": TWO, b"x": entry(1, 500) + entry(2, 600), field(1): b"answer", field(2): b"more",
    }  # fmt: skip


def test_what_is_over_is_dropped_and_nothing_sooner(functions: Functions) -> None:
    ends = [(1, 1_000), (2, 2_000), (3, 2_001), (4, 9_000)]
    functions.commit(change_to(b"first", ONE, remembered=[(number, end, b"%d" % number) for number, end in ends]))
    functions.commit(change_to(b"second", ONE, b"first", now_us=999))
    assert functions.held()[b"x"] == b"".join(entry(*each) for each in ends)
    functions.commit(change_to(b"third", ONE, b"second", now_us=2_000, remembered=[(1, 9_500, b"anew")]))
    assert functions.held() == {
        b"v": b"third", b"c": ONE, b"x": entry(3, 2_001) + entry(4, 9_000) + entry(1, 9_500),
        field(3): b"3", field(4): b"4", field(1): b"anew",
    }  # fmt: skip


def test_a_key_ends_when_told_and_never_sooner_than_before(functions: Functions) -> None:
    now_ms = functions.now_us() // 1_000
    stamp = b""
    told = [(2, 2), (1, 2), (3, 3), (0, 0), (5, 0)]
    for number, (hours, expected) in enumerate(told):
        read, stamp = stamp, b"%d" % number
        ends_ms = now_ms + hours * HOUR_MS if hours else 0
        assert functions.commit(change_to(stamp, ONE, read, ends_ms=ends_ms)) == 1
        assert functions.ends_ms() == (now_ms + expected * HOUR_MS if expected else -1)


def test_contacts_are_looked_at_when_the_last_commit_says(functions: Functions) -> None:
    stamp = b""
    for number, (told, expected) in enumerate([(b"", None), (b"500", 500), (b"", 500), (b"400", 400), (b"600", 600)]):
        read, stamp = stamp, b"%d" % number
        functions.commit(change_to(stamp, ONE, read, due_us=told))
        assert functions.due_us() == expected
    functions.commit(change_to(b"last", ONE, stamp, due_us=b"0"))
    assert functions.due_us() is None
    functions.commit(change_to(b"again", ONE, b"last", due_us=b"700"))
    functions.forget(b"erased")
    assert functions.due_us() is None


def test_an_erasure_leaves_that_there_was_one(functions: Functions) -> None:
    ends_ms = functions.now_us() // 1_000 + HOUR_MS
    functions.commit(change_to(b"first", ONE, ends_ms=ends_ms, remembered=[(1, 500, b"answer")]))
    functions.change(b"said", ("label", 1, 100, "there"))
    functions.be_in(EPOCH, b"")  # an erasure waits for nobody
    assert functions.forget(b"erased") == ONE, "what was held is known to who erases it"
    assert functions.held() == {b"v": b"erased", b"e": b"1"}
    assert functions.held(LIVE_KEY) == {}
    assert functions.ends_ms() == -1
    functions.be_in(EPOCH, EPOCH)
    assert functions.commit(change_to(b"second", TWO, b"first")) == 0
    assert functions.asserted(change_to(b"first", ONE, remembered=[(1, 500, b"answer")])) == 1
    assert functions.change(b"more", ("label", 1, 200, "there")) == 0
    assert functions.change(b"more", ("label", 1, 200, "there"), asserting=True) == 0
    assert functions.held() == {b"v": b"erased", b"e": b"1"}
    assert functions.held(LIVE_KEY) == {}


def test_an_erased_subscriber_stays_erased_though_its_key_would_have_ended(functions: Functions) -> None:
    functions.commit(change_to(b"first", ONE, ends_ms=functions.now_us() // 1_000 + HOUR_MS))
    functions.forget(b"erased")
    assert functions.ends_ms() == -1


def test_an_erasure_is_of_this_epoch(functions: Functions) -> None:
    functions.commit(change_to(b"first", ONE))
    functions.change(b"said", ("label", 1, 100, "there"))
    there, live = functions.held(), functions.held(LIVE_KEY)
    functions.be_in(b"1001", EPOCH)
    assert functions.forget(b"erased") == -1
    assert (functions.held(), functions.held(LIVE_KEY)) == (there, live)
    assert functions.connection.command("EXISTS", KEY, LIVE_KEY) == 2
