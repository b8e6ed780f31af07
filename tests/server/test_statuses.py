"""Failures become statuses with details; what an exception says stays in the log."""

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # it ships none
from structlog.testing import capture_logs

from server.failure import Code, Failure, invalid
from server.statuses import failure_of, grpc_code, item_error, logged_failure_of, trailing


@pytest.mark.parametrize("code", list(Code))
def test_every_code_is_a_grpc_status(code: Code) -> None:
    assert grpc_code(Failure(code, "x")) == grpc.StatusCode[code.name]


def test_details_name_the_field() -> None:
    failure = invalid("trigger.fields[used_mb]", "expected double, was string").failure
    ((key, value),) = trailing(failure)
    assert key == "grpc-status-details-bin"
    status = status_pb2.Status.FromString(value)
    details = error_details_pb2.BadRequest()
    assert status.code == 3
    assert status.details[0].Unpack(details)
    assert details.field_violations[0].field == "trigger.fields[used_mb]"
    assert item_error(failure).violations[0].field == "trigger.fields[used_mb]"


def test_a_request_that_is_wrong_as_a_whole_names_no_field() -> None:
    failure = invalid("", "expected the bytes of a request").failure
    assert failure == Failure(Code.INVALID_ARGUMENT, "expected the bytes of a request")
    assert trailing(failure) == ()


def test_an_unforeseen_error_tells_the_caller_nothing_of_itself() -> None:
    failure = failure_of(KeyError("+15550100"))
    assert failure.code == Code.INTERNAL
    assert "555" not in failure.message


def test_the_log_says_where_an_unforeseen_error_came_from_and_nothing_of_a_caller() -> None:
    with capture_logs() as logged:
        assert logged_failure_of(KeyError("+15550100"), "a call failed").code == Code.INTERNAL
        assert logged_failure_of(MemoryError(), "a call failed").code == Code.RESOURCE_EXHAUSTED
        assert logged_failure_of(invalid("channel", "expected one"), "a call failed").code == Code.INVALID_ARGUMENT
    assert logged == [{"event": "a call failed", "log_level": "error", "error": "KeyError", "where": []}]


def test_what_is_no_error_goes_on() -> None:
    with pytest.raises(KeyboardInterrupt):
        failure_of(KeyboardInterrupt())
