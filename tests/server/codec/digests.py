"""The digests of requests in plain Python, from the messages and not from their bytes: the twin of server.codec.kernels.identity."""

import struct
from typing import Any, Final

_MASK: Final = (1 << 64) - 1
_KIND_NUMBERS: Final = {
    "bool_value": 1, "int_value": 2, "double_value": 3, "string_value": 4, "timestamp_value": 5, "duration_value": 6,
}  # fmt: skip
_TEXTS: Final = {4: "placement", 5: "channel", 6: "language", 8: "tool", 9: "agent", 10: "outlet"}


def siphash(words: list[int], key: tuple[int, int]) -> int:
    """Return SipHash-2-4 of whole words, as Aumasson and Bernstein define the rounds."""
    v = _absorbed(words, key)
    v[2] ^= 0xFF
    _rounds(v, 4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def siphash_128(words: list[int], key: tuple[int, int]) -> list[int]:
    """Return the 128-bit variant of the same authors."""
    v = _absorbed(words, (key[0], key[1] ^ 0xEE))
    v[2] ^= 0xEE
    _rounds(v, 4)
    first = v[0] ^ v[1] ^ v[2] ^ v[3]
    v[1] ^= 0xDD
    _rounds(v, 4)
    return [first, v[0] ^ v[1] ^ v[2] ^ v[3]]


def _absorbed(words: list[int], key: tuple[int, int]) -> list[int]:
    v = [
        key[0] ^ 0x736F6D6570736575,
        key[1] ^ 0x646F72616E646F6D,
        key[0] ^ 0x6C7967656E657261,
        key[1] ^ 0x7465646279746573,
    ]
    for word in words:
        v[3] ^= word
        _rounds(v, 2)
        v[0] ^= word
    return v


def _rounds(v: list[int], count: int) -> None:
    for _ in range(count):
        v[0] = (v[0] + v[1]) & _MASK
        v[1] = _rotated(v[1], 13) ^ v[0]
        v[0] = _rotated(v[0], 32)
        v[2] = (v[2] + v[3]) & _MASK
        v[3] = _rotated(v[3], 16) ^ v[2]
        v[0] = (v[0] + v[3]) & _MASK
        v[3] = _rotated(v[3], 21) ^ v[0]
        v[2] = (v[2] + v[1]) & _MASK
        v[1] = _rotated(v[1], 17) ^ v[2]
        v[2] = _rotated(v[2], 32)


def _rotated(x: int, bits: int) -> int:
    return (x << bits | x >> (64 - bits)) & _MASK


def words_of(text: bytes) -> list[int]:
    return [int.from_bytes(text[at : at + 8], "little") for at in range(0, len(text), 8)]


def request_digest(request_id: str, subscriber: int, keys: list[int]) -> list[int]:
    text = request_id.encode()
    words = [subscriber, *words_of(text), len(text)]
    return siphash_128(words, (keys[2], keys[3]))


def body_digest(message: Any, keys: list[int]) -> int:
    """Return the digest of a DecideRequest."""
    texts = {number: getattr(message, name) for number, name in _TEXTS.items()} | {14: message.trigger.type}
    words: list[int] = []
    for number in sorted(texts):
        text = texts[number].encode()
        if text:
            words += [number | len(text) << 8, *words_of(text)]
    has_time, fields = message.trigger.HasField("time"), message.trigger.fields
    flags = 255 | message.dry_run << 8 | message.explain << 9 | has_time << 10
    flags |= message.HasField("assumed_now") << 11 | (len(fields) > 0) << 12
    words.append(flags | (message.max_offers + 1 if message.HasField("max_offers") else 0) << 16)
    if has_time:
        words += _pair(message.trigger.time)
    if message.HasField("assumed_now"):
        words += _pair(message.assumed_now)
    if len(fields):
        words += [len(fields), sum(_field(name, fields[name], keys) for name in fields) & _MASK]
    return siphash(words, (keys[4], keys[5]))


def _field(name: str, value: Any, keys: list[int]) -> int:
    text, kind = name.encode(), value.WhichOneof("kind")
    words = [len(text) | _KIND_NUMBERS[kind] << 32, *words_of(text)]
    held = getattr(value, kind)
    if kind == "string_value":
        words += [len(held.encode()), *words_of(held.encode())]
    elif kind == "double_value":
        words += struct.unpack("<Q", struct.pack("<d", held))
    elif kind in ("timestamp_value", "duration_value"):
        words += _pair(held)
    else:
        words.append(int(held) & _MASK)
    return siphash(words, (keys[6], keys[7]))


def _pair(instant: Any) -> list[int]:
    return [instant.seconds & _MASK, instant.nanos & _MASK]
