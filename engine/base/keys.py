"""Subscriber keys become keyed 64-bit hashes: no file and no array of the engine holds a number.

A key is an MSISDN (`msisdn`: hashed as its E.164 digits without the plus) or any opaque text (`opaque`: stripped, NFC). The secret is
16 bytes in a file of its own, written as 32 hexadecimal digits; a snapshot holds only a check value, the hash of a constant, from
which nothing about the secret or a key can be learnt, but which tells a wrong secret at once.
"""

import os
import re
import secrets
import unicodedata
from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from engine.jit import frozen
from engine.kernels.siphash import siphash24
from engine.limits import SUBSCRIBER_KEY_BYTES_MAX

KeyKind = Literal["opaque", "msisdn"]
SECRET_BYTES: Final = 16
_E164: Final = re.compile(r"\+?[1-9][0-9]{6,14}", re.ASCII)
_CHECK_TEXT: Final = b"touchpoint: is this the secret that the base was built with?"


def read_secret(path: Path) -> bytes:
    """Return the 16-byte secret of the file (32 hexadecimal digits); raises ValueError naming the file, never its content."""
    try:
        secret = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except (ValueError, UnicodeDecodeError):
        secret = b""
    if len(secret) != SECRET_BYTES:
        raise ValueError(
            f"{path}: expected {2 * SECRET_BYTES} hexadecimal digits, the secret of the subscriber hash; see TOUCHPOINT_KEY_SECRET_FILE"
        )
    return secret


def create_secret(path: Path) -> bytes:
    """Write a new random secret to `path`, which must not exist, readable by this user alone, and return it; raises FileExistsError."""
    secret = secrets.token_bytes(SECRET_BYTES)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secret.hex() + "\n")
    return secret


class SubscriberKeys:
    """How keys of one kind are written down and hashed under one secret.

    `parse_number`, given for kind msisdn, turns what is not plain E.164 digits into such digits in `region` or raises ValueError; without
    it only `+?[1-9][0-9]{6,14}` is accepted.
    """

    def __init__(
        self,
        secret: bytes,
        kind: KeyKind = "opaque",
        region: str = "",
        parse_number: Callable[[str, str], str] | None = None,
    ) -> None:
        if len(secret) != SECRET_BYTES:
            raise ValueError(f"expected a secret of {SECRET_BYTES} bytes, was {len(secret)}")
        self.kind: KeyKind = kind
        self.region = region
        self._parse_number = parse_number
        self._key = _key_words(secret)
        self._twin_key = _key_words(blake2b(b"twin", key=secret, digest_size=SECRET_BYTES).digest())
        self.check: str = blake2b(_CHECK_TEXT, key=secret, digest_size=16).hexdigest()

    @property
    def words(self) -> npt.NDArray[np.uint64]:
        """The secret as the hash's key, (2,) uint64."""
        return self._key

    def normalise(self, text: str) -> bytes:
        """Return the bytes that are hashed; raises ValueError, which never holds the key, when `text` cannot be a key."""
        if self.kind == "msisdn":
            return self._msisdn(text.strip())
        stripped = text if text.isascii() else unicodedata.normalize("NFC", text)
        key = stripped.strip().encode()
        if not 0 < len(key) <= SUBSCRIBER_KEY_BYTES_MAX:
            raise ValueError(
                f"a subscriber key must have 1 to {SUBSCRIBER_KEY_BYTES_MAX} bytes, this one has {len(key)}"
            )
        return key

    def _msisdn(self, text: str) -> bytes:
        if not _E164.fullmatch(text):
            problem = "expected a telephone number as 7 to 15 digits with the country code, such as +<country><number>"
            if self._parse_number is None or len(text) > SUBSCRIBER_KEY_BYTES_MAX:
                raise ValueError(f"{problem}; was {len(text)} characters of another form")
            text = self._parse_number(text, self.region)
        return text.removeprefix("+").encode("ascii")

    def hash_one(self, text: str) -> int:
        """Return the hash of one key; raises ValueError as `normalise` does."""
        return int(self.hash_many([text])[0])

    def hash_many(self, texts: Sequence[str]) -> npt.NDArray[np.uint64]:
        """Return the hashes of the keys, (n,) uint64; raises ValueError as `normalise` does."""
        parts = [self.normalise(text) for text in texts]
        offsets = np.zeros(len(parts) + 1, np.int64)
        np.cumsum([len(part) for part in parts], out=offsets[1:])
        return self.hash_bytes(np.frombuffer(b"".join(parts), np.uint8), offsets)

    def hash_bytes(self, data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
        """Return the hashes of normalised keys laid end to end: key i is `data[offsets[i]:offsets[i + 1]]`; (n,) uint64."""
        return _hash(data, offsets, self._key)

    def twin_bytes(self, data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> npt.NDArray[np.uint64]:
        """Return a second, independent hash of the same keys: two keys are taken for one only if both agree, which is how collisions are found."""
        return _hash(data, offsets, self._twin_key)


def _key_words(secret: bytes) -> npt.NDArray[np.uint64]:
    return frozen(np.frombuffer(secret, "<u8").astype(np.uint64))


def _hash(
    data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], key: npt.NDArray[np.uint64]
) -> npt.NDArray[np.uint64]:
    out = np.empty(len(offsets) - 1, np.uint64)
    with np.errstate(over="ignore"):
        siphash24(frozen(data), frozen(offsets), key, out)
    return out
