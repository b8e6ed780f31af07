"""SipHash-2-4 against the published vectors of its authors (key 00..0f, messages 00.., 0 to 63 bytes long)."""

import numpy as np
import pytest

from engine.jit import frozen
from engine.kernels.siphash import siphash24, siphash24_of_three

KEY = frozen(np.frombuffer(bytes(range(16)), "<u8").astype(np.uint64))
VECTORS = {
    0: "310e0edd47db6f72", 1: "fd67dc93c539f874", 2: "5a4fa9d909806c0d", 3: "2d7efbd796666785",
    4: "b7877127e09427cf", 5: "8da699cd64557618", 6: "cee3fe586e46c9cb", 7: "37d1018bf50002ab",
    8: "6224939a79f5f593", 9: "b0e4a90bdf82009e", 15: "e545be4961ca29a1", 16: "db9bc2577fcc2a3f",
    17: "9447be2cf5e99a69", 31: "42c341d8fa92d832", 63: "724506eb4c328a95",
}  # fmt: skip


def _hash(messages: list[bytes]) -> list[str]:
    offsets = np.concatenate([[0], np.cumsum([len(message) for message in messages])]).astype(np.int64)
    out = np.empty(len(messages), np.uint64)
    with np.errstate(over="ignore"):
        siphash24(frozen(np.frombuffer(b"".join(messages), np.uint8)), frozen(offsets), KEY, out)
    return [int(word).to_bytes(8, "little").hex() for word in out]


@pytest.mark.parametrize("length", sorted(VECTORS))
def test_siphash24_published_vectors(length: int) -> None:
    assert _hash([bytes(range(length))]) == [VECTORS[length]]


def test_siphash24_many_messages_do_not_bleed_into_each_other() -> None:
    messages = [bytes(range(length)) for length in sorted(VECTORS)]
    assert _hash(messages) == [VECTORS[length] for length in sorted(VECTORS)]


def test_siphash24_no_messages() -> None:
    assert _hash([]) == []


def test_siphash24_of_three_words_is_that_of_their_bytes() -> None:
    for words in ((0, 0, 0), (1, 2**64 - 1, 0x0706050403020100), (2**63, 65_535, 12_345_678_901)):
        text = b"".join(word.to_bytes(8, "little") for word in words)
        a, b, c = (np.uint64(word) for word in words)
        with np.errstate(over="ignore"):
            found = siphash24_of_three(a, b, c, KEY[0], KEY[1])
        assert [int(found).to_bytes(8, "little").hex()] == _hash([text])
