"""Totals over a batch: `ask` and `held_together` give what the items one after the other give, as the oracle plays them."""

from pathlib import Path
from random import Random

import pytest

from tests.engine.kernels.pair import Pair, person
from tests.oracle.small import MINUTE, NOON, campaign, cap, offer, product
from tests.worlds.commands import Decide

KEYS = [f"person {number}" for number in range(9)]
PEOPLE = [person(key) for key in KEYS]


def stock(scope: str, limit: int, **changes: object) -> dict[str, object]:
    return cap(f"stock_{scope}", scope=scope, per="total", window="lifetime", limit=limit, counts="decided") | changes


@pytest.mark.parametrize("limit", range(7))
def test_a_stock_is_granted_to_the_first_and_seen_by_the_next(tmp_path: Path, limit: int) -> None:
    pair = Pair(tmp_path, *PEOPLE, policy={"caps": [stock("offer", limit, target="a")]})
    requests = tuple(pair.request(key, NOON) for key in KEYS)
    expected = ["OFFERED"] * limit + ["CAP_REACHED"] * (9 - limit)
    assert [answer.reason for answer in pair.play(Decide(requests))] == expected


@pytest.mark.parametrize("limit", range(0, 15, 2))
def test_answers_of_several_offers_take_several_units(tmp_path: Path, limit: int) -> None:
    pair = Pair(
        tmp_path,
        *PEOPLE,
        campaigns=[campaign("k", ["a", "b", "c"])],
        policy={"caps": [stock("campaign", limit), stock("category", limit + 1)]},
    )
    requests = tuple(pair.request(key, NOON, offers_max=1 + n % 3) for n, key in enumerate(KEYS))
    answers = pair.play(Decide(requests))
    assert sum(len(answer.chosen) for answer in answers) == limit


@pytest.mark.parametrize("seed", range(12))
def test_random_batches_agree_with_one_after_the_other(tmp_path: Path, seed: int) -> None:
    rng = Random(seed)
    caps = [
        stock(scope, rng.randrange(12), counts=rng.choice(["decided", "seen", "accepted"]))
        for scope in rng.sample(["offer", "campaign", "category"], rng.randint(1, 3))
    ]
    pair = Pair(
        tmp_path,
        *PEOPLE,
        products=[product("a"), product("b", category="tv"), product("c")],
        offers=[offer("a", value=2.0), offer("b"), offer("c")],
        campaigns=[
            campaign("k", ["a", "b"], exempt={"obeys_caps": rng.random() < 0.8, "counts": rng.random() < 0.8}),
            campaign("m", ["b", "c"]),
        ],
        policy={"caps": caps},
    )
    now_us = NOON
    for _ in range(6):
        asked = [rng.choice(KEYS) for _ in range(8)]
        batch = tuple(pair.request(key, now_us, offers_max=rng.randint(1, 3)) for key in asked)
        for key, given in zip(asked, pair.play(Decide(batch)), strict=True):
            if given.chosen and rng.random() < 0.3:
                pair.tell(given, rng.choice(["seen", "accepted", "failed"]), now_us, key)
        now_us += rng.choice([0, MINUTE, 20 * MINUTE])
