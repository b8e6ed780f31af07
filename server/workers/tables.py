"""DecideColumns before workers: each gets the rows that it owns as a table, and the answers are put together row for row."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from touchpoint.v1 import decision_service_pb2 as pb

from server import framing
from server.failure import Failure, RefusedError
from server.workers.owning import Owning

_METHOD = "touchpoint.v1.DecisionService/DecideColumns"


async def decide_columns(payload: bytes, ask: Callable[[int, str, bytes], Awaitable[bytes]], owning: Owning) -> bytes:
    """Return the DecideColumnsResponse of a DecideColumnsRequest; raises RefusedError where it is wrong as a whole. Rows of a worker that is away fail."""
    rows, _ = framing.table_rows(payload)
    request = pb.DecideColumnsRequest.FromString(payload)
    owners, tables = await asyncio.to_thread(_shared_out, request.table, rows.subscribers, owning)

    async def answered(owner: int, table: bytes) -> bytes:
        part = pb.DecideColumnsRequest(table=table, omit_words=request.omit_words)
        try:
            answer = await ask(owner, _METHOD, part.SerializeToString())
        except RefusedError as error:
            return _failed(owners.count(owner), error.failure, not request.omit_words)
        return pb.DecideColumnsResponse.FromString(answer).table

    answers = await asyncio.gather(*(answered(owner, table) for owner, table in tables.items()))
    joined = await asyncio.to_thread(_joined, dict(zip(tables, answers, strict=True)), owners)
    return pb.DecideColumnsResponse(table=joined).SerializeToString()


def _shared_out(table: bytes, subscribers: Sequence[str | None], owning: Owning) -> tuple[list[int], dict[int, bytes]]:
    from loaders.columns.shares import split

    owners = owning.of_keys(subscribers)
    return owners, split(table, owners)


def _joined(answers: dict[int, bytes], owners: list[int]) -> bytes:
    from loaders.columns.shares import joined

    return joined(answers, owners)


def _failed(rows: int, failure: Failure, words: bool) -> bytes:
    """Return the table of rows that all failed for the same reason."""
    from server.codec.answer_sheet import AnswerSheet

    sheet = AnswerSheet(rows, words)
    sheet.begin(rows)
    sheet.tell(dict.fromkeys(range(rows), failure))
    return bytes(sheet.table())
