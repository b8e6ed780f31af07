"""Answers and failures become what leaves the server: bytes for each call, or one DecideBatchResponse for all items of a message."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from engine.batch import Decisions
from engine.dtypes.texts import Texts
from engine.jit import direct, frozen
from engine.texts import TextArena, texts_of
from server.codec.kernels.leaving import ITEM_BYTES_MAX, put_answers, put_results
from server.failure import Failure

_put_answers: Final = direct(put_answers)
_put_results: Final = direct(put_results)

_NO_FAILURE: Final = texts_of([])


class Leaving:
    """The answers to n items, gathered as they are decided; an item without an answer has a failure.

    One is used for one batch after the other: `begin`, then `take` for each part that was decided, then `singly` or `together`.
    """

    def __init__(self, error_of: Callable[[Failure], bytes]) -> None:
        """`error_of` encodes a failure as an ItemError."""
        self._error_of = error_of
        self._kept = TextArena()
        self._out = TextArena()
        self._answers = Texts(self._kept.data, np.zeros(0, np.int64), np.zeros(0, np.int64))
        self._bytes_max = 0
        """What all answers take at most."""
        self._ends = np.zeros(1, np.int64)

    def begin(self, items: int) -> None:
        """Expect answers to so many items; none has one yet."""
        self._kept.clear()
        self._answers, self._bytes_max = Texts(self._kept.data, np.zeros(items, np.int64), np.zeros(items, np.int64)), 0

    def take_all(self, decisions: Decisions) -> None:
        """Take the answers to all items, which leave before anything more is decided; instead of `begin` and `take`."""
        self._answers, self._bytes_max = decisions.answers(), decisions.texts.used_bytes

    def take(self, decisions: Decisions, items: npt.NDArray[np.int64], whole: bool) -> None:
        """Take the answers of decided rows: they are those of (rows,) `items`; `whole` when nothing more is decided before they leave."""
        answers, self._bytes_max = decisions.answers(), decisions.texts.used_bytes
        data, start = answers.data, answers.start
        if not whole:
            start, data = self._kept.add(answers), self._kept.data
            self._bytes_max = self._kept.used_bytes
        _, starts, lengths = self._answers
        starts[items], lengths[items] = start, answers.length_bytes
        self._answers = Texts(data, starts, lengths)

    def singly(self, failures: Mapping[int, Failure], server_us: npt.NDArray[np.int64]) -> list[bytes | Failure]:
        """Return for each item its answer with (n,) server_us, or its failure."""
        n = len(server_us)
        self._reserve(n * ITEM_BYTES_MAX)
        if n >= len(self._ends):
            self._ends = np.zeros(n + 1, np.int64)
        end = _put_answers(self._answers, frozen(server_us), self._out.data, self._ends)
        whole = self._out.data[:end].tobytes()
        found: list[bytes | Failure] = [whole[start:end] for start, end in pairwise(self._ends[: n + 1].tolist())]
        for item, failure in failures.items():
            found[item] = failure
        return found

    def together(self, failures: Mapping[int, Failure], server_us: npt.NDArray[np.int64]) -> bytes:
        """Return the items as the bytes of a DecideBatchResponse, answers with (n,) server_us."""
        encoded = _NO_FAILURE
        if failures:
            encoded = texts_of(
                [self._error_of(failures[item]) if item in failures else b"" for item in range(len(server_us))]
            )
        self._reserve(len(server_us) * ITEM_BYTES_MAX + len(encoded.data))
        end = int(_put_results(self._answers, encoded, frozen(server_us), self._out.data))
        return self._out.data[:end].tobytes()

    def _reserve(self, more_bytes: int) -> None:
        self._out.clear()
        self._out.reserve(self._bytes_max + more_bytes)
