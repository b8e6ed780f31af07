"""Calls to one worker: batches of decisions from a thread, the rare methods from the event loop."""

from collections.abc import Sequence
from typing import Any, Final

import grpc
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # it ships none

from server import framing
from server.decision_thread import STOPPED
from server.failure import Code, Failure, RefusedError, Violation
from server.grpcio_front import DECISIONS
from server.workers.processes import MESSAGE_BYTES_MAX, Worker

PATIENCE_S: Final = 30.0
"""How long a worker may take for an answer; whoever waits for it may have given up long before."""
OPTIONS: Final = [
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.initial_reconnect_backoff_ms", 100),
    # How long connecting may take, whatever its name says: a worker that was just started, or is busy, may need longer than the least pause.
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 500),
]


class Link:
    """The connections to one worker. Made on the event loop."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        address = f"unix:{worker.socket}"
        self._channel = grpc.insecure_channel(address, OPTIONS)
        self._rare: Any = grpc.aio.insecure_channel(address, OPTIONS)
        self._batch: Any = self._channel.unary_unary(f"/{DECISIONS}/DecideBatch")
        self._ended = False

    def decide(self, payloads: Sequence[bytes], patience_s: float = PATIENCE_S) -> list[bytes] | Failure:
        """Return the DecideBatchResult of each DecideRequest as bytes, or why there is none; for a thread that may wait.

        `patience_s`: until the last one's deadline; it waits for PATIENCE_S at most.
        """
        if self._ended:
            return STOPPED
        try:
            request, timeout_s = framing.batch_request(payloads), min(patience_s, PATIENCE_S)
            results = framing.batch_results(self._batch(request, timeout=timeout_s))
            assert len(results) == len(payloads), "one for each"
            return results
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and patience_s <= PATIENCE_S:
                return Failure(Code.DEADLINE_EXCEEDED, f"{self.worker} did not answer before the deadline")
            return self._failure(error)
        except ValueError:
            if not self._ended:
                raise
            return STOPPED

    def end_batches(self) -> None:
        """Have `decide` return, now and from now on; for any thread."""
        self._ended = True
        self._channel.close()

    async def call(self, name: str, payload: bytes, timeout_s: float | None = PATIENCE_S) -> bytes:
        """Return the response to a call of "<service>/<method>"; raises RefusedError."""
        try:
            answer: bytes = await self._rare.unary_unary(f"/{name}")(payload, timeout=timeout_s)
        except grpc.RpcError as error:
            raise RefusedError(self._failure(error)) from None
        return answer

    async def close(self) -> None:
        """End the connections."""
        self.end_batches()
        await self._rare.close()

    def _failure(self, error: Any) -> Failure:
        code = error.code().value[0]
        if code in (Code.UNAVAILABLE, Code.CANCELLED):
            return Failure(
                Code.UNAVAILABLE, f"{self.worker} is away and is being started again; send the same request again"
            )
        if code == Code.DEADLINE_EXCEEDED:
            return Failure(Code.UNAVAILABLE, f"{self.worker} did not answer in time; send the same request again")
        known = Code(code) if code in set(Code) else Code.INTERNAL
        return Failure(known, error.details() or "", _violations(error))


def _violations(error: Any) -> tuple[Violation, ...]:
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            for detail in status_pb2.Status.FromString(value).details:
                bad = error_details_pb2.BadRequest()
                if detail.Unpack(bad):
                    return tuple(Violation(each.field, each.description) for each in bad.field_violations)
    return ()
