"""A router and its workers from settings to the last answer; to whoever runs it, it is a server."""

import asyncio
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from touchpoint.v1 import admin_service_pb2 as admin

from server.decision_id import DecisionIds
from server.failure import RefusedError
from server.front_choice import choose_front
from server.gate import Gate
from server.grpcio_front import GrpcioFront
from server.logs import log
from server.management import Management
from server.native_front import NativeFront
from server.security import Tokens, check_exposure, is_local
from server.serving import Serving
from server.settings import Settings
from server.stores import check_named, keys_of, secret_of
from server.subscriber_hashes import SubscriberHashes
from server.work import CallInfo
from server.workers.dispatch import Dispatch
from server.workers.links import Link
from server.workers.metrics import WorkersCollector
from server.workers.owning import Owning
from server.workers.processes import Workers
from server.workers.rpcs import RoutedRpcs

_NOBODY = CallInfo("router", 0)


class Router:
    """One address before n workers; `start`, then `stop`."""

    def __init__(self, settings: Settings) -> None:
        """Check what can be checked before anything is opened; raises SettingsError."""
        check_exposure(settings)
        check_named(settings)
        self.choice = choose_front(settings)
        self._settings = settings
        self._tokens = Tokens.read(Path(settings.tokens_file)) if settings.tokens_file else None
        self._secret = secret_of(settings)
        self._unready = "loading"
        self._management: Management | None = None
        self.workers: Workers | None = None
        self._composed = False

    async def start(self) -> Serving:
        """Serve; returns when all workers are ready. Raises SettingsError, SnapshotError, OSError, and then nothing is left open."""
        try:
            return await self._start()
        except BaseException:
            if self._composed:
                await self.grpc.abandon()
                await self.thread.stop()
            await self._end()
            raise

    async def _start(self) -> Serving:
        registry = CollectorRegistry()
        if self._settings.management_listen:
            self._management = Management(registry, lambda: self._unready)
            await self._management.start(self._settings.management_listen)
        keys = await asyncio.to_thread(keys_of, self._settings, self._secret)
        self.workers = Workers(self._settings)
        await self.workers.start()
        self._compose(SubscriberHashes(keys, self._secret), self.workers)
        registry.register(WorkersCollector(self.workers.all, lambda: self.thread.load, self.choice._asdict()))
        self.thread.start()
        self._composed = True
        log().info("front chosen", front=self.choice.front, reason=self.choice.reason, workers=len(self.workers.all))
        await self.grpc.start()
        await self.grpc.ready()
        self._unready = ""
        if self._settings.management_listen and not is_local(self._settings.management_listen):
            log().warning("the management port is open beyond loopback", listen=self._settings.management_listen)
        status = admin.GetStatusResponse.FromString(await self.rpcs.get_status(b"", _NOBODY))
        return Serving(
            port=self.grpc.port if not self._settings.listen.startswith("unix:") else 0,
            management_port=self._management.port if self._management else 0,
            catalogue=status.catalogue,
            generation=status.rulebook_generation,
            base_version=status.base_version,
            subscribers=status.subscriber_count,
            candidates=status.candidate_count,
        )

    async def stop(self) -> None:
        """Say not ready, go on for the notice time, refuse new calls, let those under way end, end the workers."""
        self._unready = "draining"
        await self.grpc.drain()
        await self.thread.stop()
        await self._end()

    async def reload(self) -> None:
        """Reload as SIGHUP asks; how it ended is logged, and in each worker's status."""
        try:
            await self.rpcs.reload(b"", _NOBODY)
        except RefusedError as error:
            log().error("not every worker reloaded", why=error.failure.message)

    async def _end(self) -> None:
        if self._composed:
            for link in self._links:
                await link.close()
        if self.workers:
            await self.workers.stop()
        if self._management:
            await self._management.stop()

    def _compose(self, hashes: SubscriberHashes, workers: Workers) -> None:
        settings, owning = self._settings, Owning(hashes, len(workers.all))
        self._links = [Link(worker) for worker in workers.all]
        loop = asyncio.get_running_loop()
        self.thread = Dispatch(self._links, owning, settings.queue_items_max, loop)
        ids = DecisionIds(self._secret, 0)
        self.rpcs = RoutedRpcs(self._links, owning, ids, lambda: self.thread.load)
        serving: Any = NativeFront if self.choice.front == "native" else GrpcioFront
        self.grpc: GrpcioFront | NativeFront = serving(self.thread, Gate(self._tokens), settings, {}, self.rpcs.table())
