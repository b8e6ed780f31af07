"""The router's queue: what waits is grouped by owner, and each worker gets all of its own as one DecideBatch at a time.

It stands where a server has its decision thread, so both fronts serve it as they serve that one. A turn hands items to the workers' senders and
waits for none of them: a worker that is slow or away keeps its own subscribers waiting and nobody else's. While a sender waits for an answer,
more gathers behind it: the busier the workers, the larger their batches. What waits for one worker may be no more than what stays free for all, so
that one that hangs does not fill the queue.
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
from server.failure import Code, Failure
from server.logs import frames, log
from server.statuses import failure_of
from server.work import EXPIRED, Call, Calls, Command, Message, Outcomes, Work, items_of, why_dropped
from server.workers.links import Link
from server.workers.owning import Owning

SEND_BYTES_MAX: Final = 8 << 20
"""Of several pieces of work together; one alone may be larger."""


@dataclass(slots=True)
class Share:
    """Requests of one piece of work that one worker owns; `done` takes the DecideBatchResult of each, as bytes."""

    payloads: list[bytes]
    deadlines_s: list[float]
    """Of each, of time.monotonic()."""
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
        self._sent_items = 0
        self._done_items = 0
        self._thread = threading.Thread(target=self._run, name=f"sender {link.worker.shard.number}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def waiting_items(self) -> int:
        """Items that were handed over and not answered."""
        return self._sent_items - self._done_items

    def send(self, share: Share) -> None:
        """Send a share in its turn; called within a turn."""
        self._sent_items += len(share.payloads)
        self._queue.put(share)

    def room(self, free_items: int, *, whole: bool) -> int:
        """Return how many more items may wait here, of which then no more wait than stay free; what is alone and `whole` is taken whatever its size."""
        waiting = self.waiting_items
        if not waiting and whole:
            return BATCH_ITEMS_MAX
        return max((free_items - waiting) // 2, 0 if waiting else 1)

    def too_many(self) -> Failure:
        """Return what items get for which there is no room."""
        message = f"{self.waiting_items} decisions wait for {self._link.worker} already; send again later"
        return Failure(Code.RESOURCE_EXHAUSTED, message)

    def stop(self) -> None:
        """Send what waits, then end."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._held or self._queue.get()) is not None:
            shares = self._with_more(first)
            results = self._results(shares)
            self._done_items += len(results)
            self._delivered(len(results), partial(_deliver, shares, results))

    def _results(self, shares: list[Share]) -> list[bytes]:
        """Return the result of each item; what waited here beyond its deadline is not sent."""
        payloads = [payload for share in shares for payload in share.payloads]
        deadlines_s = [deadline_s for share in shares for deadline_s in share.deadlines_s]
        now_s = time.monotonic()
        patience_s = max(deadlines_s) - now_s
        if min(deadlines_s) > now_s:
            return self._decided(payloads, patience_s)
        results = [framing.failed_result(EXPIRED)] * len(payloads)
        live = [place for place, deadline_s in enumerate(deadlines_s) if deadline_s > now_s]
        if live:
            decided = self._decided([payloads[place] for place in live], patience_s)
            for place, result in zip(live, decided, strict=True):
                results[place] = result
        return results

    def _decided(self, payloads: list[bytes], patience_s: float) -> list[bytes]:
        try:
            results = self._link.decide(payloads, patience_s)
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
        self._links = links
        self._delivering = threading.Lock()
        self._senders = [Sender(link, self._delivered) for link in links]

    def start(self) -> None:
        """Start taking work."""
        for sender in self._senders:
            sender.start()
        super().start()

    async def stop(self) -> None:
        """End; what comes later fails as STOPPED. Whoever waits still is nobody by now: the front has let all calls end that it had patience for."""
        for link in self._links:
            link.end_batches()
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
        take, deadlines_s = _taker_of(work, len(payloads)), _deadlines_of(work, len(payloads))
        free_items, whole = self.items_max - self.load.waiting_items + len(payloads), not isinstance(work, Calls)
        for owner, owned in places_by_owner.items():
            sender = self._senders[owner]
            room = sender.room(free_items, whole=whole)
            places, refused = owned[:room], owned[room:]
            if places:
                asked, until_s = [payloads[place] for place in places], [deadlines_s[place] for place in places]
                sender.send(Share(asked, until_s, partial(take, places)))
            if refused:
                results = [framing.failed_result(sender.too_many())] * len(refused)
                with self._delivering:
                    self._guarded(partial(take, refused, results))

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


def _deadlines_of(work: Call | Calls | Message, items: int) -> list[float]:
    return work.deadlines_s if isinstance(work, Calls) else [work.deadline_s] * items


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
