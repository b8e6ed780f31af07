"""Tables through the load generator, against grpcio's server: what it sends, and that it sees what is wrong with answers."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # it ships none
import pytest
from touchpoint.v1 import decision_service_pb2 as pb

from bench.generator import Driven, Load, Target, drive
from bench.kernels.answers import digest_texts
from bench.measured import Decisions, RunError
from bench.requests import DECIDE_COLUMNS, Question, Salts
from bench.wire import Answer
from engine.jit import frozen
from tests.bench.handlers import serving
from tests.bench.test_generator import KEYS
from tests.server.tables import stream

ROWS, CALLS = 300, 5


def answers(first: int, rows: int, changes: dict[str, Any]) -> pb.DecideColumnsResponse:
    """Return a table of answers as our server gives one."""
    offers = [[{"rank": 1, "offer": "an offer"}]] * rows
    columns = {
        "decision_id": [f"s0-{first + row}" for row in range(rows)],
        "offers": offers,
        "replayed": [False] * rows,
        "error_code": pa.array([None] * rows, pa.int32()),
    }
    return pb.DecideColumnsResponse(table=stream(pa.table(columns | changes)))


class Desk:
    """Answers tables, with some columns changed, and keeps what it was asked."""

    def __init__(self, changes: Callable[[int], dict[str, Any]] = lambda rows: {}, rows_less: int = 0) -> None:
        self.asked: list[dict[str, Any]] = []
        self._changes = changes
        self._rows_less = rows_less

    async def decide(self, payload: bytes, _context: Any) -> bytes:
        table = pa.ipc.open_stream(pb.DecideColumnsRequest.FromString(payload).table).read_all()
        first = len(self.asked)
        self.asked += table.to_pylist()
        rows = table.num_rows - self._rows_less
        return answers(first, rows, self._changes(rows)).SerializeToString()


def driven_by(desk: Any) -> Driven:
    with serving(desk.decide) as address, np.errstate(over="ignore"):
        question = Question("app_open", "app", 2)
        target = Target(address, DECIDE_COLUMNS, question, KEYS, Answer.TABLE, ROWS, 1 << 20)
        return drive(target, Load(seconds=20.0, seed=3, connections=2, in_flight=4, calls_max=CALLS), Salts(3))


def test_tables_are_what_a_client_would_send_and_are_checked_row_by_row() -> None:
    desk = Desk()
    driven = driven_by(desk)
    assert driven.tally["items"] == driven.tally["offered"] == len(desk.asked) == driven.tally["calls"] * ROWS
    assert driven.tally["calls"] >= CALLS
    assert driven.tally["wrong"] == driven.tally["failed"] == 0
    assert len({row["request_id"] for row in desk.asked}) == len(desk.asked)
    assert len({row["subscriber"] for row in desk.asked}) > KEYS.rows // 3
    assert {row["subscriber"] for row in desk.asked} <= {KEYS.key(row) for row in range(KEYS.rows)}
    for row in desk.asked:
        assert (row["placement"], row["channel"], row["max_offers"]) == ("app_open", "app", 2)
    Decisions().check(driven)


@pytest.mark.parametrize(
    ("desk", "words"),
    [
        (Desk(lambda rows: {"error_code": pa.array([3, *[None] * (rows - 1)], pa.int32())}), "well formed"),
        (Desk(rows_less=1), "well formed"),
        (Desk(lambda rows: {"offers": pa.array([[]] * rows, pa.list_(pa.int8()))}), "expected an offer"),
        (Desk(lambda rows: {"replayed": [True] * rows}), "expected an offer"),
        (Desk(lambda rows: {"decision_id": pa.array([None] * rows, pa.utf8())}), "expected an offer"),
        (Desk(lambda rows: {"decision_id": ["s0-1"] * rows}), "expected every decision to be new"),
    ],
)
def test_what_is_wrong_with_answers_is_seen(desk: Desk, words: str) -> None:
    with pytest.raises(RunError, match=words):
        Decisions().check(driven_by(desk))


class Mumbler:
    async def decide(self, _payload: bytes, _context: Any) -> bytes:
        return pb.DecideColumnsResponse(table=b"no table").SerializeToString()


def test_an_answer_that_is_no_table_is_wrong() -> None:
    driven = driven_by(Mumbler())
    assert driven.tally["wrong"] == driven.tally["calls"] >= CALLS


def test_digests_are_of_each_text_alone() -> None:
    texts = [b"", b"a", b"s0-1", b"s0-2", b"s0-1"]
    ends = frozen(np.cumsum([0, *map(len, texts)], dtype=np.int32))
    out = np.zeros(len(texts), np.uint64)
    with np.errstate(over="ignore"):
        digest_texts(np.frombuffer(b"".join(texts), np.uint8), ends, out)
    assert [list(out).index(one) for one in out] == [texts.index(text) for text in texts]
    assert (out != 0).all()
