"""One server from settings to the last answer: open, bind, warm up, ready, reload, drain."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import uvloop
from touchpoint.v1 import decision_service_pb2

from server import framing
from server.base_room import Preload
from server.clock import Clock, wall_us
from server.decision_id import DecisionIds
from server.decision_thread import DecisionThread
from server.entrance import Entrance
from server.failpoints import VARIABLE, read_failpoints
from server.failure import Failure, RefusedError
from server.figures import Figures, FiguresCollector, memory_bytes
from server.front import DecisionFront
from server.journal_snapshots import HowLong
from server.journalling import Kept, Upkeep, end_journal, journal_gauges, open_journal
from server.logs import log, set_up
from server.native_front import NativeFront
from server.reloading import Reloading, reload_response, reload_rpc
from server.rpcs import Rpcs
from server.serving import Serving
from server.settings import Settings, SettingsError, shard_of
from server.stores import Stores, new_engine, open_stores, secret_of
from server.subscriber_hashes import SubscriberHashes
from server.work import CallInfo

if TYPE_CHECKING:
    from server.shared.opening import Shared
    from server.workers.router import Router

SWITCH_INTERVAL_S: Final = 0.0005
"""How long a Python thread may keep the event loop waiting; the default of 5 ms is a whole answer's time."""
WARM_UP_PAIRS_MAX: Final = 256


