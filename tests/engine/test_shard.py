"""Which shard owns a hash: exact at every border, the same one by one and at once, and nobody is left out or owned twice."""

from itertools import pairwise

import numpy as np
import pytest

from engine.shard import SHARDS_MAX, WHOLE, Shard, owners, parse_shard

COUNTS = (1, 2, 3, 5, 7, 64, 1_000, SHARDS_MAX - 1, SHARDS_MAX)


@pytest.mark.parametrize("of", COUNTS)
def test_shards_follow_each_other_without_gap_or_overlap(of: int) -> None:
    shards = [Shard(number, of) for number in range(of)]
    assert shards[0].first == 0
    assert shards[-1].last == (1 << 64) - 1
    assert all(before.last + 1 == after.first for before, after in pairwise(shards))
    assert all(shard.owner(shard.first) == shard.owner(shard.last) == shard.number for shard in shards)


@pytest.mark.parametrize("of", COUNTS)
def test_owners_at_once_are_those_one_by_one(of: int) -> None:
    rng = np.random.default_rng(of)
    some = [Shard(int(number), of) for number in rng.integers(0, of, 50)]
    borders = [hash_ for shard in some for hash_ in (shard.first, shard.last)]
    hashes = np.array([*borders, *rng.integers(0, 1 << 64, 500, np.uint64, endpoint=False).tolist()], np.uint64)
    expected = [Shard(0, of).owner(hash_) for hash_ in hashes.tolist()]
    assert owners(hashes, of).tolist() == expected
    for shard in some[:5]:
        foreign = [place for place, owner in enumerate(expected) if owner != shard.number]
        assert shard.foreign(hashes).tolist() == foreign


def test_whole_owns_everybody() -> None:
    assert (WHOLE.first, WHOLE.last, WHOLE.owner((1 << 64) - 1)) == (0, (1 << 64) - 1, 0)
    assert not len(WHOLE.foreign(np.array([0, 1 << 63, (1 << 64) - 1], np.uint64)))


@pytest.mark.parametrize("limit", [0, 1, 3, 4, 999, 1_000_003])
def test_shares_of_a_limit_add_up_to_it(limit: int) -> None:
    shares = [Shard(number, 4).share(limit) for number in range(4)]
    assert sum(shares) == limit
    assert max(shares) - min(shares) <= 1
    assert WHOLE.share(limit) == limit


@pytest.mark.parametrize("text", ["0/1", "3/4", "65535/65536"])
def test_a_shard_is_written_as_it_is_read(text: str) -> None:
    assert str(parse_shard(text)) == text


@pytest.mark.parametrize(
    "text",
    ["4/4", "1", "x", "", "-1/4", "0/0", "1/", "/2", "0/65537", " 0/1", "0/1 ", "0x1/2", "\u0661/\u0662", "1/2/3"],
)
def test_what_is_no_shard_says_what_is_expected(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected k/n, .* such as 0/4; was "):
        parse_shard(text)
