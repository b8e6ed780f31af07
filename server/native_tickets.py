"""What the native front queues of what it takes at once, and how it makes an answer of a call's outcomes, where that is not just one decision's."""

from collections.abc import Callable, Iterable
from typing import Any

from server import framing
from server.failure import Failure
from server.statuses import logged_failure_of
from server.work import CallInfo, Calls, Delivery, Message, Outcomes, Work


class Taken:
    """What was taken from the library at once: work in its order, decisions that follow each other together."""

    def __init__(self, delivery: Delivery, arrived_ns: int) -> None:
        self.work: list[Work] = []
        self.items = 0
        """Of the work, or yet to come of it."""
        self.arrived_s = arrived_ns / 1e9
        self._arrived_ns = arrived_ns
        self._delivery = delivery
        self._infos: dict[str, CallInfo] = {}
        self._calls: Calls | None = None

    def info_of(self, principal: str) -> CallInfo:
        """Return what is known of a call beside its bytes."""
        info = self._infos.get(principal)
        if info is None:
            info = self._infos[principal] = CallInfo(principal, self._arrived_ns)
        return info

    def add_decide(self, call_id: int, payload: bytes, info: CallInfo, deadline_s: float) -> None:
        """Queue a Decide call; its ticket is its id."""
        calls = self._calls
        if calls is None:
            calls = self._calls = Calls(self._delivery)
            self.work.append(calls)
        calls.payloads.append(payload)
        calls.infos.append(info)
        calls.deadlines_s.append(deadline_s)
        calls.tickets.append(call_id)
        self.items += 1

    def add(self, work: Work, items: int) -> None:
        """Queue anything else, worth so many items."""
        self._calls = None
        self.work.append(work)
        self.items += items


class Ticket:
    """A call whose answer is not just that of one decision."""

    def __init__(self, call_id: int, items: int = 1) -> None:
        self.call_id = call_id
        self.items_left = items
        """Submitted and not answered."""

    def take(self, outcome: Any) -> bytes | Failure | None:
        """Return the answer to an outcome, None when more outcomes are to come."""
        raise NotImplementedError


class PlainTicket(Ticket):
    """A rare method's, whose outcome is the answer."""

    def take(self, outcome: bytes | Failure) -> bytes | Failure:
        return outcome


class ExplainingTicket(Ticket):
    def take(self, outcome: Outcomes | Failure) -> bytes | Failure:
        answer = outcome if isinstance(outcome, Failure) else outcome[0]
        return answer if isinstance(answer, Failure) else framing.explain_response(answer)


class BatchTicket(Ticket):
    """A DecideBatch's or DecideColumns': its pieces are decided one after the other, so that others come in between."""

    def __init__(self, call_id: int, items: int, answer_of: Callable[[list[bytes]], bytes]) -> None:
        """`answer_of` makes the answer of the pieces' outcomes."""
        super().__init__(call_id, items)
        self._answer_of = answer_of
        self._answers: list[bytes] = []

    def expect(self, rest: Iterable[Message], submit: Callable[[Message], None]) -> None:
        """Go on with `rest`, one after the other, when the first piece is answered."""
        self._rest = iter(rest)
        self._submit = submit

    def take(self, outcome: bytes | Failure) -> bytes | Failure | None:
        if isinstance(outcome, Failure):
            return outcome
        self._answers.append(outcome)
        if (piece := next(self._rest, None)) is None:
            try:
                return self._answer_of(self._answers)
            except Exception as error:
                return logged_failure_of(error, "an answer could not be made")
        self._submit(piece)
        return None
