"""What happens when: a schedule of virtual time, and a network that delays, loses and repeats what it carries."""

import heapq
import itertools
from collections.abc import Callable
from random import Random
from typing import Any, Protocol

from server.failure import Failure
from server.work import Outcomes
from tests.simulation.clock import MINUTE_US, SECOND_US, VirtualClock

Do = Callable[[], None]


class Schedule:
    """Things to do, each at its instant; those of one instant in the order in which they were said."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._things: list[tuple[int, int, Do]] = []
        self._numbers = itertools.count()

    def after(self, delay_us: int, do: Do) -> None:
        """Have it done so much later."""
        heapq.heappush(self._things, (self._clock.passed_us + delay_us, next(self._numbers), do))

    def next_us(self) -> int | None:
        """Return when the next thing is to be done, None when nothing is."""
        return self._things[0][0] if self._things else None

    def take(self) -> Do:
        """Return the next thing, its instant having come."""
        at_us, _, do = heapq.heappop(self._things)
        self._clock.go_to(max(at_us, self._clock.passed_us))
        return do


class Ticket(Protocol):
    """Who waits for an answer."""

    def answered(self, outcome: Any, moment: int) -> None:
        """Take what came back, and the number of the turn that it comes from."""

    @property
    def at_once(self) -> bool:
        """Whether it acts on the answer at the instant at which it was given."""


class Network:
    """Carries requests and answers; `moment` numbers the turns of whoever answers."""

    def __init__(self, rng: Random, schedule: Schedule) -> None:
        self._rng, self._schedule = rng, schedule
        self.lost_share = self.twice_share = 0.0
        self.delays_us: list[int] = [1_000]
        self.moment = 0
        self.lost: list[range] = []
        """Turns that are forgotten: their answers do not arrive any more."""
        self.end_before_reply: Do = lambda: None
        """Called within the turn, when what it came to is safe and nobody knows yet."""

    def send(self, arrive: Do) -> None:
        """Have it arrive once, never or twice."""
        drawn = self._rng.random()
        if drawn < self.lost_share:
            return
        for _ in range(2 if drawn > 1.0 - self.twice_share else 1):
            self._schedule.after(self._rng.choice(self.delays_us), arrive)

    def given_up(self, ticket: Ticket) -> bool:
        """Nobody gives up: server.work.Delivery."""
        return False

    def deliver(self, done: list[tuple[Any, Any, int]]) -> None:
        """Take outcomes of work that is done: server.work.Delivery."""
        self.end_before_reply()
        for ticket, outcome, _ in done:
            self._reply(ticket, outcome)

    def deliver_calls(self, tickets: list[Any], outcomes: Outcomes) -> None:
        """Take outcomes of calls, row for row: server.work.Delivery."""
        self.end_before_reply()
        for ticket, outcome in zip(tickets, outcomes, strict=True):
            self._reply(ticket, outcome)

    def _reply(self, ticket: Ticket, outcome: bytes | Failure) -> None:
        moment = self.moment

        def arrive() -> None:
            if not any(moment in turns for turns in self.lost):
                ticket.answered(outcome, moment)

        if ticket.at_once:
            if self._rng.random() >= self.lost_share:
                self._schedule.after(0, arrive)
            return
        self.send(arrive)


def patience_us(attempts: int) -> int:
    """Return how long somebody waits for an answer before the next attempt."""
    return min(SECOND_US // 5 << attempts, 2 * MINUTE_US)
