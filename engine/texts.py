"""Room for the texts of one batch, used from the front on and emptied before the next."""

from typing import Final

import numpy as np
import numpy.typing as npt

from engine.dtypes.texts import Texts
from engine.kernels.texts import copy_texts

KEPT_BYTES_MAX: Final = 16 << 20
"""More than this is given back when the arena is emptied."""


class TextArena:
    """A buffer that grows as texts come; spans in it stay right while it grows, until it is emptied."""

    def __init__(self) -> None:
        self.data: npt.NDArray[np.uint8] = np.empty(0, np.uint8)
        self.used_bytes = 0

    def clear(self) -> None:
        """Empty the arena, giving back what a large batch took."""
        self.used_bytes = 0
        if len(self.data) > KEPT_BYTES_MAX:
            self.data = np.empty(0, np.uint8)

    def reserve(self, more_bytes: int) -> None:
        """See that so many bytes are free behind those used; twice what is used when that is more, so that copying stays in proportion."""
        needed = self.used_bytes + more_bytes
        if needed > len(self.data):
            grown = np.empty(max(needed, 2 * self.used_bytes), np.uint8)
            grown[: self.used_bytes] = self.data[: self.used_bytes]
            self.data = grown

    def add(self, texts: Texts) -> npt.NDArray[np.int64]:
        """Take over (n,) texts; return where each starts here, (n,)."""
        start = np.zeros(len(texts.start), np.int64)
        self.reserve(int(texts.length_bytes.sum()))
        self.used_bytes = int(copy_texts(texts, self.data, self.used_bytes, start))
        return start

    def add_bytes(self, text: bytes) -> int:
        """Take over one text; return where it starts."""
        start, end = self.used_bytes, self.used_bytes + len(text)
        self.reserve(len(text))
        self.data[start:end] = np.frombuffer(text, np.uint8)
        self.used_bytes = end
        return start


def texts_of(parts: list[bytes]) -> Texts:
    """Return texts, each b"" for none, in a buffer of their own."""
    lengths = np.array([len(part) for part in parts], np.int64)
    return Texts(np.frombuffer(bytearray(b"".join(parts)), np.uint8), np.cumsum(lengths) - lengths, lengths)


def text_at(texts: Texts, number: int) -> bytes:
    """Return one text; b"" for none."""
    start = int(texts.start[number])
    return texts.data[start : start + int(texts.length_bytes[number])].tobytes()
