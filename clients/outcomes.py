"""Telling the server what became of its offers."""

import uuid
from collections.abc import Sequence
from types import TracebackType
from typing import Final

import grpc
from touchpoint.v1 import outcome_service_pb2, outcome_service_pb2_grpc

from clients.target import Target, call_error

_NAMES: Final = outcome_service_pb2.OutcomeKind.DESCRIPTOR.values_by_number
KINDS: Final = tuple(_NAMES[number].name.removeprefix("OUTCOME_KIND_").lower() for number in sorted(_NAMES) if number)
"""Words for outcomes, such as `accepted`, in the order of the contract."""


def outcome(
    decision_id: str, rank: int, kind: str, *, refusal_reason: str = "", outcome_id: str = ""
) -> outcome_service_pb2.Outcome:
    """Return an outcome that happened now; `kind` is one of KINDS; without an id it gets a new one."""
    return outcome_service_pb2.Outcome(
        outcome_id=outcome_id or uuid.uuid4().hex,
        decision_id=decision_id,
        rank=rank,
        kind=outcome_service_pb2.OutcomeKind.Value(f"OUTCOME_KIND_{kind.upper()}"),
        refusal_reason=refusal_reason,
    )


class OutcomeClient:
    """Calls OutcomeService over one connection; use it as a context manager. Failed calls raise CallError."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._channel = target.channel()
        self._stub = outcome_service_pb2_grpc.OutcomeServiceStub(self._channel)

    def __enter__(self) -> "OutcomeClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def record(self, outcomes: Sequence[outcome_service_pb2.Outcome]) -> list[outcome_service_pb2.OutcomeResult]:
        """Return what was done with each outcome, in order; at most 4,096."""
        request = outcome_service_pb2.RecordOutcomesRequest(outcomes=outcomes)
        try:
            response = self._stub.RecordOutcomes(
                request, timeout=self._target.timeout_s, metadata=self._target.metadata()
            )
        except grpc.RpcError as error:
            raise call_error(error, self._target.address) from None
        return list(response.results)
