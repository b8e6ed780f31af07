"""Answers become rows of a table as protobuf reads them, in parts of any size, with room or without."""

from random import Random
from typing import Any, Final

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]  # it ships none
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from touchpoint.v1 import decision_pb2, reason_pb2
from touchpoint.v1 import decision_service_pb2 as pb

from engine.batch import DecisionRows, Decisions
from engine.texts import TextArena
from server.codec.answer_sheet import AnswerSheet
from server.failure import Code, Failure, Violation
from tests.server.tables import read, rows, told

REASONS: Final = [value.number for value in reason_pb2.Reason.DESCRIPTOR.values if value.number]


def instant(rng: Random) -> Timestamp:
    return Timestamp(
        seconds=rng.choice([0, 1, -1, 127, 128, 1_900_000_000, -62_135_596_800, rng.randrange(1 << 33)]),
        nanos=rng.choice([0, 1_000, 999_999_000, rng.randrange(1_000_000) * 1_000]),
    )


def answer(rng: Random) -> pb.DecideResponse:
    """Return an answer as the server's kernels might have written it, and then some."""
    message = pb.DecideResponse(
        request_id="x" * rng.choice([1, 40, 128]),
        decision_id=rng.choice(["", "s0-1-ABC", "s65535-" + "Z" * 34]),
        reason=rng.choice(REASONS),  # type: ignore[arg-type]
        decided_at=instant(rng),
        rulebook_generation=rng.choice([0, 1, 300, (1 << 63) + 5]),
        base_version=rng.choice(["", "v1", "v" * 200]),
    )
    if rng.random() < 0.5:
        message.next_allowed.CopyFrom(instant(rng))
    for stage in rng.sample(range(1, 12), 2):
        message.stages.add(stage=stage, count=rng.randrange(1, 1 << 31))
    times = {"hold_until": instant(rng)}
    if rng.random() < 0.5:
        times |= {"send_not_before": instant(rng), "send_deadline": instant(rng)}
    for rank in range(rng.choice([0, 0, 1, 2, 12])):
        message.offers.append(offer(rng, rank + 1, times))
    if rng.random() < 0.2:
        message.candidates.add(offer="o", campaign="c", score=1.0)
        message.withheld.add(rank=1, offer="o", campaign="c")
    return message


def offer(rng: Random, rank: int, times: dict[str, Timestamp]) -> decision_pb2.Offer:
    return decision_pb2.Offer(
        rank=rank,
        offer=f"offer{rng.randrange(300)}",
        campaign=rng.choice(["a", "b" * 100, f"é{rng.randrange(3)}"]),
        product="p",
        exclusive_group=rng.choice(["", "g"]),
        score=rng.choice([0.0, -0.0, 1.5, 1e300]),
        parts=decision_pb2.ScoreParts(priority=1, propensity=0.5),
        probability=1.0,
        content=rng.choice(["Hello ♫", f"Hello {rng.randrange(1_000)}", "long " * 20]),
        script=rng.choice(["", "Say it."]),
        language=rng.choice(["en", "es"]),
        **times,
    )


def decided(answers: list[bytes], replayed: list[int]) -> Decisions:
    decisions = DecisionRows(TextArena(), len(answers)).begin(len(answers))
    for row, text in enumerate(answers):
        decisions.write(row, text)
    decisions.replayed[:] = replayed
    return decisions


class Expected:
    """An answer sheet, and the rows that it should have."""

    def __init__(self, count: int, words: bool) -> None:
        self.sheet = AnswerSheet(count, words)
        self.words = words
        self.rows: list[dict[str, Any]] = []

    def part(self, rng: Random, count: int) -> None:
        """Tell of `count` more rows, some of which fail before they are decided, and some while they are."""
        messages = [answer(rng) for _ in range(count)]
        failures = {row: failure(rng) for row in range(count) if rng.random() < 0.2}
        early = {row for row in failures if rng.random() < 0.5}
        places = [row for row in range(count) if row not in early]
        replayed = [int(row not in failures and rng.random() < 0.3) for row in places]
        self.sheet.begin(count)
        if places:
            texts = [b"" if row in failures else messages[row].SerializeToString() for row in places]
            self.sheet.take(decided(texts, replayed), np.array(places), whole=True)
        self.sheet.tell(failures)
        repeats = dict(zip(places, replayed, strict=True))
        for row, message in enumerate(messages):
            found = told(failures.get(row, message), self.words)
            self.rows.append(found | {"replayed": None if row in failures else bool(repeats[row])})

    def check(self) -> None:
        table = read(pb.DecideColumnsResponse(table=bytes(self.sheet.table())))
        assert plain(rows(table)) == plain(self.rows)


