"""What changes mean for totals as Redis is told it, and what is made of the sums."""

from collections import Counter

from engine.dtypes.contact import ACCEPTED, DECIDED, SEEN
from server.shared.accounts import Account, Part
from server.shared.moved import NOTHING, moved, parts_of
from server.shared.moves import Move


def sums(*texts: bytes) -> Counter[str]:
    found = Counter[str]()
    for text in texts:
        life, *words = text.decode().split(" ")
        assert life == "aa"
        for field, n in zip(words[::2], words[1::2], strict=True):
            found[field] += int(n)
    return found


def test_the_sums_of_all_changes_are_the_part_that_they_made() -> None:
    offer, category = Account(SEEN, (0, 7), 3), Account(DECIDED, (2, 9), 4)
    held = moved([(offer, Move(SEEN, (0, 7), 1, None, (1, 7)))] * 3, [None] * 3, "aa")
    seen = moved([(offer, Move(SEEN, (0, 7), 0, 5, (1, 7)))], [20_000], "aa")
    released = moved([(offer, Move(SEEN, (0, 7), -1, None, (1, 7)))], [None], "aa")
    decided = moved([(category, Move(DECIDED, (2, 9), 1, 5, (1, 7)))] * 2, [20_000, 20_001], "aa")
    assert parts_of(sums(held.text, seen.text, released.text, decided.text)) == {
        "2:offer:7": Part(1, 1, {20_000: 1}),
        "0:category:9": Part(0, 2, {20_000: 1, 20_001: 1}),
    }


def test_a_change_that_means_nothing_says_nothing() -> None:
    assert moved([], [], "aa") == NOTHING
    assert NOTHING.text == b""
    assert parts_of({}) == {}


def test_an_account_is_found_under_its_name() -> None:
    assert Account(ACCEPTED, (1, 12), 0).key == b"tp:{0}:total:3:campaign:12"
