"""What a server serves from: rulebook, base and secret as the settings name them, opened and checked."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from engine.base.folder import current_version
from engine.base.keys import SubscriberKeys, read_secret
from engine.base.manifest import read_manifest
from engine.base.overlay import Overlay
from engine.base.snapshot import Snapshot, open_snapshot
from engine.engine import Engine
from engine.journal.starting import new_state
from engine.ledger.memory import MemoryLedger
from engine.rulebook import Rulebook, check_rulebook, checksum_of, decode_rulebook, read_rulebook
from engine.shard import WHOLE, Shard
from loaders.msisdn import parse_number
from server.compiling import compiled
from server.journalling import Kept, open_journal, sizes_of
from server.settings import Settings, SettingsError, shard_of


@dataclass(frozen=True, slots=True)
class Stores:
    """An opened rulebook and base, and how the base's keys are hashed."""

    rulebook: Rulebook
    checksum: bytes
    """Of the rulebook's file."""
    snapshot: Snapshot
    keys: SubscriberKeys


def secret_of(settings: Settings) -> bytes:
    """Return the installation's secret; raises SettingsError."""
    if not settings.key_secret_file:
        raise SettingsError("key_secret_file: expected the file of the secret that the base was built with; see --help")
    try:
        return read_secret(Path(settings.key_secret_file))
    except OSError as error:
        raise SettingsError(f"key_secret_file: {settings.key_secret_file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise SettingsError(f"key_secret_file: {error}") from None


def check_named(settings: Settings) -> None:
    """Raise SettingsError unless rulebook and base are named."""
    for name in ("rulebook", "base"):
        if not getattr(settings, name):
            raise SettingsError(f"{name}: expected a path; build one with `touchpoint build {name}`, or use --demo")


def keys_of(settings: Settings, secret: bytes) -> SubscriberKeys:
    """Return how the keys of the base are hashed; raises SnapshotError, also when it was built with another secret."""
    return _snapshot(Path(settings.base), secret, WHOLE, None)[1]


async def open_stores(
    settings: Settings,
    secret: bytes,
    before: Stores | None = None,
    run: Callable[[Callable[[], Stores]], Stores] | None = None,
) -> Stores:
    """Return what the settings name; reading is done off the event loop, compiling in another process.

    `before`: what serves; what is the same by now, rulebook or base, is taken from there. `run` runs the work.
    Raises SettingsError, RulebookError, SnapshotError.
    """
    check_named(settings)
    path, shard = Path(settings.rulebook), shard_of(settings)
    fresh = await compiled(path) if path.is_dir() else None

    def opened() -> Stores:
        data = read_rulebook(path) if fresh is None else fresh
        rulebook = _rulebook(data, str(path), before)
        return Stores(rulebook, checksum_of(data), *_snapshot(Path(settings.base), secret, shard, before))

    return await asyncio.to_thread(opened if run is None else partial(run, opened))


def _rulebook(data: bytes, name: str, before: Stores | None) -> Rulebook:
    if before is not None and checksum_of(data) == before.checksum:
        check_rulebook(data, name)
        return before.rulebook
    rulebook = decode_rulebook(data, name)
    assert rulebook.digest, "made here, where there is time for it"
    return rulebook


def _snapshot(folder: Path, secret: bytes, shard: Shard, before: Stores | None) -> tuple[Snapshot, SubscriberKeys]:
    version = folder / current_version(folder)
    if before is not None and version == before.snapshot.folder:
        return before.snapshot, before.keys
    info = read_manifest(version).key
    keys = SubscriberKeys(secret, info.kind, info.region, parse_number if info.kind == "msisdn" else None)
    return open_snapshot(version, keys, shard), keys


class Begun(NamedTuple):
    """An engine, and the journal that it goes on from and writes, if it has one."""

    engine: Engine
    kept: Kept | None


Opening = Callable[[Settings, bytes, int], tuple[Kept, MemoryLedger, Overlay]]
"""What server.journalling.open_journal is."""


def new_engine(
    stores: Stores,
    settings: Settings,
    secret: bytes,
    now_us: int,
    *,
    working: MemoryLedger | None = None,
    opening: Opening = open_journal,
) -> Begun:
    """Return an engine whose ledger and overlay are as the journal left them, or empty without one; raises JournalError, OSError.

    Decisions are numbered from the present microsecond on, or from the last on, so that no two lives of a shard share an id. `working`: the ledger, when
    it is no more than where a shared one is worked in.
    """
    if working is not None:
        overlay = Overlay(settings.overlay_subscribers_max)
        return Begun(Engine(stores.rulebook, stores.snapshot, overlay, working, now_us), None)
    if settings.journal:
        kept, ledger, overlay = opening(settings, secret, now_us)
        engine = Engine(stores.rulebook, stores.snapshot, overlay, ledger, now_us, keeping=kept.keeping)
        return Begun(engine, kept)
    ledger, overlay = new_state(sizes_of(settings))
    ledger.advance(now_us)
    ledger.number_from(now_us)
    return Begun(Engine(stores.rulebook, stores.snapshot, overlay, ledger, now_us), None)
