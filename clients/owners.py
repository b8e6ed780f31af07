"""Which shard owns a subscriber, as far as refusals have told: a table of fixed size that holds no keys and no digests of any.

A key's slot is a digest of it under a secret of this process. Two keys may share a slot: then one of them is sent to the wrong shard, which says so.
"""

import secrets
from array import array
from hashlib import blake2b
from typing import Final

SLOTS: Final = 1 << 20
"""4 MiB."""
_UNKNOWN: Final = -1


class Owners:
    """The owners of subscribers by key as sent; a hint, never wrong for long."""

    def __init__(self, slots: int = SLOTS) -> None:
        self._secret = secrets.token_bytes(16)
        self._owners = array("i", [_UNKNOWN]) * slots

    def get(self, subscriber: str) -> int | None:
        """Return the shard that was last said to own the subscriber, None when nobody said."""
        owner = self._owners[self._slot(subscriber)]
        return None if owner == _UNKNOWN else owner

    def learn(self, subscriber: str, owner: int) -> None:
        """Remember the owner."""
        self._owners[self._slot(subscriber)] = owner

    def _slot(self, subscriber: str) -> int:
        digest = blake2b(subscriber.encode(), key=self._secret, digest_size=8).digest()
        return int.from_bytes(digest, "little") % len(self._owners)
