"""The functions `stock`, `give_up_stock` and `due` within Redis: what replicas may hold together, and who looks after whom."""

from typing import Any

import pytest

from server.shared.accounts import Part, part_of
from server.shared.node import given_key, over_key
from tests.server.shared.functions import EPOCH, KEY, Functions, change_to, contact

TOTAL = "tp:{0}:total:0:offer:1"
TODAY = 20_000
FIRST_DAY = TODAY - 39
EVER, OF_TODAY, OF_THE_WEEK = "", str(TODAY), str(TODAY - 3)
DAY_US = 86_400_000_000


@pytest.fixture
def fresh(functions: Functions) -> Functions:
    functions.begin()
    return functions


def told(
    functions: Functions, life: str, version: int, part: Part, *limits: tuple[str, int], **more: Any
) -> tuple[int, Part]:
    """Tell a replica's part and ask for units; return those leased, and what others have."""
    needed, spare, epoch = more.pop("needed", 0), more.pop("spare", 0), more.pop("epoch", EPOCH)
    assert not more
    words: list[str | bytes] = [life, part.text(version), str(needed), str(spare), str(FIRST_DAY)]
    words += [str(word) for limit in limits for word in limit]
    leased, others = functions.call("stock", [TOTAL], functions.node.epoch_key, epoch, *words)
    return leased, part_of(others)


def part(functions: Functions, life: str) -> Part:
    return part_of(functions.held(TOTAL)[life.encode()])


def test_no_more_is_leased_than_the_limit_leaves(fresh: Functions) -> None:
    assert told(fresh, "a", 1, Part(), (EVER, 10), needed=4) == (4, Part())
    assert told(fresh, "b", 1, Part(), (EVER, 10), needed=9) == (6, Part(4))
    assert told(fresh, "a", 2, Part(4), (EVER, 10), needed=1) == (0, Part(6))
    assert (part(fresh, "a").held, part(fresh, "b").held) == (4, 6)
    told(fresh, "b", 2, Part(5))
    assert told(fresh, "a", 3, Part(4), (EVER, 10), needed=3) == (1, Part(5))


def test_what_is_to_spare_is_at_most_a_quarter_of_what_is_left(fresh: Functions) -> None:
    assert told(fresh, "a", 1, Part(), (EVER, 100), needed=2, spare=64)[0] == 2 + 98 // 4
    assert told(fresh, "b", 1, Part(), (EVER, 100), needed=2, spare=5)[0] == 2 + 5
    assert told(fresh, "b", 2, Part(7), (EVER, 100), spare=64)[0] == 0, "who needs none gets none"


def test_the_tightest_window_leaves_least(fresh: Functions) -> None:
    told(fresh, "a", 1, Part(2, 9, {TODAY: 3, TODAY - 3: 4, TODAY - 4: 2}))
    limits = (OF_TODAY, 8), (OF_THE_WEEK, 14), (EVER, 20)
    assert told(fresh, "b", 1, Part(), *limits, needed=50)[0] == 8 - 2 - 3
    assert told(fresh, "b", 2, Part(), (OF_THE_WEEK, 14), needed=50)[0] == 14 - 2 - 3 - 4
    assert told(fresh, "b", 3, Part(), (EVER, 20), needed=50)[0] == 20 - 2 - 9
    assert told(fresh, "b", 4, Part(1, 6, {TODAY: 6}), *limits, needed=50)[0] == 0, "its own events count as well"


def test_a_part_that_comes_late_changes_nothing(fresh: Functions) -> None:
    told(fresh, "a", 5, Part(7, 1, {TODAY: 1}))
    assert told(fresh, "a", 4, Part(1), (EVER, 10), needed=1)[0] == 0
    assert part(fresh, "a") == Part(7, 1, {TODAY: 1})
    told(fresh, "a", 5, Part(6))
    assert part(fresh, "a") == Part(6), "the same one may be told again"


def test_units_are_leased_when_all_may_grant_and_parts_are_told_before(fresh: Functions) -> None:
    fresh.begin(EPOCH, b"")
    asked = fresh.node.epoch_key, EPOCH, "a", Part(3).text(1)
    assert fresh.call("stock", [TOTAL], *asked, "1", "0", str(FIRST_DAY), EVER, "10") == -1
    assert fresh.held(TOTAL) == {}
    told(fresh, "a", 1, Part(3))
    assert part(fresh, "a") == Part(3)
    other = fresh.node.epoch_key, b"7", "a", Part(4).text(2), "0", "0", str(FIRST_DAY)
    assert fresh.call("stock", [TOTAL], *other) == -1
    assert part(fresh, "a") == Part(3)


