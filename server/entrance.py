"""Where a server's callers and its operators come in, and a router's alike: checked, opened, told, closed."""

from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from server.decision_thread import DecisionThread
from server.front_choice import choose_front
from server.gate import Gate
from server.grpcio_front import GrpcioFront
from server.logs import log
from server.management import Management
from server.native_front import NativeFront
from server.security import Tokens, check_exposure, is_local
from server.serving import Serving
from server.settings import Settings


class Entrance:
    """What Server and Router are: `start`, then `stop`. They open what stands behind it in `_start`, and close that in `_end`."""

    thread: DecisionThread
    grpc: GrpcioFront | NativeFront

    def __init__(self, settings: Settings) -> None:
        """Check what can be checked before anything is opened; raises SettingsError."""
        check_exposure(settings)
        self.choice = choose_front(settings)
        self._settings = settings
        self._tokens = Tokens.read(Path(settings.tokens_file)) if settings.tokens_file else None
        self._unready = "loading"
        self._management: Management | None = None
        self._taking = False

    async def start(self) -> Serving:
        """Serve; returns when ready. Raises SettingsError, RulebookError, SnapshotError, OSError, and then nothing is left open."""
        try:
            return await self._start()
        except BaseException:
            if self._taking:
                await self.grpc.abandon()
                await self.thread.stop()
            await self._end()
            raise

    async def stop(self) -> None:
        """Say not ready, go on for the notice time, refuse new calls, let those under way end, stop."""
        self._unready = "draining"
        await self.grpc.drain()
        await self.thread.stop()
        await self._end()

    async def _start(self) -> Serving:
        """Open everything, in the order of what follows."""
        raise NotImplementedError

    async def _end(self) -> None:
        """Close what was opened, but for front and thread: the management port last."""
        if self._management:
            await self._management.stop()

    def _why_unready(self) -> str:
        """Return why no calls are to be sent here; empty when they are."""
        return self._unready

    async def _open_management(self) -> CollectorRegistry:
        """Answer operators, if anywhere; return what is to collect their metrics."""
        registry = CollectorRegistry()
        if self._settings.management_listen:
            self._management = Management(registry, self._why_unready)
            await self._management.start(self._settings.management_listen)
        return registry

    def _new_front(self, rpcs: Any, slow_rpcs: Any) -> GrpcioFront | NativeFront:
        """Return the front that was chosen, before the thread, not open yet."""
        front: Any = NativeFront if self.choice.front == "native" else GrpcioFront
        made: GrpcioFront | NativeFront = front(self.thread, Gate(self._tokens), self._settings, rpcs, slow_rpcs)
        return made

    def _take_work(self) -> None:
        """Have the thread start: from here on it and the front are to be stopped."""
        self.thread.start()
        self._taking = True

    async def _open_front(self, **told: Any) -> None:
        """Answer callers."""
        log().info("front chosen", front=self.choice.front, reason=self.choice.reason, **told)
        await self.grpc.start()
        await self.grpc.ready()
        self._unready = ""
        if self._settings.management_listen and not is_local(self._settings.management_listen):
            log().warning("the management port is open beyond loopback", listen=self._settings.management_listen)

    def _ports(self) -> dict[str, int]:
        """Return the ports of Serving."""
        return {
            "port": 0 if self._settings.listen.startswith("unix:") else self.grpc.port,
            "management_port": self._management.port if self._management else 0,
        }
