"""The one table from errors to RPC statuses, and a failure as gRPC and as an item of a batch carries it."""

from typing import Any, Final

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # it ships none
from touchpoint.v1 import error_pb2

from server.failure import Code, Failure, RefusedError

_STATUSES: Final = {status.value[0]: status for status in grpc.StatusCode}

TABLE: Final[tuple[tuple[type[BaseException], Code, str], ...]] = (
    (MemoryError, Code.RESOURCE_EXHAUSTED, "the server is out of memory; send less at once, or later"),
    (NotImplementedError, Code.UNIMPLEMENTED, "this server does not offer that"),
    (Exception, Code.INTERNAL, "the server failed; its log says why"),
)
"""The first row whose type fits decides. What a message may tell a caller is written here: exception texts stay in the log."""


def failure_of(error: BaseException) -> Failure:
    """Return what a caller is told of an error."""
    if isinstance(error, RefusedError):
        return error.failure
    for kind, code, message in TABLE:
        if isinstance(error, kind):
            return Failure(code, message)
    raise error


def grpc_code(failure: Failure) -> grpc.StatusCode:
    """Return the gRPC status of a failure."""
    return _STATUSES[int(failure.code)]


def trailing(failure: Failure) -> tuple[tuple[str, bytes], ...]:
    """Return the trailing metadata with google.rpc.Status and BadRequest details; empty when no field is at fault."""
    if not failure.violations:
        return ()
    details = error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(field=violation.field, description=violation.description)
            for violation in failure.violations
        ]
    )
    packed = any_pb2.Any()
    packed.Pack(details)
    status = status_pb2.Status(code=int(failure.code), message=failure.message, details=[packed])
    return (("grpc-status-details-bin", status.SerializeToString()),)


def item_error(failure: Failure) -> Any:
    """Return a failure as an item of a batch or stream carries it (touchpoint.v1.ItemError)."""
    return error_pb2.ItemError(
        code=int(failure.code),
        message=failure.message,
        violations=[error_pb2.FieldViolation(field=v.field, description=v.description) for v in failure.violations],
    )
