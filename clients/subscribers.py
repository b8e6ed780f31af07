"""Asking what is known of a subscriber."""

from types import TracebackType

import grpc
from touchpoint.v1 import subscriber_service_pb2, subscriber_service_pb2_grpc

from clients.target import Target, call_error


class SubscriberClient:
    """Calls SubscriberService over one connection; use it as a context manager. Failed calls raise CallError."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._channel = target.channel()
        self._stub = subscriber_service_pb2_grpc.SubscriberServiceStub(self._channel)

    def __enter__(self) -> "SubscriberClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def get(self, subscriber: str) -> subscriber_service_pb2.GetSubscriberResponse:
        """Return labels, attributes, zone, language and consents as they are now."""
        request = subscriber_service_pb2.GetSubscriberRequest(subscriber=subscriber)
        try:
            return self._stub.GetSubscriber(
                request, timeout=self._target.timeout_s, metadata=self._target.metadata(subscriber)
            )
        except grpc.RpcError as error:
            raise call_error(error, self._target.address) from None
