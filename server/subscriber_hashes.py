"""Subscribers' keys and callers' ids as keyed numbers: nothing behind this holds either."""

from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from engine.base.keys import SubscriberKeys
from engine.jit import frozen
from engine.limits import SUBSCRIBER_KEY_BYTES_MAX
from server.failure import invalid


class SubscriberHashes:
    """Hashes under one secret, the base's."""

    def __init__(self, keys: SubscriberKeys, secret: bytes) -> None:
        self._keys = keys
        self._digest_key = blake2b(b"request digest", key=secret, digest_size=32).digest()
        derived = blake2b(b"digests of requests and bodies", key=secret, digest_size=48).digest()
        self.words: npt.NDArray[np.uint64] = frozen(np.concatenate([keys.words, np.frombuffer(derived, "<u8")]))
        """(KEYS_SIZE,): the key of `hashes`, then those of server.codec.kernels.identity, derived from the same secret."""
        self.digits_only = keys.kind == "msisdn"

    def one(self, subscriber: str) -> int:
        """Return the hash of one subscriber's key as it was sent; raises RefusedError."""
        return int(self.hashes([self.key(subscriber)])[0])

    def key(self, subscriber: str) -> bytes:
        """Return the subscriber's key normalised; raises RefusedError, which never holds it."""
        if not 1 <= len(subscriber.encode()) <= SUBSCRIBER_KEY_BYTES_MAX:
            raise invalid(
                "subscriber", f"expected 1 to {SUBSCRIBER_KEY_BYTES_MAX} bytes, were {len(subscriber.encode()):,}"
            )
        try:
            return self._keys.normalise(subscriber)
        except ValueError as error:
            raise invalid("subscriber", str(error)) from None

    def hashes(self, keys: list[bytes]) -> npt.NDArray[np.uint64]:
        """Return the keyed hashes of normalised keys, (n,) uint64."""
        offsets = np.zeros(len(keys) + 1, np.int64)
        np.cumsum([len(key) for key in keys], out=offsets[1:])
        return self._keys.hash_bytes(np.frombuffer(b"".join(keys), np.uint8), offsets)

    def digest(self, name: str, subscriber: int) -> tuple[int, int]:
        """Return the keyed 128-bit digest of an outcome's id and its subscriber, in two halves."""
        text = subscriber.to_bytes(8, "little") + name.encode()
        digest = blake2b(text, key=self._digest_key, digest_size=16).digest()
        return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")
