"""The numbers behind control groups and ties, and the units of time."""

from fractions import Fraction
from hashlib import blake2b
from math import floor

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US

WORD = 2**64


def stable_id(text: str) -> int:
    """The first 8 bytes of BLAKE2b-64 of the UTF-8 text, little-endian."""
    return int.from_bytes(blake2b(text.encode("utf-8"), digest_size=8).digest(), "little")


def mix64(x: int) -> int:
    """The finalizer of SplitMix64 (Steele, Lea and Flood 2014)."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) % WORD
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) % WORD
    return x ^ (x >> 31)


def in_control(subscriber: int, salt: str, campaign: str, share: float) -> bool:
    """Whether the salted hash of the subscriber falls into the share; campaign `*` is the universal group."""
    return mix64(subscriber ^ stable_id(f"control:{salt}:{campaign}")) < floor(Fraction(share) * WORD)


def tie_number(subscriber: int, policy_version: str, local_day: int, offer: str, campaign: str) -> int:
    """What decides among equals: the larger comes first."""
    day_seed = mix64(subscriber ^ stable_id(f"policy:{policy_version}") ^ mix64(local_day % WORD))
    return mix64(day_seed ^ stable_id(offer) ^ mix64(stable_id(campaign)))
