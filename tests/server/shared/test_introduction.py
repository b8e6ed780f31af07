"""When all have heard of a replica that has just come, and who was there lately."""

from server.shared.introduction import LEASE_US, MISSED_S, NUMBER_KEPT_US, Introduction, Others

NOW_US = 10 * NUMBER_KEPT_US
KEPT_S = NUMBER_KEPT_US / 1e6


def words(ago_us: int) -> bytes:
    return b"life %d 7" % (NOW_US - ago_us)


def test_who_is_alone_is_known_to_all() -> None:
    assert Introduction().is_over(b"1", [b"1", words(0)], NOW_US, 5.0)


def test_who_comes_waits_until_each_has_said_something_or_is_gone() -> None:
    coming, there = Introduction(), [b"1", words(0), b"2", words(9), b"3", words(-9)]
    assert not coming.is_over(b"1", there, NOW_US, 5.0)
    assert not coming.is_over(b"1", [*there[:2], b"2", words(1), *there[4:]], NOW_US, 5.1)
    assert coming.is_over(b"1", [*there[:2], b"2", words(1)], NOW_US, 5.2)
    assert coming.is_over(b"1", [*there, b"4", words(1)], NOW_US, 5.3), "who comes later hears of all at once"


def test_nobody_waits_for_those_who_are_gone_or_were_never_there() -> None:
    there = [b"1", words(0), b"2", words(NUMBER_KEPT_US), b"3", b"garbage", b"4", b"\xff x y"]
    assert Introduction().is_over(b"1", there, NOW_US, 5.0)
    coming, silent = Introduction(), [b"1", words(0), b"2", words(1)]
    assert not coming.is_over(b"1", silent, NOW_US, 5.0)
    assert not coming.is_over(b"1", silent, NOW_US, 5.0 + KEPT_S)
    assert coming.is_over(b"1", silent, NOW_US, 5.1 + KEPT_S)


def test_who_spoke_within_a_lease_by_the_own_clock_was_there_lately() -> None:
    others, lease_s = Others(), LEASE_US / 1e6
    there = [b"1", words(0), b"2", words(LEASE_US), b"3", words(LEASE_US // 2), b"4", words(-LEASE_US)]
    others.heard(there, NOW_US, 1e6)
    assert others.lately(1e6) == [*there[:2], *there[4:]]
    assert others.lately(1e6 + 0.6 * lease_s) == [*there[:2], *there[6:]]
    others.heard([*there[:2], b"2", words(1)], NOW_US + 99 * LEASE_US, 1e6 + 0.6 * lease_s)
    assert others.lately(1e6 + 0.9 * lease_s) == [*there[:2], b"2", words(1)], "whatever the server's clock says"
    assert others.lately(1e6 + 1.1 * lease_s) == [b"2", words(1)]
    others.heard([b"9", b"garbage"], NOW_US, 1e6)
    assert others.lately(1e6) == []


def test_who_asked_nothing_for_long_may_have_missed_somebody_until_it_hears() -> None:
    others = Others()
    others.asks(0.0)
    assert not others.missed, "who has just come is told of all"
    others.asks(MISSED_S)
    assert not others.missed
    others.asks(2 * MISSED_S + 0.1)
    assert others.missed
    others.asks(2 * MISSED_S + 0.2)
    assert others.missed, "it has asked, and heard nothing"
    others.heard([], NOW_US, 2 * MISSED_S + 0.3)
    assert not others.missed