def failure(rng: Random) -> Failure:
    return Failure(Code.INVALID_ARGUMENT, "wrong é", (Violation("channel", "wrong"),) if rng.random() < 0.5 else ())


def plain(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows as they compare: an empty text is none in either, a decision's base too; scores by their bits."""
    for row in found:
        row["base_version"] = row["base_version"] or None
        for each in row["offers"] or ():
            each["score"] = np.float64(each["score"]).view(np.uint64)
    return found


@pytest.mark.parametrize("words", [True, False])
@pytest.mark.parametrize("sizes", [[1], [3], [20, 1, 7], [30, 30, 30]])
@pytest.mark.parametrize("seed", range(3))
def test_answers_become_rows(seed: int, sizes: list[int], words: bool) -> None:
    rng = Random(seed)
    expected = Expected(sum(sizes), words)
    for size in sizes:
        expected.part(rng, size)
    expected.check()


def test_texts_that_all_differ_find_room() -> None:
    expected = Expected(100, words=True)
    expected.sheet.begin(100)
    messages = [pb.DecideResponse(decision_id=f"s0-{row}", reason="REASON_OFFERED") for row in range(100)]  # type: ignore[arg-type]
    for row, message in enumerate(messages):
        message.decided_at.seconds = row
        for rank in range(1, 13):
            message.offers.add(rank=rank, offer="o", campaign="c", content=f"{row} {rank} " * 5, language="en")
            message.offers[-1].hold_until.seconds = 5
    expected.sheet.take(decided([m.SerializeToString() for m in messages], [0] * 100), np.arange(100), whole=True)
    expected.sheet.tell({})
    expected.rows = [told(message) | {"replayed": False} for message in messages]
    expected.check()


def test_a_text_that_stands_in_several_columns_is_each_columns_own() -> None:
    expected = Expected(3, words=True)
    expected.sheet.begin(3)
    messages = []
    for row, (offered, campaign, content) in enumerate((("a", "b", "c"), ("b", "a", "a"), ("c", "c", "b"))):
        message = pb.DecideResponse(decision_id=f"s0-{row}", reason="REASON_OFFERED", base_version="c")  # type: ignore[arg-type]
        message.offers.add(rank=1, offer=offered, campaign=campaign, content=content, script=offered, language="a")
        message.offers[0].hold_until.seconds = message.decided_at.seconds = 5
        messages.append(message)
    expected.sheet.take(decided([m.SerializeToString() for m in messages], [0] * 3), np.arange(3), whole=True)
    expected.sheet.tell({})
    expected.rows = [told(message) | {"replayed": False} for message in messages]
    expected.check()


def test_codes_of_nulls_are_in_range() -> None:
    """polars looks at them although they mean nothing."""
    expected = Expected(40, words=True)
    expected.part(Random(7), 40)
    (batch,) = pa.ipc.open_stream(bytes(expected.sheet.table()))
    seats = batch.column("offers").flatten()
    columns = [batch.column("reason"), batch.column("base_version"), *(seats.field(n) for n in ("offer", "script"))]
    assert any(column.null_count for column in columns)
    for column in columns:
        codes = np.frombuffer(column.indices.buffers()[1], str(column.indices.type), len(column))
        assert codes.min(initial=0) >= 0


def test_dictionaries_hold_each_text_once() -> None:
    sheet = AnswerSheet(20, words=True)
    sheet.begin(20)
    texts = [answer(Random(row % 5)).SerializeToString() for row in range(20)]
    sheet.take(decided(texts, [0] * 20), np.arange(20), whole=True)
    sheet.tell({})
    table = read(pb.DecideColumnsResponse(table=bytes(sheet.table())))
    (chunk,) = table.column("offers").chunks
    for name in ("offer", "campaign", "content", "script", "language"):
        words = chunk.flatten().field(name).dictionary.to_pylist()
        assert len(words) == len(set(words))
    assert isinstance(table.column("reason").chunk(0), pa.DictionaryArray)
