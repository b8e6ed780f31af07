"""The one queue of decisions and commands, and whose turn it is to serve it: engine, ledger and overlay belong to the turn's holder.

Whatever waits when a turn begins is taken as one batch, in order, whichever front brought it; there is no timer, so a lone call waits for
nobody. A call past its deadline or given up by its caller is dropped before anything is evaluated.

Turns are taken by the decision thread, or by a front's own thread right after it submitted (`take_turn`), which saves the way from one
thread to another. A lock makes turns exclusive; the queue is one, so that no thread's work waits for that thread.
"""

import asyncio
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar

from engine.limits import BATCH_ITEMS_MAX
from server.codec.items import Items
from server.failure import UNSAFE, Code, Failure
from server.load import Load, Source
from server.statuses import logged_failure_of
from server.work import (
    Call,
    CallInfo,
    Calls,
    Command,
    Delivery,
    Message,
    Outcomes,
    Work,
    items_of,
    why_dropped,
)

if TYPE_CHECKING:
    from server.codec.answer_sheet import AnswerSheet
    from server.codec.rows import Rows

R = TypeVar("R")
TICK_S: Final = 1.0
"""How often housekeeping runs when nobody calls."""

CALL_ITEMS_MAX: Final = 256
"""A larger batch call is decided in pieces of this, one after the other, and whoever waits meanwhile comes in between."""

CALL_ROWS_MAX: Final = 1_024
"""The same for a table, whose rows cost less apiece the more of them are decided together."""

STOPPED: Final = Failure(Code.UNAVAILABLE, "the server is stopping; send the same request again, elsewhere or later")


class Front(Protocol):
    """The hot path's contract: no grpc types, results independent of the size of batches."""

    def decide_batch(self, payloads: list[bytes], calls: list[CallInfo]) -> Outcomes:
        """Return for each DecideRequest its DecideResponse or its failure, in order."""

    def decide_message(self, items: Items, call: CallInfo) -> bytes:
        """Return the DecideBatchResponse of the items of one message or of a part of it; parts follow each other as their bytes do."""

    def decide_rows(self, rows: "Rows", call: CallInfo, answers: "AnswerSheet") -> None:
        """Decide rows of a table, and tell `answers`, which expects them next."""

    @property
    def changes(self) -> int:
        """A number that grows with everything that is to be on disk before its callers may know."""

    def settle(self) -> bool:
        """Return whether all of that is where it is to be; called once a turn."""

    def tick(self) -> None:
        """Do what time alone brings."""


class Done(NamedTuple):
    """Work that is done, and what it came to."""

    work: Work
    outcome: Any
    changed: bool
    """Whether something is to be on disk before its callers may know."""


_ByDelivery = defaultdict[Delivery, list[tuple[Any, Any, int]]]


