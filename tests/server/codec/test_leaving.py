"""What leaves is what protobuf writes: single answers with their time, and batches with failures among them."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from touchpoint.v1 import decision_service_pb2 as pb

from engine.batch import DecisionRows, Decisions
from engine.texts import TextArena
from server.codec.leaving import Leaving
from server.failure import Code, Failure, Violation
from server.statuses import item_error

FAILED = Failure(Code.INVALID_ARGUMENT, "channel: unknown ♫", (Violation("channel", "expected one of desk"),))
SIZES = st.sampled_from([1, 60, 110, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128, 300, 16_370, 16_380])
TIMES = st.sampled_from([0, 1, 127, 128, 16_384, 2**40, 2**63 - 1])
ITEMS = st.lists(st.one_of(st.tuples(SIZES, TIMES), st.tuples(st.none(), TIMES)), min_size=1, max_size=9)


def leaving() -> Leaving:
    return Leaving(lambda failure: item_error(failure).SerializeToString())


def decided(answers: list[Any]) -> Decisions:
    """Decisions whose answers these are; between them lies what nobody may see."""
    decisions = DecisionRows(TextArena(), len(answers)).begin(len(answers))
    for row, answer in enumerate(answers):
        decisions.texts.add_bytes(b"\xff" * 7)
        decisions.write(row, answer.SerializeToString())
    return decisions


def parts(count: int, cut: int) -> list[np.ndarray[Any, Any]]:
    return [np.arange(start, min(start + cut, count)) for start in range(0, count, cut)]


@given(ITEMS, st.integers(1, 9))
@settings(max_examples=100, deadline=None)
def test_answers_and_failures_leave_in_their_order(items: list[tuple[int | None, int]], cut: int) -> None:
    """The answers come in parts, out of place between failures, as stretches of a batch do."""
    out = leaving()
    failures = {at: FAILED for at, (size, _) in enumerate(items) if size is None}
    answers = {at: pb.DecideResponse(base_version="v" * size) for at, (size, _) in enumerate(items) if size is not None}
    places = np.array(list(answers), np.int64)
    server_us = np.array([us for _, us in items], np.int64)
    for _ in range(2):
        out.begin(len(items))
        for part in parts(len(places), cut):
            decisions = decided([answers[int(at)] for at in places[part]])
            out.take(decisions, places[part], whole=len(part) == len(places))
            if len(part) < len(places):
                decisions.texts.data[:] = 0
        expected = []
        for at, us in enumerate(server_us.tolist()):
            if at in answers:
                answers[at].server_us = us
                expected.append(pb.DecideBatchResult(answer=answers[at]))
            else:
                expected.append(pb.DecideBatchResult(error=item_error(FAILED)))
        assert out.together(failures, server_us) == pb.DecideBatchResponse(results=expected).SerializeToString()
        assert out.singly(failures, server_us) == [
            answers[at].SerializeToString() if at in answers else FAILED for at in range(len(items))
        ]
        for answer in answers.values():
            answer.server_us = 0


def test_nothing_of_an_earlier_batch_leaves() -> None:
    out = leaving()
    out.begin(2)
    out.take(decided([pb.DecideResponse(base_version="a" * 500)] * 2), np.arange(2), whole=True)
    out.singly({}, np.zeros(2, np.int64))
    out.begin(1)
    assert out.singly({0: FAILED}, np.ones(1, np.int64)) == [FAILED]
    with pytest.raises(IndexError):
        out.take(decided([pb.DecideResponse()] * 2), np.arange(2), whole=True)
