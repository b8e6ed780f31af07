"""Reload: what is on disk is opened beside what serves, then swapped in by one command; a bad one changes nothing and says why."""

import asyncio
import dataclasses
import gc
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from touchpoint.v1 import admin_service_pb2 as admin

from engine.base.manifest import SnapshotError
from engine.ledger.port import LedgerFullError
from engine.rulebook import RulebookError
from server.base_room import check_swap
from server.decision_thread import DecisionThread
from server.failure import Code, Failure, RefusedError
from server.front import DecisionFront
from server.logs import log
from server.settings import Settings, SettingsError
from server.stores import Stores, open_stores
from server.subscribers import parsed

REASONS = (RulebookError, SnapshotError, SettingsError, LedgerFullError)
"""What an operator can mend."""
GIVE_WAY_S: Final = 0.00005
"""How long a thread may keep the others waiting while something is loaded: a decision's thread waits anew after every call of a kernel."""
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
        """Return (whether anything changed, generation, base version); raises RefusedError with FAILED_PRECONDITION when nothing was changed."""
        async with self._one_at_a_time:
            try:
                with _unnoticed(self.on_busy):
                    stores = await self._opened()
                    changed = self._differs(stores)
                    if changed:
                        await _take_over(front, thread, stores)
            except (*REASONS, RefusedError) as error:
                self.error = str(error)
                front.figures.reloads_failed += 1
                log().error("reload failed, nothing was changed", why=self.error)
                raise RefusedError(Failure(Code.FAILED_PRECONDITION, f"nothing was changed: {error}")) from None
            self._stores, self.error, self.reloaded_us = stores, "", time.time_ns() // 1_000
            front.figures.reloads += 1
            generation, version = front.engine.generation.number, front.engine.snapshot.version
            log().info("reloaded", changed=changed, generation=generation, base=version)
            return changed, generation, version

    async def _opened(self) -> Stores:
        """Return what the settings name by now; raises one of REASONS."""
        before, stores = self._stores, await open_stores(self._settings, self._secret)
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
        return (stores.rulebook_digest, stores.snapshot.version) != (before.rulebook_digest, before.snapshot.version)


async def _take_over(front: DecisionFront, thread: DecisionThread, stores: Stores) -> None:
    """Bind beside what decides, and have it take over between two batches; raises one of REASONS or RefusedError, and then all is as it was."""

    def admitted() -> int | Exception:
        try:
            return front.admit(stores.rulebook)
        except REASONS as error:
            return error

    now_us = _succeeded(await thread.run(admitted))
    successor = await asyncio.to_thread(front.successor, stores.rulebook, stores.snapshot, now_us)
    _succeeded(await thread.run(lambda: front.take_over(successor)))


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
