"""DecideColumns over real sockets: the same decisions as DecideBatch's, row for row, and what bad tables get."""

from typing import Any

from touchpoint.v1 import decision_service_pb2 as pb

from tests.server.running import Running, asking
from tests.server.tables import read, rows, stream, table_of, told


def decide(server: Running, requests: list[pb.DecideRequest], **options: Any) -> list[dict[str, Any]]:
    request = pb.DecideColumnsRequest(table=stream(table_of(requests)), **options)
    return rows(read(server.decisions.DecideColumns(request)))


def test_rows_are_answered_as_batches_are(server: Running) -> None:
    requests = [asking(20 + n, max_offers=1 + n % 3) for n in range(8)]
    found = decide(server, requests)
    assert [row.pop("replayed") for row in found] == [False] * 8
    repeated = server.decisions.DecideBatch(pb.DecideBatchRequest(items=requests)).results
    assert found == [told(result) for result in repeated]
    assert all(row["decision_id"] for row in found)
