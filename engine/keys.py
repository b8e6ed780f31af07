"""Names become numbers: stable ids for what authors name; the keyed hash of subscribers is in engine/base."""

from hashlib import blake2b


def stable_id(text: str) -> int:
    """Return the same unsigned 64-bit number for the same text, whatever the machine or the rulebook: BLAKE2b-64, little-endian."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")
