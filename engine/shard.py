"""Which of n servers owns a subscriber: each owns one range of keyed hashes, and with it one contiguous part of every file of a base.

    owner = hash * n >> 64        shard k owns the hashes from ceil(k * 2^64 / n) up to the next shard's first

Rejected: hash modulo n, by which each shard's rows would lie on every page of the base; rendezvous hashing, which moves fewer subscribers when n
changes, but a change of n is a restart of all shards anyway, since a ledger belongs to one.
"""

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:  # settings are read by commands that have no use for numpy
    import numpy as np
    import numpy.typing as npt

SHARDS_MAX: Final = 65_536
_FORM: Final = re.compile(r"([0-9]{1,5})/([0-9]{1,5})", re.ASCII)


class Shard(NamedTuple):
    """Shard `number` of so many, counted from 0."""

    number: int = 0
    of: int = 1

    def __str__(self) -> str:
        """Return k/n, as it is set."""
        return f"{self.number}/{self.of}"

    @property
    def first(self) -> int:
        """The smallest hash that it owns."""
        return _first(self.number, self.of)

    @property
    def last(self) -> int:
        """The largest hash that it owns."""
        return _first(self.number + 1, self.of) - 1

    def owner(self, subscriber: int) -> int:
        """Return the number of the shard that owns the hash."""
        return subscriber * self.of >> 64

    def foreign(self, subscribers: "npt.NDArray[np.uint64]") -> "npt.NDArray[np.intp]":
        """Return the places in (n,) `subscribers` of the hashes that other shards own."""
        # What lies below the first wraps around, beyond everything.
        return (subscribers - self.first > self.last - self.first).nonzero()[0]

    def share(self, limit: int) -> int:
        """Return this shard's part of a limit that holds for all subscribers together; the parts of all shards add up to it."""
        return limit * (self.number + 1) // self.of - limit * self.number // self.of


WHOLE: Final = Shard()


def owners(subscribers: "npt.NDArray[np.uint64]", of: int) -> "npt.NDArray[np.uint64]":
    """Return for (n,) hashes the numbers of the shards that own them, of so many."""
    # The product has 80 bits: of each half of the hash by itself.
    wide: Any = subscribers
    owner: npt.NDArray[np.uint64] = ((wide >> 32) * of + ((wide & 0xFFFF_FFFF) * of >> 32)) >> 32
    return owner


def parse_shard(text: str) -> Shard:
    """Return the shard that k/n means; raises ValueError."""
    found = _FORM.fullmatch(text)
    shard = Shard(int(found[1]), int(found[2])) if found else None
    if shard is None or not 0 <= shard.number < shard.of <= SHARDS_MAX:
        raise ValueError(
            f"expected k/n, shard k of n counted from 0, with k below n and n at most {SHARDS_MAX:,}, such as 0/4; was {text!r:.80}"
        )
    return shard


def _first(number: int, count: int) -> int:
    return -(-(number << 64) // count)
