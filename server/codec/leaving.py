"""Answers and failures become what leaves the server: bytes for each call, or one DecideBatchResponse for all items of a message."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from engine.batch import Decisions
from engine.dtypes.texts import Texts
from engine.jit import frozen
from engine.texts import TextArena, texts_of
from server.codec.kernels.leaving import ITEM_BYTES_MAX, put_answers, put_results
from server.failure import Failure

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
        self._start = self._length_bytes = np.zeros(0, np.int64)
        self._data = self._kept.data

    def begin(self, items: int) -> None:
        """Expect answers to so many items; none has one yet."""
        self._kept.clear()
        self._start, self._length_bytes = np.zeros(items, np.int64), np.zeros(items, np.int64)

    def take(self, decisions: Decisions, items: npt.NDArray[np.int64], whole: bool) -> None:
        """Take the answers of decided rows: they are those of (rows,) `items`; `whole` when nothing more is decided before they leave."""
        answers = decisions.answers()
        self._data, start = answers.data, answers.start
        if not whole:
            start, self._data = self._kept.add(answers), self._kept.data
        self._start[items], self._length_bytes[items] = start, answers.length_bytes

    def singly(self, failures: Mapping[int, Failure], server_us: npt.NDArray[np.int64]) -> list[bytes | Failure]:
        """Return for each item its answer with (n,) server_us, or its failure."""
        answers, ends = self._answers(), np.zeros(len(server_us) + 1, np.int64)
        self._reserve(len(server_us) * ITEM_BYTES_MAX)
        ends[-1] = put_answers(answers, frozen(server_us), self._out.data, ends[:-1])
        view, at = memoryview(self._out.data), ends.tolist()  # type: ignore[arg-type]
        found: list[bytes | Failure] = [bytes(view[start:end]) for start, end in pairwise(at)]
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
        end = int(put_results(self._answers(), encoded, frozen(server_us), self._out.data))
        return self._out.data[:end].tobytes()

    def _answers(self) -> Texts:
        return Texts(self._data, self._start, self._length_bytes)

    def _reserve(self, more_bytes: int) -> None:
        self._out.clear()
        self._out.reserve(int(self._length_bytes.sum()) + more_bytes)
