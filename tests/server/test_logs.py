"""Logs tell where an error came from and never what a caller sent, not even by way of a traceback."""

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from server.codec.items import Items
from server.decision_thread import DecisionThread
from server.failure import Code, Failure
from server.logs import frames, log, set_up
from server.work import CallInfo

NUMBER = "+13125550142"


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    yield
    root.handlers[:], root.level = before
    structlog.reset_defaults()


def failing() -> None:
    subscriber = NUMBER
    raise KeyError(subscriber)


class FailingFront:
    """A front with a mistake in it."""

    def decide_batch(self, payloads: list[bytes], calls: list[CallInfo]) -> list[bytes | Failure]:
        failing()
        return []

    def decide_message(self, items: Items, call: CallInfo) -> bytes:
        failing()
        return b""

    def decide_rows(self, rows: Any, call: CallInfo, answers: Any) -> None:
        failing()

    changes = 0

    def settle(self) -> bool:
        return True

    def tick(self) -> None:
        failing()


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_mistake_of_the_program_is_logged_without_what_was_sent(
    style: str, capfd: pytest.CaptureFixture[str]
) -> None:
    async def decide() -> list[bytes | Failure] | Failure:
        thread = DecisionThread(FailingFront(), 10, asyncio.get_running_loop())
        thread.start()
        try:
            return await thread.decide([NUMBER.encode()], CallInfo("desk", 0))
        finally:
            await thread.stop()

    set_up(style, "debug")
    outcome = asyncio.run(decide())
    assert isinstance(outcome, Failure)
    assert outcome.code == Code.INTERNAL
    printed = capfd.readouterr().err
    assert "failing" in printed
    assert "KeyError" in printed
    assert NUMBER[2:] not in printed + outcome.message


@pytest.mark.parametrize("style", ["json", "console"])
def test_tracebacks_of_libraries_show_no_values(style: str, capfd: pytest.CaptureFixture[str]) -> None:
    set_up(style, "debug")
    secret = NUMBER
    try:
        raise ValueError(len(secret))
    except ValueError:
        logging.getLogger("asyncio").exception("a library failed")
        log().exception("we failed")
    printed = capfd.readouterr().err
    assert printed.count("ValueError") >= 2
    assert NUMBER not in printed


def test_json_is_one_object_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    set_up("json", "info")
    log().info("ready", port=7717)
    log().debug("not shown")
    logging.getLogger("grpc").error("said %s", "so")
    ours, theirs = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert (ours["event"], ours["level"], ours["port"]) == ("ready", "info", 7717)
    assert (theirs["event"], theirs["level"]) == ("said so", "error")


def test_frames_name_places_only() -> None:
    with pytest.raises(KeyError) as caught:
        failing()
    assert frames(caught.value)[-1].endswith(" failing")
    assert NUMBER not in "".join(frames(caught.value))
