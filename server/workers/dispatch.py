"""The router's queue: what waits is grouped by owner, and each worker gets all of its own as one DecideBatch at a time.

It stands where a server has its decision thread, so both fronts serve it as they serve that one. A turn hands items to the workers' senders and
waits for none of them: a worker that is slow or away keeps its own subscribers waiting and nobody else's. While a sender waits for an answer,
more gathers behind it: the busier the workers, the larger their batches.
"""

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, SimpleQueue
from typing import Final, cast

from engine.limits import BATCH_ITEMS_MAX
from server import framing
from server.codec.items import Items
from server.decision_thread import DecisionThread, Done, Front
from server.failure import Failure
from server.logs import frames, log
from server.statuses import failure_of
from server.work import Call, Calls, Command, Message, Outcomes, Work, items_of, why_dropped
from server.workers.links import Link
from server.workers.owning import Owning

SEND_BYTES_MAX: Final = 8 << 20
"""Of several pieces of work together; one alone may be larger."""


@dataclass(slots=True)
class Share:
    """Requests of one piece of work that one worker owns; `done` takes the DecideBatchResult of each, as bytes."""

    payloads: list[bytes]
    done: Callable[[list[bytes]], None]
    bytes: int = field(init=False)

    def __post_init__(self) -> None:
        self.bytes = sum(map(len, self.payloads))


class Gather:
    """The results of a call whose items went to several workers, until all are there."""

    def __init__(self, items: int, finish: Callable[[list[bytes]], None]) -> None:
        self._results: list[bytes] = [b""] * items
        self._left = items
        self._finish = finish

    def take(self, places: list[int], results: list[bytes]) -> None:
        """Take the results of some items; with the last, finish."""
        for place, result in zip(places, results, strict=True):
            self._results[place] = result
        self._left -= len(places)
        if not self._left:
            self._finish(self._results)


class Sender:
    """Sends one worker what it owns, on a thread of its own."""

    def __init__(self, link: Link, delivered: Callable[[int, Callable[[], None]], None]) -> None:
        """`delivered` runs what it is given, which delivers so many items, while nobody else delivers."""
        self._link = link
        self._delivered = delivered
        self._queue: SimpleQueue[Share | None] = SimpleQueue()
        self._held: Share | None = None
        self._thread = threading.Thread(target=self._run, name=f"sender {link.worker.shard.number}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def send(self, share: Share) -> None:
        """Send a share in its turn."""
        self._queue.put(share)

    def stop(self) -> None:
        """Send what waits, then end."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._held or self._queue.get()) is not None:
            shares = self._with_more(first)
            payloads = [payload for share in shares for payload in share.payloads]
            results = self._decided(payloads)
            self._delivered(len(payloads), partial(_deliver, shares, results))

    def _decided(self, payloads: list[bytes]) -> list[bytes]:
        try:
            results = self._link.decide(payloads)
        except Exception as error:
            log().error("a batch could not be sent", error=type(error).__name__, where=frames(error))
            results = failure_of(error)
        return [framing.failed_result(results)] * len(payloads) if isinstance(results, Failure) else results

    def _with_more(self, first: Share) -> list[Share]:
        """Return the share and those that wait behind it, as many as make one batch; the first that does not fit is held back."""
        shares, items, size, self._held = [first], len(first.payloads), first.bytes, None
        while True:
            try:
                more = self._queue.get_nowait()
            except Empty:
                return shares
            if more is None:
                self._queue.put(None)
                return shares
            items, size = items + len(more.payloads), size + more.bytes
            if items > BATCH_ITEMS_MAX or size > SEND_BYTES_MAX:
                self._held = more
                return shares
            shares.append(more)


def _deliver(shares: list[Share], results: list[bytes]) -> None:
    start = 0
    for share in shares:
        end = start + len(share.payloads)
        share.done(results[start:end])
        start = end


class Dispatch(DecisionThread):
    """Hands what comes to the workers' senders."""

    def __init__(self, links: Sequence[Link], owning: Owning, items_max: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(cast(Front, _Nobody()), items_max, loop)
        self._owning = owning
        self._delivering = threading.Lock()
        self._senders = [Sender(link, self._delivered) for link in links]

    def start(self) -> None:
        """Start taking work."""
        for sender in self._senders:
            sender.start()
        super().start()

    async def stop(self) -> None:
        """Do what was submitted, then end; what comes later fails as STOPPED."""
        await super().stop()
        for sender in self._senders:
            await asyncio.to_thread(sender.stop)

    def _perform(self, work: list[Work]) -> None:
        done: list[Done] = []
        for each in work:
            if isinstance(each, Command):
                done.append(Done(each, self._command(each), False))
            elif not self._dropped(each, done):
                self._share(each, done)
        if done:
            with self._delivering:
                self._deliver(done)

    def _dropped(self, work: Call | Calls | Message, done: list[Done]) -> bool:
        """Answer what is dropped of the work; return whether nothing of it is left."""
        now_s = time.monotonic()
        if not isinstance(work, Calls):
            if failure := why_dropped(work, now_s):
                self.load.dropped_items += items_of(work)
                done.append(Done(work, failure, False))
            return failure is not None
        if dropped := work.drop(now_s):
            self.load.dropped_items += len(dropped)
            with self._delivering:
                work.delivery.deliver([(ticket, failure, 1) for ticket, failure in dropped])
        return not work.payloads

    def _share(self, work: Call | Calls | Message, done: list[Done]) -> None:
        """Hand the items to the senders of those who own them."""
        payloads = _payloads_of(work)
        owners = self._guarded(lambda: self._owning.each(payloads))
        if isinstance(owners, Failure):
            done.append(Done(work, owners, False))
            return
        places_by_owner: dict[int, list[int]] = defaultdict(list)
        for place, owner in enumerate(owners):
            places_by_owner[owner].append(place)
        take = _taker_of(work, len(payloads))
        for owner, places in places_by_owner.items():
            self._senders[owner].send(Share([payloads[place] for place in places], partial(take, places)))

    def _delivered(self, items: int, deliver: Callable[[], None]) -> None:
        with self._delivering:
            self._count(items)
            self._guarded(deliver)
        if self._work:  # the next part of a batch, which whoever delivers its last queues
            self._wake.put(True)


def _payloads_of(work: Call | Calls | Message) -> Sequence[bytes]:
    if not isinstance(work, Message):
        return work.payloads
    assert isinstance(work.items, Items), "tables are split by a rare method"
    return [work.items.payload(item) for item in range(len(work.items))]


def _taker_of(work: Call | Calls | Message, items: int) -> Callable[[list[int], list[bytes]], None]:
    """Return what takes results of some of the work's items: calls are answered as soon as theirs is there, all else when all are."""
    if isinstance(work, Calls):

        def take(places: list[int], results: list[bytes]) -> None:
            outcomes: Outcomes = [framing.outcome_of(result) for result in results]
            work.delivery.deliver_calls([work.tickets[place] for place in places], outcomes)

        return take

    def finish(results: list[bytes]) -> None:
        if isinstance(work, Message):
            work.delivery.deliver([(work.ticket, framing.joined_results(results), items)])
        else:
            work.delivery.deliver([(work.ticket, [framing.outcome_of(result) for result in results], items)])

    return Gather(items, finish).take


class _Nobody:
    """The front of a queue that decides nothing itself."""

    def tick(self) -> None:
        """Time alone brings nothing."""

    def settle(self) -> bool:
        """Nothing is kept here."""
        return True
