"""What is remembered of requests and outcomes for 24 hours, as it lies in a subscriber's hash.

field   r | digest of request id and subscriber, 16 bytes          value   body's digest 8 | end, microseconds, big-endian 8 | the answer as rendered
field   o | digest of outcome id and subscriber, 16 bytes          value   body's digest 8
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from engine.batch import Batch, Decisions
from engine.dtypes.ledger import Requests
from engine.dtypes.texts import Texts
from engine.limits import MICROSECONDS_PER_DAY
from server.shared.fetching import Fetching

ANSWER: Final = b"r"
OUTCOME: Final = b"o"
BODY_BYTES: Final = 8
HEAD_BYTES: Final = 16


def over_bytes(now_us: int) -> bytes:
    """Return when what is remembered now is over, as it is written."""
    return (now_us + MICROSECONDS_PER_DAY).to_bytes(8, "big")


def outcome_value(body: Any) -> bytes:
    """Return what is written of an outcome, by its body's digest."""
    return int(body).to_bytes(BODY_BYTES, "little")


class Asking:
    """Who asks what in a batch, by subscriber."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch
        n = batch.count
        self.names: list[int] = batch.subscriber[:n].tolist()
        """The subscriber of each row."""
        self.rows: dict[int, list[int]] = {}
        """The rows of each subscriber."""
        for row, name in enumerate(self.names):
            self.rows.setdefault(name, []).append(row)
        self._digests = batch.request[:n].tobytes()

    def _field(self, row: int) -> bytes:
        return ANSWER + self._digests[16 * row : 16 * row + 16]

    def fields(self, subscribers: list[int]) -> list[list[bytes]]:
        """Return where the answers to each subscriber's requests would be."""
        return [[self._field(row) for row in self.rows[subscriber]] for subscriber in subscribers]

    def settled(self, subscriber: int, settled: dict[int, Any]) -> bool:
        """Return whether all that the subscriber asks is settled."""
        return all(row in settled for row in self.rows[subscriber])

    def install(self, fetching: Fetching, subscribers: list[int]) -> None:
        """Have the working ledger remember the answers that were fetched with these subscribers."""
        now_us, found = fetching.working.now_us, dict[bytes, tuple[int, bytes]]()
        for subscriber in subscribers:
            if state := fetching.known.get(subscriber):
                for row, value in zip(self.rows[subscriber], state.remembered, strict=True):
                    if value is not None and int.from_bytes(value[BODY_BYTES:HEAD_BYTES], "big") > now_us:
                        found[self._field(row)] = row, value
        if found:
            self._remember(fetching, list(found.values()))

    def _remember(self, fetching: Fetching, found: list[tuple[int, bytes]]) -> None:
        batch, rows = self.batch, np.array([row for row, _ in found])
        texts = [value[HEAD_BYTES:] for _, value in found]
        body = batch.body.copy()
        body[rows] = [int.from_bytes(value[:BODY_BYTES], "little") for _, value in found]
        start, length = np.zeros((2, len(body)), np.int64)
        length[rows] = [len(text) for text in texts]
        start[rows] = np.cumsum(length[rows]) - length[rows]
        requests = Requests(batch.request, body, batch.subscriber)
        fetching.working.install_answers(
            requests, rows, Texts(np.frombuffer(bytearray(b"".join(texts)), np.uint8), start, length)
        )

    def remembered(self, decisions: Decisions, over: bytes) -> Callable[[int], list[bytes]]:
        """Return what gives the field, the end and the value that remember the answer of a row."""
        data = decisions.texts.data.data
        start, length = decisions.text_start.tolist(), decisions.text_bytes.tolist()
        body = self.batch.body

        def of(row: int) -> list[bytes]:
            text = data[start[row] : start[row] + length[row]]
            return [self._field(row), over, b"".join((outcome_value(body[row]), over, text))]

        return of
