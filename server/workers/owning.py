"""Which worker owns the subscriber of each request: its key is read from the bytes and hashed as the workers do."""

from collections.abc import Sequence

import numpy as np

from engine.jit import frozen
from engine.shard import Shard, owners
from server import framing
from server.codec.items import items_of
from server.codec.kernels.message import PARTS_SIZE
from server.codec.kernels.owning import hash_subscribers
from server.failure import RefusedError
from server.subscriber_hashes import SubscriberHashes


class Owning:
    """Finds owners among `of` workers."""

    def __init__(self, hashes: SubscriberHashes, of: int) -> None:
        self._hashes = hashes
        self._of = of
        self._key = frozen(hashes.words[:2].copy())

    def one(self, subscriber: str) -> int:
        """Return the owner of a subscriber's key as it was sent; raises RefusedError for what is no key."""
        return self.of_hash(self._hashes.one(subscriber))

    def of_hash(self, subscriber: int) -> int:
        """Return the owner of a hash."""
        return Shard(0, self._of).owner(subscriber)

    def each(self, payloads: Sequence[bytes]) -> list[int]:
        """Return the owner of each DecideRequest's subscriber; of one that has none, the first worker, which says what is wrong with it."""
        items, count = items_of(payloads), len(payloads)
        hashes, odd = np.zeros(count, np.uint64), np.zeros(count, np.uint8)
        hash_subscribers(
            np.frombuffer(items.text, np.uint8),
            frozen(items.item_at),
            frozen(items.item_bytes),
            self._key,
            self._hashes.digits_only,
            np.zeros(PARTS_SIZE, np.int64),
            hashes,
            odd,
        )
        found: list[int] = owners(hashes, self._of).tolist()
        places = np.flatnonzero(odd).tolist()
        for place, owner in zip(
            places, self.of_keys([framing.subscriber_of(payloads[p]) for p in places]), strict=True
        ):
            found[place] = owner
        return found

    def of_keys(self, subscribers: Sequence[str | None]) -> list[int]:
        """Return the owners of keys as they were sent; of what is no key, the first worker."""
        found = [0] * len(subscribers)
        places, keys = [], []
        for place, subscriber in enumerate(subscribers):
            if subscriber is not None and (key := self._normal(subscriber)) is not None:
                places.append(place)
                keys.append(key)
        if keys:
            for place, owner in zip(places, owners(self._hashes.hashes(keys), self._of).tolist(), strict=True):
                found[place] = owner
        return found

    def _normal(self, subscriber: str) -> bytes | None:
        try:
            return self._hashes.key(subscriber)
        except RefusedError:
            return None
