"""What a server serves from: rulebook, base and secret as the settings name them, opened and checked."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from engine.base.folder import current_version
from engine.base.keys import SubscriberKeys, read_secret
from engine.base.manifest import read_manifest
from engine.base.overlay import Overlay
from engine.base.snapshot import Snapshot, open_snapshot
from engine.engine import Engine
from engine.ledger.answers import RingAnswers
from engine.ledger.memory import MemoryLedger
from engine.rulebook import Rulebook, decode_rulebook, digest_of, load_rulebook
from loaders.msisdn import parse_number
from server.compiling import compiled
from server.settings import Settings, SettingsError


@dataclass(frozen=True, slots=True)
class Stores:
    """An opened rulebook and base, and how the base's keys are hashed."""

    rulebook: Rulebook
    rulebook_digest: str
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


async def open_stores(settings: Settings, secret: bytes) -> Stores:
    """Return what the settings name; reading is done off the event loop, compiling in another process.

    Raises SettingsError, RulebookError, SnapshotError.
    """
    for name in ("rulebook", "base"):
        if not getattr(settings, name):
            raise SettingsError(f"{name}: expected a path; build one with `touchpoint build {name}`, or use --demo")
    rulebook = await _rulebook(Path(settings.rulebook))
    snapshot, keys = await asyncio.to_thread(_snapshot, Path(settings.base), secret)
    return Stores(rulebook, digest_of(rulebook), snapshot, keys)


async def _rulebook(path: Path) -> Rulebook:
    if path.is_dir():
        return await asyncio.to_thread(decode_rulebook, await compiled(path), str(path))
    return await asyncio.to_thread(load_rulebook, path)


def _snapshot(folder: Path, secret: bytes) -> tuple[Snapshot, SubscriberKeys]:
    version = folder / current_version(folder)
    info = read_manifest(version).key
    keys = SubscriberKeys(secret, info.kind, info.region, parse_number if info.kind == "msisdn" else None)
    return open_snapshot(version, keys), keys


def new_engine(stores: Stores, settings: Settings, now_us: int) -> Engine:
    """Return an engine with an empty ledger. Decisions are numbered from the present microsecond on, so that no two lives of a shard share an id."""
    ledger = MemoryLedger(
        settings.contacts_max,
        RingAnswers(settings.answers_bytes_max),
        outcomes_max=settings.outcomes_max,
        decision_first=now_us,
        now_us=now_us,
    )
    return Engine(stores.rulebook, stores.snapshot, Overlay(settings.overlay_subscribers_max), ledger, now_us)
