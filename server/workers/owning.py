"""Which worker owns the subscriber of each request: its key is read from the bytes and hashed as the workers do."""

from collections.abc import Sequence

from engine.shard import Shard, owners
from server import framing
from server.failure import RefusedError
from server.subscriber_hashes import SubscriberHashes


class Owning:
    """Finds owners among `of` workers."""

    def __init__(self, hashes: SubscriberHashes, of: int) -> None:
        self._hashes = hashes
        self._of = of

    def one(self, subscriber: str) -> int:
        """Return the owner of a subscriber's key as it was sent; raises RefusedError for what is no key."""
        return self.of_hash(self._hashes.one(subscriber))

    def of_hash(self, subscriber: int) -> int:
        """Return the owner of a hash."""
        return Shard(0, self._of).owner(subscriber)

    def each(self, payloads: Sequence[bytes]) -> list[int]:
        """Return the owner of each DecideRequest's subscriber; of one that has none, the first worker, which says what is wrong with it."""
        return self.of_keys([framing.subscriber_of(payload) for payload in payloads])

    def of_keys(self, subscribers: Sequence[str | None]) -> list[int]:
        """Return the owners of keys as they were sent; of what is no key, the first worker."""
        found = [0] * len(subscribers)
        places, keys = [], []
        for place, subscriber in enumerate(subscribers):
            if subscriber is not None and (key := self._key(subscriber)) is not None:
                places.append(place)
                keys.append(key)
        if keys:
            for place, owner in zip(places, owners(self._hashes.hashes(keys), self._of).tolist(), strict=True):
                found[place] = owner
        return found

    def _key(self, subscriber: str) -> bytes | None:
        try:
            return self._hashes.key(subscriber)
        except RefusedError:
            return None
