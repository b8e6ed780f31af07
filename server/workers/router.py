"""A router and its workers from settings to the last answer; to whoever runs it, it is a server."""

import asyncio

from touchpoint.v1 import admin_service_pb2 as admin

from server.decision_id import DecisionIds
from server.entrance import Entrance
from server.failure import RefusedError
from server.logs import log
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


class Router(Entrance):
    """One address before n workers; `start`, then `stop`."""

    def __init__(self, settings: Settings) -> None:
        """Check what can be checked before anything is opened; raises SettingsError."""
        super().__init__(settings)
        check_named(settings)
        self._secret = secret_of(settings)
        self.workers: Workers | None = None

    async def _start(self) -> Serving:
        registry = await self._open_management()
        keys = await asyncio.to_thread(keys_of, self._settings, self._secret)
        self.workers = Workers(self._settings)
        await self.workers.start()
        self._compose(SubscriberHashes(keys, self._secret), self.workers)
        registry.register(WorkersCollector(self.workers.all, lambda: self.thread.load, self.choice._asdict()))
        self._take_work()
        await self._open_front(workers=len(self.workers.all))
        status = admin.GetStatusResponse.FromString(await self.rpcs.get_status(b"", _NOBODY))
        return Serving(
            **self._ports(),
            catalogue=status.catalogue,
            generation=status.rulebook_generation,
            base_version=status.base_version,
            subscribers=status.subscriber_count,
            candidates=status.candidate_count,
        )

    async def reload(self) -> None:
        """Reload as SIGHUP asks; how it ended is logged, and in each worker's status."""
        try:
            await self.rpcs.reload(b"", _NOBODY)
        except RefusedError as error:
            log().error("not every worker reloaded", why=error.failure.message)

    def _why_unready(self) -> str:
        alive = self.workers is None or any(worker.ready for worker in self.workers.all)
        return super()._why_unready() or ("" if alive else "no worker is ready")

    async def _end(self) -> None:
        if self._taking:
            for link in self._links:
                await link.close()
        if self.workers:
            await self.workers.stop()
        await super()._end()

    def _compose(self, hashes: SubscriberHashes, workers: Workers) -> None:
        settings, owning = self._settings, Owning(hashes, len(workers.all))
        self._links = [Link(worker) for worker in workers.all]
        loop = asyncio.get_running_loop()
        self.thread = Dispatch(self._links, owning, settings.queue_items_max, loop)
        ids = DecisionIds(self._secret, 0)
        self.rpcs = RoutedRpcs(self._links, owning, ids, lambda: self.thread.load)
        self.grpc = self._new_front({}, self.rpcs.table())
