"""Decision ids: `s<shard>-<sequence>-<subscriber hash>-<tag>`, digits in Crockford's base 32.

The shard routes outcomes; the hash finds the subscriber's contacts without another index; the tag is 40 bits of SipHash-2-4 over the three
numbers under a key of its own, so that a mistyped id is refused with certainty enough (1 in 10**12) and nobody can make one up. Letters may
come back in lower case, with O for 0 and I or L for 1. Answers get theirs from server.codec.kernels.answers, which writes the same.
"""

import re
from hashlib import blake2b
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from engine.kernels.siphash import siphash24_of_three

_DIGITS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = [high + low for high in _DIGITS for low in _DIGITS]
_VALUES: Final = {digit: value for value, digit in enumerate(_DIGITS)} | {"O": 0, "I": 1, "L": 1}
_FORM: Final = re.compile(r"S([0-9]{1,5})-([0-9A-TV-Z]{1,13})-([0-9A-TV-Z]{13})-([0-9A-TV-Z]{8})", re.ASCII)
TAG_BITS: Final = 40
SHARD_MAX: Final = 65_535


class DecisionName(NamedTuple):
    """What a decision id says."""

    shard: int
    sequence: int
    """The decision's number in its shard, 1 to 2**64 - 1."""
    subscriber: int
    """The keyed hash of the subscriber's key."""


class DecisionIds:
    """Writes and reads decision ids under one secret."""

    def __init__(self, secret: bytes, shard: int) -> None:
        assert 0 <= shard <= SHARD_MAX
        self.key: npt.NDArray[np.uint64] = np.frombuffer(
            blake2b(b"decision id", key=secret, digest_size=16).digest(), "<u8"
        ).astype(np.uint64)
        """(2,): SipHash's."""
        self.shard = shard

    def write(self, sequence: int, subscriber: int) -> str:
        """Return the id of this shard's decision `sequence` about `subscriber`."""
        tag = _base32(self._tag(self.shard, sequence, subscriber), 8)
        return f"s{self.shard}-{_base32(sequence, 1)}-{_base32(subscriber, 13)}-{tag}"

    def read(self, text: str) -> DecisionName:
        """Return what the id says; raises ValueError when it is mistyped or was not made under this secret."""
        found = _FORM.fullmatch(text.upper().replace("O", "0")) if len(text) <= 64 else None
        if found is None:
            raise ValueError("expected a decision id as an answer gave it, such as s0-7-0123456789ABC-01234567")
        shard, sequence, subscriber = int(found[1]), _number(found[2]), _number(found[3])
        if (
            shard > SHARD_MAX
            or max(sequence, subscriber) >= 1 << 64
            or self._tag(shard, sequence, subscriber) != _number(found[4])
        ):
            raise ValueError("the decision id is mistyped, or another installation's; send it as the answer gave it")
        return DecisionName(shard, sequence, subscriber)

    def _tag(self, shard: int, sequence: int, subscriber: int) -> int:
        words = (np.uint64(shard), np.uint64(sequence), np.uint64(subscriber))
        return int(siphash24_of_three(*words, self.key[0], self.key[1])) >> 64 - TAG_BITS


def _base32(number: int, width: int) -> str:
    pairs = []
    while number:
        number, pair = divmod(number, len(_PAIRS))
        pairs.append(_PAIRS[pair])
    return "".join(reversed(pairs)).lstrip("0").rjust(width, "0")


def _number(text: str) -> int:
    number = 0
    for digit in text:
        number = number * 32 + _VALUES[digit]
    return number