class Server(Entrance):
    """One server process's parts; `start`, then `stop`."""

    def __init__(self, settings: Settings) -> None:
        """Check what can be checked before anything is opened; raises SettingsError."""
        super().__init__(settings)
        self._secret = secret_of(settings)
        self._shard = shard_of(settings)
        self._failing = read_failpoints(os.environ.get(VARIABLE, ""))
        if self._failing and not settings.journal:
            raise SettingsError(
                f"{VARIABLE}: its points are the journal's, and no journal is set; set one, or unset it"
            )
        self._kept: Kept | None = None
        self._upkeep: Upkeep | None = None
        self._shared: Shared | None = None

    async def _start(self) -> Serving:
        registry = await self._open_management()
        stores = await open_stores(self._settings, self._secret)
        self._shared = await shared_ledger(self._settings, self._secret, stores)
        self._compose(stores)
        registry.register(
            FiguresCollector(self.decisions.figures, self._gauges, lambda: self.thread.load, self.choice._asdict())
        )
        self._take_work()
        self._begin_journal()
        await self._open_front()
        engine = self.decisions.engine
        self._preload = Preload(engine.snapshot, engine.ledger.reserved())
        return Serving(
            **self._ports(),
            catalogue=engine.rulebook.catalogue.id,
            generation=engine.generation.number,
            base_version=engine.snapshot.version,
            subscribers=len(engine.snapshot.own_rows),
            candidates=len(engine.bound.candidates),
        )

    async def stop(self) -> None:
        """Say not ready, go on for the notice time, refuse new calls, let those under way end, stop."""
        self._preload.stop()
        await super().stop()

    async def _end(self) -> None:
        self._end_journal()
        await super()._end()
        await self._leave_ledger()

    async def _leave_ledger(self) -> None:
        if self._shared is not None:
            await asyncio.to_thread(self._shared.sharing.stop)

    def _begin_journal(self) -> None:
        if self._shared is not None:
            return
        if self._kept is None:
            log().warning("no journal is set: what is held and remembered ends with this process")
            return
        clock, settings = self.decisions.clock, self._settings
        keep = HowLong(settings.journal_keep_days, lambda: clock.trusted)
        self._upkeep = Upkeep(self._kept.journal, Path(settings.journal), self._kept.recovered.erasing, keep)

    def _end_journal(self) -> None:
        """Say in the journal that nothing is lost, and let it go."""
        if self._upkeep is not None:
            self._upkeep.stop()
        if self._kept is not None:
            end_journal(self._kept, wall_us())
            self._kept = None

    async def reload(self) -> None:
        """Reload as SIGHUP asks; how it ended is logged and in the status."""
        try:
            await self.reloading.reload(self.decisions, self.thread)
        except RefusedError:
            return

    def _compose(self, stores: Stores) -> None:
        settings, clock, around, working = self._settings, Clock(), None, None
        if self._shared is not None:
            around, clock, working = self._shared.sharing, self._shared.clock, self._shared.working
        failing = self._failing
        if failing is not None:
            log().warning("FAILPOINTS ARE ARMED: THIS SERVER FAILS ON PURPOSE", points=os.environ[VARIABLE])
        opening = open_journal if failing is None else partial(open_journal, around=failing.disk)
        now_us = clock.now_us()
        engine, self._kept = new_engine(stores, settings, self._secret, now_us, working=working, opening=opening)
        if around is not None:
            around.serve(engine)
        if self._kept is not None:
            clock.resume_after(self._kept.recovered.last_us)
        hashes = SubscriberHashes(stores.keys, self._secret)
        ids = DecisionIds(self._secret, settings.replica if settings.ledger_redis else self._shard.number)
        journal = self._kept.journal if self._kept else None
        self.decisions = DecisionFront(
            engine, hashes, ids, clock, Figures(), journal=journal, around=around, shard=self._shard
        )
        warm_up(self.decisions)
        settle_memory()
        self.reloading = Reloading(settings, self._secret, stores)
        rpcs = Rpcs(self.decisions, self._shard, lambda: self.reloading.error, lambda: self.reloading.reloaded_us)
        thread = DecisionThread if failing is None else failing.thread
        self.thread = thread(self.decisions, settings.queue_items_max, asyncio.get_running_loop())
        rpcs.load = self.thread.load
        slow = {"touchpoint.v1.AdminService/Reload": self._reload_rpc}
        self.grpc = self._new_front(rpcs.table(), slow)
        if isinstance(self.grpc, NativeFront):
            front = self.grpc
            self.reloading.on_busy = lambda busy: front.give_way(not busy)

    async def _reload_rpc(self, payload: bytes, _info: CallInfo) -> bytes:
        reload_rpc(payload)
        return reload_response(*await self.reloading.reload(self.decisions, self.thread))

    def _gauges(self) -> dict[str, float]:
        """Return what is measured when asked for; read from another thread than writes it, so each figure stands for itself."""
        engine, load = self.decisions.engine, self.thread.load
        return {
            "queue_depth_items": load.waiting_items,
            "memory_bytes": memory_bytes(),
            "rulebook_generation": engine.generation.number,
            "base_as_of_seconds": engine.snapshot.manifest.as_of_us / 1e6,
            "base_subscribers": len(engine.snapshot.own_rows),
            "clock_confirmed": float(self.decisions.clock.trusted),
            **(journal_gauges(self.decisions.journal) if self.decisions.journal else {}),
            **{
                f"ledger_{name}": float(value)
                for name, value in self.decisions.statistics().items()
                if name != "decision_next"
            },
        }


async def shared_ledger(settings: Settings, secret: bytes, stores: Stores) -> "Shared | None":
    """Return the ledger that replicas share, if the settings name one; raises SettingsError."""
    if not settings.ledger_redis:
        return None
    if find_spec("hiredis") is None:
        raise SettingsError("ledger_redis: needs hiredis; pip install 'touchpoint[redis]'")
    from server.shared.opening import open_shared

    return await asyncio.to_thread(open_shared, settings, secret, stores.rulebook.catalogue)


def settle_memory() -> None:
    """Take what is loaded by now out of the garbage collector's sight: a full collection would stop decisions for 100 ms to look at it in vain."""
    gc.collect()
    gc.freeze()