class _LoopDelivery:
    """Sets futures of one event loop, with one call into the loop a turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop, source: Source) -> None:
        self._loop = loop
        self._source = source

    def given_up(self, ticket: "asyncio.Future[Any]") -> bool:
        return ticket.cancelled()

    def deliver(self, done: list[tuple["asyncio.Future[Any]", Any, int]]) -> None:
        self._loop.call_soon_threadsafe(self._set, done)

    def deliver_calls(self, tickets: list["asyncio.Future[Any]"], outcomes: Outcomes) -> None:
        self.deliver([(ticket, [outcome], 1) for ticket, outcome in zip(tickets, outcomes, strict=True)])

    def _set(self, done: list[tuple["asyncio.Future[Any]", Any, int]]) -> None:
        for future, outcome, items in done:
            self._source.answered_items += items
            if not future.done():
                future.set_result(outcome)


class DecisionThread:
    """Runs batches through a front and commands between them; `decide` and `run` only from the event loop given."""

    def __init__(self, front: Front, items_max: int, loop: asyncio.AbstractEventLoop) -> None:
        self.load = Load()
        self._front = front
        self.items_max = items_max
        self._loop = loop
        self._to_loop = _LoopDelivery(loop, self.load.loop)
        self._work: deque[Work] = deque()
        self._turn = threading.Lock()
        # True for work that has been queued, False to end: the thread waits for it, and finds the work done if a front took the turn.
        self._wake: SimpleQueue[bool] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="decisions", daemon=True)
        self._stopping = False

    def start(self) -> None:
        """Start taking work."""
        self._thread.start()

    async def stop(self) -> None:
        """Do what was submitted, then end the thread; what comes later fails as STOPPED."""
        self._stopping = True
        self._wake.put(False)
        await asyncio.to_thread(self._thread.join)
        while self.load.loop.waiting_items:
            await asyncio.sleep(0)

    async def decide(
        self, payloads: Sequence[bytes], info: CallInfo, timeout_s: float | None = None
    ) -> Outcomes | Failure:
        """Return the outcome of each DecideRequest; one failure for the call: too many wait, `timeout_s` passed, the server stops."""
        if refused := self._refused(len(payloads)):
            return refused
        call = Call(payloads, info, deadline(timeout_s), self._to_loop, self._loop.create_future())
        outcomes: Outcomes | Failure = await self._submit(call)
        return outcomes

    async def decide_message(self, items: Items, info: CallInfo, timeout_s: float | None = None) -> bytes | Failure:
        """Return the DecideBatchResponse of the items; one failure for the call, as `decide` has it.

        What a failed call had decided by then is remembered, so sending it again is safe.
        """
        answers = await self._in_parts(items, CALL_ITEMS_MAX, info, timeout_s)
        return answers if isinstance(answers, Failure) else b"".join(answers)

    async def decide_rows(
        self, rows: "Rows", answers: "AnswerSheet", info: CallInfo, timeout_s: float | None = None
    ) -> Failure | None:
        """Tell `answers` what is decided of the rows; return one failure for the call, as `decide_message` has it."""
        outcome = await self._in_parts(rows, CALL_ROWS_MAX, info, timeout_s, answers=answers)
        return outcome if isinstance(outcome, Failure) else None

    async def _in_parts(
        self,
        items: "Items | Rows",
        items_max: int,
        info: CallInfo,
        timeout_s: float | None,
        *,
        answers: "AnswerSheet | None" = None,
    ) -> list[bytes] | Failure:
        """Return what each part of a message is answered by, decided one after the other, or why the call failed."""
        if refused := self._refused(len(items)):
            return refused
        deadline_s = deadline(timeout_s)
        outcomes: list[bytes] = []
        for piece in items.pieces(items_max):
            if self._stopping:
                return STOPPED
            message = Message(piece, info, deadline_s, self._to_loop, self._loop.create_future(), answers)
            outcome: bytes | Failure = await self._submit(message)
            if isinstance(outcome, Failure):
                return outcome
            outcomes.append(outcome)
        return outcomes

    async def run(self, command: Callable[[], R], timeout_s: float | None = None) -> R | Failure:
        """Return what `command` returns when called within a turn, in its place in the queue; a failure for what it raises."""
        if refused := self._refused(1):
            return refused
        work = Command(command, deadline(timeout_s), self._to_loop, self._loop.create_future())
        result: R | Failure = await self._submit(work)
        return result

    def _refused(self, items: int) -> Failure | None:
        """Return why work of so many items is not taken; what is alone is taken whatever its size."""
        if self._stopping:
            return STOPPED
        if refused := self.too_many(items, self.load.waiting_items):
            self.load.loop.shed_items += items
            return refused
        return None

    def too_many(self, items: int, waiting_items: int) -> Failure | None:
        """Return what a call with so many items gets when too many wait already; what is alone is taken whatever its size."""
        if not waiting_items or waiting_items + items <= self.items_max:
            return None
        message = f"{waiting_items} decisions wait already, of {self.items_max} at most; send again later"
        return Failure(Code.RESOURCE_EXHAUSTED, message)

    async def _submit(self, work: Call | Message | Command) -> Any:
        self.load.loop.submitted_items += items_of(work)
        self._work.append(work)
        self._wake.put(True)
        return await work.ticket

    def submit(self, work: Sequence[Work]) -> None:
        """Queue a front's work from its own thread, which goes on to `take_turn` until that says True."""
        self._work.extend(work)

    @property
    def work_waits(self) -> bool:
        """Whether something is queued that no turn has taken."""
        return bool(self._work)

    @property
    def busy(self) -> bool:
        """Whether a turn is under way, or work waits for one."""
        return bool(self._work) or self._turn.locked()

    def take_turn(self, wait_s: float) -> bool:
        """Do on this thread what waits, at most BATCH_ITEMS_MAX items; False when somebody else's turn was not over within `wait_s`."""
        if not self._turn.acquire(timeout=wait_s):
            return False
        try:
            self._perform(self._taken())
        finally:
            self._turn.release()
        return True

    def _run(self) -> None:
        while True:
            try:
                more = self._wake.get(timeout=TICK_S)
            except Empty:
                with self._turn:
                    self._guarded(self._front.tick)
                    self._guarded(self._front.settle)
                continue
            with self._turn:
                self._perform(self._taken())
            if self._work:
                self._wake.put(more)
            elif not more:
                return

    def _taken(self) -> list[Work]:
        """Take what waits off the queue, until it makes BATCH_ITEMS_MAX items."""
        work: list[Work] = []
        items = 0
        while self._work and items < BATCH_ITEMS_MAX:
            each = self._work.popleft()
            items += items_of(each)
            work.append(each)
        return work

    def _perform(self, work: list[Work]) -> None:
        done: list[Done] = []
        calls: list[Call | Calls] = []
        for each in work:
            if isinstance(each, Call | Calls):
                calls.append(each)
                continue
            self._decide(calls, done)
            calls = []
            before = self._front.changes
            outcome = self._message(each) if isinstance(each, Message) else self._command(each)
            done.append(Done(each, outcome, self._front.changes != before))
        self._decide(calls, done)
        if self._guarded(self._front.settle) is not True:
            done = [each._replace(outcome=UNSAFE) if each.changed else each for each in done]
        self._deliver(done)

    def _deliver(self, done: list[Done]) -> None:
        """Hand over the outcomes of a turn, those of a loop all at once."""
        by_delivery: _ByDelivery = defaultdict(list)
        for work, outcome, _ in done:
            if isinstance(work, Calls):
                each = [outcome] * len(work.tickets) if isinstance(outcome, Failure) else outcome
                self._guarded(partial(work.delivery.deliver_calls, work.tickets, each))
            else:
                by_delivery[work.delivery].append((work.ticket, outcome, items_of(work)))
        for delivery, its_done in by_delivery.items():
            self._guarded(partial(delivery.deliver, its_done))

    def _command(self, command: Command) -> Any:
        if dropped := why_dropped(command, time.monotonic()):
            return dropped
        return self._guarded(command.run)

    def _message(self, message: Message) -> bytes | Failure:
        if dropped := why_dropped(message, time.monotonic()):
            self.load.dropped_items += len(message.items)
            return dropped
        self._count(len(message.items))
        return self._guarded(lambda: self._answered(message))

    def _answered(self, message: Message) -> bytes:
        if message.answers is None:
            assert isinstance(message.items, Items)
            return self._front.decide_message(message.items, message.info)
        assert not isinstance(message.items, Items)
        self._front.decide_rows(message.items, message.info, message.answers)
        return b""

    def _decide(self, calls: list[Call | Calls], done: list[Done]) -> None:
        payloads: list[bytes] = []
        infos: list[CallInfo] = []
        now_s = time.monotonic()
        live: list[Call | Calls] = []
        for call in calls:
            if self._drop(call, now_s, done):
                continue
            live.append(call)
            payloads += call.payloads
            infos += call.infos if isinstance(call, Calls) else [call.info] * len(call.payloads)
        if not live:
            return
        self._count(len(payloads))
        before = self._front.changes
        outcomes = self._guarded(lambda: self._front.decide_batch(payloads, infos))
        changed, start = self._front.changes != before, 0
        for call in live:
            end = start + len(call.payloads)
            done.append(Done(call, outcomes if isinstance(outcomes, Failure) else outcomes[start:end], changed))
            start = end

    def _drop(self, call: Call | Calls, now_s: float, done: list[Done]) -> bool:
        """Answer what is dropped of a call; return whether nothing of it is left."""
        if isinstance(call, Calls):
            dropped = call.drop(now_s)
            self.load.dropped_items += len(dropped)
            if dropped:
                call.delivery.deliver([(ticket, failure, 1) for ticket, failure in dropped])
            return not call.payloads
        if failure := why_dropped(call, now_s):
            self.load.dropped_items += len(call.payloads)
            done.append(Done(call, failure, False))
            return True
        return False

    def _count(self, items: int) -> None:
        bucket = 1 << (items - 1).bit_length()
        self.load.batch_items[bucket] = self.load.batch_items.get(bucket, 0) + 1

    def _guarded(self, run: Callable[[], R]) -> R | Failure:
        try:
            return run()
        except Exception as error:
            return logged_failure_of(error, "a decision or command failed")


def deadline(timeout_s: float | None) -> float:
    """Return the instant, of time.monotonic(), that lies `timeout_s` ahead; infinity for None."""
    return float("inf") if timeout_s is None else time.monotonic() + timeout_s
