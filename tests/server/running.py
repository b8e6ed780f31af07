"""A server in this process, on an event loop and thread of its own, reached over real sockets."""

import asyncio
import gc
import itertools
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import grpc
import uvloop
from touchpoint.v1 import decision_service_pb2 as pb
from touchpoint.v1.admin_service_pb2_grpc import AdminServiceStub
from touchpoint.v1.decision_service_pb2_grpc import DecisionServiceStub
from touchpoint.v1.outcome_service_pb2_grpc import OutcomeServiceStub
from touchpoint.v1.subscriber_service_pb2_grpc import SubscriberServiceStub

from server.lifecycle import Server, server_of
from server.serving import Serving
from server.settings import Settings
from tests.server.operator_fixture import Operator, msisdn

T = TypeVar("T")
PATIENCE_S: Final = 60.0
COLLECTED_EVERY: Final = 4
"""A server freezes what it is made of, in cycles, some 90 MB each; a process that goes through hundreds lets them go."""
_ids = itertools.count()
_stops = itertools.count(1)


def settings_for(operator: Operator, **changes: Any) -> Settings:
    """Return settings that serve the operator on free loopback ports."""
    parts = {name: str(path) for name, path in operator._asdict().items() if name != "folder"}
    ports = {"listen": "127.0.0.1:0", "management_listen": "127.0.0.1:0"}
    small = {"contacts_max": 100_000, "outcomes_max": 10_000, "answers_bytes_max": 64 << 20, "drain_notice_ms": 50}
    return Settings(**{**ports, **small, **parts, **changes})


class Running:
    """A started server and stubs to call it."""

    def __init__(self, settings: Settings) -> None:
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="server loop")
        self._thread.start()
        try:
            # Before workers it is a Router, which tests of those know.
            self.server: Server = self.on_loop(_made(settings))
            self.serving: Serving = self.on_loop(self.server.start())
        except BaseException:
            self.close_loop()
            raise
        self.address = settings.listen if settings.listen.startswith("unix:") else f"127.0.0.1:{self.serving.port}"
        self.channel = grpc.insecure_channel(self.address)
        self.decisions = DecisionServiceStub(self.channel)
        self.outcomes = OutcomeServiceStub(self.channel)
        self.subscribers = SubscriberServiceStub(self.channel)
        self.admin = AdminServiceStub(self.channel)

    def on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` on the server's loop and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE_S)

    def stop(self) -> None:
        """Drain and end."""
        self.channel.close()
        self.on_loop(self.server.stop())
        self.close_loop()
        if not next(_stops) % COLLECTED_EVERY:
            gc.unfreeze()
            gc.collect()

    def close_loop(self) -> None:
        """End the loop's thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(PATIENCE_S)
        self.loop.close()

    @contextmanager
    def busy(self) -> Iterator[Callable[[], None]]:
        """Keep the decision thread in a command until the block ends, or until what this yields is called."""
        began, end = threading.Event(), threading.Event()

        def hold() -> None:
            began.set()
            end.wait(PATIENCE_S)

        holding = asyncio.run_coroutine_threadsafe(self.server.thread.run(hold), self.loop)
        assert began.wait(PATIENCE_S)
        try:
            yield end.set
        finally:
            end.set()
            holding.result(PATIENCE_S)


async def _made(settings: Settings) -> Any:
    return server_of(settings)


@contextmanager
def running(settings: Settings) -> Iterator[Running]:
    """Start a server and stop it at the end."""
    started = Running(settings)
    try:
        yield started
    finally:
        started.stop()


def asking(number: int = 0, **fields: Any) -> pb.DecideRequest:
    """Return a request for customer `number` at the desk, with an id that no other has."""
    plain = {"request_id": f"r{next(_ids)}", "subscriber": msisdn(number), "channel": "desk", "placement": "desk_open"}
    if "trigger" in fields:
        del plain["placement"]
    return pb.DecideRequest(**{**plain, **fields})


def timeless(answer: pb.DecideResponse) -> bytes:
    """Return the answer's bytes without the one field that may differ when it is repeated."""
    copied = pb.DecideResponse()
    copied.CopyFrom(answer)
    copied.server_us = 0
    return copied.SerializeToString(deterministic=True)