def warm_up(front: DecisionFront) -> None:
    """Decide a dry run for every trigger and channel, and explain one, so that nothing is compiled or loaded for the first caller."""
    catalogue = front.engine.rulebook.catalogue
    pairs = [(trigger.id, channel.id) for trigger in catalogue.triggers for channel in catalogue.channels]
    payloads, subscriber = [], _own_subscriber(front)
    for number, (trigger, channel) in enumerate(pairs[:WARM_UP_PAIRS_MAX]):
        request = decision_service_pb2.DecideRequest(
            request_id=f"warm-up-{number}", subscriber=subscriber, channel=channel, dry_run=True, explain=number == 0
        )
        request.trigger.type = trigger
        payloads.append(request.SerializeToString())
    outcomes = front.decide_batch(payloads, [CallInfo("warm-up", 0)] * len(payloads))
    failed = [outcome.message for outcome in outcomes if isinstance(outcome, Failure)]
    assert not failed, failed
    if find_spec("pyarrow"):
        _warm_up_tables(front, pairs[:WARM_UP_PAIRS_MAX], subscriber)
    front.figures.forget()


def _own_subscriber(front: DecisionFront) -> str:
    """Return a key, of nobody most likely, whose hash this shard owns."""
    shard = front.engine.snapshot.shard
    keys = (str(1_234_567_890 + more) for more in count())
    return next(key for key in keys if shard.owner(front.hashes.one(key)) == shard.number)


def _warm_up_tables(front: DecisionFront, pairs: list[tuple[str, str]], subscriber: str) -> None:
    """Decide the same as a table: Arrow alone takes longer to import than a thousand decisions."""
    from loaders.columns.stream import written

    columns: dict[str, list[str] | list[bool]] = {
        "request_id": [f"warm-up-{number}" for number in range(len(pairs))],
        "subscriber": [subscriber] * len(pairs),
        "trigger": [trigger for trigger, _ in pairs],
        "channel": [channel for _, channel in pairs],
        "dry_run": [True] * len(pairs),
    }
    request = decision_service_pb2.DecideColumnsRequest(table=written(columns))
    rows, answers = framing.table_rows(request.SerializeToString())
    front.decide_rows(rows, CallInfo("warm-up", 0), answers)
    assert framing.table_response(answers)


def server_of(settings: Settings) -> "Server | Router":
    """Return the server that the settings ask for; raises SettingsError."""
    if settings.workers == 1:
        return Server(settings)
    from server.workers.router import Router

    return Router(settings)


def serve(settings: Settings, announce: Callable[[Serving], None], *, end_with_input: bool = False) -> None:
    """Serve until SIGTERM or SIGINT, or with `end_with_input` until standard input ends, reloading on SIGHUP; `announce` is called once ready.

    Raises SettingsError, RulebookError, SnapshotError, OSError when it cannot start.
    """
    shard = shard_of(settings)
    set_up(settings.log_style, settings.log_level, str(shard) if shard.of > 1 else "")
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, announce, end_with_input))


def _look_at_input(loop: asyncio.AbstractEventLoop, stopping: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 4_096):
        loop.remove_reader(sys.stdin.fileno())
        stopping.set()


async def _serve(settings: Settings, announce: Callable[[Serving], None], end_with_input: bool) -> None:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    reloads: set[asyncio.Task[Any]] = set()
    early: list[int] = []
    server = server_of(settings)
    if end_with_input:
        loop.add_reader(sys.stdin.fileno(), _look_at_input, loop, stopping)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, early.append, signal.SIGHUP)
    started = asyncio.create_task(server.start())
    await asyncio.wait((started, asyncio.ensure_future(stopping.wait())), return_when=asyncio.FIRST_COMPLETED)
    if not started.done():
        started.cancel()
        await asyncio.wait((started,))  # what it had opened is closed
        return
    serving = started.result()
    try:
        loop.add_signal_handler(signal.SIGHUP, lambda: reloads.add(asyncio.create_task(server.reload())))
        if early:
            reloads.add(asyncio.create_task(server.reload()))
        log().info("ready", **serving._asdict())
        announce(serving)
        await stopping.wait()
    finally:
        log().info("draining")
        await server.stop()
    log().info("stopped")
