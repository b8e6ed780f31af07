"""The native front: HTTP/2 and gRPC in a library outside the GIL, whose calls come in batches; every unary method is served here.

One thread takes the calls that wait, queues them for deciding, takes the decisions' turn itself, and answers: a call never changes threads
in Python. Streams, health, reflection and what no service has go through the library to a grpcio front on a private Unix socket.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from server import framing
from server.decision_thread import CALL_ITEMS_MAX, CALL_ROWS_MAX, STOPPED, DecisionThread
from server.failure import Code, Failure, RefusedError
from server.gate import NO_TOKEN, Gate
from server.grpcio_front import DECISIONS, SLOW_FAILED, UNARY_METHODS, GrpcioFront, Rpc, SlowRpc
from server.native_tickets import BatchTicket, ExplainingTicket, PlainTicket, Taken, Ticket
from server.settings import Settings
from server.sockets_folder import SocketsFolder
from server.statuses import logged_failure_of, trailing
from server.work import Call, CallInfo, Command, Message, Outcomes, Work

if TYPE_CHECKING:
    from pygrpc_native import NativeGrpcFront

EVENTS_MAX: Final = 256
"""Calls and cancellations taken from the library at once."""
ROUND_EVENTS_MAX: Final = 16_384
"""The most taken before decisions have their turn."""
WAIT_MS: Final = 200
"""Without a bound on waiting, a signal or the end would find the thread asleep for good."""
TURN_WAIT_S: Final = 0.002
"""While somebody else has the turn, how often calls are taken, so that they can be counted, shed and seen to be given up."""
SETTLE_S: Final = 0.03
"""Between the last answer and the end of the connections: what was answered is written by then."""
METADATA_BYTES_MAX: Final = 262_144
"""A call with a little more is refused alone; a header block of twice as much ends its connection, so this is more than anyone needs."""
_GLANCE_S: Final = 0.005
_NEVER_S: Final = float("inf")
_TASKS: Final = Path("/proc/self/task")
_LIBRARY_THREAD: Final = "grpc-native-io"
_NAMING_GLANCES: Final = 20

Details = tuple[tuple[tuple[str, str | bytes], ...], str, float | None]
Begin = Callable[[int, bytes, CallInfo, float], "tuple[Work, int] | None"]
"""From call id, request, who calls and deadline (of time.monotonic()) to what to queue and its items; raises RefusedError."""


class NativeFront:
    """Serves the contract as GrpcioFront does, and has one of those behind it; `rpcs` and `slow_rpcs` as there."""

    def __init__(
        self,
        thread: DecisionThread,
        gate: Gate,
        settings: Settings,
        rpcs: Mapping[str, Rpc],
        slow_rpcs: Mapping[str, SlowRpc],
    ) -> None:
        self._thread = thread
        self._gate = gate
        self._settings = settings
        self._bytes_max = settings.receive_bytes_max
        self._rpcs = rpcs
        self._slow_rpcs = slow_rpcs
        self._source = thread.load.native
        self._folder = SocketsFolder()
        behind = msgspec.structs.replace(settings, listen=f"unix:{self._folder.path / 's'}")
        self._behind = GrpcioFront(thread, Gate(gate.tokens, behind=True), behind, rpcs, slow_rpcs)
        self._given_up: set[int] = set()
        self._open: set[int] = set()
        self._slow: set[int] = set()
        self._refusing = False
        self._serving = threading.Thread(target=self._serve, name="native front", daemon=True)
        self._methods = [(service, self._begin_of(service, name)) for service, name in UNARY_METHODS]
        self.port = 0

    async def start(self) -> None:
        """Listen; health stays NOT_SERVING until `ready`. Raises OSError when the address cannot be had."""
        self._loop = asyncio.get_running_loop()
        await self._behind.start()
        others = _library_threads()
        try:
            self._library = self._new_library()
        except OSError as error:
            raise OSError(f"listen: cannot listen on {self._settings.listen}: {error.strerror or error}") from None
        self.port = self._library.bound_port
        self._library.set_fallback(str(self._folder.path / "s"))
        self._library.start()
        await self._named(others)
        self.give_way(True)
        self._serving.start()

    async def ready(self) -> None:
        """Say SERVING."""
        await self._behind.ready()

    async def drain(self) -> None:
        """Say NOT_SERVING, go on answering for the notice time, end the streams, refuse new calls, let those under way end, close.

        The library cannot tell its clients to go elsewhere before it closes, so the time between refusing and closing is kept short:
        a client that tries again after 0.1 s finds the connection closed, and goes elsewhere.
        """
        await self._behind.give_notice()
        end_s = time.monotonic() + self._settings.drain_grace_ms / 1_000
        await self._behind.end_streams(end_s)
        self._refusing = True
        while (self._open or self._slow) and time.monotonic() < end_s:
            await asyncio.sleep(_GLANCE_S)
        await asyncio.sleep(SETTLE_S)
        await self.abandon()

    async def abandon(self) -> None:
        """Stop at once, as a start that failed must."""
        if hasattr(self, "_library"):
            self._library.close()
        if self._serving.is_alive():
            await asyncio.to_thread(self._serving.join)
        await self._behind.abandon()
        self._folder.remove()

    async def _named(self, others: set[int]) -> None:
        """Wait until the library's threads have their names, which they give themselves; not for long, since nothing but speed hangs on it.

        `others`: those of fronts that were there before.
        """
        for _ in range(_NAMING_GLANCES):
            if len(_library_threads() - others) >= self._settings.native_io_threads or not _TASKS.exists():
                return
            await asyncio.sleep(_GLANCE_S)

    def give_way(self, on: bool) -> None:
        """Have the library's threads not interrupt the decisions of a batch at its first answer, so that all leave together, or have them do so again.

        Only where they share one core; with others beside them that are busy, as in a reload, they would wait for those too.
        """
        if not hasattr(os, "SCHED_BATCH") or len(os.sched_getaffinity(0)) > 1:
            return
        for thread in _library_threads():
            with suppress(OSError):
                os.sched_setscheduler(thread, os.SCHED_BATCH if on else os.SCHED_OTHER, os.sched_param(0))

    def given_up(self, ticket: "int | Ticket") -> bool:
        """Tell whether the caller has gone, or the library has ended the call at its deadline."""
        return (ticket if isinstance(ticket, int) else ticket.call_id) in self._given_up

    def deliver_calls(self, tickets: list[int], outcomes: Outcomes) -> None:
        """Answer single decisions; they count as answered before their callers can know."""
        self._source.answered_items += len(tickets)
        self._open.difference_update(tickets)
        if self._given_up:
            self._given_up.difference_update(tickets)
        respond = self._library.respond
        for call_id, outcome in zip(tickets, outcomes, strict=True):
            if isinstance(outcome, Failure):
                self._fail(call_id, outcome)
            else:
                respond(call_id, outcome)

    def deliver(self, done: list[tuple[Any, Any, int]]) -> None:
        """Answer calls that are done; each counts as answered before its caller can know, who may call again at once."""
        for ticket, outcome, items in done:
            self._source.answered_items += items
            if isinstance(ticket, int):
                self._answer(ticket, outcome)
                continue
            ticket.items_left -= items
            if (answer := ticket.take(outcome)) is not None:
                self._source.answered_items += ticket.items_left
                self._answer(ticket.call_id, answer)

    def _new_library(self) -> "NativeGrpcFront":
        from pygrpc_native import NativeGrpcFront

        tokens = self._gate.tokens
        return NativeGrpcFront(
            self._settings.listen,
            [(f"/{service}/{name}", False) for service, name in UNARY_METHODS],
            io_threads=self._settings.native_io_threads,
            call_details=True,
            bearer_token_sha256=tokens.digests if tokens else None,
            unauthenticated_message=NO_TOKEN.message,
            keepalive_time_ms=60_000,
            keepalive_timeout_ms=20_000,
            max_concurrent_streams=10_000,
            max_metadata_size=METADATA_BYTES_MAX,
        )

    def _serve(self) -> None:
        thread = self._thread
        while (events := self._received(0 if thread.work_waits else WAIT_MS)) is not None:
            self._take(events)
            taken = len(events)
            while events and len(events) == EVENTS_MAX and taken < ROUND_EVENTS_MAX:
                self._take(events := self._received(0) or [])
                taken += len(events)
            while thread.work_waits and not thread.take_turn(TURN_WAIT_S):
                self._take(self._received(0) or [])

    def _received(self, wait_ms: int) -> list[Any] | None:
        return self._library.recv_batch_details(EVENTS_MAX, wait_ms)

    def _take(self, events: list[Any]) -> None:
        """Queue the calls among the events, refuse those that cannot be served, note what was given up."""
        taken = Taken(self, time.monotonic_ns())
        waiting = self._thread.load.waiting_items
        for kind, call_id, method_id, payload, _, details in events:
            if kind:
                self._give_up(call_id)
                continue
            try:
                service, begin = self._methods[method_id]
                info, deadline_s = self._admitted(service, payload, details, taken)
                items, each = 1, None
                if begin is not None:
                    found = begin(call_id, payload, info, deadline_s)
                    if found is None:
                        continue
                    each, items = found
                if refused := self._thread.too_many(items, waiting + taken.items):
                    self._source.shed_items += items
                    raise RefusedError(refused)
            except Exception as error:
                self._answer(call_id, logged_failure_of(error, "a call could not be taken"))
                continue
            self._open.add(call_id)
            if each is None:
                taken.add_decide(call_id, payload, info, deadline_s)
            else:
                taken.add(each, items)
        self._source.submitted_items += taken.items
        self._thread.submit(taken.work)

    def _admitted(self, service: str, payload: bytes, details: Details, taken: Taken) -> tuple[CallInfo, float]:
        """Return who calls, and the call's deadline; raises RefusedError."""
        metadata, peer, remaining_s = details
        if self._refusing:
            raise RefusedError(STOPPED)
        if len(payload) > self._bytes_max:
            raise RefusedError(_too_large(len(payload), self._bytes_max))
        caller = self._gate.admit_quickly(service, metadata, peer)
        if isinstance(caller, Failure):
            raise RefusedError(caller)
        return taken.info_of(caller.name), _NEVER_S if remaining_s is None else taken.arrived_s + remaining_s

    def _begin_of(self, service: str, name: str) -> Begin | None:
        """Return how a call of the method begins; None for Decide, whose calls are queued together."""
        special = {
            "Decide": None,
            "DecideBatch": self._decide_batch,
            "DecideColumns": self._decide_columns,
            "Explain": self._explain,
        }
        if slow := self._slow_rpcs.get(f"{service}/{name}"):
            return self._slowly(slow)
        if service == DECISIONS and name in special:
            return special[name]
        return self._rare(self._rpcs[f"{service}/{name}"])

    def _explain(self, call_id: int, payload: bytes, info: CallInfo, deadline_s: float) -> tuple[Work, int]:
        request = framing.explained_request(payload)
        return Call((request,), info, deadline_s, self, ExplainingTicket(call_id)), 1

    def _decide_batch(self, call_id: int, payload: bytes, info: CallInfo, deadline_s: float) -> tuple[Work, int]:
        items = framing.batch_items(payload)
        ticket = BatchTicket(call_id, len(items), b"".join)
        first, *rest = (Message(piece, info, deadline_s, self, ticket) for piece in items.pieces(CALL_ITEMS_MAX))
        ticket.expect(rest, lambda piece: self._thread.submit([piece]))
        return first, len(items)

    def _decide_columns(self, call_id: int, payload: bytes, info: CallInfo, deadline_s: float) -> tuple[Work, int]:
        rows, answers = framing.table_rows(payload)
        ticket = BatchTicket(call_id, len(rows), lambda _: framing.table_response(answers))
        parts = (Message(piece, info, deadline_s, self, ticket, answers) for piece in rows.pieces(CALL_ROWS_MAX))
        first = next(parts)
        ticket.expect(parts, lambda piece: self._thread.submit([piece]))
        return first, len(rows)

    def _rare(self, rpc: Rpc) -> Begin:
        def begin(call_id: int, payload: bytes, info: CallInfo, deadline_s: float) -> tuple[Work, int]:
            return Command(lambda: rpc(payload, info), deadline_s, self, PlainTicket(call_id)), 1

        return begin

    def _slowly(self, rpc: SlowRpc) -> Begin:
        async def run(call_id: int, payload: bytes, info: CallInfo) -> None:
            try:
                outcome: bytes | Failure = await rpc(payload, info)
            except Exception as error:
                outcome = logged_failure_of(error, SLOW_FAILED)
            self._slow.discard(call_id)
            self._answer(call_id, outcome)

        def begin(call_id: int, payload: bytes, info: CallInfo, _deadline_s: float) -> None:
            self._slow.add(call_id)
            asyncio.run_coroutine_threadsafe(run(call_id, payload, info), self._loop)

        return begin

    def _give_up(self, call_id: int) -> None:
        # In this order, since another thread may be delivering the call: then neither set keeps it.
        self._given_up.add(call_id)
        if call_id not in self._open:
            self._given_up.discard(call_id)

    def _answer(self, call_id: int, answer: bytes | Failure) -> None:
        self._open.discard(call_id)
        if self._given_up:
            self._given_up.discard(call_id)
        if isinstance(answer, Failure):
            self._fail(call_id, answer)
        else:
            self._library.respond(call_id, answer)

    def _fail(self, call_id: int, failure: Failure) -> None:
        self._library.fail(call_id, int(failure.code), failure.message, trailing(failure))


def _library_threads() -> set[int]:
    """Return the ids of the library's threads; one that has only just begun may have no name yet. None where the system does not say."""
    found: set[int] = set()
    for task in _TASKS.iterdir() if _TASKS.exists() else ():
        with suppress(OSError):  # a thread that has ended meanwhile
            if (task / "comm").read_text(encoding="ascii").startswith(_LIBRARY_THREAD):
                found.add(int(task.name))
    return found


def _too_large(size_bytes: int, bytes_max: int) -> Failure:
    return Failure(Code.RESOURCE_EXHAUSTED, f"Received message larger than max ({size_bytes} vs. {bytes_max})")
