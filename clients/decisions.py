"""Asking for decisions, and why they came out as they did."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from touchpoint.v1 import decision_pb2, decision_service_pb2, decision_service_pb2_grpc, value_pb2

from clients.target import Target, call_error


@dataclass(frozen=True, slots=True)
class Question:
    """What may be offered to this subscriber, here and now? The fields are those of touchpoint.v1.DecideRequest."""

    subscriber: str
    trigger: str
    channel: str
    fields: Mapping[str, value_pb2.Value] = field(default_factory=dict)
    """Values of the trigger's fields. Without any, and without a time, a placement is asked for by name when `placement` says so."""
    placement: bool = False
    language: str = ""
    max_offers: int | None = None
    request_id: str = ""
    """Empty: a new one."""
    tool: str = ""
    agent: str = ""
    outlet: str = ""
    dry_run: bool = False
    assumed_now: datetime | None = None
    """Dry runs only; with a time zone."""

    def message(self) -> decision_service_pb2.DecideRequest:
        """Return the request; every call without a request id gets a new one."""
        request = decision_service_pb2.DecideRequest(
            request_id=self.request_id or uuid.uuid4().hex,
            subscriber=self.subscriber,
            channel=self.channel,
            language=self.language,
            max_offers=self.max_offers,
            tool=self.tool,
            agent=self.agent,
            outlet=self.outlet,
            dry_run=self.dry_run,
            assumed_now=_instant(self.assumed_now),
        )
        if self.placement:
            request.placement = self.trigger
        else:
            request.trigger.CopyFrom(decision_pb2.TriggerEvent(type=self.trigger, fields=self.fields))
        return request


def _instant(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise ValueError(f"assumed_now: expected an instant with its zone, was {moment.isoformat()}")
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


class DecisionClient:
    """Calls DecisionService over one connection; use it as a context manager. Failed calls raise CallError."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._channel = target.channel()
        self._stub = decision_service_pb2_grpc.DecisionServiceStub(self._channel)

    def __enter__(self) -> "DecisionClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def decide(self, question: Question) -> decision_service_pb2.DecideResponse:
        """Return the answer: ranked offers, or none with its reason."""
        try:
            return self._stub.Decide(
                question.message(), timeout=self._target.timeout_s, metadata=self._target.metadata(question.subscriber)
            )
        except grpc.RpcError as error:
            raise call_error(error, self._target.address) from None

    def decide_batch(self, questions: Iterable[Question]) -> list[decision_service_pb2.DecideBatchResult]:
        """Return an answer or an error for each question, in order; at most 4,096."""
        request = decision_service_pb2.DecideBatchRequest(items=[question.message() for question in questions])
        try:
            response = self._stub.DecideBatch(request, timeout=self._target.timeout_s, metadata=self._target.metadata())
        except grpc.RpcError as error:
            raise call_error(error, self._target.address) from None
        return list(response.results)

    def decide_table(self, table: bytes, *, omit_words: bool = False) -> bytes:
        """Return the answers to the requests of an Arrow IPC stream, at most 4,096, as another: clients.columns makes and reads them."""
        request = decision_service_pb2.DecideColumnsRequest(table=table, omit_words=omit_words)
        try:
            response = self._stub.DecideColumns(
                request, timeout=self._target.timeout_s, metadata=self._target.metadata()
            )
        except grpc.RpcError as error:
            raise call_error(error, self._target.address) from None
        return response.table

    def explain(self, question: Question) -> decision_service_pb2.DecideResponse:
        """Return what a dry run answers, with what became of every candidate."""
        request = decision_service_pb2.ExplainRequest(request=question.message())
        try:
            response = self._stub.Explain(
                request, timeout=self._target.timeout_s, metadata=self._target.metadata(question.subscriber)
            )
        except grpc.RpcError as error:
            raise call_error(error, self._target.address) from None
        return response.decision
