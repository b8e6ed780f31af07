"""What is queued for a turn of the decision thread: calls, messages and commands, and how their callers get the outcomes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from server.codec.items import Items
from server.failure import Code, Failure

if TYPE_CHECKING:
    from server.codec.answer_sheet import AnswerSheet
    from server.codec.rows import Rows

Outcomes = list[bytes | Failure]

EXPIRED: Final = Failure(
    Code.DEADLINE_EXCEEDED, "the deadline passed before the request was looked at; nothing was decided"
)
DROPPED: Final = Failure(Code.CANCELLED, "the caller went away; nothing was decided")


class CallInfo(NamedTuple):
    """What is known of a call beside its bytes."""

    principal: str
    """Who calls."""
    arrived_ns: int
    """time.monotonic_ns() when its bytes had come."""


class Delivery(Protocol):
    """How a front's calls get their outcomes; `ticket` is whatever the front submitted a call with."""

    def given_up(self, ticket: Any) -> bool:
        """Tell whether nobody waits for this call any more; asked within a turn, before the call is looked at."""

    def deliver(self, done: list[tuple[Any, Any, int]]) -> None:
        """Take (ticket, outcomes or failure, items) of work that is done; called within the turn, at its end."""

    def deliver_calls(self, tickets: list[Any], outcomes: Outcomes) -> None:
        """Take the outcomes of Calls, row for row; called within the turn, once they are there."""


@dataclass(slots=True)
class Call:
    """Some DecideRequests that are answered together."""

    payloads: Sequence[bytes]
    info: CallInfo
    deadline_s: float
    delivery: Delivery
    ticket: Any


@dataclass(slots=True)
class Calls:
    """DecideRequests that are answered one by one: of what a front takes at once those that follow each other."""

    delivery: Delivery
    payloads: list[bytes] = field(default_factory=list)
    infos: list[CallInfo] = field(default_factory=list)
    deadlines_s: list[float] = field(default_factory=list)
    tickets: list[Any] = field(default_factory=list)

    def drop(self, now_s: float) -> list[tuple[Any, Failure]]:
        """Take out the calls that nobody waits for any more, or whose deadline has passed; return their tickets and why."""
        given_up = self.delivery.given_up
        why = [
            DROPPED if given_up(ticket) else EXPIRED if deadline_s <= now_s else None
            for ticket, deadline_s in zip(self.tickets, self.deadlines_s, strict=True)
        ]
        if not any(why):
            return []
        dropped = [(ticket, failure) for ticket, failure in zip(self.tickets, why, strict=True) if failure]
        live = [number for number, failure in enumerate(why) if not failure]
        for name in ("payloads", "infos", "deadlines_s", "tickets"):
            column = getattr(self, name)
            setattr(self, name, [column[number] for number in live])
        return dropped


@dataclass(slots=True)
class Message:
    """The items of one DecideBatchRequest, or some of them, answered by one DecideBatchResponse; or rows of a table, answered in `answers`."""

    items: "Items | Rows"
    info: CallInfo
    deadline_s: float
    delivery: Delivery
    ticket: Any
    answers: "AnswerSheet | None" = None


@dataclass(slots=True)
class Command:
    """Something else that is done in its place among decisions."""

    run: Callable[[], Any]
    deadline_s: float
    delivery: Delivery
    ticket: Any


Work = Call | Calls | Message | Command


def items_of(work: Work) -> int:
    """Return how many decisions some work is worth."""
    if isinstance(work, Call | Calls):
        return len(work.payloads)
    return len(work.items) if isinstance(work, Message) else 1


def why_dropped(work: Call | Message | Command, now_s: float) -> Failure | None:
    """Return why the work is not looked at: its caller has gone, or its deadline has passed."""
    if work.delivery.given_up(work.ticket):
        return DROPPED
    return EXPIRED if work.deadline_s <= now_s else None
