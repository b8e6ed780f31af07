"""Reload: what is on disk is opened beside what serves, then swapped in by one command; a bad one changes nothing and says why."""

import asyncio
import dataclasses
import time

from touchpoint.v1 import admin_service_pb2 as admin

from engine.base.manifest import SnapshotError
from engine.ledger.port import LedgerFullError
from engine.rulebook import RulebookError
from server.base_room import check_swap
from server.content import Content
from server.decision_thread import DecisionThread
from server.failure import Code, Failure, RefusedError
from server.front import DecisionFront
from server.logs import log
from server.settings import Settings, SettingsError
from server.stores import Stores, open_stores
from server.subscribers import parsed

REASONS = (RulebookError, SnapshotError, SettingsError, LedgerFullError)
"""What an operator can mend."""


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

    async def reload(self, front: DecisionFront, thread: DecisionThread) -> tuple[bool, int, str]:
        """Return (whether anything changed, generation, base version); raises RefusedError with FAILED_PRECONDITION when nothing was changed."""
        async with self._one_at_a_time:
            try:
                stores = await open_stores(self._settings, self._secret)
                if stores.keys.kind != self._stores.keys.kind or stores.keys.region != self._stores.keys.region:
                    raise SnapshotError(
                        f"{stores.snapshot.folder}: keys of another kind or region; that needs a restart"
                    )
                if stores.snapshot.version == self._stores.snapshot.version:
                    # The same content; the one that serves has its pages in place already.
                    stores = dataclasses.replace(stores, snapshot=self._stores.snapshot)
                else:
                    check_swap(self._settings, self._stores.snapshot, stores.snapshot)
                    await asyncio.to_thread(stores.snapshot.preload)
                changed = self._differs(stores)
                if changed:
                    content = await asyncio.to_thread(Content, stores.rulebook)
                    failed = await thread.run(lambda: _swap(front, stores, content))
                    if isinstance(failed, Failure):
                        raise RefusedError(failed)
                    if failed is not None:
                        raise failed
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

    def _differs(self, stores: Stores) -> bool:
        before = self._stores
        return (stores.rulebook_digest, stores.snapshot.version) != (before.rulebook_digest, before.snapshot.version)


def _swap(front: DecisionFront, stores: Stores, content: Content) -> Exception | None:
    """Swap both and read and render by them, or leave all as it was and return why."""
    engine = front.engine
    before = (engine.rulebook, engine.snapshot)
    now_us = front.now_us()
    try:
        engine.swap(stores.rulebook, stores.snapshot, now_us)
        front.rebind(content)
    except REASONS as error:
        if (engine.rulebook, engine.snapshot) != before:
            engine.swap(*before, now_us)
        front.rebind()
        return error
    return None


def reload_rpc(payload: bytes) -> None:
    """Check a ReloadRequest; raises RefusedError."""
    parsed(admin.ReloadRequest, payload)


def reload_response(changed: bool, generation: int, version: str) -> bytes:
    """Return the ReloadResponse's bytes."""
    return admin.ReloadResponse(
        changed=changed, rulebook_generation=generation, base_version=version
    ).SerializeToString()
