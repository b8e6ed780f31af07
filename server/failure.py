"""What a caller gets instead of an answer: a google.rpc code, one line, and the fields at fault. No grpc types here."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, NamedTuple


class Code(IntEnum):
    """The google.rpc.Code numbers that this server uses; the same numbers as gRPC statuses."""

    CANCELLED = 1
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


@dataclass(frozen=True, slots=True)
class Violation:
    """One field at fault: its path, and what was expected, what it was, what to do."""

    field: str
    description: str


class Elsewhere(NamedTuple):
    """Which shard owns the subscriber, which one was asked, and how many there are."""

    owner: int
    shard: int
    of: int


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one request failed."""

    code: Code
    message: str
    violations: tuple[Violation, ...] = field(default=())
    elsewhere: Elsewhere | None = None
    """Set when another server is to be asked."""


class RefusedError(Exception):
    """Raised where a request turns out to be one that cannot be served; carries the failure to its caller."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def invalid(path: str, description: str) -> RefusedError:
    """Return the error for one wrong field: INVALID_ARGUMENT naming it; without a path, for a request that is wrong as a whole."""
    if not path:
        return RefusedError(Failure(Code.INVALID_ARGUMENT, description))
    return RefusedError(Failure(Code.INVALID_ARGUMENT, f"{path}: {description}", (Violation(path, description),)))


UNSAFE: Final = Failure(
    Code.UNAVAILABLE, "the journal cannot be written, so nothing may be promised; send the same request again, later"
)
