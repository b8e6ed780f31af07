"""Work taken in a turn: decisions of calls that came together and apart, in one batch, each answer to its own call."""

import time
from typing import Any

import pytest

from server.codec.items import Items
from server.decision_thread import DecisionThread
from server.failure import UNSAFE, Code, Failure
from server.work import DROPPED, EXPIRED, Call, CallInfo, Calls, Command, Outcomes, Work

NEVER_S = float("inf")
WHO = CallInfo("desk", 0)


class Echo:
    """A front that answers with what it was asked, and notes its batches."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.callers: list[str] = []

    def decide_batch(self, payloads: list[bytes], calls: list[CallInfo]) -> Outcomes:
        if b"broken" in payloads:
            raise ValueError("broken")
        self.batches.append(payloads)
        self.callers += [call.principal for call in calls]
        return [b"to " + payload for payload in payloads]

    def decide_message(self, items: Items, call: CallInfo) -> bytes:
        raise AssertionError((items, call))

    changes = 0

    def settle(self) -> bool:
        return True

    def tick(self) -> None:
        raise AssertionError


class Post:
    """A delivery that keeps what it is given."""

    def __init__(self, given_up: set[Any]) -> None:
        self.gone = given_up
        self.got: dict[Any, Any] = {}

    def given_up(self, ticket: Any) -> bool:
        return ticket in self.gone

    def deliver(self, done: list[tuple[Any, Any, int]]) -> None:
        self.got |= {ticket: (outcome, items) for ticket, outcome, items in done}

    def deliver_calls(self, tickets: list[Any], outcomes: Outcomes) -> None:
        self.got |= dict(zip(tickets, outcomes, strict=True))


class Thread:
    """A decision thread whose turns this thread takes."""

    def __init__(self, *given_up: Any) -> None:
        self.front, self.post = Echo(), Post(set(given_up))
        self.thread = DecisionThread(self.front, 100, None)  # type: ignore[arg-type]  # no loop submits

    def calls(self, *tickets: str, deadline_s: float = NEVER_S) -> Calls:
        n = len(tickets)
        return Calls(
            self.post, [t.encode() for t in tickets], [CallInfo(t, 0) for t in tickets], [deadline_s] * n, [*tickets]
        )

    def turn(self, *work: Work) -> dict[Any, Any]:
        self.thread.submit(work)
        assert self.thread.take_turn(1)
        assert not self.thread.work_waits
        return self.post.got


def test_calls_that_follow_each_other_are_one_batch_and_each_gets_its_own_answer() -> None:
    thread = Thread()
    whole = Call([b"x", b"y"], WHO, NEVER_S, thread.post, "whole")
    got = thread.turn(thread.calls("a", "b"), whole, thread.calls("c"))
    assert thread.front.batches == [[b"a", b"b", b"x", b"y", b"c"]]
    assert thread.front.callers == ["a", "b", "desk", "desk", "c"]
    assert got == {"a": b"to a", "b": b"to b", "c": b"to c", "whole": ([b"to x", b"to y"], 2)}


def test_a_command_keeps_its_place_among_calls() -> None:
    thread = Thread()
    seen: list[int] = []
    command = Command(lambda: seen.append(len(thread.front.batches)), NEVER_S, thread.post, "command")
    thread.turn(thread.calls("a"), command, thread.calls("b"))
    assert (seen, thread.front.batches) == ([1], [[b"a"], [b"b"]])


def test_what_is_past_its_deadline_or_given_up_is_answered_and_not_decided() -> None:
    thread = Thread("gone")
    late, live = thread.calls("late", "later", deadline_s=time.monotonic() - 0.001), thread.calls("a", "gone", "b")
    live.deadlines_s[2] = time.monotonic() + 60
    got = thread.turn(late, live)
    assert thread.front.batches == [[b"a", b"b"]]
    assert thread.front.callers == ["a", "b"]
    assert got == {
        "late": (EXPIRED, 1), "later": (EXPIRED, 1), "gone": (DROPPED, 1), "a": b"to a", "b": b"to b",
    }  # fmt: skip
    assert thread.thread.load.dropped_items == 3


def test_nothing_is_decided_when_nothing_is_left() -> None:
    thread = Thread("a", "b")
    assert set(thread.turn(thread.calls("a", "b"))) == {"a", "b"}
    assert thread.front.batches == []


def test_a_batch_that_breaks_fails_each_of_its_calls(capsys: pytest.CaptureFixture[str]) -> None:
    thread = Thread()
    got = thread.turn(thread.calls("a", "broken"))
    capsys.readouterr()
    assert all(isinstance(got[ticket], Failure) and got[ticket].code == Code.INTERNAL for ticket in ("a", "broken"))


@pytest.mark.parametrize("why", ["refused", "broken"])
def test_what_changed_something_is_not_acknowledged_unless_it_is_safe(
    why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    thread = Thread()

    class Kept(Echo):
        changes = 0

        def decide_batch(self, payloads: list[bytes], calls: list[CallInfo]) -> Outcomes:
            self.changes += b"changes" in payloads
            return super().decide_batch(payloads, calls)

        def settle(self) -> bool:
            if why == "broken":
                raise ValueError("broken")
            return False

    thread.front = Kept()
    thread.thread = DecisionThread(thread.front, 100, None)  # type: ignore[arg-type]  # no loop submits
    got = thread.turn(
        thread.calls("changes", "with it"),
        Command(lambda: "said", NEVER_S, thread.post, "command"),
        thread.calls("reads"),
    )
    capsys.readouterr()
    assert (got["changes"], got["with it"]) == (UNSAFE, UNSAFE)
    assert got["command"] == ("said", 1)
    assert got["reads"] == b"to reads"