def test_who_goes_leaves_its_part_to_all(fresh: Functions) -> None:
    old = {TODAY: 2, FIRST_DAY: 1, FIRST_DAY - 1: 5}
    for life in ("a", "b"):
        told(fresh, life, 1, Part(1))
        left = fresh.node.epoch_key, EPOCH, life, Part(3, 8, old).text(2), str(FIRST_DAY)
        assert fresh.call("give_up_stock", [TOTAL], *left) == 1
    assert set(fresh.held(TOTAL)) == {b"0"}
    assert part(fresh, "0") == Part(6, 16, {TODAY: 4, FIRST_DAY: 2})
    assert told(fresh, "c", 1, Part(), (EVER, 23), needed=9) == (1, Part(6, 16, {TODAY: 4, FIRST_DAY: 2}))
    elsewhere = fresh.node.epoch_key, b"7", "c", Part(1).text(2), str(FIRST_DAY)
    assert fresh.call("give_up_stock", [TOTAL], *elsewhere) == -1
    assert part(fresh, "c").held == 1


def test_what_a_replica_left_that_is_long_gone_becomes_everybodys(fresh: Functions) -> None:
    ago = {"here": DAY_US + 1, "lately": DAY_US - 60_000_000, "gone": DAY_US + 1}
    for life, ago_us in ago.items():
        text = f"1 {fresh.now_us() - ago_us} 2 3 {TODAY}:3"
        fresh.connection.command("HSET", TOTAL, life, text)
    fresh.connection.command("HSET", fresh.node.replicas_key, "1", f"here {fresh.now_us()} {EPOCH.decode()}")
    for _ in range(2):
        assert told(fresh, "me", 1, Part())[1] == Part(6, 9, {TODAY: 9})
        assert set(fresh.held(TOTAL)) == {b"here", b"lately", b"0", b"me"}


def test_who_is_due_is_looked_at_by_one_at_a_time(fresh: Functions) -> None:
    now_us = fresh.now_us()
    for number in range(3):
        fresh.connection.command("ZADD", fresh.node.due_key, str(now_us - 10 + number), f"k{number}")
    fresh.connection.command("ZADD", fresh.node.due_key, str(now_us + 60_000_000), "later")
    assert fresh.call("due", [fresh.node.due_key], "2", "5000000") == [b"k0", b"k1"]
    assert fresh.call("due", [fresh.node.due_key], "2", "5000000") == [b"k2"]
    assert fresh.call("due", [fresh.node.due_key], "2", "5000000") == []
    assert now_us + 5_000_000 <= int(fresh.connection.command("ZSCORE", fresh.node.due_key, "k0"))


def test_stamps_are_kept_where_contacts_count_toward_a_total(fresh: Functions) -> None:
    stamps = [b"stamp-%010d" % number for number in range(12)]
    for before, stamp in zip([b"", *stamps], stamps, strict=False):
        assert fresh.commit(change_to(stamp, contact(1), before, due_us=b"77")) == 1
    assert fresh.held()[b"p"] == b"".join(stamps[10:2:-1])
    assert fresh.due_us() == 77
    assert fresh.commit(change_to(b"after-0000000001", contact(1), stamps[-1], due_us=b"0")) == 1
    assert fresh.due_us() is None
    fresh.begin()
    fresh.commit(change_to(stamps[0], contact(1)))
    fresh.commit(change_to(stamps[1], contact(1), stamps[0]))
    assert b"p" not in fresh.held()


def test_what_an_asserted_change_was_based_on_counts_as_done(fresh: Functions) -> None:
    assert fresh.asserted(change_to(b"C" * 16, contact(1), b"B" * 16, due_us=b"50")) == 1
    assert fresh.held()[b"p"] == b"B" * 16
    assert fresh.asserted(change_to(b"E" * 16, contact(2), b"D" * 16, due_us=b"90")) == 1
    assert fresh.held()[b"p"] == b"C" * 16 + b"D" * 16 + b"B" * 16
    assert fresh.due_us() == 50, "the earlier of the two"
    assert fresh.asserted(change_to(b"F" * 16, contact(2), b"E" * 16, due_us=b"0")) == 1
    assert fresh.due_us() == 50, "another contact may want it"


def test_an_erasure_says_what_was_held_and_nobody_is_due(fresh: Functions) -> None:
    held = contact(1) + contact(2)
    fresh.commit(change_to(b"A" * 16, held, due_us=b"50"))
    assert fresh.forget(b"B" * 16) == held
    assert fresh.due_us() is None
    assert fresh.forget(b"C" * 16) == b""
    assert set(fresh.held(KEY)) == {b"v", b"e"}


GIVEN = {b"0:offer:1": b"1", b"0:offer:1:e": b"1", b"0:offer:1:20000": b"1"}
MOVED = b"aa " + b" ".join(b"%b %b" % each for each in GIVEN.items())


def given(functions: Functions, life: str = "aa") -> dict[bytes, bytes]:
    return functions.held(given_key(functions.node.tag, life))


def over(functions: Functions, life: str = "aa", done: str = "0") -> list[bytes]:
    found: list[bytes] = functions.call(
        "bury", [given_key(functions.node.tag, life), over_key(functions.node.tag)], life, done
    )
    return found


