"""Asking a server how it is, and to load anew what changed."""

from types import TracebackType

import grpc
from touchpoint.v1 import admin_service_pb2, admin_service_pb2_grpc

from clients.target import Target, call_error


class AdminClient:
    """Calls AdminService over one connection; use it as a context manager. Failed calls raise CallError."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._channel = target.channel()
        self._stub = admin_service_pb2_grpc.AdminServiceStub(self._channel)

    def __enter__(self) -> "AdminClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    def status(self) -> admin_service_pb2.GetStatusResponse:
        """Return what the server serves and how it is doing."""
        try:
            return self._stub.GetStatus(
                admin_service_pb2.GetStatusRequest(), timeout=self._target.timeout_s, metadata=self._target.metadata()
            )
        except grpc.RpcError as error:
            raise call_error(error, self._target.address) from None

    def reload(self) -> admin_service_pb2.ReloadResponse:
        """Return the generation and base version in use after a reload."""
        try:
            return self._stub.Reload(
                admin_service_pb2.ReloadRequest(), timeout=self._target.timeout_s, metadata=self._target.metadata()
            )
        except grpc.RpcError as error:
            raise call_error(error, self._target.address) from None
