"""The one table from errors to RPC statuses, and a failure as gRPC and as an item of a batch carries it."""

from functools import lru_cache
from typing import Any, Final

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # it ships none
from touchpoint.v1 import error_pb2

from server.failure import Code, Elsewhere, Failure, RefusedError, Violation
from server.logs import frames, log

OTHER_SHARD: Final = "OTHER_SHARD"
"""The reason in google.rpc.ErrorInfo."""
DOMAIN: Final = "touchpoint.v1"
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


def logged_failure_of(error: BaseException, event: str) -> Failure:
    """Return `failure_of` an error; where that sends the caller to the log, the log says of the event where it came from."""
    failure = failure_of(error)
    if failure.code == Code.INTERNAL and not isinstance(error, RefusedError):
        log().error(event, error=type(error).__name__, where=frames(error))
    return failure


def grpc_code(failure: Failure) -> grpc.StatusCode:
    """Return the gRPC status of a failure."""
    return _STATUSES[int(failure.code)]


def trailing(failure: Failure) -> tuple[tuple[str, bytes], ...]:
    """Return the trailing metadata with google.rpc.Status and its details, BadRequest or ErrorInfo; empty when neither field nor shard is at fault."""
    if failure.violations:
        details = error_details_pb2.BadRequest(
            field_violations=[
                error_details_pb2.BadRequest.FieldViolation(field=violation.field, description=violation.description)
                for violation in failure.violations
            ]
        )
    elif failure.elsewhere:
        numbers = {name: str(number) for name, number in failure.elsewhere._asdict().items()}
        details = error_details_pb2.ErrorInfo(reason=OTHER_SHARD, domain=DOMAIN, metadata=numbers)
    else:
        return ()
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
        other_shard=error_pb2.OtherShard(**failure.elsewhere._asdict()) if failure.elsewhere else None,
    )


def failure_of_item(error: error_pb2.ItemError) -> Failure:
    """Return the failure that an item's error carries."""
    violations = tuple(Violation(each.field, each.description) for each in error.violations)
    told = error.other_shard
    elsewhere = Elsewhere(told.owner, told.shard, told.of) if error.HasField("other_shard") else None
    return Failure(Code(error.code), error.message, violations, elsewhere)


@lru_cache(1_024)
def item_error_bytes(failure: Failure) -> bytes:
    """Return `item_error` as bytes; kept, since a batch that was sent to the wrong shard has the same one for most of its items."""
    encoded: bytes = item_error(failure).SerializeToString()
    return encoded
