"""Reload: what is on disk is opened beside what serves, then swapped in by one command; a bad one changes nothing and says why."""

import asyncio
import dataclasses
import gc
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final, TypeVar

from touchpoint.v1 import admin_service_pb2 as admin

from engine.base.manifest import SnapshotError
from engine.ledger.port import LedgerFullError
from engine.rulebook import RulebookError
from server.base_room import check_swap
from server.decision_thread import DecisionThread
from server.failure import Code, Failure, RefusedError
from server.front import DecisionFront, Successor, let_go
from server.logs import log
from server.pacing import Pace
from server.settings import Settings, SettingsError
from server.statuses import logged_failure_of
from server.stores import Stores, open_stores
from server.subscribers import parsed

REASONS = (RulebookError, SnapshotError, SettingsError, LedgerFullError)
"""What an operator can mend."""
GIVE_WAY_S: Final = 0.00005
"""How long a thread may keep the others waiting while something is loaded: a decision's thread waits anew after every call of a kernel."""
ADMITTED_AT_ONCE: Final = 256
"""Names that get their codes in one turn."""
R = TypeVar("R")


class Reloading:
    """Reloads one after the other; remembers how the last one ended."""

    def __init__(self, settings: Settings, secret: bytes, stores: Stores) -> None:
        self.error = ""
        """Why the last reload failed; empty when it succeeded."""
        self.reloaded_us = 0
        self._settings = settings
        self._secret = secret
        self._stores = stores
        self._one_at_a_time = asyncio.Lock()
        self.on_busy: Callable[[bool], None] = lambda _: None
        """Called with True before something is loaded, with False after."""

    async def reload(self, front: DecisionFront, thread: DecisionThread) -> tuple[bool, int, str]:
        """Return (whether anything changed, generation, base version); raises RefusedError with FAILED_PRECONDITION when nothing was changed.

        A reload that has begun is done to its end, whoever waits for it.
        """
        task = asyncio.ensure_future(self._in_turn(front, thread))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # seen, even if nobody waits any more
        return await asyncio.shield(task)

    async def _in_turn(self, front: DecisionFront, thread: DecisionThread) -> tuple[bool, int, str]:
        async with self._one_at_a_time:
            pace = Pace(lambda: thread.busy, lambda: thread.load.submitted_items)
            try:
                with _unnoticed(self.on_busy):
                    changed = await self._reload(front, thread, pace)
            except (*REASONS, RefusedError) as error:
                self.error = str(error)
                front.figures.reloads_failed += 1
                log().error("reload failed, nothing was changed", why=self.error)
                raise RefusedError(Failure(Code.FAILED_PRECONDITION, f"nothing was changed: {error}")) from None
            except Exception as error:
                failure = logged_failure_of(error, "reload failed")
                self.error = failure.message
                front.figures.reloads_failed += 1
                raise RefusedError(failure) from None
            self.error, self.reloaded_us = "", time.time_ns() // 1_000
            front.figures.reloads += 1
            generation, version = front.engine.generation.number, front.engine.snapshot.version
            log().info("reloaded", changed=changed, generation=generation, base=version)
            return changed, generation, version

    async def _reload(self, front: DecisionFront, thread: DecisionThread, pace: Pace) -> bool:
        """Return whether anything changed; raises one of REASONS or RefusedError, and then all is as it was."""
        stores = await self._opened(pace)
        if not self._differs(stores):
            return False
        left = [await _take_over(front, thread, stores, pace)]
        self._stores = stores
        await asyncio.to_thread(pace.run, lambda: let_go(left))
        return True

    async def _opened(self, pace: Pace) -> Stores:
        """Return what the settings name by now; raises one of REASONS."""
        before = self._stores
        stores = await open_stores(self._settings, self._secret, before, pace.run)
        if stores.keys.kind != before.keys.kind or stores.keys.region != before.keys.region:
            raise SnapshotError(f"{stores.snapshot.folder}: keys of another kind or region; that needs a restart")
        if stores.snapshot.version == before.snapshot.version:
            # The same content; the one that serves has its pages in place already.
            return dataclasses.replace(stores, snapshot=before.snapshot)
        check_swap(self._settings, before.snapshot, stores.snapshot)
        await asyncio.to_thread(stores.snapshot.preload)
        return stores

    def _differs(self, stores: Stores) -> bool:
        before = self._stores
        return (stores.rulebook.digest, stores.snapshot.version) != (before.rulebook.digest, before.snapshot.version)


async def _take_over(front: DecisionFront, thread: DecisionThread, stores: Stores, pace: Pace) -> Successor:
    """Bind beside what decides, have it take over between two turns, and return what decided before; raises as `_reload` does."""
    unadmitted = await asyncio.to_thread(pace.run, lambda: front.engine.unadmitted(stores.rulebook))
    for start in range(0, len(unadmitted), ADMITTED_AT_ONCE):
        admit = partial(front.admit, unadmitted[start : start + ADMITTED_AT_ONCE])
        _succeeded(await thread.run(partial(_caught, admit)))
    now_us = _succeeded(await thread.run(front.now_us))
    bind = partial(front.successor, stores.rulebook, stores.snapshot, now_us)
    successor = await asyncio.to_thread(pace.run, bind)
    return _succeeded(await thread.run(lambda: front.take_over(successor)))


def _caught(run: Callable[[], None]) -> Exception | None:
    """Return what an operator can mend, which a turn would take for a mistake of ours."""
    try:
        run()
    except REASONS as error:
        return error
    return None


def _succeeded(result: R | Exception | Failure) -> R:
    if isinstance(result, Failure):
        raise RefusedError(result)
    if isinstance(result, Exception):
        raise result
    return result


@contextmanager
def _unnoticed(on_busy: Callable[[bool], None]) -> Iterator[None]:
    """Have the threads that load give way to those that decide sooner than usual, and no collection look at what is being loaded, which then lasts.

    What a rulebook leaves behind has no cycles, so nothing that is put out of the collector's sight was garbage.
    """
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(GIVE_WAY_S)
    gc.disable()
    on_busy(True)
    try:
        yield
    finally:
        on_busy(False)
        gc.freeze()
        gc.enable()
        sys.setswitchinterval(interval_s)


def reload_rpc(payload: bytes) -> None:
    """Check a ReloadRequest; raises RefusedError."""
    parsed(admin.ReloadRequest, payload)


def reload_response(changed: bool, generation: int, version: str) -> bytes:
    """Return the ReloadResponse's bytes."""
    return admin.ReloadResponse(
        changed=changed, rulebook_generation=generation, base_version=version
    ).SerializeToString()