def test_what_changes_mean_is_added_up_with_them_and_once(fresh: Functions) -> None:
    first = change_to(b"A" * 16, contact(1), due_us=b"9", moved=MOVED)
    assert [fresh.commit(first), fresh.commit(first)] == [1, 1]
    assert given(fresh) == GIVEN
    stale = change_to(b"B" * 16, contact(2), b"Z" * 16, due_us=b"9", moved=MOVED)
    assert fresh.commit(stale) == 0
    assert fresh.commit(change_to(b"C" * 16, contact(1), b"A" * 16, due_us=b"9", moved=b"aa 0:offer:1 -1 1:a:2 5")) == 1
    assert given(fresh) == {**GIVEN, b"0:offer:1": b"0", b"1:a:2": b"5"}
    assert fresh.call("count_erased", [fresh.node.epoch_key], b"bb 0:offer:1 -2") == 1
    assert given(fresh, "bb") == {b"0:offer:1": b"-2"}


def test_what_is_asserted_is_added_up_if_it_was_lost(fresh: Functions) -> None:
    first = change_to(b"A" * 16, contact(1), due_us=b"9", moved=MOVED)
    second = change_to(b"B" * 16, contact(1) + contact(2), b"A" * 16, due_us=b"9", moved=b"aa 0:offer:1 7")
    fresh.commit(first)
    assert [fresh.asserted(first), fresh.asserted(second), fresh.asserted(second), fresh.asserted(first)] == [1] * 4
    assert given(fresh) == {**GIVEN, b"0:offer:1": b"8"}


def test_a_replica_that_is_over_changes_nothing_more(fresh: Functions) -> None:
    first = change_to(b"A" * 16, contact(1), due_us=b"9", moved=MOVED)
    second = change_to(b"B" * 16, contact(2), b"A" * 16, due_us=b"9", moved=MOVED)
    fresh.commit(first)
    told(fresh, "aa", 1, Part(5))
    counted = over(fresh)
    assert dict(zip(counted[::2], counted[1::2], strict=True)) == {**GIVEN, b"over": b"1"}
    before = fresh.held()
    assert [fresh.commit(second), fresh.asserted(second)] == [-1, -1]
    assert fresh.held() == before
    assert fresh.commit(change_to(b"C" * 16, contact(1), b"A" * 16)) == 1, "what means nothing for totals is nobody's"
    head = fresh.node.epoch_key, EPOCH, "aa"
    assert fresh.call("stock", [TOTAL], *head, Part(9).text(2), "0", "0", str(FIRST_DAY)) == -1
    assert fresh.call("give_up_stock", [TOTAL], *head, Part(9).text(2), str(FIRST_DAY)) == -1
    assert fresh.call("count_erased", [fresh.node.epoch_key], MOVED) == -1
    assert part(fresh, "aa") == Part(5)


def test_the_part_of_a_replica_that_is_over_is_what_was_added_up_and_is_counted_once(fresh: Functions) -> None:
    told(fresh, "aa", 1, Part(5))
    words = fresh.node.epoch_key, EPOCH, "aa", Part(0, 1, {TODAY: 1}).text(0), str(FIRST_DAY), "1"
    assert [fresh.call("give_up_stock", [TOTAL], *words) for _ in range(3)] == [1, 0, 0]
    assert part(fresh, "0") == Part(0, 1, {TODAY: 1})
    assert set(fresh.held(TOTAL)) == {b"0"}


def test_whose_number_another_has_is_over_until_it_was_seen_to(fresh: Functions) -> None:
    keys = fresh.node.epoch_key, fresh.node.replicas_key
    for life in ("aa", "bb", "bb"):
        fresh.call("beat", keys, "3", life, "0", "60000000", "0")
    assert fresh.connection.command("SMEMBERS", over_key(fresh.node.tag)) == [b"aa"]
    over(fresh)
    assert fresh.connection.command("SMEMBERS", over_key(fresh.node.tag)) == [b"aa"]
    over(fresh, done="1")
    assert fresh.connection.command("SMEMBERS", over_key(fresh.node.tag)) == []
    assert given(fresh) == {b"over": b"1"}
    assert fresh.connection.command("PTTL", given_key(fresh.node.tag, "aa")) > 365 * DAY_US // 1_000


def test_what_a_replica_that_is_over_gave_is_known_until_others_have_what_it_leased(fresh: Functions) -> None:
    fresh.commit(change_to(b"A" * 16, contact(1), due_us=b"9", moved=MOVED))
    for _ in range(2):
        over(fresh)
        assert given(fresh) == {**GIVEN, b"over": b"1"}
        assert fresh.connection.command("PTTL", given_key(fresh.node.tag, "aa")) == -1


def test_who_goes_by_itself_leaves_no_sums(fresh: Functions) -> None:
    fresh.call("beat", [fresh.node.epoch_key, fresh.node.replicas_key], "3", "aa", "0", "60000000", "0")
    fresh.commit(change_to(b"A" * 16, contact(1), due_us=b"9", moved=MOVED))
    fresh.call("leave", [fresh.node.replicas_key], "3", "bb")
    assert given(fresh) == GIVEN
    fresh.call("leave", [fresh.node.replicas_key], "3", "aa")
    assert given(fresh) == {}
    assert fresh.connection.command("EXISTS", over_key(fresh.node.tag)) == 0
