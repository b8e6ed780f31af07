"""The worker processes: started, waited for, started again when they die, ended with their router whatever becomes of it.

Each is a server like any other, shard k of n, on Unix sockets in a folder that only this user can enter. It ends when its standard input does: the
other end is the router's, so that no worker outlives a router that was killed.
"""

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from engine.shard import Shard
from server.failpoints import VARIABLE
from server.journalling import PART, check_of_workers
from server.logs import log
from server.settings import PREFIX, Settings
from server.sockets_folder import SocketsFolder

MESSAGE_BYTES_MAX: Final = 67_108_864
QUEUE_ITEMS_MAX: Final = 1_000_000
"""What a worker takes is bounded by its router."""
_DIVIDED: Final = {
    "contacts_max": 4,
    "outcomes_max": 1,
    "overlay_subscribers_max": 1,
    "answers_bytes_max": 65_536,
}
"""Settings of which each worker has its part, and the least that one may have."""
_GLANCE_S: Final = 0.02
_PAUSE_S: Final = 0.5
_PAUSE_MAX_S: Final = 10.0
_STEADY_S: Final = 60.0
"""A worker that served for so long is started again at once the next time."""
_END_S: Final = 15.0
"""How long a worker that was told to end may take; it has no calls by then."""


class Worker:
    """One worker: where it listens, and how it is."""

    def __init__(self, shard: Shard, folder: Path) -> None:
        self.shard = shard
        self.socket = folder / f"{shard.number}.s"
        self.management = folder / f"{shard.number}.m"
        self.announced = folder / f"{shard.number}.a"
        self.process: Process | None = None
        self.ready = False
        self.restarts = 0

    def __str__(self) -> str:
        """Return its name for people."""
        return f"worker {self.shard.number} of {self.shard.of}"


class Workers:
    """The workers of one router."""

    def __init__(self, settings: Settings) -> None:
        """Raises OSError when there is no folder for their sockets, JournalError when there is another journal where theirs belong."""
        if settings.journal:
            check_of_workers(Path(settings.journal))
        self._settings = settings
        self._folder = SocketsFolder()
        self._stopping = False
        self._keeping: list[asyncio.Task[None]] = []
        count = settings.workers
        self.all = [Worker(Shard(number, count), self._folder.path) for number in range(count)]

    async def start(self) -> None:
        """Start all and wait until they are ready; raises OSError when one ends before. The first goes ahead, so that what is wrong is said once."""
        for some in (self.all[:1], self.all[1:]):
            for worker in some:
                await self._begin(worker)
            for worker in some:
                await self._until_ready(worker)
        self._keeping = [asyncio.create_task(self._keep(worker)) for worker in self.all]

    async def stop(self) -> None:
        """End all: by a signal first, so that they answer what they have begun."""
        self._stopping = True
        for task in self._keeping:
            task.cancel()
        running = [worker.process for worker in self.all if worker.process and worker.process.returncode is None]
        for process in running:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        ending = [asyncio.create_task(process.wait()) for process in running]
        if ending:
            await asyncio.wait(ending, timeout=_END_S)
        for process in running:
            if process.returncode is None:
                process.kill()
                await process.wait()
        self._folder.remove()

    async def _begin(self, worker: Worker) -> None:
        worker.announced.unlink(missing_ok=True)
        worker.socket.unlink(missing_ok=True)
        worker.management.unlink(missing_ok=True)
        command = [sys.executable, "-m", "server", "serve", f"--announce={worker.announced}", "--end-with-input"]
        worker.process = await asyncio.create_subprocess_exec(
            *command,
            stdin=PIPE,
            stdout=DEVNULL,
            env=_environment(os.environ, settings_of(self._settings, worker)),
            # Ctrl-C is for the router, which ends them when it has drained.
            start_new_session=True,
        )

    async def _until_ready(self, worker: Worker) -> None:
        """Return when the worker serves; raises OSError when it ended."""
        process = worker.process
        assert process
        while not worker.announced.exists():
            if process.returncode is not None:
                raise OSError(
                    f"{worker} ended with code {process.returncode} before it was ready; its message is above"
                )
            await asyncio.sleep(_GLANCE_S)
        worker.ready = True
        log().info("worker ready", shard=str(worker.shard), pid=process.pid)

    async def _keep(self, worker: Worker) -> None:
        """Start the worker again whenever it ends, with longer pauses while it does not come up."""
        pause_s = 0.0
        while True:
            assert worker.process
            began_s = time.monotonic()
            code = await worker.process.wait()
            worker.ready = False
            if self._stopping:
                return
            pause_s = 0.0 if time.monotonic() - began_s > _STEADY_S else _longer(pause_s)
            log().error("worker ended, it is started again", shard=str(worker.shard), code=code, pause_s=pause_s)
            pause_s = await self._begin_again(worker, pause_s)
            with suppress(OSError):  # it ended again, which the next round sees
                await self._until_ready(worker)

    async def _begin_again(self, worker: Worker, pause_s: float) -> float:
        """Start the worker after a pause, and after longer ones while the system has no process for it; return the last pause."""
        while True:
            await asyncio.sleep(pause_s)
            worker.restarts += 1
            try:
                await self._begin(worker)
                return pause_s
            except OSError as error:
                pause_s = _longer(pause_s)
                log().error("worker cannot be started", shard=str(worker.shard), why=str(error), pause_s=pause_s)


def _longer(pause_s: float) -> float:
    return min(max(2 * pause_s, _PAUSE_S), _PAUSE_MAX_S)


def settings_of(settings: Settings, worker: Worker) -> Settings:
    """Return a worker's settings: its shard, its sockets and its part of what all may take; the router sees to callers, TLS and limits."""
    parts = {name: max(-(-getattr(settings, name) // settings.workers), least) for name, least in _DIVIDED.items()}
    return msgspec.structs.replace(
        settings,
        workers=1,
        shard=str(worker.shard),
        listen=f"unix:{worker.socket}",
        management_listen=f"unix:{worker.management}",
        tls_certificate_file="",
        tls_key_file="",
        tls_client_ca_file="",
        tokens_file="",
        insecure=False,
        receive_bytes_max=MESSAGE_BYTES_MAX,
        queue_items_max=QUEUE_ITEMS_MAX,
        drain_notice_ms=0,
        journal=str(Path(settings.journal) / f"{PART}{worker.shard.number}") if settings.journal else "",
        **parts,
    )


def _environment(environment: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """Return a worker's environment: this one's, failpoints too, its settings instead of the router's."""
    others = {name: value for name, value in environment.items() if not name.startswith(PREFIX) or name == VARIABLE}
    return others | {f"{PREFIX}{name.upper()}": _text(getattr(settings, name)) for name in settings.__struct_fields__}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
