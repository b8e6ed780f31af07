"""The one thread that owns engine, ledger and overlay: decisions and commands reach it through one queue, in order.

Whatever waits when it comes round is taken as one batch; there is no timer, so a lone call waits for nobody. A call past its deadline or
cancelled by its caller is dropped before anything is evaluated.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from engine.limits import BATCH_ITEMS_MAX
from server.codec.items import Items
from server.failure import Code, Failure
from server.logs import frames, log
from server.statuses import failure_of

R = TypeVar("R")
Outcomes = list[bytes | Failure]

TICK_S: Final = 1.0
"""How often housekeeping runs when nobody calls."""

CALL_ITEMS_MAX: Final = 256
"""A larger batch call is decided in pieces of this, one after the other, and whoever waits meanwhile comes in between."""

EXPIRED: Final = Failure(
    Code.DEADLINE_EXCEEDED, "the deadline passed before the request was looked at; nothing was decided"
)
DROPPED: Final = Failure(Code.CANCELLED, "the caller went away; nothing was decided")
STOPPED: Final = Failure(Code.UNAVAILABLE, "the server is stopping; send the same request again, elsewhere or later")


class CallInfo(NamedTuple):
    """What is known of a call beside its bytes."""

    principal: str
    """Who calls."""
    arrived_ns: int
    """time.monotonic_ns() when its bytes had come."""


class Front(Protocol):
    """The hot path's contract: no grpc types, results independent of the size of batches."""

    def decide_batch(self, payloads: list[bytes], calls: list[CallInfo]) -> Outcomes:
        """Return for each DecideRequest its DecideResponse or its failure, in order."""

    def decide_message(self, items: Items, call: CallInfo) -> bytes:
        """Return the DecideBatchResponse of the items of one message or of a part of it; parts follow each other as their bytes do."""

    def tick(self) -> None:
        """Do what time alone brings."""


@dataclass(slots=True)
class _Call:
    payloads: Sequence[bytes]
    info: CallInfo
    deadline_s: float
    future: "asyncio.Future[Any]"


@dataclass(slots=True)
class _Message:
    items: Items
    info: CallInfo
    deadline_s: float
    future: "asyncio.Future[Any]"


@dataclass(slots=True)
class _Command:
    run: Callable[[], Any]
    deadline_s: float
    future: "asyncio.Future[Any]"


_Work = _Call | _Message | _Command


@dataclass(slots=True)
class Load:
    """Figures of the queue and the batches; written by the thread that each comment names."""

    waiting_items: int = 0
    """Items submitted and not answered (event loop)."""
    shed_items: int = 0
    """Items refused because too many waited (event loop)."""
    dropped_items: int = 0
    """Items past their deadline or cancelled, never evaluated (decision thread)."""
    batch_items: dict[int, int] = field(default_factory=dict)
    """How many batches had up to 1, 2, 4, ... items (decision thread)."""


