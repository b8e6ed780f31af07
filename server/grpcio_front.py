"""The grpcio front: grpc.aio with every method registered as raw bytes, so that one decode path serves them all."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]  # it ships none
from grpc_reflection.v1alpha import reflection  # type: ignore[import-untyped]  # it ships none
from touchpoint.v1 import admin_service_pb2, decision_service_pb2, outcome_service_pb2, subscriber_service_pb2

from server import framing
from server.decision_thread import DecisionThread
from server.failure import Failure, RefusedError
from server.gate import Gate
from server.settings import Settings, SettingsError
from server.statuses import grpc_code, logged_failure_of, trailing
from server.work import CallInfo, Outcomes

Context = grpc.aio.ServicerContext[Any, Any]
Rpc = Callable[[bytes, CallInfo], bytes]
"""A rare method: the request's bytes to the response's; runs on the decision thread; raises RefusedError."""
SlowRpc = Callable[[bytes, CallInfo], Awaitable[bytes]]
"""A method that takes its time on the event loop."""
SLOW_FAILED: Final = "a call that decisions do not wait for failed"

_SERVICES: Final = {
    module.DESCRIPTOR.services_by_name[name].full_name: module.DESCRIPTOR.services_by_name[name]
    for module, name in (
        (decision_service_pb2, "DecisionService"),
        (outcome_service_pb2, "OutcomeService"),
        (subscriber_service_pb2, "SubscriberService"),
        (admin_service_pb2, "AdminService"),
    )
}
SERVICE_NAMES: Final = tuple(_SERVICES)
UNARY_METHODS: Final = tuple(
    (service, method.name)
    for service, descriptor in _SERVICES.items()
    for method in descriptor.methods
    if not (method.client_streaming or method.server_streaming)
)
"""Every unary method as (service, method)."""
DECISIONS: Final = "touchpoint.v1.DecisionService"
METADATA_BYTES_MAX: Final = 65_536
"""A call with more metadata is refused."""
_GLANCE_S: Final = 0.01


def options(settings: Settings) -> list[tuple[str, Any]]:
    """Return the channel arguments of the server."""
    return [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", settings.receive_bytes_max),
        ("grpc.max_send_message_length", -1),
        # Between these two calls are refused at random.
        ("grpc.max_metadata_size", METADATA_BYTES_MAX),
        ("grpc.absolute_max_metadata_size", METADATA_BYTES_MAX),
        # Above 1,000 pending calls the default fails them at random; the queue's own limit sheds instead.
        ("grpc.server.max_pending_requests", 100_000),
        ("grpc.server.max_pending_requests_hard_limit", 200_000),
        ("grpc.max_concurrent_streams", 10_000),
        ("grpc.keepalive_time_ms", 60_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ]


class GrpcioFront:
    """Serves the contract over grpc.aio; `rpcs` and `slow_rpcs` hold the rare methods by "<service>/<method>"."""

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
        self._rpcs = rpcs
        self._slow_rpcs = slow_rpcs
        self._draining = asyncio.Event()
        self._streams = 0
        self._health = health.aio.HealthServicer()
        self._server = grpc.aio.server(options=options(settings))
        self.port = 0

    async def start(self) -> None:
        """Listen; health stays NOT_SERVING until `ready`. Raises OSError when the address cannot be had."""
        self._server.add_generic_rpc_handlers(tuple(self._handlers(name) for name in SERVICE_NAMES))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            (*SERVICE_NAMES, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server
        )
        await self._say(health_pb2.HealthCheckResponse.NOT_SERVING)
        try:
            self.port = self._bind()
        except RuntimeError as error:
            raise OSError(f"listen: cannot listen on {self._settings.listen}: {error}") from None
        await self._server.start()

    async def ready(self) -> None:
        """Say SERVING."""
        await self._say(health_pb2.HealthCheckResponse.SERVING)

    async def drain(self) -> None:
        """Say NOT_SERVING, go on answering for the notice time, then refuse new calls and let those under way end."""
        await self.give_notice()
        self._draining.set()
        await self._server.stop(self._settings.drain_grace_ms / 1_000)

    async def give_notice(self) -> None:
        """Say NOT_SERVING and go on answering for the notice time, in which callers go elsewhere."""
        await self._health.enter_graceful_shutdown()
        await asyncio.sleep(self._settings.drain_notice_ms / 1_000)

    async def end_streams(self, end_s: float) -> None:
        """Read no more from any stream, answer what was read; return when all have ended, or at `end_s` of time.monotonic()."""
        self._draining.set()
        while self._streams and time.monotonic() < end_s:
            await asyncio.sleep(_GLANCE_S)

    async def abandon(self) -> None:
        """Stop at once, as a start that failed must."""
        await self._server.stop(None)

    async def _say(self, status: Any) -> None:
        for name in ("", *SERVICE_NAMES):
            await self._health.set(name, status)

    def _bind(self) -> int:
        settings = self._settings
        if not settings.tls_certificate_file:
            return self._server.add_insecure_port(settings.listen)
        pair = (_pem(settings, "tls_key_file"), _pem(settings, "tls_certificate_file"))
        authorities = _pem(settings, "tls_client_ca_file") if settings.tls_client_ca_file else None
        credentials = grpc.ssl_server_credentials([pair], authorities, require_client_auth=authorities is not None)
        return self._server.add_secure_port(settings.listen, credentials)

    def _handlers(self, service: str) -> grpc.GenericRpcHandler:
        special = {
            "Decide": self._decide,
            "DecideBatch": self._decide_batch,
            "DecideColumns": self._decide_columns,
            "Explain": self._explain,
        }
        handlers: dict[str, Any] = {}
        for method in _SERVICES[service].methods:
            if method.name == "DecideStream":
                handlers[method.name] = grpc.stream_stream_rpc_method_handler(self._decide_stream)
            elif service == DECISIONS and method.name in special and f"{service}/{method.name}" not in self._slow_rpcs:
                handlers[method.name] = grpc.unary_unary_rpc_method_handler(special[method.name])
            else:
                handlers[method.name] = grpc.unary_unary_rpc_method_handler(self._rare(service, method.name))
        return grpc.method_handlers_generic_handler(service, handlers)

    async def _admit(self, service: str, context: Context) -> CallInfo:
        arrived_ns = time.monotonic_ns()
        metadata = context.invocation_metadata() or () if self._gate.tokens else ()
        found = self._gate.admit(service, metadata, context.peer())
        if isinstance(found, Failure):
            await _abort(context, found)
            raise AssertionError("abort raises")
        return CallInfo(found.name, arrived_ns)

    async def _decide(self, payload: bytes, context: Context) -> bytes:
        info = await self._admit(DECISIONS, context)
        outcomes = await self._thread.decide([payload], info, context.time_remaining())
        return await _answer(context, _only(outcomes))

    async def _decide_batch(self, payload: bytes, context: Context) -> bytes:
        info = await self._admit(DECISIONS, context)
        try:
            items = framing.batch_items(payload)
        except RefusedError as error:
            return await _answer(context, error.failure)
        return await _answer(context, await self._thread.decide_message(items, info, context.time_remaining()))

    async def _decide_columns(self, payload: bytes, context: Context) -> bytes:
        info = await self._admit(DECISIONS, context)
        try:
            rows, answers = framing.table_rows(payload)
        except Exception as error:
            return await _answer(context, logged_failure_of(error, "a call could not be taken"))
        failure = await self._thread.decide_rows(rows, answers, info, context.time_remaining())
        return await _answer(context, failure or framing.table_response(answers))

    async def _explain(self, payload: bytes, context: Context) -> bytes:
        info = await self._admit(DECISIONS, context)
        try:
            request = framing.explained_request(payload)
        except RefusedError as error:
            return await _answer(context, error.failure)
        outcomes = await self._thread.decide([request], info, context.time_remaining())
        return framing.explain_response(await _answer(context, _only(outcomes)))

    async def _decide_stream(self, requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        info = await self._admit(DECISIONS, context)
        waiting: asyncio.Queue[tuple[bytes, asyncio.Task[Outcomes | Failure]] | None] = asyncio.Queue()
        room = asyncio.Semaphore(self._settings.stream_in_flight_max)

        async def read() -> None:
            async for payload in requests:
                await room.acquire()
                request_id, request = framing.stream_item(payload)
                call = self._thread.decide(
                    [request], info._replace(arrived_ns=time.monotonic_ns()), context.time_remaining()
                )
                waiting.put_nowait((request_id, asyncio.create_task(call)))

        async def read_until_end_or_drain() -> None:
            reading, stopping = asyncio.create_task(read()), asyncio.create_task(self._draining.wait())
            try:
                await asyncio.wait((reading, stopping), return_when=asyncio.FIRST_COMPLETED)
            finally:
                reading.cancel()
                stopping.cancel()
                waiting.put_nowait(None)

        reader = asyncio.create_task(read_until_end_or_drain())
        self._streams += 1
        try:
            while (entry := await waiting.get()) is not None:
                outcomes = await entry[1]
                room.release()
                yield framing.stream_response(entry[0], _only(outcomes))
        finally:
            self._streams -= 1
            reader.cancel()
            while not waiting.empty():
                if (left := waiting.get_nowait()) is not None:
                    left[1].cancel()

    def _rare(self, service: str, method: str) -> Callable[[bytes, Context], Awaitable[bytes]]:
        name = f"{service}/{method}"
        slow, rpc = self._slow_rpcs.get(name), self._rpcs.get(name)
        assert slow or rpc, f"{name} has no implementation"

        async def handle(payload: bytes, context: Context) -> bytes:
            info = await self._admit(service, context)
            if slow:
                try:
                    outcome: bytes | Failure = await slow(payload, info)
                except Exception as error:
                    outcome = logged_failure_of(error, SLOW_FAILED)
            else:
                assert rpc
                outcome = await self._thread.run(lambda: rpc(payload, info), context.time_remaining())
            return await _answer(context, outcome)

        return handle


def _pem(settings: Settings, name: str) -> bytes:
    path = Path(getattr(settings, name))
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{name}: {path} cannot be read: {error.strerror}") from None


def _only(outcomes: Outcomes | Failure) -> bytes | Failure:
    return outcomes if isinstance(outcomes, Failure) else outcomes[0]


async def _answer(context: Context, outcome: bytes | Failure) -> bytes:
    if isinstance(outcome, Failure):
        await _abort(context, outcome)
        raise AssertionError("abort raises")
    return outcome


async def _abort(context: Context, failure: Failure) -> None:
    await context.abort(grpc_code(failure), failure.message, trailing(failure))