class DecisionThread:
    """Runs batches through a front and commands between them; submit only from the event loop given."""

    def __init__(self, front: Front, items_max: int, loop: asyncio.AbstractEventLoop) -> None:
        self.load = Load()
        self._front = front
        self._items_max = items_max
        self._loop = loop
        self._queue: SimpleQueue[_Work | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="decisions", daemon=True)
        self._stopping = False

    def start(self) -> None:
        """Start taking work."""
        self._thread.start()

    async def stop(self) -> None:
        """Do what was submitted, then end the thread; what comes later fails as STOPPED."""
        self._stopping = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        while self.load.waiting_items:
            await asyncio.sleep(0)

    async def decide(
        self, payloads: Sequence[bytes], info: CallInfo, timeout_s: float | None = None
    ) -> Outcomes | Failure:
        """Return the outcome of each DecideRequest; one failure for the call: too many wait, `timeout_s` passed, the server stops."""
        if refused := self._refused(len(payloads)):
            return refused
        call = _Call(payloads, info, _deadline(timeout_s), self._loop.create_future())
        outcomes: Outcomes | Failure = await self._submit(call, len(payloads))
        return outcomes

    async def decide_message(self, items: Items, info: CallInfo, timeout_s: float | None = None) -> bytes | Failure:
        """Return the DecideBatchResponse of the items; one failure for the call, as `decide` has it.

        What a failed call had decided by then is remembered, so sending it again is safe.
        """
        if refused := self._refused(len(items)):
            return refused
        deadline_s = _deadline(timeout_s)
        answers: list[bytes] = []
        for piece in items.pieces(CALL_ITEMS_MAX):
            if self._stopping:
                return STOPPED
            message = _Message(piece, info, deadline_s, self._loop.create_future())
            answer: bytes | Failure = await self._submit(message, len(piece))
            if isinstance(answer, Failure):
                return answer
            answers.append(answer)
        return b"".join(answers)

    def _refused(self, items: int) -> Failure | None:
        """Return why a call with so many items is not taken; one that is alone is taken whatever its size."""
        if self._stopping:
            return STOPPED
        if self.load.waiting_items + items > self._items_max and self.load.waiting_items:
            self.load.shed_items += items
            return self._too_many()
        return None

    async def _submit(self, work: _Work, items: int) -> Any:
        self.load.waiting_items += items
        self._queue.put(work)
        return await work.future

    async def run(self, command: Callable[[], R], timeout_s: float | None = None) -> R | Failure:
        """Return what `command` returns when called on the thread, in its place in the queue; a failure for what it raises."""
        if self._stopping:
            return STOPPED
        if self.load.waiting_items + 1 > self._items_max:
            self.load.shed_items += 1
            return self._too_many()
        work = _Command(command, _deadline(timeout_s), self._loop.create_future())
        result: R | Failure = await self._submit(work, 1)
        return result

    def _too_many(self) -> Failure:
        message = f"{self.load.waiting_items} decisions wait already, of {self._items_max} at most; send again later"
        return Failure(Code.RESOURCE_EXHAUSTED, message)

    def _run(self) -> None:
        while True:
            try:
                work = [self._queue.get(timeout=TICK_S)]
            except Empty:
                self._guarded(self._front.tick)
                continue
            items = 0
            while items < BATCH_ITEMS_MAX:
                items += _items_of(work[-1])
                try:
                    work.append(self._queue.get_nowait())
                except Empty:
                    break
            last = work[-1] is None
            self._perform([each for each in work if each is not None])
            if last:
                return

    def _perform(self, work: list[_Work]) -> None:
        done: list[tuple[asyncio.Future[Any], Any, int]] = []
        calls: list[_Call] = []
        for each in work:
            if isinstance(each, _Call):
                calls.append(each)
                continue
            self._decide(calls, done)
            calls = []
            outcome = self._message(each) if isinstance(each, _Message) else self._command(each)
            done.append((each.future, outcome, _items_of(each)))
        self._decide(calls, done)
        self._loop.call_soon_threadsafe(self._deliver, done)

    def _command(self, command: _Command) -> Any:
        if dropped := _dropped(command, time.monotonic()):
            return dropped
        return self._guarded(command.run)

    def _message(self, message: _Message) -> bytes | Failure:
        if dropped := _dropped(message, time.monotonic()):
            self.load.dropped_items += len(message.items)
            return dropped
        self._count(len(message.items))
        return self._guarded(lambda: self._front.decide_message(message.items, message.info))

    def _decide(self, calls: list[_Call], done: list[tuple["asyncio.Future[Any]", Any, int]]) -> None:
        now_s = time.monotonic()
        live: list[_Call] = []
        for call in calls:
            if dropped := _dropped(call, now_s):
                self.load.dropped_items += len(call.payloads)
                done.append((call.future, dropped, len(call.payloads)))
            else:
                live.append(call)
        if not live:
            return
        payloads = [payload for call in live for payload in call.payloads]
        infos = [call.info for call in live for _ in call.payloads]
        self._count(len(payloads))
        outcomes = self._guarded(lambda: self._front.decide_batch(payloads, infos))
        start = 0
        for call in live:
            end = start + len(call.payloads)
            done.append((call.future, outcomes if isinstance(outcomes, Failure) else outcomes[start:end], end - start))
            start = end

    def _count(self, items: int) -> None:
        bucket = 1 << (items - 1).bit_length()
        self.load.batch_items[bucket] = self.load.batch_items.get(bucket, 0) + 1

    def _guarded(self, run: Callable[[], R]) -> R | Failure:
        try:
            return run()
        except Exception as error:
            failure = failure_of(error)
            if failure.code == Code.INTERNAL:
                log().error("a decision or command failed", error=type(error).__name__, where=frames(error))
            return failure

    def _deliver(self, done: list[tuple["asyncio.Future[Any]", Any, int]]) -> None:
        for future, outcome, items in done:
            self.load.waiting_items -= items
            if not future.done():
                future.set_result(outcome)


def _deadline(timeout_s: float | None) -> float:
    return float("inf") if timeout_s is None else time.monotonic() + timeout_s


def _items_of(work: _Work | None) -> int:
    if isinstance(work, _Call):
        return len(work.payloads)
    return len(work.items) if isinstance(work, _Message) else 1


def _dropped(work: _Work, now_s: float) -> Failure | None:
    if work.future.cancelled():
        return DROPPED
    return EXPIRED if work.deadline_s <= now_s else None
